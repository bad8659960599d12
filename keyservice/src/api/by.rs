//! Who asks for a change, for the audit log.

use std::sync::Arc;

use axum::{extract::FromRequestParts, http::request::Parts};

use super::{App, auth::missing, fleet::asked_wait, problem::Problem, source::Source};
use crate::domain::{Actor, Badge, By, Name, Role};

/// The header in which the holder of a token says for whom it acts.
pub const ACTOR_HEADER: &str = "x-tollkeeper-actor";

/// Whoever asks for a change with a token of the admin API; the query has nothing but how long to wait for the fleet.
pub(super) struct Asked(pub(super) By);

impl FromRequestParts<Arc<App>> for Asked {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        asked_wait(&parts.uri)?;
        let Source(source) = Source::from_request_parts(parts, app).await?;
        let badge = parts.extensions.get::<Badge>().cloned().ok_or_else(missing)?;
        Ok(Self(By { actor: actor(parts, badge.role)?, badge: Some(badge), source }))
    }
}

fn actor(parts: &Parts, role: Role) -> Result<Actor, Problem> {
    let mut values = parts.headers.get_all(ACTOR_HEADER).iter();
    let Some(value) = values.next() else { return Ok(Actor::Role(role)) };
    if values.next().is_some() {
        return Err(Problem::field(ACTOR_HEADER, "stands there twice"));
    }
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| Problem::field(ACTOR_HEADER, "is not UTF-8"))?;
    Name::parse(text).and_then(Actor::named).map_err(|rule| Problem::field(ACTOR_HEADER, rule))
}
