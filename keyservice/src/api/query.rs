//! Queries: parameters that are known, each at most once, mistakes told with their name.

use axum::{
    extract::FromRequestParts,
    http::{Uri, request::Parts},
};

use super::{
    body::shortened,
    pairs::{self, Broken},
    problem::Problem,
};

/// The parameters of a query.
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    /// Reads the query of `uri`, which may have the parameters `known`.
    pub(super) fn read(uri: &Uri, known: &[&str]) -> Result<Self, Problem> {
        let pairs = pairs::read(uri.query().unwrap_or_default().as_bytes()).map_err(broken)?;
        match pairs.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            Some((name, _)) => {
                let names = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                Err(Problem::field(shortened(name), format_args!("is no parameter here; there are: {names}")))
            }
            None => Ok(Self(pairs)),
        }
    }

    /// A parameter that may be left out.
    pub(super) fn maybe<T, E: std::fmt::Display>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, Problem> {
        let value = self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        value.map(parse).transpose().map_err(|rule| Problem::field(name, rule))
    }

    /// A parameter that must be there.
    pub(super) fn required<T, E: std::fmt::Display>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, Problem> {
        self.maybe(name, parse)?.ok_or_else(|| Problem::field(name, "is missing"))
    }

    /// How many items a page of a list has: 1 to 1000, 100 unless told.
    pub(super) fn limit(&self) -> Result<u32, Problem> {
        let limit = self.maybe("limit", |text| match text.parse() {
            Ok(limit @ 1..=1000) => Ok(limit),
            _ => Err("must be a number from 1 to 1000"),
        })?;
        Ok(limit.unwrap_or(100))
    }
}

fn broken(broken: Broken) -> Problem {
    match broken {
        Broken::Name => Problem::field("query", "the name of a parameter is not UTF-8"),
        Broken::Value(name) => Problem::field(shortened(&name), "is not UTF-8"),
        Broken::Twice(name) => Problem::field(shortened(&name), "stands there twice"),
        Broken::TooMany => Problem::field("query", "has too many parameters"),
    }
}

/// The query of a request that has no parameters.
pub(super) struct NoParams;

impl<S: Send + Sync> FromRequestParts<S> for NoParams {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Params::read(&parts.uri, &[]).map(|_| Self)
    }
}

/// Cuts what was read beyond `limit` off, and names the last item that is left if there was more.
pub(super) fn cut<T, I>(items: &mut Vec<T>, limit: u32, id: impl Fn(&T) -> I) -> Option<I> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if items.len() <= limit {
        return None;
    }
    items.truncate(limit);
    items.last().map(id)
}
