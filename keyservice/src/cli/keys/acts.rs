//! `keyservice keys set`, `rename`, `revoke` and `rotate`.

use clap::Args;
use reqwest::Method;
use serde_json::Value;

use super::{Dates, End, create::Origin, write_made};
use crate::{
    api::wire::KeyView,
    cli::{
        CommandError, Target,
        fields::{Fields, list},
        target::Wait,
        thing::{self, Thing},
        time::Span,
    },
    edge,
};

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
    /// Whom an application's key is for; '' for nobody.
    #[arg(long)]
    subject: Option<String>,
    /// Whether it works: active or disabled.
    #[arg(long, value_parser = ["active", "disabled"])]
    state: Option<String>,
    #[command(flatten)]
    origin: Origin,
    /// Take it from anywhere.
    #[arg(long, conflicts_with_all = ["domain", "webhook_url"])]
    any_origin: bool,
    #[command(flatten)]
    dates: Dates,
    #[command(flatten)]
    wait: Wait,
}

#[derive(Args)]
pub(crate) struct Revoke {
    /// The key's id (not the key).
    id: String,
    /// Why, in your words.
    #[arg(long)]
    reason: Option<String>,
    /// Somebody else has it: end every session that was made with it too.
    #[arg(long)]
    compromised: bool,
    #[command(flatten)]
    wait: Wait,
}

#[derive(Args)]
pub(crate) struct Rotate {
    /// The id of the key to be replaced (not the key).
    id: String,
    /// How long the old key still works, such as 24h; at most 30d [default: not at all].
    #[arg(long, value_parser = Span::parse, value_name = "DURATION")]
    overlap: Option<Span>,
    #[command(flatten)]
    end: End,
    #[command(flatten)]
    wait: Wait,
}

pub(super) async fn set(args: Set, target: &Target) -> Result<(), CommandError> {
    let now = edge::now();
    let body = Fields::default()
        .maybe("scopes", list(args.scopes, args.no_scopes))
        .clearable("name", args.name)
        .clearable("subject", args.subject)
        .maybe("state", args.state)
        .maybe("origin", args.origin.to_json().or(args.any_origin.then_some(Value::Null)))
        .maybe("not_before", args.dates.not_before.map(|when| when.to_json(now)))
        .maybe("expires", args.dates.end.expires.map(|when| when.to_json(now)));
    thing::change::<KeyView>(target, args.wait, &args.id, body.change("keys set")?).await
}

pub(super) async fn rename(id: &str, name: String, target: &Target) -> Result<(), CommandError> {
    let body = Fields::default().clearable("name", Some(name)).body();
    // Nodes do not know names, so there is nothing to wait for.
    thing::change::<KeyView>(target, Wait::default(), id, body).await
}

pub(super) async fn revoke(args: Revoke, target: &Target) -> Result<(), CommandError> {
    let path = format!("{}/revoke", KeyView::path(&args.id)?);
    let body = Fields::default().maybe("reason", args.reason);
    let body = body.maybe("compromised", args.compromised.then_some(true)).body();
    thing::act::<KeyView>(target, args.wait, Method::POST, &path, Some(&body)).await
}

pub(super) async fn rotate(args: Rotate, target: &Target) -> Result<(), CommandError> {
    let path = format!("{}/rotate", KeyView::path(&args.id)?);
    let body = Fields::default()
        .maybe("overlap_seconds", args.overlap.map(|span| span.seconds()))
        .maybe("expires", args.end.expires.map(|when| when.to_json(edge::now())))
        .body();
    let (answer, waited) = args.wait.send(&target.client()?, Method::POST, &path, Some(&body)).await?;
    write_made(target, answer, &waited)
}
