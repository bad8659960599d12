//! The whole gate against a model written for clarity: it lets through only what the model allows, for whom it allows it,
//! and refuses no plain request that the model allows.
//!
//! An input is a short story: requests with keys and with tokens of sessions, to protected and to public routes, for teams in
//! an enterprise's name, some of them again and again; and changes in between, by a steward, while requests go on.

mod model;
mod sent;
mod shared;
mod world;

use std::{cell::RefCell, sync::LazyLock};

use arbitrary::Unstructured;
use tollkeeper::{
    config::Config,
    familiar::Familiar,
    gate::{Gate, Judgement},
    lease::Patience,
    purse::Scope,
    request::Request,
    shared::SharedData,
    table::{KeyTable, Names, Recent},
    time::{Monotonic, Now},
    token::{Cache, NoSignatures, Verifier},
    verdict::Verdict,
    wanted::Wanted,
};
use tollkeeper_contract::page::Entry;

use model::Allowed;
use sent::{SECRET, Sent};
use shared::{Interrupted, Shared};
use world::{Records, World};

static CONFIG: LazyLock<Config> = LazyLock::new(|| {
    let text = br#"{
        "key_service": {"cluster": "keyservice"}, "quota": {"limit": 4000000000, "window_seconds": 1}, "unmatched": "refuse",
        "tokens": {"audience": "api", "leeway_seconds": 0},
        "routes": [
            {"path": "/open/...", "access": "public"}, {"path": "/login", "methods": ["POST"], "access": "public"},
            {"path": "/api/{team}/..."}, {"path": "/me"}
        ]
    }"#;
    Config::parse(text).expect("a configuration")
});

thread_local! {
    /// What a node has once it has taken in everything.
    static SYNCED: Shared = {
        let node = Node::new(Shared::default());
        node.write(&Records::new(), &World::first().records(), &node.shared);
        node.shared
    };
}

/// A steward and a worker of one Envoy, and what the worker keeps between requests.
struct Node {
    shared: Shared,
    names: Names,
    recent: RefCell<Recent>,
    familiar: Familiar,
    tokens: RefCell<Cache>,
}

impl Node {
    fn new(shared: Shared) -> Self {
        Self {
            shared,
            names: Names::new("default"),
            recent: RefCell::default(),
            familiar: Familiar::new(Some([7; 16])),
            tokens: RefCell::default(),
        }
    }

    fn judge(&self, sent: &Sent, now: u64) -> Verdict {
        let wanted = Wanted::default();
        let tokens = Verifier { settings: &CONFIG.tokens, secret: &SECRET, host: &NoSignatures, cache: &self.tokens };
        let gate = Gate {
            config: &CONFIG,
            table: table(&self.shared, &self.names),
            recent: &self.recent,
            familiar: &self.familiar,
            usable: Ok(()),
            now: Now { unix: now, monotonic: Monotonic(1000) },
            tokens,
            scope: Scope::Process,
            wanted: &wanted,
        };
        let headers = sent.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_slice()));
        match gate.judge(&Request::read(headers), Patience::New) {
            Judgement::Decided(verdict) => verdict,
            Judgement::Waits(account) => panic!("waits for {account:?}"),
        }
    }

    /// What the steward does with what has changed.
    fn write(&self, before: &Records, after: &Records, shared: &impl SharedData) {
        let gone = before.keys().filter(|cursor| !after.contains_key(cursor)).map(|cursor| (*cursor, None));
        let put = after.iter().filter(|(cursor, record)| before.get(cursor) != Some(record));
        let mut entries: Vec<_> = gone.chain(put.map(|(cursor, record)| (*cursor, Some(record.as_slice())))).collect();
        entries.sort_unstable_by_key(|(cursor, _)| *cursor);
        let entries: Vec<_> = entries.into_iter().map(|(cursor, record)| Entry { cursor, record }).collect();
        table(shared, &self.names).apply(&entries).expect("nobody else writes records");
    }
}

fn table<'a, Shared>(shared: &'a Shared, names: &'a Names) -> KeyTable<'a, Shared> {
    KeyTable { shared, names, limits: CONFIG.quotas.limit.into(), now: Monotonic(1000) }
}

/// The input chooses what is sent, what is wrong with it, and what is changed when.
pub fn look(data: &[u8]) {
    // An input that ends early is a story that does.
    let _ = tell(&mut Unstructured::new(data), &mut |_| {});
}

/// At most six requests and changes. `judged` hears of each verdict that is compared.
fn tell(input: &mut Unstructured<'_>, judged: &mut dyn FnMut(&Verdict)) -> arbitrary::Result<()> {
    let (node, mut world) = (Node::new(SYNCED.with(Clone::clone)), World::first());
    let mut sent = Sent::draw(input)?;
    judged(&compared(&node, &sent, &[&world]));
    for _ in 0..input.int_in_range(0..=5)? {
        match input.int_in_range(0..=4)? {
            0 => sent = Sent::draw(input)?,
            1 => {}
            2 => sent = Sent::draw_delegated(input)?,
            _ => {
                let before = world.clone();
                world.change(input)?;
                changed(&node, [&before, &world], input.int_in_range(0..=15)?, &sent);
            }
        }
        judged(&compared(&node, &sent, &[&world]));
    }
    Ok(())
}

/// The steward writes what has changed; before one of its accesses the request comes again, and is judged by what was
/// there before, or by what is there afterwards.
fn changed(node: &Node, worlds: [&World; 2], moment: u32, sent: &Sent) {
    let [before, after] = worlds;
    let meanwhile = || drop(compared(node, sent, &worlds));
    let interrupted = Interrupted::new(&node.shared, moment, &meanwhile);
    node.write(&before.records(), &after.records(), &interrupted);
}

/// The verdict, which must be that of one of these moments, of which the last is now.
fn compared(node: &Node, sent: &Sent, worlds: &[&World]) -> Verdict {
    let verdict = node.judge(sent, worlds.last().expect("a moment").now);
    let allowed: Vec<_> = worlds.iter().map(|world| world.allows(sent)).collect();
    let let_through = match &verdict {
        Verdict::Public => Some(Allowed::Public),
        Verdict::Granted(grant) => Some(Allowed::For(grant.principal.account.clone())),
        Verdict::Refused(_) => None,
        Verdict::Shadowed(_) => panic!("no route is in shadow mode"),
    };
    let is_right = allowed.contains(&let_through) || let_through.is_none() && !sent.is_plain;
    assert!(is_right, "{sent:?}: {verdict:?}, and the model allows {allowed:?}");
    verdict
}

/// Stories without anything strange, one for each choice of a credential, and others by chance.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let plain = (0..=u8::MAX).step_by(3).map(|choice| vec![choice; 48]);
    let chance = |seed: u64| {
        let bytes = (0..12).flat_map(move |word| (seed * 16 + word).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
        bytes.map(|byte| byte.rotate_left(3) ^ byte).collect()
    };
    plain.chain((1..=64).map(chance)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use arbitrary::Unstructured;
    use tollkeeper::{principal::Proof, verdict::Verdict};

    use super::{seeds, tell};
    use crate::mutation::Mutation;

    /// What was compared with the model is of all sorts, and not only refused for its form.
    #[test]
    fn stories_come_to_every_end() {
        let (mut ends, mut inputs) = (BTreeMap::<String, u32>::new(), Mutation::of(seeds(), 1));
        for _ in 0..5_000 {
            let _ = tell(&mut Unstructured::new(&inputs.input()), &mut |verdict| {
                let end = match verdict {
                    Verdict::Public => "public".to_owned(),
                    Verdict::Granted(grant) if grant.principal.proof == Proof::Session => "by token".to_owned(),
                    Verdict::Granted(_) => "by key".to_owned(),
                    Verdict::Refused(refused) => refused.refusal.word().to_owned(),
                    Verdict::Shadowed(_) => "shadowed".to_owned(),
                };
                *ends.entry(end).or_default() += 1;
            });
        }
        for end in ["public", "by key", "by token"] {
            assert!(ends.get(end).is_some_and(|count| *count > 300), "{end}: {ends:?}");
        }
        for reason in ["unknown_key", "key_revoked", "session_revoked", "unknown_token", "token_expired"] {
            assert!(ends.contains_key(reason), "{reason}: {ends:?}");
        }
        for reason in ["team_disabled", "enterprise_disabled", "host_mismatch", "delegation_refused"] {
            assert!(ends.get(reason).is_some_and(|count| *count > 30), "{reason}: {ends:?}");
        }
    }
}
