//! `keyservice service-accounts`.

use clap::{Args, Subcommand};
use tollkeeper_contract::ServiceAccountId;

use super::{
    CommandError, Target,
    fields::Fields,
    output::or_dash,
    target::Wait,
    thing::{self, Thing, path_of},
};
use crate::api::wire::ServiceAccountView;

/// What to do with service accounts.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a service account of a team or of an enterprise. An enterprise's may act for any of its teams.
    #[command(after_help = "Examples:
  keyservice service-accounts create ci --team acme
  keyservice service-accounts create billing --enterprise initech --name 'Billing run'")]
    Create(Create),
    /// List service accounts.
    #[command(after_help = "Example:\n  keyservice service-accounts list --team acme")]
    List(List),
    /// Show one service account, and the id of its key.
    #[command(after_help = "Example:\n  keyservice service-accounts show ci")]
    Show {
        /// Its id.
        id: String,
    },
    /// Change a service account.
    #[command(after_help = "Example:\n  keyservice service-accounts set ci --name 'Build server'")]
    Set(Set),
    /// Delete a service account whose key is revoked or deleted.
    #[command(after_help = "Example:\n  keyservice service-accounts delete ci")]
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
    /// The team that it belongs to.
    #[arg(long, value_name = "ID", required_unless_present = "enterprise")]
    team: Option<String>,
    /// The enterprise that it belongs to.
    #[arg(long, value_name = "ID", conflicts_with = "team")]
    enterprise: Option<String>,
    /// What people call it [default: the id].
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    wait: Wait,
}

#[derive(Args)]
pub(crate) struct List {
    /// Only those of this team.
    #[arg(long, value_name = "ID")]
    team: Option<String>,
    /// Only those of this enterprise.
    #[arg(long, value_name = "ID")]
    enterprise: Option<String>,
}

#[derive(Args)]
pub(crate) struct Set {
    /// Its id.
    id: String,
    /// What people call it.
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    wait: Wait,
}

pub(super) async fn run(command: Command, target: &Target) -> Result<(), CommandError> {
    match command {
        Command::Create(args) => {
            let body = Fields::default().maybe("id", Some(args.id)).maybe("team", args.team);
            let body = body.maybe("enterprise", args.enterprise).maybe("name", args.name).body();
            thing::create::<ServiceAccountView>(target, args.wait, body).await
        }
        Command::List(List { team, enterprise }) => {
            let filters = [("team", team.as_deref()), ("enterprise", enterprise.as_deref())];
            thing::list::<ServiceAccountView>(target, &filters).await
        }
        Command::Show { id } => thing::show::<ServiceAccountView>(target, &id).await,
        Command::Set(args) => {
            let body = Fields::default().maybe("name", args.name).change("service-accounts set")?;
            thing::change::<ServiceAccountView>(target, args.wait, &args.id, body).await
        }
        Command::Delete { id, wait } => thing::delete::<ServiceAccountView>(target, wait, &id).await,
    }
}

impl Thing for ServiceAccountView {
    const WORD: &'static str = "service account";
    const LIST: &'static str = "service_accounts";
    const PATH: &'static str = "/v1/service-accounts";
    const HEAD: &'static [&'static str] = &["ID", "NAME", "TEAM", "ENTERPRISE", "KEY", "CREATED"];

    fn row(self) -> Vec<String> {
        let [team, enterprise, key] = [self.team, self.enterprise, self.key].map(|id| or_dash(id.as_deref()));
        vec![self.id, self.name, team, enterprise, key, self.created_at]
    }

    fn about(self) -> Vec<(&'static str, Option<String>)> {
        vec![
            ("id", Some(self.id)),
            ("name", Some(self.name)),
            ("team", self.team),
            ("enterprise", self.enterprise),
            ("key", self.key),
            ("created", Some(self.created_at)),
        ]
    }

    fn path(id: &str) -> Result<String, CommandError> {
        path_of(Self::PATH, ServiceAccountId::parse(id))
    }
}
