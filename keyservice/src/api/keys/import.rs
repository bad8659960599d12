//! `POST /v1/keys/import`.

use std::sync::Arc;

use axum::{Json, extract::State};
use tollkeeper_contract::{Digest, KeyId};

use super::{NAMED, terms};
use crate::{
    api::{
        App,
        body::{Object, Sent, field},
        by::Asked,
        fields::required,
        problem::Problem,
        wire::{DuplicateView, ImportBody, ImportKeyBody, ImportView},
    },
    domain::{ImportKey, MAX_IMPORT},
    edge,
    store::{Duplicate, Imported, WhyDuplicate},
};

/// The longest body of an import, in bytes: each key may have all that it can have.
const LIMIT: usize = 4 * 1024 * 1024;

/// `POST /v1/keys/import`
pub(in crate::api) async fn import(
    State(app): State<Arc<App>>,
    Asked(by): Asked,
    sent: Sent<ImportBody, LIMIT>,
) -> Result<Json<ImportView>, Problem> {
    let keys = required("keys", sent.value.keys)?;
    if keys.is_empty() || keys.len() > MAX_IMPORT {
        return Err(Problem::field("keys", format_args!("must be 1 to {MAX_IMPORT} keys")));
    }
    let key = |(index, Object(body)): (usize, Object<ImportKeyBody>)| {
        import_key(body).map_err(|problem| problem.within(&format!("keys[{index}]")))
    };
    let keys = keys.into_iter().enumerate().map(key).collect::<Result<Vec<_>, _>>()?;
    let imported = app.store.import_keys(keys, by, edge::now()).await;
    Ok(Json(view(imported.map_err(|error| Problem::naming(error, &NAMED))?)))
}

pub(in crate::api) fn import_key(body: ImportKeyBody) -> Result<ImportKey, Problem> {
    let digest = Digest::from_hex(&required("digest", body.digest)?).ok_or("must be 64 hexadecimal digits (SHA-256)");
    let id = match body.id {
        Some(id) => field("id", KeyId::parse(&id))?,
        None => edge::key_id().map_err(|error| Problem::no_randomness(&error))?,
    };
    let claim = terms::Claim {
        kind: body.kind,
        team: body.team,
        service_account: body.service_account,
        user: body.user,
        subject: body.subject,
    };
    let claimant = claim.read()?;
    let terms = terms::Terms {
        name: body.name,
        scopes: body.scopes,
        state: body.state,
        not_before: body.not_before,
        expires: body.expires,
        origin: body.origin,
    };
    Ok(ImportKey { digest: field("digest", digest)?, id, terms: terms.read(&claimant)?, claimant })
}

fn view(imported: Imported) -> ImportView {
    let duplicate = |Duplicate { index, digest, why }| DuplicateView {
        index: u64::try_from(index).unwrap_or(u64::MAX),
        digest: digest.to_hex(),
        reason: match why {
            WhyDuplicate::Exists => "exists",
            WhyDuplicate::Repeated => "repeated",
        }
        .to_owned(),
    };
    ImportView { imported: imported.count, duplicates: imported.duplicates.into_iter().map(duplicate).collect() }
}
