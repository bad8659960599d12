//! Queries: parameters that are known, each at most once, mistakes told with their name.

use axum::{extract::Query, http::Uri};

use super::problem::Problem;

/// The parameters of a query.
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    /// Reads the query of `uri`, which may have the parameters `known`.
    pub(super) fn read(uri: &Uri, known: &[&str]) -> Result<Self, Problem> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|_| Problem::field("query", "is not a form of names and values"))?;
        for (index, (name, _)) in pairs.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                let names = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                return Err(Problem::field(name, format_args!("is no parameter here; there are: {names}")));
            }
            if pairs.iter().take(index).any(|(earlier, _)| earlier == name) {
                return Err(Problem::field(name, "stands there twice"));
            }
        }
        Ok(Self(pairs))
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

/// Cuts what was read beyond `limit` off, and names the last item that is left if there was more.
pub(super) fn cut<T, I>(items: &mut Vec<T>, limit: u32, id: impl Fn(&T) -> I) -> Option<I> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if items.len() <= limit {
        return None;
    }
    items.truncate(limit);
    items.last().map(id)
}
