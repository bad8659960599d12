//! Who a credential proved to be, and for whom it acts.

use tollkeeper_contract::{KeyRecord, Kind, Owner, Scopes, lease, token::Claims};

use crate::config::Style;

/// Whose bucket is charged, and whose name the request carries.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Account {
    /// A team, by its id.
    Team(String),
    /// An enterprise itself, by its id.
    Enterprise(String),
}

impl Account {
    /// The team, if it is one.
    #[must_use]
    pub fn team(&self) -> Option<&str> {
        match self {
            Self::Team(id) => Some(id),
            Self::Enterprise(_) => None,
        }
    }

    /// The enterprise, if it is one.
    #[must_use]
    pub fn enterprise(&self) -> Option<&str> {
        match self {
            Self::Team(_) => None,
            Self::Enterprise(id) => Some(id),
        }
    }
}

impl From<&Account> for lease::Account {
    fn from(account: &Account) -> Self {
        match account {
            Account::Team(id) => Self::Team(id.clone()),
            Account::Enterprise(id) => Self::Enterprise(id.clone()),
        }
    }
}

impl From<lease::Account> for Account {
    fn from(account: lease::Account) -> Self {
        match account {
            lease::Account::Team(id) => Self::Team(id),
            lease::Account::Enterprise(id) => Self::Enterprise(id),
        }
    }
}

impl From<Owner<'_>> for Account {
    fn from(owner: Owner<'_>) -> Self {
        match owner {
            Owner::Team(id) => Self::Team(id.to_owned()),
            Owner::Enterprise(id) => Self::Enterprise(id.to_owned()),
        }
    }
}

/// What proved it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// The key itself.
    Key,
    /// A token that was issued for it, or for a user's password.
    Session,
}

/// Who a credential proved to be, kept from the request to its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// How the credential was presented.
    pub style: Style,
    /// What was presented.
    pub proof: Proof,
    /// The kind of the key, also of the one that a session was made with.
    pub kind: Kind,
    /// The key's id; `None` for a session that was made with a password.
    pub key_id: Option<String>,
    /// To whom the credential belongs.
    pub owner: Account,
    /// For whom the request acts, and who is charged: the owner, unless an enterprise acts for one of its teams.
    pub account: Account,
    /// Whom the key was made for; empty if nobody said. The user of a personal key.
    pub subject: String,
    /// What the credential may do: sorted, parted by one space.
    pub scopes: String,
    /// The origin that it is bound to.
    pub origin: Option<String>,
    /// When the credential ends (Unix time, seconds).
    pub expires: Option<u64>,
}

impl Principal {
    /// The principal of a key that was presented in `style`.
    #[must_use]
    pub fn of_key(style: Style, key: &KeyRecord<'_>) -> Self {
        Self {
            style,
            proof: Proof::Key,
            kind: key.kind,
            key_id: Some(key.id.to_owned()),
            owner: key.owner.into(),
            account: key.owner.into(),
            subject: key.subject.to_owned(),
            scopes: key.scopes.to_owned(),
            origin: key.origin.map(str::to_owned),
            expires: key.expires,
        }
    }

    /// The principal of a token that was presented in `style`.
    #[must_use]
    pub fn of_session(style: Style, claims: &Claims) -> Self {
        let owner = match (&claims.team, &claims.enterprise) {
            (None, Some(enterprise)) => Account::Enterprise(enterprise.clone()),
            (team, _) => Account::Team(team.clone().unwrap_or_default()),
        };
        Self {
            style,
            proof: Proof::Session,
            kind: claims.kind,
            key_id: claims.key_id.clone(),
            account: owner.clone(),
            owner,
            subject: claims.subject.clone(),
            scopes: claims.scope.clone(),
            origin: claims.origin.clone(),
            expires: Some(claims.expires),
        }
    }

    /// The word in `x-auth-kind`.
    #[must_use]
    pub fn kind_word(&self) -> &'static str {
        match self.proof {
            Proof::Key => self.kind.as_str(),
            Proof::Session => "session",
        }
    }

    /// The enterprise whose credential it is.
    #[must_use]
    pub fn enterprise(&self) -> Option<&str> {
        self.owner.enterprise()
    }

    /// The team for which an enterprise acts.
    #[must_use]
    pub fn delegated_team(&self) -> Option<&str> {
        self.enterprise().and(self.account.team())
    }

    /// Whether it may never do more than its user can at present.
    #[must_use]
    pub fn is_bounded_by_user(&self) -> bool {
        self.kind == Kind::Personal
    }

    /// Keeps the scopes that `permissions`, parted by one space, have too; or takes all of those, with the scope that
    /// stands for them.
    pub fn narrow(&mut self, permissions: &str) {
        if self.scopes.split(' ').any(|scope| scope == Scopes::ALL_OF_THE_USER) {
            permissions.clone_into(&mut self.scopes);
            return;
        }
        let has = |scope: &&str| permissions.split(' ').any(|permission| permission == *scope);
        self.scopes = self.scopes.split(' ').filter(has).collect::<Vec<_>>().join(" ");
    }
}
