//! `keyservice teams`.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::{
    CommandError, Target,
    client::{Client, view},
    output::{self, Output, or_dash},
};
use crate::api::wire::{TeamList, TeamView};

/// What to do with teams.
#[derive(Subcommand)]
#[command(
    after_help = "A team is switched off with `teams set ID --state disabled`, which can be undone, and ended with
`teams delete ID`, once its keys are revoked."
)]
pub(crate) enum Command {
    /// Make a team.
    #[command(after_help = "Example:\n  keyservice teams create acme --name 'Acme Ltd' --limit 300 --window 300")]
    Create(Create),
    /// List all teams.
    List(List),
    /// Show one team and what was counted of it.
    Show(One),
    /// Change a team.
    #[command(after_help = "Examples:
  keyservice teams set acme --limit 600 --window 300
  keyservice teams set acme --default-quota
  keyservice teams set acme --state disabled")]
    Set(Set),
    /// Delete a team whose keys are all revoked, and these keys with it.
    Delete(One),
}

#[derive(Args)]
pub(crate) struct Create {
    /// The team's id: 1 to 64 of A-Z a-z 0-9 - . _ ~
    id: String,
    /// What people call it [default: the id].
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    quota: Quota,
    #[command(flatten)]
    target: Target,
}

#[derive(Args)]
struct Quota {
    /// Requests per window; without it, the filter's default holds.
    #[arg(long, requires = "window", value_name = "REQUESTS")]
    limit: Option<u32>,
    /// The window in seconds.
    #[arg(long, requires = "limit", value_name = "SECONDS")]
    window: Option<u32>,
}

#[derive(Args)]
pub(crate) struct List {
    #[command(flatten)]
    target: Target,
}

#[derive(Args)]
pub(crate) struct One {
    /// The team's id.
    id: String,
    #[command(flatten)]
    target: Target,
}

#[derive(Args)]
pub(crate) struct Set {
    /// The team's id.
    id: String,
    /// What people call it.
    #[arg(long)]
    name: Option<String>,
    /// Whether it is served: active or disabled.
    #[arg(long, value_parser = ["active", "disabled"])]
    state: Option<String>,
    #[command(flatten)]
    quota: Quota,
    /// Return to the filter's default quota.
    #[arg(long, conflicts_with_all = ["limit", "window"])]
    default_quota: bool,
    #[command(flatten)]
    target: Target,
}

impl Quota {
    fn to_json(&self) -> Option<Value> {
        let (limit, window) = self.limit.zip(self.window)?;
        Some(json!({ "limit": limit, "window_seconds": window }))
    }
}

pub(super) async fn run(command: Command) -> Result<(), CommandError> {
    match command {
        Command::Create(args) => create(args).await,
        Command::List(args) => list(&args.target).await,
        Command::Show(args) => {
            let answer = args.target.client()?.get(&path(&args.id)?, &[]).await?;
            show(args.target.output(), answer)
        }
        Command::Set(args) => set(args).await,
        Command::Delete(args) => {
            args.target.client()?.delete(&path(&args.id)?).await?;
            match args.target.output() {
                Output::Json => Ok(output::write_json(&json!({ "deleted": args.id }))?),
                Output::Text => Ok(output::write(&format!("team {} is deleted\n", args.id))?),
            }
        }
    }
}

async fn create(args: Create) -> Result<(), CommandError> {
    let mut body = Map::from_iter([("id".to_owned(), args.id.into())]);
    body.extend(args.name.map(|name| ("name".to_owned(), name.into())));
    body.extend(args.quota.to_json().map(|quota| ("quota".to_owned(), quota)));
    let answer = args.target.client()?.post("/v1/teams", &body.into()).await?;
    show(args.target.output(), answer)
}

async fn set(args: Set) -> Result<(), CommandError> {
    let mut body = Map::new();
    body.extend(args.name.map(|name| ("name".to_owned(), name.into())));
    body.extend(args.state.map(|state| ("state".to_owned(), state.into())));
    body.extend(args.quota.to_json().map(|quota| ("quota".to_owned(), quota)));
    body.extend(args.default_quota.then(|| ("quota".to_owned(), Value::Null)));
    if body.is_empty() {
        return Err(CommandError::Usage("nothing to change; see `keyservice teams set --help`".to_owned()));
    }
    let answer = args.target.client()?.patch(&path(&args.id)?, &body.into()).await?;
    show(args.target.output(), answer)
}

async fn list(target: &Target) -> Result<(), CommandError> {
    let teams = all(&target.client()?).await?;
    if target.output() == Output::Json {
        return Ok(output::write_json(&TeamList { teams, next: None })?);
    }
    let rows: Vec<_> = teams.into_iter().map(row).collect();
    Ok(output::write(&output::table(["ID", "NAME", "STATE", "QUOTA", "GRANTED", "LIMITED", "LAST USED"], &rows))?)
}

async fn all(client: &Client) -> Result<Vec<TeamView>, CommandError> {
    let mut teams = Vec::new();
    let mut after = String::new();
    loop {
        let query = [("limit", "1000"), ("after", after.as_str())];
        let query = if after.is_empty() { &query[..1] } else { &query[..] };
        let page: TeamList = view(client.get("/v1/teams", query).await?)?;
        teams.extend(page.teams);
        let Some(next) = page.next else { return Ok(teams) };
        after = next;
    }
}

fn row(team: TeamView) -> [String; 7] {
    let quota = quota_text(&team);
    let used = team.used;
    let last = or_dash(used.last_used_at.as_deref());
    [team.id, team.name, team.state, quota, used.granted.to_string(), used.limited.to_string(), last]
}

fn quota_text(team: &TeamView) -> String {
    team.quota.map_or("default".to_owned(), |quota| format!("{} per {} s", quota.limit, quota.window_seconds))
}

fn show(output: Output, answer: Value) -> Result<(), CommandError> {
    if output == Output::Json {
        return Ok(output::write_json(&answer)?);
    }
    let team: TeamView = view(answer)?;
    let quota = quota_text(&team);
    Ok(output::write(&output::pairs(&[
        ("id", Some(team.id)),
        ("name", Some(team.name)),
        ("state", Some(team.state)),
        ("quota", Some(quota)),
        ("created", Some(team.created_at)),
        ("granted", Some(team.used.granted.to_string())),
        ("limited", Some(team.used.limited.to_string())),
        ("last used", team.used.last_used_at),
    ]))?)
}

fn path(id: &str) -> Result<String, CommandError> {
    let id = tollkeeper_contract::TeamId::parse(id).map_err(|rule| CommandError::Usage(format!("{id:?}: {rule}")))?;
    Ok(format!("/v1/teams/{id}"))
}
