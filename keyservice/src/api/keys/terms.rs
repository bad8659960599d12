//! For whom a key is, and what it may do: the fields that creating and importing have in common.

use tollkeeper_contract::{KeyState, Kind, ServiceAccountId, Subject, TeamId, UserId};

use crate::{
    api::{
        body::{Object, field},
        fields::{origin, required, scopes, settable_state},
        problem::Problem,
        wire::OriginBody,
    },
    domain::{ALL_OF_THE_USER, Claimant, KeyTerms, Moment, Name},
};

/// A kind of key by its name.
pub(super) fn kind(text: &str) -> Result<Kind, &'static str> {
    Kind::from_name(text).ok_or("must be application, service_account, enterprise_service_account or personal")
}

/// The fields that say for whom a key is.
pub(super) struct Claim {
    pub(super) kind: Option<String>,
    pub(super) team: Option<String>,
    pub(super) service_account: Option<String>,
    pub(super) user: Option<String>,
    pub(super) subject: Option<String>,
}

impl Claim {
    pub(super) fn read(self) -> Result<Claimant, Problem> {
        let kind = self.kind.map(|text| field("kind", kind(&text))).transpose()?;
        let subject = self.subject.map(|subject| field("subject", Subject::parse(&subject))).transpose()?;
        let claimant = match (self.team, self.service_account, self.user) {
            (Some(team), None, None) => {
                Claimant::Application { team: field("team", TeamId::parse(&team))?, subject: subject.clone() }
            }
            (None, Some(account), None) => {
                let account = field("service_account", ServiceAccountId::parse(&account))?;
                of_account(kind, account)
            }
            (None, None, Some(user)) => Claimant::User(field("user", UserId::parse(&user))?),
            (None, None, None) => {
                let name = kind.map_or("team", named_by);
                return Err(Problem::field(name, "is missing"));
            }
            (Some(_), _, _) => return Err(Problem::field("team", "follows from the service account or the user")),
            (None, Some(_), Some(_)) => {
                return Err(Problem::field("service_account", "must not be there beside user"));
            }
        };
        require_fitting(kind, &claimant)?;
        if subject.is_some() && !matches!(claimant, Claimant::Application { .. }) {
            return Err(Problem::field("subject", "is the service account or the user for keys of this kind"));
        }
        Ok(claimant)
    }
}

fn of_account(kind: Option<Kind>, account: ServiceAccountId) -> Claimant {
    match kind {
        Some(Kind::ServiceAccount) => Claimant::TeamAccount(account),
        Some(Kind::EnterpriseServiceAccount) => Claimant::EnterpriseAccount(account),
        Some(Kind::Application | Kind::Personal) | None => Claimant::Account(account),
    }
}

/// The field that says for whom a key of this kind is.
fn named_by(kind: Kind) -> &'static str {
    match kind {
        Kind::Application => "team",
        Kind::ServiceAccount | Kind::EnterpriseServiceAccount => "service_account",
        Kind::Personal => "user",
    }
}

fn require_fitting(kind: Option<Kind>, claimant: &Claimant) -> Result<(), Problem> {
    let given = match claimant {
        Claimant::Application { .. } => "team",
        Claimant::Account(_) | Claimant::TeamAccount(_) | Claimant::EnterpriseAccount(_) => "service_account",
        Claimant::User(_) => "user",
    };
    match kind.map(|kind| (kind, named_by(kind))) {
        Some((kind, expected)) if expected != given => Err(Problem::field(
            "kind",
            format_args!("a key of kind {kind} is made for a {expected}, not for a {given}"),
        )),
        Some(_) | None => Ok(()),
    }
}

/// The fields that say what a key may do, when and from where.
pub(super) struct Terms {
    pub(super) name: Option<String>,
    pub(super) scopes: Option<Vec<String>>,
    pub(super) state: Option<String>,
    pub(super) not_before: Option<String>,
    pub(super) expires: Option<String>,
    pub(super) origin: Option<Object<OriginBody>>,
}

impl Terms {
    pub(super) fn read(self, claimant: &Claimant) -> Result<KeyTerms, Problem> {
        let all = || matches!(claimant, Claimant::User(_)).then(|| vec![ALL_OF_THE_USER.to_owned()]);
        Ok(KeyTerms {
            name: self.name.map(|name| field("name", Name::parse(&name))).transpose()?,
            scopes: field("scopes", scopes(&required("scopes", self.scopes.or_else(all))?))?,
            state: field("state", self.state.map_or(Ok(KeyState::Active), |state| settable_state(&state)))?,
            not_before: self.not_before.map(|text| field("not_before", Moment::parse(&text))).transpose()?,
            expires: self.expires.map(|text| field("expires", Moment::parse(&text))).transpose()?,
            origin: self.origin.map(origin).transpose()?,
        })
    }
}
