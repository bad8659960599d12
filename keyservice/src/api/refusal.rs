//! What the database refuses, as problems.

use axum::http::StatusCode;

use super::problem::Problem;
use crate::{
    domain::{KeyRefusal, Thing},
    store::{ActError, Refusal},
};

impl Problem {
    /// There is no such thing at this path.
    pub(super) fn unknown(thing: Thing) -> Self {
        let (reason, detail) = match thing {
            Thing::Enterprise => ("unknown_enterprise", "there is no enterprise of that id"),
            Thing::Team => ("unknown_team", "there is no team of that id"),
            Thing::User => ("unknown_user", "there is no user of that id"),
            Thing::ServiceAccount => ("unknown_service_account", "there is no service account of that id"),
            Thing::Key => ("unknown_key", "there is no key of that id"),
            Thing::Session => ("unknown_session", "there is no session of that id"),
            Thing::Node => ("unknown_node", "no node of that name is remembered"),
        };
        Self::new(StatusCode::NOT_FOUND, reason, detail)
    }

    /// The problem of a request whose body names things of these sorts, each in the field of its name: that they do not
    /// exist is no matter of the path.
    pub(super) fn naming(error: ActError, named: &[Thing]) -> Self {
        match error {
            ActError::Refused(refusal) => refused_naming(refusal, named),
            ActError::Failed(error) => error.into(),
        }
    }
}

fn refused_naming(refusal: Refusal, named: &[Thing]) -> Problem {
    if let Refusal::InRow { index, refusal } = refusal {
        return refused_naming(*refusal, named).within(&format!("keys[{index}]"));
    }
    if let Refusal::NoSuch(thing) = refusal
        && named.contains(&thing)
    {
        return Problem::unknown(thing).with_status(StatusCode::UNPROCESSABLE_ENTITY).at(thing.as_str());
    }
    refusal.into()
}

impl From<ActError> for Problem {
    fn from(error: ActError) -> Self {
        Self::naming(error, &[])
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NoSuch(thing) => Self::unknown(thing),
            Refusal::Exists(thing) => exists(thing),
            Refusal::StillHas { owner, what, count } => still_has(owner, what, count),
            Refusal::HostTaken(host) => {
                conflict("host_taken", format!("the host {host} belongs to another team")).at("hosts")
            }
            Refusal::Key(refusal) => refusal.into(),
            Refusal::KindOfAccount(kind) => {
                Self::field("kind", format_args!("keys of this service account are of kind {kind}"))
                    .with_status(StatusCode::UNPROCESSABLE_ENTITY)
            }
            Refusal::AccountHasKey => {
                let detail = "the service account has its one key already; rotate or revoke that one";
                conflict("service_account_has_key", detail.into()).at("service_account")
            }
            Refusal::TooManyKeys { most } => {
                let detail = format!("a user has at most {most} keys that are not revoked; revoke or delete one first");
                conflict("user_has_too_many_keys", detail).at("user")
            }
            Refusal::InRow { index, refusal } => Self::from(*refusal).within(&format!("keys[{index}]")),
            Refusal::NodeIsLive => {
                let detail = "the node still calls; only nodes that have ended can be forgotten";
                conflict("node_is_live", detail.into())
            }
            Refusal::OtherRequest => {
                let detail = "this Idempotency-Key was used for another request; take a new one";
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", detail).at("idempotency-key")
            }
            Refusal::MadeAndDeleted => {
                let detail = "what the first request with this Idempotency-Key made was deleted since";
                conflict("made_and_deleted", detail.into())
            }
        }
    }
}

impl From<KeyRefusal> for Problem {
    fn from(refusal: KeyRefusal) -> Self {
        match refusal {
            KeyRefusal::Revoked => {
                conflict("key_revoked", "the key is revoked, which is final; create another one".into())
            }
            KeyRefusal::Superseded => {
                let detail = "another key took the place of this one, which can only end earlier";
                conflict("key_superseded", detail.into())
            }
            KeyRefusal::SubjectIsGiven => {
                Self::field("subject", "is the service account or the user for keys of this kind")
            }
            KeyRefusal::NeverValid => Self::field("expires", "must be later than not_before"),
            KeyRefusal::Expired => Self::field("expires", "is past; say when the new key ends, or null for never"),
        }
    }
}

fn conflict(reason: &'static str, detail: String) -> Problem {
    Problem::new(StatusCode::CONFLICT, reason, detail)
}

fn exists(thing: Thing) -> Problem {
    let (reason, detail) = match thing {
        Thing::Enterprise => ("enterprise_exists", "there is an enterprise of that id already"),
        Thing::Team => ("team_exists", "there is a team of that id already"),
        Thing::User => ("user_exists", "there is a user of that id already"),
        Thing::ServiceAccount => ("service_account_exists", "there is a service account of that id already"),
        Thing::Key => ("key_exists", "there is a key of that id already"),
        Thing::Session => ("session_exists", "there is a session of that id already"),
        Thing::Node => ("node_exists", "there is a node of that name already"),
    };
    conflict(reason, detail.into()).at("id")
}

fn still_has(owner: Thing, what: Thing, count: u64) -> Problem {
    let (reason, detail) = match (owner, what) {
        (Thing::Team, Thing::User) => ("team_has_users", format!("the team has {count} users; delete them first")),
        (_, Thing::Team) => ("enterprise_has_teams", format!("the enterprise has {count} teams; take them out first")),
        (Thing::Team, Thing::ServiceAccount) => {
            ("team_has_service_accounts", format!("the team has {count} service accounts; delete them first"))
        }
        (_, Thing::ServiceAccount) => (
            "enterprise_has_service_accounts",
            format!("the enterprise has {count} service accounts; delete them first"),
        ),
        (Thing::Team, _) => {
            ("team_has_keys", format!("the team has {count} keys that are not revoked; revoke or delete them first"))
        }
        (_, _) => (
            "service_account_has_key",
            format!("the service account has {count} keys that are not revoked; revoke or delete them first"),
        ),
    };
    conflict(reason, detail)
}
