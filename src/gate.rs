//! The corridor: calls the rooms in order, and ends in a verdict.

use std::cell::RefCell;

use tollkeeper_contract::{EnterpriseRecord, HostRecord, KeyRecord, TenantState, UserRecord, page::Table};

use crate::{
    config::{Access, Config, Forwarding, Protection, Shadow},
    credential::{self, Credential, Presented},
    familiar::{Familiar, Fingerprint},
    lease::{Patience, Signal, Taking},
    path::Path,
    policy::{self, Terms},
    principal::{Account, Principal},
    purse::Scope,
    refusal::{Denial, Fault, Refusal},
    request::Request,
    shared::SharedData,
    table::{Charge, KeyTable, Order, Recent, Records},
    time::Now,
    token::Verifier,
    verdict::{Allowance, Grant, Refused, Shadowed, Verdict},
    wanted::Wanted,
};

/// What judges requests: the configuration, and the table as it is at this moment.
#[derive(Debug)]
pub struct Gate<'a, Shared> {
    /// What the operator wrote.
    pub config: &'a Config,
    /// Keys and teams.
    pub table: KeyTable<'a, Shared>,
    /// What was read of them lately.
    pub recent: &'a RefCell<Recent>,
    /// What was presented lately.
    pub familiar: &'a Familiar,
    /// Whether the table may be used.
    pub usable: Result<(), Fault>,
    /// The date.
    pub now: Now,
    /// What verifies tokens.
    pub tokens: Verifier<'a>,
    /// Over what quotas hold.
    pub scope: Scope,
    /// Where it is noted for whom tokens are to be asked.
    pub wanted: &'a Wanted,
}

/// What comes of judging a request.
#[allow(clippy::large_enum_variant, reason = "nearly every one is decided, and none is kept")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// It is decided.
    Decided(Verdict),
    /// It has to wait until something is lent to this account, and is to be judged again then.
    Waits(Account),
}

/// Why a request does not go on at once.
enum Stop {
    Refused(Refused),
    Wait(Account),
}

impl<R: Into<Refused>> From<R> for Stop {
    fn from(refused: R) -> Self {
        Self::Refused(refused.into())
    }
}

impl<Shared: SharedData> Gate<'_, Shared> {
    /// Judges one request.
    #[must_use]
    pub fn judge(&self, request: &Request<'_>, patience: Patience) -> Judgement {
        match self.route(request, patience) {
            Ok(verdict) => Judgement::Decided(verdict),
            Err(Stop::Refused(refused)) => Judgement::Decided(Verdict::Refused(refused)),
            Err(Stop::Wait(account)) => Judgement::Waits(account),
        }
    }

    fn route(&self, request: &Request<'_>, patience: Patience) -> Result<Verdict, Stop> {
        if !has_one_case(request.method) {
            return Err(Denial::AmbiguousMethod.into());
        }
        let path = Path::parse(request.target).map_err(|_| Denial::AmbiguousPath)?;
        let matched = self.config.routes.find(request.method, path.as_bytes()).ok_or(Denial::NoRoute)?;
        match matched.access {
            Access::Public => Ok(Verdict::Public),
            Access::Protected(protection) => match self.admit(request, protection, matched.team, patience) {
                Ok(grant) => Ok(Verdict::Granted(grant)),
                Err(Stop::Refused(refused)) if is_only_told(protection.shadow, refused.refusal) => {
                    Ok(Verdict::Shadowed(Shadowed { refused, withheld: withheld(protection) }))
                }
                Err(Stop::Refused(refused)) => Err(Refused { styles: Some(protection.styles), ..refused }.into()),
                Err(wait) => Err(wait),
            },
        }
    }

    fn admit(
        &self,
        request: &Request<'_>,
        protection: &Protection,
        team: Option<&[u8]>,
        patience: Patience,
    ) -> Result<Grant, Stop> {
        self.usable?;
        let (presented, stranger) = self.look(request, protection)?;
        let records = Records::unread(&self.table, self.recent);
        let (mut principal, live) = self.identify(&presented, stranger, &records)?;
        let scopes = protection.scopes.for_method(request.method);
        let demand = policy::Demand { team, delegate: request.delegate, origin: request.origin, scopes };
        let decided = live.and_then(|()| Ok(policy::check(&principal, demand)?)).map_err(Stop::from);
        let charged = decided.and_then(|account| {
            principal.account = account;
            let order = Order { cost: protection.cost, scope: self.scope, patience };
            self.charge(&principal, request, order, &records)
        });
        match charged {
            Ok(allowance) => Ok(Grant { principal, allowance, withheld: withheld(protection) }),
            Err(Stop::Refused(refused)) => {
                if is_not_for_it_to_act(refused.refusal) {
                    // The operator's logs show who it was, and not whom the client would have liked to be.
                    principal.account = principal.owner.clone();
                }
                Err(Refused { principal: Some(Box::new(principal)), ..refused }.into())
            }
            Err(wait) => Err(wait),
        }
    }

    /// The credential of a request; with its fingerprint, if it is to be remembered once it is found good.
    fn look<'r>(
        &self,
        request: &Request<'r>,
        protection: &Protection,
    ) -> Result<(Presented<'r>, Option<Fingerprint>), Denial> {
        let fingerprint = self.familiar.fingerprint(request, protection.styles);
        if let Some(fingerprint) = fingerprint {
            if let Some(presented) = self.familiar.recognise(fingerprint, request) {
                return Ok((presented, None));
            }
            if let Some(presented) = self.familiar.recognise_stranger(fingerprint, request) {
                return Ok((presented, Some(fingerprint)));
            }
        }
        let is_header = |written: &[u8]| self.tokens.knows_header(written);
        let mut presented = credential::find_with(request, protection.styles, &is_header)?;
        if let Credential::Token(token) = &mut presented.credential {
            token.fingerprint = fingerprint;
        }
        Ok((presented, fingerprint))
    }

    /// Who the credential proves to be, and whether it works at this moment.
    fn identify(
        &self,
        presented: &Presented<'_>,
        stranger: Option<Fingerprint>,
        records: &Records<'_, Shared>,
    ) -> Result<(Principal, Result<(), Refusal>), Refusal> {
        let remember = || {
            if let Some(fingerprint) = stranger {
                self.familiar.keep(fingerprint, presented);
            }
        };
        match presented.credential {
            Credential::Key(digest) => {
                let record = match stranger {
                    Some(_) => records.find_strange_key(&digest),
                    None => records.find_key(&digest),
                };
                let Some(record) = record? else {
                    if let Some(fingerprint) = stranger {
                        self.familiar.keep_stranger(fingerprint, presented);
                    }
                    return Err(Denial::UnknownKey.into());
                };
                remember();
                let key = KeyRecord::decode(&record)?;
                let mut principal = Principal::of_key(presented.style, &key);
                let live = policy::is_live(&key, self.now.unix).map_err(Refusal::from);
                let live = live.and_then(|()| bind(&mut principal, records));
                Ok((principal, live))
            }
            Credential::Token(token) => {
                let verified = self.tokens.verify(token, records, self.now.unix)?;
                remember();
                let mut principal = Principal::of_session(presented.style, &verified.claims);
                let live = goes_on(&verified.claims.session, records).and_then(|()| bind(&mut principal, records));
                Ok((principal, live))
            }
        }
    }

    /// Only after everything else has passed, so that a refused request costs nobody anything.
    fn charge(
        &self,
        principal: &Principal,
        request: &Request<'_>,
        order: Order,
        records: &Records<'_, Shared>,
    ) -> Result<Allowance, Stop> {
        let account = &principal.account;
        let host = host_owner(request, records)?;
        let terms = Terms::new(principal, request.delegate, host.as_deref());
        let Charge { taking, limit, left, signal } = self.table.charge(account, &terms, order)?;
        if signal == Signal::Ask {
            self.wanted.note(account);
        }
        let allowance = |basis| Allowance::of(account, limit, left, basis);
        let (denial, allowance) = match taking {
            Taking::Taken(basis) => return Ok(allowance(basis)),
            Taking::Wait => return Err(Stop::Wait(account.clone())),
            Taking::Unavailable => return Err(Fault::QuotaUnavailable.into()),
            Taking::Refused { wait: u64::MAX, basis } => (Denial::CostAboveQuota, allowance(basis)),
            Taking::Refused { wait, basis } => {
                (Denial::QuotaExhausted, Allowance { until_next: wait.div_ceil(1000), ..allowance(basis) })
            }
        };
        Err(Refused { allowance: Some(allowance), ..denial.into() }.into())
    }
}

/// Whether a session was not ended before its time.
fn goes_on(session: &str, records: &Records<'_, impl SharedData>) -> Result<(), Refusal> {
    match records.find_named(Table::RevokedSessions, session)? {
        None => Ok(()),
        Some(_) => Err(Denial::SessionRevoked.into()),
    }
}

/// Binds the principal to those it depends on: a personal credential to its user, an enterprise's to the enterprise.
fn bind(principal: &mut Principal, records: &Records<'_, impl SharedData>) -> Result<(), Refusal> {
    if principal.is_bounded_by_user() {
        let record = records.find_named(Table::Users, &principal.subject)?.ok_or(Denial::UserUnknown)?;
        let user = UserRecord::decode(&record)?;
        if user.state == TenantState::Disabled {
            return Err(Denial::UserDisabled.into());
        }
        principal.narrow(user.permissions);
    }
    if let Some(enterprise) = principal.enterprise() {
        let record = records.find_named(Table::Enterprises, enterprise)?.ok_or(Denial::EnterpriseDisabled)?;
        if EnterpriseRecord::decode(&record)?.state == TenantState::Disabled {
            return Err(Denial::EnterpriseDisabled.into());
        }
    }
    Ok(())
}

/// The one team that is served on the request's host, if the host belongs to one.
fn host_owner(request: &Request<'_>, records: &Records<'_, impl SharedData>) -> Result<Option<String>, Refusal> {
    if request.authority.is_empty() {
        return Ok(None);
    }
    let record = records.find_host(request.authority)?;
    Ok(record.map(|record| HostRecord::decode(&record).map(|host| host.team.to_owned())).transpose()?)
}

fn is_only_told(shadow: Shadow, refusal: Refusal) -> bool {
    match shadow {
        Shadow::Off => false,
        Shadow::Quota => refusal.is_about_quota(),
        Shadow::Everything => true,
    }
}

fn is_not_for_it_to_act(refusal: Refusal) -> bool {
    refusal == Denial::DelegationRefused.into() || refusal == Denial::TeamMismatch.into()
}

/// Methods are case-sensitive (RFC 9110 section 9.1), but some upstreams take `get` for GET, and the routes for GET
/// would not be for it.
fn has_one_case(method: &[u8]) -> bool {
    let allowed = |byte: &u8| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_');
    !method.is_empty() && method.iter().all(allowed)
}

fn withheld(protection: &Protection) -> Vec<&'static str> {
    match protection.forwarding {
        Forwarding::Forward => Vec::new(),
        Forwarding::Remove => credential::carriers(protection.styles).collect(),
    }
}

#[cfg(test)]
mod tests;
