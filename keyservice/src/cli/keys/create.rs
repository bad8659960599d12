//! `keyservice keys create`.

use clap::{ArgGroup, Args};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Dates, write_made};
use crate::{
    cli::{
        CommandError, Target,
        fields::{Fields, list},
        target::Wait,
    },
    edge,
};

/// The kind of the key follows from whom it is for.
#[derive(Args)]
#[command(group = ArgGroup::new("holder").args(["team", "service_account", "user"]).required(true))]
#[command(group = ArgGroup::new("rights").args(["scopes", "no_scopes", "user"]).required(true).multiple(true))]
pub(crate) struct Create {
    /// The team whose application it is for.
    #[arg(long, value_name = "ID")]
    team: Option<String>,
    /// The service account, of a team or an enterprise, that it is for.
    #[arg(long, value_name = "ID")]
    service_account: Option<String>,
    /// The user that it is for; without --scope it may do what the user may.
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// A right, for example read; repeat it for more.
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// Give it no right at all: it opens only routes that need none.
    #[arg(long, conflicts_with = "scopes")]
    no_scopes: bool,
    /// What people call it.
    #[arg(long)]
    name: Option<String>,
    /// Whom an application's key is for; shown to upstreams.
    #[arg(long)]
    subject: Option<String>,
    #[command(flatten)]
    origin: Origin,
    #[command(flatten)]
    dates: Dates,
    #[command(flatten)]
    wait: Wait,
}

/// Where a key is bound to.
#[derive(Args)]
#[group(multiple = false)]
pub(super) struct Origin {
    /// Take it only with this domain in the Origin header.
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<String>,
    /// Take it only with the base of this URL, which ends in /webhook, in the Origin header.
    #[arg(long, value_name = "URL")]
    webhook_url: Option<String>,
}

impl Origin {
    pub(super) fn to_json(&self) -> Option<Value> {
        let domain = self.domain.as_ref().map(|domain| json!({ "domain": domain }));
        domain.or_else(|| self.webhook_url.as_ref().map(|url| json!({ "webhook_url": url })))
    }
}

pub(super) async fn run(args: Create, target: &Target) -> Result<(), CommandError> {
    let now = edge::now();
    let body = Fields::default()
        .maybe("team", args.team)
        .maybe("service_account", args.service_account)
        .maybe("user", args.user)
        .maybe("scopes", list(args.scopes, args.no_scopes))
        .maybe("name", args.name)
        .maybe("subject", args.subject)
        .maybe("origin", args.origin.to_json())
        .maybe("not_before", args.dates.not_before.map(|when| when.to_json(now)))
        .maybe("expires", args.dates.end.expires.map(|when| when.to_json(now)));
    let (answer, waited) = args.wait.send(&target.client()?, Method::POST, "/v1/keys", Some(&body.body())).await?;
    write_made(target, answer, &waited)
}
