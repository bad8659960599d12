//! What listing, showing, making, changing and deleting have in common.

use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::{
    CommandError, Target,
    client::{Client, view},
    output::{self, Output},
    target::{Wait, Waited},
};

/// Something that the admin API lists and shows.
pub(crate) trait Thing: DeserializeOwned {
    /// What one is called, for example `team`.
    const WORD: &'static str;
    /// The field of a list, for example `teams`.
    const LIST: &'static str;
    /// Where they are, for example `/v1/teams`.
    const PATH: &'static str;
    /// How many are asked for at once; `None` if their list has no pages.
    const PAGE: Option<&'static str> = Some(PAGE);
    /// The titles of the columns of a list.
    const HEAD: &'static [&'static str];

    /// Its line in a list, one cell for each title.
    fn row(self) -> Vec<String>;

    /// All that is shown of one.
    fn about(self) -> Vec<(&'static str, Option<String>)>;

    /// The path of one; says what is wrong with an id that none can have.
    fn path(id: &str) -> Result<String, CommandError>;
}

/// What a list is narrowed down to.
pub(crate) type Filters<'a> = &'a [(&'a str, Option<&'a str>)];

/// How many of a list are asked for at once.
const PAGE: &str = "1000";

/// Goes through a list, page by page.
pub(crate) struct Pages<'a> {
    client: &'a Client,
    path: &'a str,
    filters: Filters<'a>,
    page: Option<&'static str>,
    after: Option<String>,
    is_over: bool,
}

impl<'a> Pages<'a> {
    pub(crate) fn new(client: &'a Client, path: &'a str, filters: Filters<'a>) -> Self {
        Self { client, path, filters, page: Some(PAGE), after: None, is_over: false }
    }

    /// Begins behind an item.
    pub(crate) fn behind(self, after: Option<String>) -> Self {
        Self { after, ..self }
    }

    /// The items of the next page, whose field is `list`; none when all pages were read.
    pub(crate) async fn next(&mut self, list: &str) -> Result<Option<Vec<Value>>, CommandError> {
        if self.is_over {
            return Ok(None);
        }
        let place = [("limit", self.page), ("after", self.after.as_deref())];
        let given = self.filters.iter().copied().chain(place).filter_map(|(name, value)| Some((name, value?)));
        let query: Vec<_> = given.collect();
        let mut page = self.client.get(self.path, &query).await?;
        let items = page.get_mut(list).map(Value::take).unwrap_or_default();
        self.after = match page.get("next") {
            Some(Value::String(next)) => Some(next.clone()),
            Some(Value::Number(next)) => Some(next.to_string()),
            _ => None,
        };
        self.is_over = self.after.is_none();
        Ok(Some(view(items)?))
    }
}

/// Lists all that the filters let through.
pub(crate) async fn list<T: Thing>(target: &Target, filters: Filters<'_>) -> Result<(), CommandError> {
    let client = target.client()?;
    let mut pages = Pages { page: T::PAGE, ..Pages::new(&client, T::PATH, filters) };
    let mut all = Vec::new();
    while let Some(items) = pages.next(T::LIST).await? {
        all.extend(items);
    }
    if target.output() == Output::Json {
        return Ok(output::write_json(&json!({ T::LIST: all, "next": null }))?);
    }
    let rows = all.into_iter().map(|item| Ok(view::<T>(item)?.row())).collect::<Result<Vec<_>, CommandError>>()?;
    Ok(output::write(&output::table(T::HEAD, &rows))?)
}

/// Shows one.
pub(crate) async fn show<T: Thing>(target: &Target, id: &str) -> Result<(), CommandError> {
    let path = T::path(id)?;
    let answer = target.client()?.get(&path, &[]).await?;
    write::<T>(target, answer, &Waited::default())
}

/// Makes one.
pub(crate) async fn create<T: Thing>(target: &Target, wait: Wait, body: Value) -> Result<(), CommandError> {
    act::<T>(target, wait, Method::POST, T::PATH, Some(&body)).await
}

/// Changes one.
pub(crate) async fn change<T: Thing>(target: &Target, wait: Wait, id: &str, body: Value) -> Result<(), CommandError> {
    act::<T>(target, wait, Method::PATCH, &T::path(id)?, Some(&body)).await
}

/// Sends a change that is answered with the thing itself.
pub(crate) async fn act<T: Thing>(
    target: &Target,
    wait: Wait,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<(), CommandError> {
    let (answer, waited) = wait.send(&target.client()?, method, path, body).await?;
    write::<T>(target, answer, &waited)
}

/// Deletes one.
pub(crate) async fn delete<T: Thing>(target: &Target, wait: Wait, id: &str) -> Result<(), CommandError> {
    let path = T::path(id)?;
    let (answer, waited) = wait.send(&target.client()?, Method::DELETE, &path, None).await?;
    let text = format!("{} {id} is deleted\n", T::WORD);
    told(target, answer, "deleted", id.into(), &text, &waited)
}

/// Writes what became of a change whose answer says nothing but how far the nodes are.
pub(crate) fn told(
    target: &Target,
    answer: Value,
    name: &str,
    value: Value,
    text: &str,
    waited: &Waited,
) -> Result<(), CommandError> {
    match target.output() {
        Output::Text => output::write(&format!("{text}{}", waited.line()))?,
        Output::Json => {
            let mut told = Map::from_iter([(name.to_owned(), value)]);
            told.extend(answer.as_object().cloned().unwrap_or_default());
            output::write_json(&told)?;
        }
    }
    waited.outcome()
}

fn write<T: Thing>(target: &Target, answer: Value, waited: &Waited) -> Result<(), CommandError> {
    match target.output() {
        Output::Json => output::write_json(&answer)?,
        Output::Text => {
            let pairs = output::pairs(&view::<T>(answer)?.about());
            output::write(&format!("{pairs}{}", waited.line()))?;
        }
    }
    waited.outcome()
}

/// The path of a thing whose id is read by the rule of its type. What is typed may be a secret by mistake, so it is not
/// shown again.
pub(crate) fn path_of<I: std::fmt::Display, E: std::fmt::Display>(
    path: &str,
    parsed: Result<I, E>,
) -> Result<String, CommandError> {
    parsed.map(|id| format!("{path}/{id}")).map_err(|rule| CommandError::Usage(rule.to_string()))
}
