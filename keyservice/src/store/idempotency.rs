//! Requests that were already carried out: a repeated one finds what the first one made.
//!
//! Only digests of the client's key and request are kept, and the id of what was made; never a key's text, in no form
//! that could be turned back into it. So a repeated request is told which key it made, but not the key again.

use tollkeeper_contract::Digest;

use super::{ActError, Refusal, StoreError, change::Change, row, sql::sql};
use crate::domain::{IdempotencyKey, Moment};

/// One request that is to be carried out once.
#[derive(Debug, Clone)]
pub struct Once {
    /// What the request does, for example `POST /v1/keys`: each operation has keys of its own.
    pub operation: &'static str,
    /// What the client sent to know the request by.
    pub key: IdempotencyKey,
    /// The digest of the request's body.
    pub request: Digest,
}

/// Something that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Made<T> {
    /// By this request.
    Now(T),
    /// By an earlier request with the same idempotency key; as it is today.
    Before(T),
}

impl Change<'_> {
    /// The id of what the same request made before, if it did.
    pub(super) async fn made_before(&mut self, once: Option<&Once>) -> Result<Option<String>, ActError> {
        let Some(once) = once else { return Ok(None) };
        let query = sql("SELECT request_digest, resource FROM idempotency WHERE operation = $1 AND key_digest = $2");
        let query = query.bind(once.operation).bind(once.key.digest());
        let Some(found) = query.fetch_optional(self.sql()).await? else { return Ok(None) };
        if row::digest(&found, "request_digest")? != once.request {
            return Err(Refusal::OtherRequest.into());
        }
        Ok(Some(found.text("resource")?.to_owned()))
    }

    /// Remembers what the request made.
    pub(super) async fn remember(&mut self, once: Option<&Once>, made: &str, now: Moment) -> Result<(), StoreError> {
        let Some(once) = once else { return Ok(()) };
        let insert = sql("INSERT INTO idempotency (operation, key_digest, request_digest, resource, created_at)
             VALUES ($1, $2, $3, $4, $5)");
        let insert = insert.bind(once.operation).bind(once.key.digest()).bind(&once.request).bind(made);
        insert.bind(now).execute(self.sql()).await?;
        Ok(())
    }
}
