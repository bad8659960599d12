//! Grant, denial or fault to what the client, the upstream and the operator get to see.
//!
//! `reply` is the only file with status codes.

mod headers;
mod reply;

use std::borrow::Cow;

use crate::{
    config::Styles,
    lease::Basis,
    limiter::{Left, Limit},
    principal::{Account, Principal},
    refusal::{Fault, Refusal},
};

pub use headers::{is_overruled, request_headers, response_headers};
pub use reply::{Reply, reply};

/// What is decided about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The route needs no credential.
    Public,
    /// The credential may do this.
    Granted(Grant),
    /// It would go no further, and goes on all the same, because the route only tells what it would refuse.
    Shadowed(Shadowed),
    /// It goes no further.
    Refused(Refused),
}

/// The permit to go on: there is no way to the upstream of a protected route without one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Who the credential proved to be.
    pub principal: Principal,
    /// What is left of the team's quota.
    pub allowance: Allowance,
    /// Request headers that the upstream must not see.
    pub withheld: Vec<&'static str>,
}

/// A refusal that is only told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shadowed {
    /// What the client would have got.
    pub refused: Refused,
    /// Request headers that the upstream must not see.
    pub withheld: Vec<&'static str>,
}

impl Shadowed {
    /// Whom the upstream may be told that it serves: nobody whose credential is not good for the request.
    #[must_use]
    pub fn proven(&self) -> Option<&Principal> {
        self.refused.principal.as_deref().filter(|_| self.refused.refusal.is_about_quota())
    }
}

/// A refusal with what is known about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub refusal: Refusal,
    /// Who the credential proved to be, if it got that far: for the operator, not for the client.
    pub principal: Option<Box<Principal>>,
    /// What is left of the team's quota, if that is why.
    pub allowance: Option<Allowance>,
    /// The styles that the route takes, for the challenges of a 401.
    pub styles: Option<Styles>,
}

impl<R: Into<Refusal>> From<R> for Refused {
    fn from(refusal: R) -> Self {
        Self { refusal: refusal.into(), principal: None, allowance: None, styles: None }
    }
}

/// A quota and what is left of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Whose it is: `team` or `enterprise`.
    pub policy: &'static str,
    /// How much it is, and what that promises.
    pub limit: Limit,
    /// Whole tokens left.
    pub remaining: u64,
    /// Seconds until there is one more, rounded up; 0 when there are as many as can be.
    pub until_next: u64,
    /// On what it was decided.
    pub basis: Basis,
}

impl Allowance {
    /// What is `left` of the limit of `account`.
    #[must_use]
    pub fn of(account: &Account, limit: Limit, left: Left, basis: Basis) -> Self {
        let policy = match account {
            Account::Team(_) => "team",
            Account::Enterprise(_) => "enterprise",
        };
        Self { policy, limit, remaining: left.tokens, until_next: left.until_next.div_ceil(1000), basis }
    }
}

/// A request header or response header to be set.
pub type Header<'a> = (&'static str, Cow<'a, str>);

impl Verdict {
    /// The word in `x-auth-status`, in metrics and logs.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Granted(_) => "granted",
            Self::Shadowed(_) => "shadow",
            Self::Refused(Refused { refusal: Refusal::Denial(_), .. }) => "denied",
            Self::Refused(Refused { refusal: Refusal::Fault(_), .. }) => "fault",
        }
    }

    /// The reason word; `ok` if there is nothing to give a reason for.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Public | Self::Granted(_) => "ok",
            Self::Shadowed(Shadowed { refused, .. }) | Self::Refused(refused) => refused.refusal.word(),
        }
    }

    /// Whether the quota was not decided as it was promised, because nobody lends.
    #[must_use]
    pub fn is_degraded(&self) -> bool {
        let (refusal, allowance) = match self {
            Self::Public => (None, None),
            Self::Granted(grant) => (None, Some(grant.allowance)),
            Self::Shadowed(Shadowed { refused, .. }) | Self::Refused(refused) => {
                (Some(refused.refusal), refused.allowance)
            }
        };
        let is_unavailable = refusal == Some(Fault::QuotaUnavailable.into());
        is_unavailable || allowance.is_some_and(|allowance| allowance.basis == Basis::Share)
    }

    /// Request headers, and trailers, that the upstream must not see.
    #[must_use]
    pub fn withheld(&self) -> &[&'static str] {
        match self {
            Self::Granted(Grant { withheld, .. }) | Self::Shadowed(Shadowed { withheld, .. }) => withheld,
            Self::Public | Self::Refused(_) => &[],
        }
    }

    /// Who the credential proved to be.
    #[must_use]
    pub fn principal(&self) -> Option<&Principal> {
        match self {
            Self::Public => None,
            Self::Granted(grant) => Some(&grant.principal),
            Self::Shadowed(Shadowed { refused, .. }) | Self::Refused(refused) => refused.principal.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests;
