//! Whose key a key is; that also says what sort of key it is.

use tollkeeper_contract::{EnterpriseId, Kind, ServiceAccountId, Subject, TeamId, UserId};

/// Whose key a key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// A program of a team's.
    Application {
        /// The team.
        team: TeamId,
        /// Whom the key was made for, in the operator's words.
        subject: Option<Subject>,
    },
    /// A service account of a team's.
    ServiceAccount {
        /// The team.
        team: TeamId,
        /// The account.
        account: ServiceAccountId,
    },
    /// A service account of an enterprise's.
    EnterpriseServiceAccount {
        /// The enterprise.
        enterprise: EnterpriseId,
        /// The account.
        account: ServiceAccountId,
    },
    /// A user.
    Personal {
        /// The user's team.
        team: TeamId,
        /// The user.
        user: UserId,
    },
}

impl Holder {
    /// What sort of key it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Application { .. } => Kind::Application,
            Self::ServiceAccount { .. } => Kind::ServiceAccount,
            Self::EnterpriseServiceAccount { .. } => Kind::EnterpriseServiceAccount,
            Self::Personal { .. } => Kind::Personal,
        }
    }

    /// The team that the key belongs to; an enterprise's key belongs to none.
    #[must_use]
    pub fn team(&self) -> Option<&TeamId> {
        match self {
            Self::Application { team, .. } | Self::ServiceAccount { team, .. } | Self::Personal { team, .. } => {
                Some(team)
            }
            Self::EnterpriseServiceAccount { .. } => None,
        }
    }

    /// The enterprise that the key belongs to, if it belongs to no team.
    #[must_use]
    pub fn enterprise(&self) -> Option<&EnterpriseId> {
        match self {
            Self::EnterpriseServiceAccount { enterprise, .. } => Some(enterprise),
            Self::Application { .. } | Self::ServiceAccount { .. } | Self::Personal { .. } => None,
        }
    }

    /// The service account, if it is one.
    #[must_use]
    pub fn account(&self) -> Option<&ServiceAccountId> {
        match self {
            Self::ServiceAccount { account, .. } | Self::EnterpriseServiceAccount { account, .. } => Some(account),
            Self::Application { .. } | Self::Personal { .. } => None,
        }
    }

    /// The user, if it is one.
    #[must_use]
    pub fn user(&self) -> Option<&UserId> {
        match self {
            Self::Personal { user, .. } => Some(user),
            Self::Application { .. } | Self::ServiceAccount { .. } | Self::EnterpriseServiceAccount { .. } => None,
        }
    }

    /// As whom callers with the key act: the account, the user, or whom the operator named.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        match self {
            Self::Application { subject, .. } => subject.as_ref().map(Subject::as_str),
            Self::ServiceAccount { account, .. } | Self::EnterpriseServiceAccount { account, .. } => {
                Some(account.as_str())
            }
            Self::Personal { user, .. } => Some(user.as_str()),
        }
    }
}

/// For whom a key is to be made: what is known before the database was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimant {
    /// A program of a team's.
    Application {
        /// The team.
        team: TeamId,
        /// Whom the key is for, in the operator's words.
        subject: Option<Subject>,
    },
    /// A service account; whether a team's or an enterprise's, the account says.
    Account(ServiceAccountId),
    /// A service account that must be one of a team's.
    TeamAccount(ServiceAccountId),
    /// A service account that must be one of an enterprise's.
    EnterpriseAccount(ServiceAccountId),
    /// A user.
    User(UserId),
}
