//! What everybody gets to see.

use super::{
    Allowance, Grant, Header, Refused, Shadowed, Verdict, is_overruled, reply, reply::statuses, request_headers,
    response_headers,
};
use crate::{
    config::{Config, Styles},
    lease::Basis,
    limiter::Limit,
    principal::Principal,
    refusal::{Denial, Fault, Refusal},
    request::Wire,
};
use tollkeeper_contract::{KeyRecord, KeyState, Kind, Owner};

fn config(more: &str) -> Config {
    Config::parse(format!(r#"{{"key_service":{{"cluster":"keyservice"}}{more}}}"#).as_bytes()).unwrap()
}

fn header((name, value): (&'static str, &'static str)) -> Header<'static> {
    (name, value.into())
}

fn principal() -> Principal {
    let record = KeyRecord {
        kind: Kind::Application,
        state: KeyState::Active,
        not_before: None,
        expires: Some(1_800_000_000),
        id: "k1",
        owner: Owner::Team("acme"),
        subject: "",
        scopes: "read write",
        origin: None,
    };
    Principal::of_key(crate::config::Style::Token, &record)
}

fn granted() -> Verdict {
    let allowance = Allowance {
        policy: "team",
        limit: Limit::bucket(300, 300),
        remaining: 299,
        until_next: 1,
        basis: Basis::Quota,
    };
    Verdict::Granted(Grant { principal: principal(), allowance, withheld: vec![] })
}

#[test]
fn what_the_filter_says_to_the_client_an_upstream_cannot_say_as_well() {
    let refused = Refused { principal: Some(Box::new(principal())), ..Denial::QuotaExhausted.into() };
    for style in ["draft", "legacy"] {
        let config = config(&format!(r#","rate_limit_headers":"{style}""#));
        for verdict in [granted(), Verdict::Public, Verdict::Refused(refused.clone())] {
            let ours = response_headers(&verdict, &config, Some(7));
            assert!(!ours.is_empty());
            assert!(ours.iter().all(|(name, _)| is_overruled(name.as_bytes(), &ours)), "{ours:?}");
        }
    }
}

#[test]
fn a_denial_is_4xx_and_a_fault_is_503() {
    for denial in Denial::ALL {
        assert!((400..500).contains(&statuses(Refusal::Denial(*denial)).0), "{denial:?}");
    }
    for fault in Fault::ALL {
        assert_eq!(statuses(Refusal::Fault(*fault)).0, 503, "{fault:?}");
    }
}

#[test]
fn every_reason_has_a_word_of_its_own_and_a_sentence() {
    let denials = Denial::ALL.iter().map(|denial| Refusal::Denial(*denial));
    let refusals: Vec<_> = denials.chain(Fault::ALL.iter().map(|fault| Refusal::Fault(*fault))).collect();
    let words: std::collections::BTreeSet<_> = refusals.iter().map(|refusal| refusal.word()).collect();
    assert_eq!(words.len(), refusals.len());
    for refusal in refusals {
        // The sentence stands in a quoted string of a challenge.
        assert!(refusal.sentence().ends_with('.') && !refusal.sentence().contains(['"', '\\', '\n']), "{refusal:?}");
    }
}

#[test]
fn the_reference_documents_every_reason_with_its_status() {
    let reference = include_str!("../../docs/REFERENCE.md");
    let denials = Denial::ALL.iter().map(|denial| Refusal::Denial(*denial));
    for refusal in denials.chain(Fault::ALL.iter().map(|fault| Refusal::Fault(*fault))) {
        let (status, grpc_status, _) = statuses(refusal);
        let row = format!("| `{}` | {status} | {grpc_status} |", refusal.word());
        assert!(reference.contains(&row), "docs/REFERENCE.md lacks {row}");
    }
}

#[test]
fn a_client_without_a_credential_gets_a_challenge_per_style() {
    let refused = Refused { styles: Some(Styles::all()), ..Denial::MissingCredential.into() };
    let reply = reply(&refused, &config("").realm, Wire::Http);
    let challenges: Vec<_> = reply.headers.iter().filter(|(name, _)| *name == "www-authenticate").collect();
    assert_eq!((reply.status, challenges.len()), (401, 4));
    assert!(challenges.iter().any(|(_, value)| value == "Bearer realm=\"tollkeeper\""));
}

#[test]
fn a_refusal_says_what_is_wrong_in_problem_json() {
    let reply = reply(&Denial::KeyExpired.into(), &config("").realm, Wire::Http);
    let body: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!((body["status"].as_u64(), body["reason"].as_str()), (Some(401), Some("key_expired")));
    assert_eq!(body["detail"], "The key has expired.");
}

#[test]
fn a_grpc_client_gets_the_sentence_as_its_message() {
    let reply = reply(&Denial::KeyExpired.into(), &config("").realm, Wire::Grpc);
    assert_eq!((reply.grpc_status, reply.body.as_str()), (16, "The key has expired."));
}

#[test]
fn whoever_is_limited_or_meets_a_fault_is_told_when_to_come_back() {
    let allowance = Some(Allowance {
        policy: "team",
        limit: Limit::bucket(1, 60),
        remaining: 0,
        until_next: 42,
        basis: Basis::Quota,
    });
    let limited = Refused { allowance, ..Denial::QuotaExhausted.into() };
    assert!(reply(&limited, &config("").realm, Wire::Http).headers.contains(&("retry-after", "42".to_owned())));
    let fault = Fault::NotSynced.into();
    assert!(reply(&fault, &config("").realm, Wire::Http).headers.contains(&("retry-after", "1".to_owned())));
}

#[test]
fn the_caller_reads_what_was_understood() {
    let verdict = granted();
    let headers = response_headers(&verdict, &config(""), Some(9));
    let value = |name| headers.iter().find(|(other, _)| *other == name).map(|(_, value)| value.as_ref());
    assert_eq!(value("x-auth-status"), Some("granted"));
    assert_eq!(value("x-auth-team"), Some("acme"));
    assert_eq!(value("x-auth-expires"), Some("1800000000"));
    assert_eq!(value("x-auth-revision"), Some("9"));
    assert_eq!(value("x-auth-subject"), None);
    assert_eq!(value("ratelimit-policy"), Some("\"team\";q=300;w=300"));
    assert_eq!(value("ratelimit"), Some("\"team\";r=299;t=1"));
}

#[test]
fn older_clients_read_the_headers_that_they_know() {
    let legacy = config(r#","response_headers":"off","rate_limit_headers":"legacy""#);
    let expected = [("x-ratelimit-limit", "300"), ("x-ratelimit-remaining", "299"), ("x-ratelimit-reset", "1")];
    assert_eq!(response_headers(&granted(), &legacy, Some(9)), expected.map(header));
}

#[test]
fn what_is_only_told_says_so_to_the_client_and_names_a_proven_caller_to_the_upstream() {
    let all = config(r#","request_headers":"all""#);
    let shadowed = |denial: Denial| {
        let refused = Refused { principal: Some(Box::new(principal())), ..denial.into() };
        Verdict::Shadowed(Shadowed { refused, withheld: vec![] })
    };
    let exhausted = shadowed(Denial::QuotaExhausted);
    let told = response_headers(&exhausted, &all, Some(9));
    assert_eq!(told, [("x-auth-status", "shadow"), ("x-auth-reason", "quota_exhausted")].map(header));
    let introduced = request_headers(&exhausted, &all, Some(9));
    assert!(introduced.contains(&header(("x-auth-status", "shadow"))), "{introduced:?}");
    assert!(introduced.contains(&header(("x-auth-team", "acme"))), "{introduced:?}");
    assert_eq!(request_headers(&shadowed(Denial::KeyRevoked), &all, Some(9)), []);
}

#[test]
fn a_cost_above_the_quota_gets_no_time_to_come_back() {
    let allowance = Some(Allowance {
        policy: "team",
        limit: Limit::bucket(1, 60),
        remaining: 1,
        until_next: 0,
        basis: Basis::Quota,
    });
    let reply = reply(&Refused { allowance, ..Denial::CostAboveQuota.into() }, &config("").realm, Wire::Http);
    assert_eq!(reply.status, 429);
    assert!(reply.headers.iter().all(|(name, _)| *name != "retry-after"), "{:?}", reply.headers);
}

#[test]
fn headers_can_be_switched_off() {
    let off = config(r#","response_headers":"off","request_headers":["x-auth-team"],"rate_limit_headers":"off""#);
    assert_eq!(response_headers(&granted(), &off, Some(9)), []);
    assert_eq!(request_headers(&granted(), &off, Some(9)), [header(("x-auth-team", "acme"))]);
}

#[test]
fn a_refused_client_learns_nothing_about_the_key() {
    let refused = Refused { principal: Some(Box::new(principal())), ..Denial::TeamMismatch.into() };
    let verdict = Verdict::Refused(refused);
    let headers = response_headers(&verdict, &config(""), Some(9));
    let names: Vec<_> = headers.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["x-auth-status", "x-auth-reason"]);
}

#[test]
fn a_bearer_whose_rights_do_not_suffice_gets_a_challenge_that_says_so() {
    let bearer = crate::principal::Principal { style: crate::config::Style::Bearer, ..principal() };
    let challenges = |principal| {
        let refused = Refused { principal: Some(Box::new(principal)), ..Denial::MissingScope.into() };
        let headers = reply(&refused, &config("").realm, Wire::Http).headers;
        headers.into_iter().filter(|(name, _)| *name == "www-authenticate").map(|(_, value)| value).collect::<Vec<_>>()
    };
    assert!(challenges(bearer)[0].contains("error=\"insufficient_scope\""));
    assert!(challenges(principal()).is_empty());
}
