//! `keyservice keys`.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::{
    CommandError, Target,
    client::view,
    output::{self, Output, or_dash},
    time::When,
};
use crate::{
    api::wire::{KeyList, KeyMade, KeyView},
    edge,
};

/// What to do with keys.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a key. It is shown once, in this answer, and never again.
    #[command(after_help = "Examples:
  keyservice keys create --team acme --scope read --scope write --expires 90d
  keyservice keys create --team acme --scope reports:read --name ci --subject ci@acme.example --json | jq -r .key")]
    Create(Create),
    /// List keys.
    #[command(after_help = "Example:\n  keyservice keys list --team acme --state active")]
    List(List),
    /// Show one key and what was counted of it.
    Show(One),
    /// Change a key.
    #[command(after_help = "Examples:
  keyservice keys set c7tq4m2xkz5r6y3a --scope read
  keyservice keys set c7tq4m2xkz5r6y3a --expires never --subject ''
  keyservice keys set c7tq4m2xkz5r6y3a --state disabled")]
    Set(Set),
    /// Revoke a key for good. It stays listed, and callers are told that it is revoked.
    #[command(
        after_help = "Example:\n  keyservice keys revoke c7tq4m2xkz5r6y3a --reason 'found in a public repository'"
    )]
    Revoke(Revoke),
    /// Delete a key. It is gone, and callers are told that it is unknown.
    Delete(One),
}

#[derive(Args)]
pub(crate) struct Create {
    /// The team that owns it.
    #[arg(long)]
    team: String,
    /// A right, for example read; repeat it for more.
    #[arg(long = "scope", value_name = "SCOPE", required_unless_present = "no_scopes")]
    scopes: Vec<String>,
    /// Give it no right at all: it opens only routes that need none.
    #[arg(long, conflicts_with = "scopes")]
    no_scopes: bool,
    /// What people call it.
    #[arg(long)]
    name: Option<String>,
    /// Whom it is for; shown to upstreams.
    #[arg(long)]
    subject: Option<String>,
    #[command(flatten)]
    dates: Dates,
    #[command(flatten)]
    target: Target,
}

#[derive(Args)]
struct Dates {
    /// When it begins to work: a time (RFC 3339), a duration from now such as 2h, or never (no such date).
    #[arg(long, value_parser = When::parse, value_name = "TIME")]
    not_before: Option<When>,
    /// When it ends: a time (RFC 3339), a duration from now such as 90d, or never.
    #[arg(long, value_parser = When::parse, value_name = "TIME")]
    expires: Option<When>,
}

#[derive(Args)]
pub(crate) struct List {
    /// Only keys of this team.
    #[arg(long)]
    team: Option<String>,
    /// Only keys in this state.
    #[arg(long, value_parser = ["active", "disabled", "revoked"])]
    state: Option<String>,
    #[command(flatten)]
    target: Target,
}

#[derive(Args)]
pub(crate) struct One {
    /// The key's id (not the key).
    id: String,
    #[command(flatten)]
    target: Target,
}

#[derive(Args)]
pub(crate) struct Set {
    /// The key's id (not the key).
    id: String,
    /// Its rights from now on; repeat it for more.
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// Take all its rights away.
    #[arg(long, conflicts_with = "scopes")]
    no_scopes: bool,
    /// What people call it; '' for nothing.
    #[arg(long)]
    name: Option<String>,
    /// Whom it is for; '' for nobody.
    #[arg(long)]
    subject: Option<String>,
    /// Whether it works: active or disabled.
    #[arg(long, value_parser = ["active", "disabled"])]
    state: Option<String>,
    #[command(flatten)]
    dates: Dates,
    #[command(flatten)]
    target: Target,
}

#[derive(Args)]
pub(crate) struct Revoke {
    /// The key's id (not the key).
    id: String,
    /// Why, in your words.
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    target: Target,
}

impl Dates {
    fn add_to(&self, body: &mut Map<String, Value>) {
        let now = edge::now();
        body.extend(self.not_before.as_ref().map(|when| ("not_before".to_owned(), when.to_json(now))));
        body.extend(self.expires.as_ref().map(|when| ("expires".to_owned(), when.to_json(now))));
    }
}

pub(super) async fn run(command: Command) -> Result<(), CommandError> {
    match command {
        Command::Create(args) => create(args).await,
        Command::List(args) => list(args).await,
        Command::Show(args) => {
            let answer = args.target.client()?.get(&path(&args.id)?, &[]).await?;
            show(args.target.output(), answer)
        }
        Command::Set(args) => set(args).await,
        Command::Revoke(args) => {
            let path = format!("{}/revoke", path(&args.id)?);
            let answer = args.target.client()?.post(&path, &json!({ "reason": args.reason })).await?;
            show(args.target.output(), answer)
        }
        Command::Delete(args) => {
            args.target.client()?.delete(&path(&args.id)?).await?;
            match args.target.output() {
                Output::Json => Ok(output::write_json(&json!({ "deleted": args.id }))?),
                Output::Text => Ok(output::write(&format!("key {} is deleted\n", args.id))?),
            }
        }
    }
}

async fn create(args: Create) -> Result<(), CommandError> {
    let mut body = Map::new();
    body.insert("team".to_owned(), args.team.into());
    body.insert("scopes".to_owned(), args.scopes.into());
    body.extend(args.name.map(|name| ("name".to_owned(), name.into())));
    body.extend(args.subject.map(|subject| ("subject".to_owned(), subject.into())));
    args.dates.add_to(&mut body);
    let answer = args.target.client()?.post("/v1/keys", &body.into()).await?;
    if args.target.output() == Output::Json {
        return Ok(output::write_json(&answer)?);
    }
    let made: KeyMade = view(answer)?;
    let note = "The key is shown this once: keep it now.\n";
    Ok(output::write(&format!("{}{note}", about(made.view, made.key)))?)
}

async fn set(args: Set) -> Result<(), CommandError> {
    // An empty text clears the field: there is no other way to write nothing in a shell.
    let or_null = |text: String| if text.is_empty() { Value::Null } else { text.into() };
    let mut body = Map::new();
    body.extend((args.no_scopes || !args.scopes.is_empty()).then(|| ("scopes".to_owned(), args.scopes.into())));
    body.extend(args.name.map(|name| ("name".to_owned(), or_null(name))));
    body.extend(args.subject.map(|subject| ("subject".to_owned(), or_null(subject))));
    body.extend(args.state.map(|state| ("state".to_owned(), state.into())));
    args.dates.add_to(&mut body);
    if body.is_empty() {
        return Err(CommandError::Usage("nothing to change; see `keyservice keys set --help`".to_owned()));
    }
    let answer = args.target.client()?.patch(&path(&args.id)?, &body.into()).await?;
    show(args.target.output(), answer)
}

async fn list(args: List) -> Result<(), CommandError> {
    let keys = all(&args).await?;
    if args.target.output() == Output::Json {
        return Ok(output::write_json(&KeyList { keys, next: None })?);
    }
    let rows: Vec<_> = keys.into_iter().map(row).collect();
    let head = ["ID", "TEAM", "NAME", "STATE", "SCOPES", "EXPIRES", "GRANTED", "LIMITED", "LAST USED"];
    Ok(output::write(&output::table(head, &rows))?)
}

async fn all(args: &List) -> Result<Vec<KeyView>, CommandError> {
    let client = args.target.client()?;
    let mut keys = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let filters = [("team", &args.team), ("state", &args.state), ("after", &after)];
        let mut query = vec![("limit", "1000")];
        query.extend(filters.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))));
        let page: KeyList = view(client.get("/v1/keys", &query).await?)?;
        keys.extend(page.keys);
        if page.next.is_none() {
            return Ok(keys);
        }
        after = page.next;
    }
}

fn row(key: KeyView) -> [String; 9] {
    let used = key.used;
    [
        key.id,
        or_dash(key.team.as_deref()),
        or_dash(key.name.as_deref()),
        key.state,
        or_dash(Some(key.scopes.join(" ").as_str()).filter(|scopes| !scopes.is_empty())),
        or_dash(key.expires.as_deref()),
        used.granted.to_string(),
        used.limited.to_string(),
        or_dash(used.last_used_at.as_deref()),
    ]
}

fn show(output: Output, answer: Value) -> Result<(), CommandError> {
    if output == Output::Json {
        return Ok(output::write_json(&answer)?);
    }
    Ok(output::write(&about(view(answer)?, None))?)
}

fn about(key: KeyView, text: Option<String>) -> String {
    output::pairs(&[
        ("key", text),
        ("id", Some(key.id)),
        ("kind", Some(key.kind)),
        ("team", key.team),
        ("enterprise", key.enterprise),
        ("service account", key.service_account),
        ("user", key.user),
        ("name", key.name),
        ("subject", key.subject),
        ("scopes", Some(key.scopes.join(" ")).filter(|scopes| !scopes.is_empty())),
        ("state", Some(key.state)),
        ("not before", key.not_before),
        ("expires", key.expires),
        ("origin", key.origin),
        ("superseded by", key.superseded_by),
        ("created", Some(key.created_at)),
        ("revoked", key.revoked_at),
        ("reason", key.revoke_reason),
        ("granted", Some(key.used.granted.to_string())),
        ("limited", Some(key.used.limited.to_string())),
        ("last used", key.used.last_used_at),
    ])
}

fn path(id: &str) -> Result<String, CommandError> {
    // What is typed here may be a key by mistake, so it is not shown again.
    let id = tollkeeper_contract::KeyId::parse(id).map_err(|rule| {
        CommandError::Usage(format!("{rule}; this is the id in `keyservice keys list`, not the key"))
    })?;
    Ok(format!("/v1/keys/{id}"))
}
