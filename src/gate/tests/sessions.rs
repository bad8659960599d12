//! What a session may do: what its key may, as long as nobody ended it.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tollkeeper_contract::{
    Algorithm, EnterpriseRecord, Hosts, Kind, RevokedSessionRecord, TeamRecord, TenantState, TokenKeyRecord,
    TokenMaterial, UserRecord,
    page::Table,
    token::{Claims, Header, with_signature},
};

use super::Door;
use crate::{
    principal::Proof,
    refusal::Denial,
    request::{Field, Request},
    verdict::{Grant, Verdict},
};

const SALT: [u8; 32] = [7; 32];

/// A session of an application's key of the team `acme`, in its time.
fn claims() -> Claims {
    Claims {
        issuer: "tollkeeper".into(),
        audience: "tollkeeper".into(),
        subject: "ci".into(),
        team: Some("acme".into()),
        enterprise: None,
        kind: Kind::Application,
        scope: "read write".into(),
        key_id: Some("k".into()),
        origin: None,
        client_session: None,
        session: "s1".into(),
        issued: 900,
        not_before: 900,
        expires: 8100,
    }
}

/// A session of a user's of `acme`, made with a password.
fn of_user() -> Claims {
    Claims { subject: "ada".into(), kind: Kind::Personal, key_id: None, ..claims() }
}

/// A session of the key of an enterprise, to which `acme` belongs.
fn of_enterprise() -> Claims {
    let (team, enterprise) = (None, Some("umbrella".into()));
    Claims { team, enterprise, kind: Kind::EnterpriseServiceAccount, ..claims() }
}

fn door() -> Door {
    let door = Door::new();
    let mut record = Vec::new();
    TokenKeyRecord { kid: "hs", material: TokenMaterial::Hs256(&SALT) }.encode(&mut record);
    door.publish(Table::TokenKeys, "hs", Some(&record));
    let mut record = Vec::new();
    let (state, quota) = (TenantState::Active, None);
    EnterpriseRecord { id: "umbrella", state, quota }.encode(&mut record);
    door.publish(Table::Enterprises, "umbrella", Some(&record));
    door.team("acme", Some("umbrella"));
    door.team("globex", None);
    door
}

impl Door {
    fn team(&self, id: &str, enterprise: Option<&str>) {
        let mut record = Vec::new();
        let (state, quota, hosts) = (TenantState::Active, None, Hosts::Shared);
        TeamRecord { id, state, quota, enterprise, hosts }.encode(&mut record);
        self.publish(Table::Teams, id, Some(&record));
    }

    fn user(&self, state: TenantState, permissions: &str) {
        let mut record = Vec::new();
        UserRecord { id: "ada", state, permissions }.encode(&mut record);
        self.publish(Table::Users, "ada", Some(&record));
    }

    fn token(&self, claims: &Claims) -> String {
        let header = Header { algorithm: Algorithm::Hs256, kid: "hs".into() };
        let input = header.signing_input(&claims.to_json());
        let mac = Hmac::<Sha256>::new_from_slice(&self.secret.token_secret(&SALT)).unwrap().chain_update(&input);
        with_signature(&input, &mac.finalize().into_bytes())
    }

    fn bears(&self, claims: &Claims, request: Request<'_>) -> Verdict {
        let authorization = format!("Bearer {}", self.token(claims));
        self.judge(&Request { method: b"GET", authorization: Field::Once(authorization.as_bytes()), ..request })
    }

    #[track_caller]
    fn grants(&self, claims: &Claims, request: Request<'_>) -> Grant {
        let verdict = self.bears(claims, request);
        let Verdict::Granted(grant) = verdict else { panic!("{verdict:?}") };
        grant
    }

    #[track_caller]
    fn denies(&self, claims: &Claims, request: Request<'_>, denial: Denial) {
        assert_eq!(self.bears(claims, request).reason(), denial.word());
    }
}

fn to(target: &str) -> Request<'_> {
    Request { target: target.as_bytes(), ..Request::default() }
}

#[test]
fn a_session_says_who_it_is_and_charges_its_team() {
    let door = door();
    let Grant { principal, allowance, .. } = door.grants(&claims(), to("/session/acme"));
    assert_eq!((principal.proof, principal.kind_word()), (Proof::Session, "session"));
    assert_eq!((principal.key_id.as_deref(), principal.subject.as_str()), (Some("k"), "ci"));
    assert_eq!((principal.scopes.as_str(), principal.expires), ("read write", Some(8100)));
    assert_eq!((principal.account.team(), allowance.remaining), (Some("acme"), 2));
    let Verdict::Granted(by_key) = door.get("/api/acme/x", "good") else { panic!() };
    assert_eq!(by_key.allowance.remaining, 1, "one bucket for keys and sessions");
}

#[test]
fn a_session_may_do_what_its_key_may_and_no_more() {
    let door = door();
    door.denies(&claims(), to("/session/globex"), Denial::TeamMismatch);
    door.denies(&Claims { scope: "write".into(), ..claims() }, to("/session"), Denial::MissingScope);
    let delegate = Field::Once(b"acme".as_slice());
    door.denies(&claims(), Request { delegate, ..to("/session") }, Denial::DelegationRefused);
}

#[test]
fn a_revoked_session_is_refused_although_its_token_was_verified_before() {
    let door = door();
    door.grants(&claims(), to("/session"));
    let mut record = Vec::new();
    RevokedSessionRecord { id: "s1", expires: 8100 }.encode(&mut record);
    door.publish(Table::RevokedSessions, "s1", Some(&record));
    door.denies(&claims(), to("/session"), Denial::SessionRevoked);
    door.grants(&Claims { session: "s2".into(), ..claims() }, to("/session"));
}

#[test]
fn a_session_goes_on_when_its_key_is_deleted() {
    let door = door();
    door.publish(Table::Keys, "good", None);
    door.grants(&claims(), to("/session"));
}

#[test]
fn a_session_of_a_user_has_the_users_present_permissions() {
    let door = door();
    door.denies(&of_user(), to("/session"), Denial::UserUnknown);
    door.user(TenantState::Active, "read admin");
    assert_eq!(door.grants(&of_user(), to("/session")).principal.scopes, "read");
    door.user(TenantState::Active, "admin");
    door.denies(&of_user(), to("/session"), Denial::MissingScope);
    door.user(TenantState::Disabled, "read");
    door.denies(&of_user(), to("/session"), Denial::UserDisabled);
    door.publish(Table::Users, "ada", None);
    door.denies(&of_user(), to("/session"), Denial::UserUnknown);
}

#[test]
fn a_session_of_an_enterprise_acts_for_its_teams_like_the_key() {
    let door = door();
    let delegate = |team: &'static str| Request { delegate: Field::Once(team.as_bytes()), ..to("/session") };
    let for_acme = door.grants(&of_enterprise(), delegate("acme")).principal;
    assert_eq!((for_acme.delegated_team(), for_acme.enterprise()), (Some("acme"), Some("umbrella")));
    assert_eq!(door.grants(&of_enterprise(), to("/session")).principal.account.enterprise(), Some("umbrella"));
    for foreign in ["globex", "nobody"] {
        door.denies(&of_enterprise(), delegate(foreign), Denial::DelegationRefused);
    }
    door.publish(Table::Enterprises, "umbrella", None);
    door.denies(&of_enterprise(), delegate("acme"), Denial::EnterpriseDisabled);
}

#[test]
fn a_session_of_a_bound_key_is_bound_too() {
    let door = door();
    let bound = Claims { origin: Some("mycoolapp.com/api".into()), ..claims() };
    let from = |origin: &'static str| Request { origin: Field::Once(origin.as_bytes()), ..to("/session") };
    door.grants(&bound, from("mycoolapp.com/api"));
    door.denies(&bound, from("evil.example"), Denial::OriginMismatch);
    door.denies(&bound, to("/session"), Denial::OriginMismatch);
}

#[test]
fn a_token_is_taken_in_the_style_bearer_only() {
    let door = door();
    let token = door.token(&claims());
    for (authorization, reason) in [
        (format!("Token {token}"), "unsupported_scheme"),
        (token.clone(), "unsupported_scheme"),
        (format!("Bearer {token},Bearer {token}"), "duplicate_header"),
        (format!("Bearer {token}="), "malformed_token"),
    ] {
        let authorization = Field::Once(authorization.as_bytes());
        let verdict = door.judge(&Request { method: b"GET", authorization, ..to("/session") });
        assert_eq!(verdict.reason(), reason);
    }
}
