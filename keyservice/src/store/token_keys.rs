//! Keys that sign tokens, as the database knows them: by name, with what nodes verify with, and nothing secret.

use std::sync::Arc;

use tollkeeper_contract::{
    Algorithm, Digest, TokenKeyId,
    key_text::ID_ENTROPY,
    page::{Cursor, Table},
};

use super::{
    ActError, Store, StoreError,
    change::{Change, Entry, table_code},
    row,
    sql::{Connection, Row, Statement, sql},
};
use crate::domain::{
    By, Fingerprint, KEPT_SECONDS, Mint, Moment, OtherKeys, PublishedKey, SETTLING_SECONDS, SigningKey, TokenKey,
    TokenRules,
};

/// What a start leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenKeys {
    /// The newest key is one of this service.
    Found(TokenKey),
    /// There was none, or one for another algorithm.
    Made(TokenKey),
    /// The newest was made from other secrets.
    Replaced {
        /// The newest now.
        made: TokenKey,
        /// The newest before.
        foreign: TokenKey,
    },
}

/// A key that is to be made.
#[derive(Debug, Clone, Copy)]
pub struct NewTokenKey {
    /// How it signs; else as the service is set to, or as the newest key.
    pub algorithm: Option<Algorithm>,
    /// What becomes of the others.
    pub others: OtherKeys,
    /// What its name is made of.
    pub entropy: [u8; ID_ENTROPY],
}

impl Store {
    /// Sees to it that the newest key is one that is made from the secrets of this service, for the algorithm that is
    /// asked for.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn prepare_token_keys(
        &self,
        mint: &Arc<Mint>,
        entropy: [u8; ID_ENTROPY],
        now: Moment,
    ) -> Result<TokenKeys, ActError> {
        let (store, mint) = (self.clone(), Arc::clone(mint));
        self.to_the_end(async move {
            let mut change = store.quiet_change().await?;
            let (ours, foreign) = match newest(change.sql()).await? {
                Some(key) if mint.made(&key) => (Some(key), None),
                foreign => (None, foreign),
            };
            let fits = |key: &TokenKey| mint.algorithm().is_none_or(|algorithm| algorithm == key.algorithm);
            if let Some(key) = ours.filter(fits) {
                return Ok(TokenKeys::Found(key));
            }
            let before = foreign.as_ref().map(|key| key.algorithm);
            let algorithm = mint.algorithm().or(before).unwrap_or(TokenRules::DEFAULT_ALGORITHM);
            let key = named(&mint, algorithm, entropy)?;
            let made = replace(&mut change, &key, &mint, OtherKeys::Retire, now).await?;
            change.commit().await?;
            Ok(match foreign {
                Some(foreign) => TokenKeys::Replaced { made, foreign },
                None => TokenKeys::Made(made),
            })
        })
        .await
    }

    /// Makes a new key, which signs as soon as nodes have had the time to get it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn rotate_token_key(
        &self,
        mint: &Arc<Mint>,
        new: NewTokenKey,
        by: By,
        now: Moment,
    ) -> Result<TokenKey, ActError> {
        let (store, mint) = (self.clone(), Arc::clone(mint));
        self.to_the_end(async move {
            let mut change = store.change(&by).await?;
            let before = newest(change.sql()).await?.map(|key| key.algorithm);
            let algorithm = new.algorithm.or(mint.algorithm()).or(before).unwrap_or(TokenRules::DEFAULT_ALGORITHM);
            let key = named(&mint, algorithm, new.entropy)?;
            let made = replace(&mut change, &key, &mint, new.others, now).await?;
            change.commit().await?;
            Ok(made)
        })
        .await
    }

    /// All keys, the newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn token_keys(&self) -> Result<Vec<TokenKey>, StoreError> {
        let rows = select().then(NEWEST_FIRST).fetch_all(&mut self.read().await?).await?;
        rows.iter().map(token_key).collect()
    }

    /// What everybody may know of the keys whose tokens are taken, the newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn published_token_keys(&self, now: Moment) -> Result<Vec<PublishedKey>, StoreError> {
        let query = sql("SELECT kid, algorithm, material FROM token_keys");
        let query = query.then_with(" WHERE ends_at IS NULL OR ends_at > ", now).then(NEWEST_FIRST);
        query.fetch_all(&mut self.read().await?).await?.iter().map(published).collect()
    }
}

/// What nodes know of the key in a row with `kid`, `algorithm` and `material`.
pub(super) fn published(from: &Row) -> Result<PublishedKey, StoreError> {
    Ok(PublishedKey {
        kid: row::parsed(from, "kid", TokenKeyId::parse)?,
        algorithm: row::word(from, "algorithm", Algorithm::from_name)?,
        material: from.bytes("material")?.to_vec(),
    })
}

const NEWEST_FIRST: &str = " ORDER BY created_at DESC, kid";

/// The newest key, whatever it was made from.
async fn newest(on: &mut Connection) -> Result<Option<TokenKey>, StoreError> {
    let query = select().then(" WHERE retired_at IS NULL").then(NEWEST_FIRST).then(" LIMIT 1");
    query.fetch_optional(on).await?.map(|row| token_key(&row)).transpose()
}

/// The key that signs new tokens of this service.
pub(super) async fn that_signs(on: &mut Connection, mint: &Mint, now: Moment) -> Result<Option<TokenKey>, StoreError> {
    let rows = select().then_with(" WHERE ends_at IS NULL OR ends_at > ", now).fetch_all(on).await?;
    let mut keys = rows.iter().map(token_key).collect::<Result<Vec<_>, _>>()?;
    keys.retain(|key| mint.made(key));
    Ok(TokenKey::that_signs(keys, now))
}

/// The key of that name.
pub(super) async fn find(on: &mut Connection, kid: &TokenKeyId) -> Result<Option<TokenKey>, StoreError> {
    let row = select().then_with(" WHERE kid = ", kid.as_str()).fetch_optional(on).await?;
    row.map(|row| token_key(&row)).transpose()
}

/// The revision from which on nodes have the key; `None` if it has ended.
pub(super) async fn revision(on: &mut Connection, kid: &TokenKeyId) -> Result<Option<u64>, StoreError> {
    let query = sql("SELECT revision FROM published WHERE removed_at IS NULL AND table_code = $1 AND digest = $2");
    let query = query.bind(table_code(Table::TokenKeys)).bind(&Digest::of(kid.as_str().as_bytes()));
    query.fetch_optional(on).await?.map(|row| row::unsigned(&row, "revision")).transpose()
}

/// A key ends no earlier than the last token that it signed, also if it signed that after it was replaced.
pub(super) async fn keep_until(on: &mut Connection, kid: &TokenKeyId, ends: Moment) -> Result<(), StoreError> {
    let keep = sql("UPDATE token_keys SET ends_at = $1 WHERE kid = $2 AND ends_at < $1");
    keep.bind(ends).bind(kid.as_str()).execute(on).await?;
    Ok(())
}

/// Forgets keys whose last token ended.
pub(super) async fn clear(change: &mut Change<'_>, now: Moment) -> Result<u64, StoreError> {
    let over = sql("DELETE FROM token_keys WHERE ends_at <= $1 RETURNING digest").bind(now.minus(KEPT_SECONDS));
    let rows = over.fetch_all(change.sql()).await?;
    let cursors = rows.iter().map(|row| row::digest(row, "digest").map(cursor)).collect::<Result<Vec<_>, _>>()?;
    change.withdraw_all(&cursors, now).await?;
    Ok(u64::try_from(cursors.len()).unwrap_or(u64::MAX))
}

fn named(mint: &Mint, algorithm: Algorithm, entropy: [u8; ID_ENTROPY]) -> Result<SigningKey, StoreError> {
    mint.new_key(algorithm, entropy).ok_or_else(|| row::corrupt("kid", "no name leads to a key"))
}

async fn replace(
    change: &mut Change<'_>,
    key: &SigningKey,
    mint: &Mint,
    others: OtherKeys,
    now: Moment,
) -> Result<TokenKey, StoreError> {
    match others {
        OtherKeys::Retire => retire(change, now).await?,
        OtherKeys::End => end_all(change, now).await?,
    }
    insert(change, key, mint.fingerprint(key.algorithm()), now).await?;
    change.publish(cursor(Digest::of(key.kid().as_str().as_bytes()))).await?;
    let entry = Entry::new("token_key.create", "token_key", key.kid().as_str());
    change.audit(entry.with("algorithm", key.algorithm().as_str()), now);
    let made = find(change.sql(), key.kid()).await?;
    made.ok_or_else(|| row::corrupt("kid", "the key that was just made is gone"))
}

/// Ends all keys, and the tokens that they signed with them; also keys whose last token has ended, because nodes keep
/// those for a while. They are gone, so that no service whose clock is behind signs with one of them any more.
async fn end_all(change: &mut Change<'_>, now: Moment) -> Result<(), StoreError> {
    let rows = sql("DELETE FROM token_keys RETURNING kid, digest").fetch_all(change.sql()).await?;
    for row in &rows {
        let kid = row.text("kid")?;
        let sessions = sql("UPDATE sessions SET current = 0, expires = $1 WHERE kid = $2 AND expires > $1");
        let ended = sessions.bind(now).bind(kid).execute(change.sql()).await?;
        change.audit(Entry::new("token_key.end", "token_key", kid).with("sessions_ended", ended), now);
        change.withdraw(cursor(row::digest(row, "digest")?), now).await?;
    }
    Ok(())
}

/// The key that was the newest ends with its last token, but signs until its successor does.
async fn retire(change: &mut Change<'_>, now: Moment) -> Result<(), StoreError> {
    let update = sql("UPDATE token_keys
         SET retired_at = $1,
             ends_at = COALESCE((SELECT MAX(expires) FROM sessions WHERE kid = token_keys.kid AND expires > $1), $1)
         WHERE retired_at IS NULL");
    update.bind(now.plus(SETTLING_SECONDS)).execute(change.sql()).await?;
    Ok(())
}

async fn insert(change: &mut Change<'_>, key: &SigningKey, made: Fingerprint, now: Moment) -> Result<(), StoreError> {
    let insert = sql("INSERT INTO token_keys (kid, digest, algorithm, fingerprint, material, created_at)
         VALUES ($1, $2, $3, $4, $5, $6)");
    let insert = insert.bind(key.kid().as_str()).bind(&Digest::of(key.kid().as_str().as_bytes()));
    let insert = insert.bind(key.algorithm().as_str()).bind(made.0.as_slice()).bind(key.material());
    insert.bind(now).execute(change.sql()).await?;
    Ok(())
}

fn select() -> Statement {
    sql("SELECT kid, algorithm, fingerprint, created_at, retired_at, ends_at FROM token_keys")
}

fn token_key(from: &Row) -> Result<TokenKey, StoreError> {
    Ok(TokenKey {
        kid: row::parsed(from, "kid", TokenKeyId::parse)?,
        algorithm: row::word(from, "algorithm", Algorithm::from_name)?,
        fingerprint: Fingerprint(row::bytes(from, "fingerprint")?),
        created_at: row::moment(from, "created_at")?,
        retired_at: row::maybe_moment(from, "retired_at")?,
        ends_at: row::maybe_moment(from, "ends_at")?,
    })
}

fn cursor(digest: Digest) -> Cursor {
    Cursor { table: Table::TokenKeys, digest }
}
