//! Whether this key may do this, now: state, dates, team, scopes, in this order.

use tollkeeper_contract::{KeyRecord, KeyState};

use crate::refusal::Denial;

/// What a request needs of a key.
#[derive(Debug, Clone, Copy)]
pub struct Demand<'a, Scopes> {
    /// The team in the path, if the route names one.
    pub team: Option<&'a [u8]>,
    /// The scopes that the route needs for this method, all of them.
    pub scopes: Scopes,
    /// Unix time in seconds.
    pub now: u64,
}

/// Whether the key may do what is demanded.
///
/// # Errors
/// The first thing that is wrong; what is wrong with the key comes before what it may do.
pub fn check<'a>(key: &KeyRecord<'_>, demand: Demand<'_, impl IntoIterator<Item = &'a str>>) -> Result<(), Denial> {
    match key.state {
        KeyState::Active => {}
        KeyState::Disabled => return Err(Denial::KeyDisabled),
        KeyState::Revoked => return Err(Denial::KeyRevoked),
    }
    if key.not_before.is_some_and(|first| demand.now < first) {
        return Err(Denial::KeyNotYetValid);
    }
    if key.expires.is_some_and(|end| demand.now >= end) {
        return Err(Denial::KeyExpired);
    }
    if demand.team.is_some_and(|team| team != key.owner.id().as_bytes()) {
        return Err(Denial::TeamMismatch);
    }
    if demand.scopes.into_iter().any(|needed| !has_scope(key, needed)) {
        return Err(Denial::MissingScope);
    }
    Ok(())
}

fn has_scope(key: &KeyRecord<'_>, needed: &str) -> bool {
    key.scopes.split(' ').any(|scope| scope == needed)
}

#[cfg(test)]
mod tests {
    use super::{Demand, check};
    use crate::refusal::Denial;
    use tollkeeper_contract::{KeyRecord, KeyState, Kind, Owner};

    const KEY: KeyRecord<'_> = KeyRecord {
        kind: Kind::Application,
        state: KeyState::Active,
        not_before: Some(100),
        expires: Some(200),
        id: "k",
        owner: Owner::Team("acme"),
        subject: "",
        scopes: "read write",
        origin: None,
    };
    const DEMAND: Demand<'_, [&str; 1]> = Demand { team: Some(b"acme"), scopes: ["read"], now: 150 };

    #[test]
    fn a_key_works_from_its_first_second_to_before_its_last() {
        let at = |now| check(&KEY, Demand { now, ..DEMAND });
        assert_eq!(at(99), Err(Denial::KeyNotYetValid));
        assert_eq!(at(100), Ok(()));
        assert_eq!(at(199), Ok(()));
        assert_eq!(at(200), Err(Denial::KeyExpired));
    }

    #[test]
    fn teams_are_compared_byte_for_byte() {
        for other in ["Acme", "acm", "acme ", "acme2", "", "globex"] {
            let demand = Demand { team: Some(other.as_bytes()), ..DEMAND };
            assert_eq!(check(&KEY, demand), Err(Denial::TeamMismatch), "{other}");
        }
        assert_eq!(check(&KEY, Demand { team: None, ..DEMAND }), Ok(()));
    }

    #[test]
    fn every_needed_scope_must_be_there_whole() {
        let with = |scopes: &[&'static str]| {
            check(&KEY, Demand { team: DEMAND.team, scopes: scopes.iter().copied(), now: DEMAND.now })
        };
        assert_eq!(with(&["read", "write"]), Ok(()));
        assert_eq!(with(&[]), Ok(()));
        for lacking in ["rea", "read write", "READ", ""] {
            assert_eq!(with(&["read", lacking]), Err(Denial::MissingScope), "{lacking}");
        }
    }

    #[test]
    fn a_key_without_scopes_may_do_what_needs_none() {
        let key = KeyRecord { scopes: "", ..KEY };
        assert_eq!(check(&key, DEMAND), Err(Denial::MissingScope));
        assert_eq!(check(&key, Demand { team: DEMAND.team, scopes: [], now: DEMAND.now }), Ok(()));
    }

    #[test]
    fn a_key_that_was_ended_says_so_whatever_else_is_wrong() {
        for (state, denial) in [(KeyState::Disabled, Denial::KeyDisabled), (KeyState::Revoked, Denial::KeyRevoked)] {
            let key = KeyRecord { state, ..KEY };
            assert_eq!(check(&key, Demand { now: 500, team: Some(b"other"), ..DEMAND }), Err(denial));
        }
    }
}
