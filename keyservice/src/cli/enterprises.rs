//! `keyservice enterprises`.

use clap::{Args, Subcommand};
use tollkeeper_contract::EnterpriseId;

use super::{
    CommandError, Target,
    fields::{Fields, Quota, QuotaChange},
    output::quota,
    target::Wait,
    thing::{self, Thing, path_of},
};
use crate::api::wire::EnterpriseView;

/// What to do with enterprises.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make an enterprise.
    #[command(after_help = "Example:\n  keyservice enterprises create initech --name 'Initech Inc'")]
    Create(Create),
    /// List enterprises.
    #[command(after_help = "Example:\n  keyservice enterprises list --state disabled")]
    List(List),
    /// Show one enterprise.
    #[command(after_help = "Example:\n  keyservice enterprises show initech")]
    Show {
        /// Its id.
        id: String,
    },
    /// Change an enterprise.
    #[command(after_help = "Examples:
  keyservice enterprises set initech --limit 1000 --window 60
  keyservice enterprises set initech --state disabled --wait")]
    Set(Set),
    /// Delete an enterprise that has no teams, no service accounts and no keys any more.
    #[command(after_help = "Example:\n  keyservice enterprises delete initech")]
    Delete {
        /// Its id.
        id: String,
        #[command(flatten)]
        wait: Wait,
    },
}

#[derive(Args)]
pub(crate) struct Create {
    /// Its id: 1 to 64 of A-Z a-z 0-9 - . _ ~
    id: String,
    /// What people call it [default: the id].
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    quota: Quota,
    #[command(flatten)]
    wait: Wait,
}

#[derive(Args)]
pub(crate) struct List {
    /// Only those in this state.
    #[arg(long, value_parser = ["active", "disabled"])]
    state: Option<String>,
}

#[derive(Args)]
pub(crate) struct Set {
    /// Its id.
    id: String,
    /// What people call it.
    #[arg(long)]
    name: Option<String>,
    /// Whether its own keys work: active or disabled.
    #[arg(long, value_parser = ["active", "disabled"])]
    state: Option<String>,
    #[command(flatten)]
    quota: QuotaChange,
    #[command(flatten)]
    wait: Wait,
}

pub(super) async fn run(command: Command, target: &Target) -> Result<(), CommandError> {
    match command {
        Command::Create(args) => {
            let body = Fields::default().maybe("id", Some(args.id)).maybe("name", args.name);
            let body = body.maybe("quota", args.quota.to_json()).body();
            thing::create::<EnterpriseView>(target, args.wait, body).await
        }
        Command::List(List { state }) => thing::list::<EnterpriseView>(target, &[("state", state.as_deref())]).await,
        Command::Show { id } => thing::show::<EnterpriseView>(target, &id).await,
        Command::Set(args) => {
            let body = Fields::default().maybe("name", args.name).maybe("state", args.state);
            let body = body.maybe("quota", args.quota.to_json()).change("enterprises set")?;
            thing::change::<EnterpriseView>(target, args.wait, &args.id, body).await
        }
        Command::Delete { id, wait } => thing::delete::<EnterpriseView>(target, wait, &id).await,
    }
}

impl Thing for EnterpriseView {
    const WORD: &'static str = "enterprise";
    const LIST: &'static str = "enterprises";
    const PATH: &'static str = "/v1/enterprises";
    const HEAD: &'static [&'static str] = &["ID", "NAME", "STATE", "QUOTA", "CREATED"];

    fn row(self) -> Vec<String> {
        vec![self.id, self.name, self.state, quota(self.quota), self.created_at]
    }

    fn about(self) -> Vec<(&'static str, Option<String>)> {
        vec![
            ("id", Some(self.id)),
            ("name", Some(self.name)),
            ("state", Some(self.state)),
            ("quota", Some(quota(self.quota))),
            ("created", Some(self.created_at)),
        ]
    }

    fn path(id: &str) -> Result<String, CommandError> {
        path_of(Self::PATH, EnterpriseId::parse(id))
    }
}
