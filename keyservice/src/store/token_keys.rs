//! Keys that sign tokens, as the database knows them: by name, with what nodes verify with, and nothing secret.

use std::sync::Arc;

use tollkeeper_contract::{
    Algorithm, Digest, TokenKeyId,
    key_text::ID_ENTROPY,
    page::{Cursor, Table},
};

use super::{
    ActError, Store, StoreError,
    change::{Change, Entry},
    row,
    sql::{Connection, Row, Statement, sql},
};
use crate::domain::{By, Fingerprint, KEPT_SECONDS, Mint, Moment, PublishedKey, SigningKey, TokenKey, TokenRules};

/// What a start finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenKeys {
    /// Tokens can be signed with this key.
    Ready(TokenKey),
    /// The newest key was made from another signing secret.
    Foreign(TokenKey),
}

impl Store {
    /// Makes the first key that signs tokens, or one for the algorithm that is asked for, where that is missing.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn prepare_token_keys(
        &self,
        mint: &Arc<Mint>,
        entropy: [u8; ID_ENTROPY],
        now: Moment,
    ) -> Result<TokenKeys, ActError> {
        let (store, mint) = (self.clone(), Arc::clone(mint));
        self.to_the_end(async move {
            let mut change = store.quiet_change().await?;
            let newest = newest(change.sql()).await?;
            if let Some(key) = newest {
                if key.fingerprint != mint.fingerprint() {
                    return Ok(TokenKeys::Foreign(key));
                }
                if mint.algorithm().is_none_or(|algorithm| algorithm == key.algorithm) {
                    return Ok(TokenKeys::Ready(key));
                }
            }
            let algorithm = mint.algorithm().unwrap_or(TokenRules::DEFAULT_ALGORITHM);
            let made = replace(&mut change, &mint, algorithm, entropy, now).await?;
            change.commit().await?;
            Ok(TokenKeys::Ready(made))
        })
        .await
    }

    /// Makes a new key that signs from now on. Older keys made from this secret are published until the last token that
    /// they signed ends; those made from another secret end at once.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn rotate_token_key(
        &self,
        mint: &Arc<Mint>,
        algorithm: Option<Algorithm>,
        entropy: [u8; ID_ENTROPY],
        by: By,
        now: Moment,
    ) -> Result<TokenKey, ActError> {
        let (store, mint) = (self.clone(), Arc::clone(mint));
        self.to_the_end(async move {
            let mut change = store.change(&by).await?;
            let before = newest(change.sql()).await?.map(|key| key.algorithm);
            let algorithm = algorithm.or(mint.algorithm()).or(before).unwrap_or(TokenRules::DEFAULT_ALGORITHM);
            let made = replace(&mut change, &mint, algorithm, entropy, now).await?;
            change.commit().await?;
            Ok(made)
        })
        .await
    }

    /// All keys, the newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn token_keys(&self) -> Result<Vec<TokenKey>, StoreError> {
        let rows = select().then(NEWEST_FIRST).fetch_all(&mut self.read().await?).await?;
        rows.iter().map(token_key).collect()
    }

    /// What everybody may know of the keys whose tokens are taken, the newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn published_token_keys(&self, now: Moment) -> Result<Vec<PublishedKey>, StoreError> {
        let query = sql("SELECT kid, algorithm, material FROM token_keys");
        let query = query.then_with(" WHERE ends_at IS NULL OR ends_at > ", now).then(NEWEST_FIRST);
        let published = |row: &Row| {
            Ok(PublishedKey {
                kid: row::parsed(row, "kid", TokenKeyId::parse)?,
                algorithm: row::word(row, "algorithm", Algorithm::from_name)?,
                material: row.bytes("material")?.to_vec(),
            })
        };
        query.fetch_all(&mut self.read().await?).await?.iter().map(published).collect()
    }
}

const NEWEST_FIRST: &str = " ORDER BY created_at DESC, kid";

/// The key that signs new tokens, whatever secret it was made from.
pub(super) async fn newest(on: &mut Connection) -> Result<Option<TokenKey>, StoreError> {
    let query = select().then(" WHERE retired_at IS NULL").then(NEWEST_FIRST).then(" LIMIT 1");
    query.fetch_optional(on).await?.map(|row| token_key(&row)).transpose()
}

/// Forgets keys whose last token ended.
pub(super) async fn clear(change: &mut Change<'_>, now: Moment) -> Result<u64, StoreError> {
    let over = sql("DELETE FROM token_keys WHERE ends_at <= $1 RETURNING digest").bind(now.minus(KEPT_SECONDS));
    let rows = over.fetch_all(change.sql()).await?;
    let cursors = rows.iter().map(|row| row::digest(row, "digest").map(cursor)).collect::<Result<Vec<_>, _>>()?;
    change.withdraw_all(&cursors, now).await?;
    Ok(u64::try_from(cursors.len()).unwrap_or(u64::MAX))
}

async fn replace(
    change: &mut Change<'_>,
    mint: &Mint,
    algorithm: Algorithm,
    entropy: [u8; ID_ENTROPY],
    now: Moment,
) -> Result<TokenKey, StoreError> {
    let key = mint.new_key(algorithm, entropy);
    let key = key.ok_or_else(|| row::corrupt("kid", "no name leads to a key"))?;
    end_foreign(change, mint.fingerprint(), now).await?;
    retire_ours(change, now).await?;
    insert(change, &key, mint.fingerprint(), now).await?;
    change.publish(cursor(Digest::of(key.kid().as_str().as_bytes()))).await?;
    let entry = Entry::new("token_key.create", "token_key", key.kid().as_str());
    change.audit(entry.with("algorithm", algorithm.as_str()), now);
    let made = select().then_with(" WHERE kid = ", key.kid().as_str()).fetch_one(change.sql()).await?;
    token_key(&made)
}

/// Keys made from another secret sign nothing any more, and nobody can tell who else has that secret: they end, and
/// the tokens that they signed with them.
async fn end_foreign(change: &mut Change<'_>, ours: Fingerprint, now: Moment) -> Result<(), StoreError> {
    let update = sql("UPDATE token_keys SET ends_at = $1, retired_at = COALESCE(retired_at, $1)
         WHERE fingerprint <> $2 AND (ends_at IS NULL OR ends_at > $1)
         RETURNING kid, digest");
    let rows = update.bind(now).bind(ours.0.as_slice()).fetch_all(change.sql()).await?;
    for row in &rows {
        let kid = row.text("kid")?;
        let sessions = sql("UPDATE sessions SET current = 0, expires = $1 WHERE kid = $2 AND expires > $1");
        sessions.bind(now).bind(kid).execute(change.sql()).await?;
        change.audit(Entry::new("token_key.end", "token_key", kid), now);
        change.withdraw(cursor(row::digest(row, "digest")?), now).await?;
    }
    Ok(())
}

/// Keys made from this secret sign no new tokens, and end with their last one.
async fn retire_ours(change: &mut Change<'_>, now: Moment) -> Result<(), StoreError> {
    let update = sql("UPDATE token_keys
         SET retired_at = $1,
             ends_at = COALESCE((SELECT MAX(expires) FROM sessions WHERE sessions.kid = token_keys.kid), $1)
         WHERE retired_at IS NULL");
    update.bind(now).execute(change.sql()).await?;
    Ok(())
}

async fn insert(change: &mut Change<'_>, key: &SigningKey, ours: Fingerprint, now: Moment) -> Result<(), StoreError> {
    let insert = sql("INSERT INTO token_keys (kid, digest, algorithm, fingerprint, material, created_at)
         VALUES ($1, $2, $3, $4, $5, $6)");
    let insert = insert.bind(key.kid().as_str()).bind(&Digest::of(key.kid().as_str().as_bytes()));
    let insert = insert.bind(key.algorithm().as_str()).bind(ours.0.as_slice()).bind(key.material());
    insert.bind(now).execute(change.sql()).await?;
    Ok(())
}

fn select() -> Statement {
    sql("SELECT kid, algorithm, fingerprint, created_at, retired_at, ends_at FROM token_keys")
}

fn token_key(from: &Row) -> Result<TokenKey, StoreError> {
    Ok(TokenKey {
        kid: row::parsed(from, "kid", TokenKeyId::parse)?,
        algorithm: row::word(from, "algorithm", Algorithm::from_name)?,
        fingerprint: Fingerprint(row::bytes(from, "fingerprint")?),
        created_at: row::moment(from, "created_at")?,
        retired_at: row::maybe_moment(from, "retired_at")?,
        ends_at: row::maybe_moment(from, "ends_at")?,
    })
}

fn cursor(digest: Digest) -> Cursor {
    Cursor { table: Table::TokenKeys, digest }
}
