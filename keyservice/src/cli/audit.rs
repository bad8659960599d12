//! `keyservice audit`.

use clap::Args;
use serde_json::json;

use super::{
    CommandError,
    client::view,
    output::{self, Output, or_dash},
    target::Place,
    thing::Pages,
};
use crate::api::wire::AuditView;

/// Which changes.
#[derive(Args)]
pub(crate) struct Audit {
    /// Only changes by this actor.
    #[arg(long)]
    actor: Option<String>,
    /// Only this action, for example key.revoke.
    #[arg(long)]
    action: Option<String>,
    /// Only changes of this thing, for example key:c7tq4m2xkz5r6y3a.
    #[arg(long)]
    resource: Option<String>,
    /// Only changes that concern this team.
    #[arg(long, value_name = "ID")]
    team: Option<String>,
    /// Only changes that concern this enterprise.
    #[arg(long, value_name = "ID")]
    enterprise: Option<String>,
    /// Only changes from this time (RFC 3339) on.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only changes before this time (RFC 3339).
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only changes behind the one of this number, in the order that is shown.
    #[arg(long, value_name = "NUMBER")]
    after: Option<u64>,
    /// Which come first [default: oldest].
    #[arg(long, value_parser = ["oldest", "newest"])]
    order: Option<String>,
    /// Only so many.
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,
    #[command(flatten)]
    pub(super) place: Place,
}

pub(super) async fn run(args: Audit) -> Result<(), CommandError> {
    let client = args.place.client(None)?;
    let filters = [
        ("actor", args.actor.as_deref()),
        ("action", args.action.as_deref()),
        ("resource", args.resource.as_deref()),
        ("team", args.team.as_deref()),
        ("enterprise", args.enterprise.as_deref()),
        ("order", args.order.as_deref()),
        ("since", args.since.as_deref()),
        ("until", args.until.as_deref()),
    ];
    let mut pages = Pages::new(&client, "/v1/audit", &filters).behind(args.after.map(|number| number.to_string()));
    let mut entries = Vec::new();
    let limit = args.limit.unwrap_or(usize::MAX);
    while entries.len() < limit
        && let Some(page) = pages.next("entries").await?
    {
        entries.extend(page);
    }
    entries.truncate(limit);
    if args.place.output() == Output::Json {
        return Ok(output::write_json(&json!({ "entries": entries, "next": null }))?);
    }
    let rows = entries.into_iter().map(|entry| Ok(row(view(entry)?))).collect::<Result<Vec<_>, CommandError>>()?;
    Ok(output::write(&output::table(&["SEQ", "AT", "ACTOR", "SOURCE", "ACTION", "RESOURCE", "DETAIL"], &rows))?)
}

fn row(entry: AuditView) -> Vec<String> {
    let source = or_dash(entry.source.as_deref());
    let detail = match entry.detail.as_object() {
        Some(detail) if detail.is_empty() => String::new(),
        _ => entry.detail.to_string(),
    };
    vec![entry.seq.to_string(), entry.at, entry.actor, source, entry.action, entry.resource, detail]
}
