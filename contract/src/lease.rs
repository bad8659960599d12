//! How a node asks for leases on the quotas of teams, and what it is lent.
//!
//! All counts are sums since the node began with the account, so a question or an answer that is lost, doubled or
//! overtaken by another neither loses nor mints a token. `seq` says which question of an account is the later one, and
//! `since` which questions belong together.
//!
//! A balance is what a node may still spend: `granted - void - spent - returned`.

use hmac::Mac;
use serde::{Deserialize, Serialize};

use crate::{
    bytes::Broken,
    page::NodeToken,
    quota::{InvalidQuota, Quota},
};

/// The most accounts in one [`Question`].
pub const MAX_ASKS: usize = 2_000;

/// The most bytes in the body of a question or an answer: [`MAX_ASKS`] accounts with the longest ids and numbers.
pub const MAX_LENGTH: usize = 1 << 20;

/// Each other node may take this part of the limit, rounded up, before a node hears of it: so much is not told to clients.
/// What a node may be expected to take beyond that is not in [`Lent::left`].
pub const UNHEARD_PART: u32 = 8;

const MAGIC: &[u8] = b"TKL1";
const SEAL: usize = 32;

/// Whose quota it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Account {
    /// A team's, by its id.
    Team(String),
    /// An enterprise's own, by its id.
    Enterprise(String),
}

/// What a quota promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Promise {
    /// As many as the limit at once, and from then on as many per window as come back bit by bit.
    Bucket,
    /// Never more than the limit in any window of that length.
    Strict,
}

/// A node settles what it has spent, and asks for more: one batch for all its accounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The node's name.
    pub node: String,
    /// The filter's `instance`: filters of another name have quotas of their own.
    pub instance: String,
    /// A number that the node chose; the answer is sealed together with it.
    pub nonce: u64,
    /// For how long the node has asked without an answer, in milliseconds; 0 if the question before was answered, or if nodes
    /// spend nothing without a lease.
    pub unanswered_ms: u64,
    /// What is asked, each account at most once, at most [`MAX_ASKS`]; may be empty.
    pub asks: Vec<Ask>,
}

/// What a node says and wants of one account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// Whose quota it is.
    pub account: Account,
    /// When the node began to count, by a clock of its own. Sums with another beginning are as another node's: what was
    /// counted before is not in them.
    pub since: u64,
    /// Grows with every question about the account.
    pub seq: u64,
    /// Tokens that the node knows to have been lent, ever.
    pub granted: u64,
    /// Those of them that it was told not to spend.
    pub void: u64,
    /// Those of them that it has spent.
    pub spent: u64,
    /// Those of them that it gives back, and will not spend.
    pub returned: u64,
    /// Tokens that it has spent without a lease, because nobody answered.
    pub overdrawn: u64,
    /// How many of these were settled by an answer that it knows of.
    pub settled: u64,
    /// The balance that it needs, for the request that costs most; 0 if it only settles.
    pub need: u32,
    /// The balance that it would like to have, for what it expects.
    pub want: u32,
    /// What a request costs at least, of those that wait or came last; 1 or more. It is told when there are so many.
    pub least: u32,
    /// The limit, 1 or more.
    pub limit: u32,
    /// The window in seconds, 1 to [`Quota::MAX_WINDOW`].
    pub window: u32,
    /// What limit and window promise.
    pub promise: Promise,
}

impl Ask {
    /// The quota.
    ///
    /// # Errors
    /// When limit and window are none.
    pub fn quota(&self) -> Result<Quota, InvalidQuota> {
        Quota::new(self.limit, self.window)
    }
}

/// What the key service lends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// How many nodes are live, the asking one included: each has this share of a limit when nobody answers.
    pub nodes: u32,
    /// For how long balances may be spent, counted from the moment when the *question* was sent, in milliseconds.
    pub term_ms: u32,
    /// Whether this only settles: the fleet comes back from an outage, and nothing is lent until every node has said
    /// what it spent meanwhile. Then [`Lent::wait_ms`] says when that begins.
    pub only_settles: bool,
    /// One for each account that was asked about and could be answered.
    pub lent: Vec<Lent>,
}

/// How one account stands after a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lent {
    /// Whose quota it is.
    pub account: Account,
    /// The question that this answers.
    pub seq: u64,
    /// Tokens lent to the node, ever.
    pub granted: u64,
    /// Those of them that it must not spend: their lease ended before they were settled.
    pub void: u64,
    /// Whole tokens left beyond the balance, less what each other node may be expected to take beyond [`UNHEARD_PART`].
    pub left: u64,
    /// Milliseconds, counted from the arrival of the *answer*, until as many as a request costs at least are there beyond
    /// the balance, for a lone client at any node. 0: there are now, or that depends on when the balance is spent.
    /// [`u64::MAX`]: never. In an answer that only settles: until something is lent again, at the earliest.
    pub wait_ms: u64,
    /// Tokens that nodes hold, this one too, and may give back before that; 0 if it need not wait, or in vain.
    pub held: u64,
}

impl Answer {
    /// The answer to the question with this nonce as bytes: `"TKL1"`, JSON, and a seal of 32 bytes (HMAC-SHA256 over what
    /// comes before it and the nonce).
    ///
    /// # Errors
    /// When it cannot be written as JSON, which never happens.
    pub fn seal(&self, nonce: u64, token: &NodeToken) -> Result<Vec<u8>, serde_json::Error> {
        let mut bytes = MAGIC.to_vec();
        serde_json::to_writer(&mut bytes, self)?;
        let seal = token.seal(&bytes).chain_update(nonce.to_le_bytes()).finalize().into_bytes();
        bytes.extend_from_slice(&seal);
        Ok(bytes)
    }

    /// Reads what [`Answer::seal`] writes.
    ///
    /// # Errors
    /// When it is not whole, or not sealed under this token for this nonce.
    pub fn open(bytes: &[u8], nonce: u64, token: &NodeToken) -> Result<Self, Broken> {
        let (content, seal) = bytes.split_last_chunk::<SEAL>().ok_or(Broken)?;
        token.seal(content).chain_update(nonce.to_le_bytes()).verify_slice(seal).map_err(|_| Broken)?;
        serde_json::from_slice(content.strip_prefix(MAGIC).ok_or(Broken)?).map_err(|_| Broken)
    }
}

#[cfg(test)]
mod tests {
    use super::{Account, Answer, Lent};
    use crate::page::NodeToken;

    #[test]
    fn only_a_whole_answer_under_the_same_token_to_the_same_question_is_read() {
        let token = NodeToken::parse("a-token-for-nodes").unwrap();
        let account = Account::Team("acme".into());
        let lent = Lent { account, seq: 1, granted: u64::MAX, void: 0, left: 7, wait_ms: u64::MAX, held: 0 };
        let answer = Answer { nodes: 3, term_ms: 5000, only_settles: false, lent: vec![lent] };
        let bytes = answer.seal(9, &token).unwrap();
        assert_eq!(Answer::open(&bytes, 9, &token), Ok(answer));
        assert!(Answer::open(&bytes, 8, &token).is_err());
        assert!(Answer::open(&bytes, 9, &NodeToken::parse("another-token-for-nodes").unwrap()).is_err());
        for cut in 0..bytes.len() {
            assert!(Answer::open(&bytes[..cut], 9, &token).is_err());
        }
        for place in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[place] ^= 1;
            assert!(Answer::open(&altered, 9, &token).is_err());
        }
    }
}
