//! Records come back as they went, and nothing else is taken for one.

use proptest::prelude::*;

use super::{
    EnterpriseRecord, HostRecord, Hosts, KeyRecord, KeyState, LimitsRecord, Owner, RevokedSessionRecord, TeamRecord,
    TenantState, TokenKeyRecord, TokenMaterial, UserRecord,
};
use crate::{Factor, Kind, Quota};

/// The record written by `$encode` comes back, and no part of it does.
macro_rules! comes_back {
    ($record:expr, $type:ident) => {
        let record = $record;
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        prop_assert_eq!($type::decode(&bytes), Ok(record));
        for length in 0..bytes.len() {
            prop_assert!($type::decode(&bytes[..length]).is_err());
        }
        bytes.push(0);
        prop_assert!($type::decode(&bytes).is_err());
    };
}

fn maybe(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

fn states() -> impl Strategy<Value = TenantState> {
    proptest::sample::select(vec![TenantState::Active, TenantState::Disabled])
}

fn quotas() -> impl Strategy<Value = Option<Quota>> {
    proptest::option::of(
        (1..u32::MAX, 1..=Quota::MAX_WINDOW).prop_map(|(limit, window)| Quota::new(limit, window).unwrap()),
    )
}

proptest! {
    #[test]
    fn a_key_record_comes_back_as_it_went(
        kind in proptest::sample::select(Kind::ALL.to_vec()),
        not_before in proptest::option::of(1..u64::MAX),
        expires in proptest::option::of(0..u64::MAX),
        id: String, owner: String, subject: String, scopes: String, origin: String,
        state in proptest::sample::select(vec![KeyState::Active, KeyState::Disabled, KeyState::Revoked]),
    ) {
        for owner in [Owner::Team(&owner), Owner::Enterprise(&owner)] {
            comes_back!(KeyRecord {
                kind, state, not_before, expires,
                id: &id, owner, subject: &subject, scopes: &scopes, origin: maybe(&origin),
            }, KeyRecord);
        }
    }

    #[test]
    fn the_record_of_a_tenant_comes_back_as_it_went(
        id: String, enterprise: String, permissions: String, state in states(), quota in quotas()
    ) {
        for hosts in [Hosts::Shared, Hosts::Own] {
            comes_back!(TeamRecord { id: &id, state, quota, enterprise: maybe(&enterprise), hosts }, TeamRecord);
        }
        comes_back!(EnterpriseRecord { id: &id, state, quota }, EnterpriseRecord);
        comes_back!(UserRecord { id: &id, state, permissions: &permissions }, UserRecord);
        comes_back!(HostRecord { host: &permissions, team: &id }, HostRecord);
    }

    #[test]
    fn the_record_of_a_token_key_or_session_comes_back_as_it_went(
        id: String, expires: u64, short: [u8; 32], long in proptest::collection::vec(any::<u8>(), 65)
    ) {
        let long: [u8; 65] = long.try_into().unwrap();
        for material in [TokenMaterial::Hs256(&short), TokenMaterial::EdDsa(&short), TokenMaterial::Es256(&long)] {
            comes_back!(TokenKeyRecord { kid: &id, material }, TokenKeyRecord);
        }
        comes_back!(RevokedSessionRecord { id: &id, expires }, RevokedSessionRecord);
    }

    #[test]
    fn the_record_of_limits_comes_back_as_it_went(thousandths in 1..=Factor::MAX_THOUSANDTHS) {
        comes_back!(LimitsRecord { factor: Factor::from_thousandths(thousandths).unwrap() }, LimitsRecord);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
        let _ = KeyRecord::decode(&bytes);
        let _ = TeamRecord::decode(&bytes);
        let _ = EnterpriseRecord::decode(&bytes);
        let _ = UserRecord::decode(&bytes);
        let _ = HostRecord::decode(&bytes);
        let _ = TokenKeyRecord::decode(&bytes);
        let _ = RevokedSessionRecord::decode(&bytes);
        let _ = LimitsRecord::decode(&bytes);
    }
}
