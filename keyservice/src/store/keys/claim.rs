//! For whom a key may be made: the account has none yet, the user not too many.

use std::collections::{HashMap, HashSet};

use tollkeeper_contract::{Kind, ServiceAccountId, TeamId, UserId};

use super::super::{
    ActError, Refusal, kept, row,
    sql::{Connection, sql},
};
use crate::domain::{AccountOwner, Claimant, Holder, ServiceAccount, Thing};

/// The most keys of one user that are not revoked.
const MAX_KEYS_OF_A_USER: u64 = 100;

/// What was claimed in one change so far, so that many keys are settled with few queries.
#[derive(Default)]
pub(super) struct Claims {
    teams: HashSet<TeamId>,
    accounts: HashSet<ServiceAccountId>,
    users: HashMap<UserId, (TeamId, u64)>,
}

impl Claims {
    /// Who holds a key that is made for `claimant`.
    ///
    /// # Errors
    /// When there is no such claimant, or it must not have another key.
    pub(super) async fn settle(&mut self, on: &mut Connection, claimant: Claimant) -> Result<Holder, ActError> {
        match claimant {
            Claimant::Application { team, subject } => {
                self.require_team(on, &team).await?;
                Ok(Holder::Application { team, subject })
            }
            Claimant::Account(id) => self.claim_account(on, id, None).await,
            Claimant::TeamAccount(id) => self.claim_account(on, id, Some(Kind::ServiceAccount)).await,
            Claimant::EnterpriseAccount(id) => self.claim_account(on, id, Some(Kind::EnterpriseServiceAccount)).await,
            Claimant::User(user) => self.claim_user(on, user).await,
        }
    }

    async fn require_team(&mut self, on: &mut Connection, team: &TeamId) -> Result<(), ActError> {
        if self.teams.contains(team) {
            return Ok(());
        }
        let found = sql("SELECT id FROM teams WHERE id = $1").bind(team.as_str()).fetch_optional(on).await?;
        found.ok_or(Refusal::NoSuch(Thing::Team))?;
        self.teams.insert(team.clone());
        Ok(())
    }

    async fn claim_account(
        &mut self,
        on: &mut Connection,
        id: ServiceAccountId,
        expected: Option<Kind>,
    ) -> Result<Holder, ActError> {
        let account: ServiceAccount = kept::existing(on, &id).await?;
        let kind = account.owner.kind();
        if expected.is_some_and(|expected| expected != kind) {
            return Err(Refusal::KindOfAccount(kind).into());
        }
        if account.key.is_some() || !self.accounts.insert(id.clone()) {
            return Err(Refusal::AccountHasKey.into());
        }
        Ok(match account.owner {
            AccountOwner::Team(team) => Holder::ServiceAccount { team, account: id },
            AccountOwner::Enterprise(enterprise) => Holder::EnterpriseServiceAccount { enterprise, account: id },
        })
    }

    async fn claim_user(&mut self, on: &mut Connection, user: UserId) -> Result<Holder, ActError> {
        let (team, count) = match self.users.remove(&user) {
            Some(known) => known,
            None => count_keys(on, &user).await?,
        };
        if count >= MAX_KEYS_OF_A_USER {
            return Err(Refusal::TooManyKeys { most: MAX_KEYS_OF_A_USER }.into());
        }
        self.users.insert(user.clone(), (team.clone(), count + 1));
        Ok(Holder::Personal { team, user })
    }
}

/// The team of a user, and how many keys the user has.
async fn count_keys(on: &mut Connection, user: &UserId) -> Result<(TeamId, u64), ActError> {
    let query =
        sql("SELECT u.team, (SELECT COUNT(*) FROM keys k WHERE k.user_id = u.id AND k.state <> 'revoked') AS count
         FROM users u WHERE u.id = $1");
    let found = query.bind(user.as_str()).fetch_optional(on).await?.ok_or(Refusal::NoSuch(Thing::User))?;
    Ok((row::parsed(&found, "team", TeamId::parse)?, row::unsigned(&found, "count")?))
}
