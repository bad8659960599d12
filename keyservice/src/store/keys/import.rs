//! Many keys at once, by their digests: all of them or none, and none that there is already.

use std::collections::{BTreeMap, HashSet};

use tollkeeper_contract::{Digest, EnterpriseId, TeamId};

use super::{
    super::{
        ActError, Refusal, Store, StoreError,
        change::{Change, Entry},
        row,
        sql::{Connection, Statement, Value, sql},
    },
    claim::Claims,
    rows::{self, NewRow},
};
use crate::domain::{By, ImportKey, KeyRefusal, Moment, Thing, is_ever_valid};

/// What became of an import.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Imported {
    /// How many keys were imported.
    pub count: u64,
    /// Those that were not.
    pub duplicates: Vec<Duplicate>,
}

/// A key that was not imported; the one that there is was left as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Duplicate {
    /// Its place in the import, from 0.
    pub index: usize,
    /// Its digest.
    pub digest: Digest,
    /// Where the other one is.
    pub why: WhyDuplicate,
}

/// Where there is such a key already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhyDuplicate {
    /// In the database.
    Exists,
    /// In the same import, before.
    Repeated,
}

impl Store {
    /// Imports keys in one change; duplicates are left out and told.
    ///
    /// # Errors
    /// When a key breaks a rule (then none is imported), or the database fails.
    pub async fn import_keys(&self, keys: Vec<ImportKey>, by: By, now: Moment) -> Result<Imported, ActError> {
        let store = self.clone();
        self.to_the_end(async move {
            let mut change = store.change(&by).await?;
            let known = known_digests(change.sql(), &keys).await?;
            let (new, duplicates) = parted(keys, &known);
            let imported = Imported { count: u64::try_from(new.len()).unwrap_or(u64::MAX), duplicates };
            if new.is_empty() {
                return Ok(imported);
            }
            let rows = settled(change.sql(), new).await?;
            rows::insert(&mut change, &rows, now).await?;
            tell(&mut change, &rows, &imported, now);
            change.commit().await?;
            Ok(imported)
        })
        .await
    }
}

/// A key with its place in the import.
struct Placed {
    index: usize,
    key: ImportKey,
}

/// The keys that are new, and those that are not.
fn parted(keys: Vec<ImportKey>, known: &HashSet<[u8; Digest::LENGTH]>) -> (Vec<Placed>, Vec<Duplicate>) {
    let mut seen = HashSet::new();
    let (mut new, mut duplicates) = (Vec::new(), Vec::new());
    for (index, key) in keys.into_iter().enumerate() {
        let digest = key.digest;
        let mut duplicate = |why| duplicates.push(Duplicate { index, digest, why });
        if known.contains(digest.as_bytes()) {
            duplicate(WhyDuplicate::Exists);
        } else if !seen.insert(*digest.as_bytes()) {
            duplicate(WhyDuplicate::Repeated);
        } else {
            new.push(Placed { index, key });
        }
    }
    (new, duplicates)
}

/// The rows to be inserted.
///
/// # Errors
/// When a key breaks a rule: which one, and which rule.
async fn settled(on: &mut Connection, keys: Vec<Placed>) -> Result<Vec<NewRow>, ActError> {
    let mut ids = known_ids(on, &keys).await?;
    let mut claims = Claims::default();
    let mut rows = Vec::with_capacity(keys.len());
    for Placed { index, key } in keys {
        let refused = |refusal: Refusal| Refusal::InRow { index, refusal: Box::new(refusal) };
        if !ids.insert(key.id.to_string()) {
            return Err(refused(Refusal::Exists(Thing::Key)).into());
        }
        if !is_ever_valid(key.terms.not_before, key.terms.expires) {
            return Err(refused(Refusal::Key(KeyRefusal::NeverValid)).into());
        }
        let holder = match claims.settle(on, key.claimant).await {
            Err(ActError::Refused(refusal)) => return Err(refused(refusal).into()),
            settled => settled?,
        };
        rows.push(NewRow { id: key.id, digest: key.digest, holder, terms: key.terms });
    }
    Ok(rows)
}

/// How many values one question asks for; see `rows::insert` for why not all.
const VALUES_PER_QUESTION: usize = 250;

/// Which of the digests the database has.
async fn known_digests(on: &mut Connection, keys: &[ImportKey]) -> Result<HashSet<[u8; Digest::LENGTH]>, StoreError> {
    let mut known = HashSet::new();
    for some in keys.chunks(VALUES_PER_QUESTION) {
        let query = asking("digest", some.iter().map(|key| (&key.digest).into()));
        for found in query.fetch_all(on).await? {
            known.insert(row::bytes(&found, "digest")?);
        }
    }
    Ok(known)
}

/// Which of the ids the database has.
async fn known_ids(on: &mut Connection, keys: &[Placed]) -> Result<HashSet<String>, StoreError> {
    let mut known = HashSet::new();
    for some in keys.chunks(VALUES_PER_QUESTION) {
        let query = asking("id", some.iter().map(|Placed { key, .. }| key.id.as_str().into()));
        for found in query.fetch_all(on).await? {
            known.insert(found.text("id")?.to_owned());
        }
    }
    Ok(known)
}

/// Which of at least one value stand in that column of the keys.
fn asking(column: &'static str, values: impl Iterator<Item = Value>) -> Statement {
    let query = sql(format!("SELECT {column} FROM keys WHERE {column} IN ("));
    let with = |query: Statement, (index, value)| query.then_with(if index == 0 { "" } else { ", " }, value);
    values.enumerate().fold(query, with).then(")")
}

/// One entry for each team and each enterprise that gets keys, with their ids; duplicates are those of the whole import.
fn tell(change: &mut Change<'_>, rows: &[NewRow], imported: &Imported, now: Moment) {
    let mut owners = BTreeMap::<_, Vec<&str>>::new();
    for NewRow { id, holder, .. } in rows {
        let owner = (holder.team().map(TeamId::as_str), holder.enterprise().map(EnterpriseId::as_str));
        owners.entry(owner).or_default().push(id.as_str());
    }
    for ((team, enterprise), ids) in owners {
        let (team, enterprise) = (team.map(str::to_owned), enterprise.map(str::to_owned));
        let entry = Entry { team, enterprise, resource: "keys".to_owned(), ..Entry::new("key.import", "keys", "") };
        let entry = entry.with("imported", ids.len()).with("duplicates", imported.duplicates.len());
        change.audit(entry.with("ids", ids), now);
    }
}
