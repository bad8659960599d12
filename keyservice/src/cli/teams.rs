//! `keyservice teams`.

use clap::{Args, Subcommand};
use tollkeeper_contract::TeamId;

use super::{
    CommandError, Target,
    fields::{Fields, Quota, QuotaChange, list},
    output::{or_dash, quota},
    target::Wait,
    thing::{self, Thing, path_of},
};
use crate::api::wire::TeamView;

/// What to do with teams.
#[derive(Subcommand)]
#[command(
    after_help = "A team is switched off with `teams set ID --state disabled`, which can be undone, and ended with
`teams delete ID`, once its keys are revoked."
)]
pub(crate) enum Command {
    /// Make a team.
    #[command(after_help = "Examples:
  keyservice teams create acme --name 'Acme Ltd' --limit 300 --window 300
  keyservice teams create acme --enterprise initech --host api.acme.example")]
    Create(Create),
    /// List teams.
    #[command(after_help = "Examples:\n  keyservice teams list\n  keyservice teams list --enterprise initech")]
    List(List),
    /// Show one team and what was counted of it.
    #[command(after_help = "Example:\n  keyservice teams show acme")]
    Show {
        /// The team's id.
        id: String,
    },
    /// Change a team.
    #[command(after_help = "Examples:
  keyservice teams set acme --limit 600 --window 300
  keyservice teams set acme --default-quota --no-hosts
  keyservice teams set acme --state disabled --wait 10")]
    Set(Set),
    /// Delete a team whose keys are all revoked, and these keys with it.
    #[command(after_help = "Example:\n  keyservice teams delete acme")]
    Delete {
        /// The team's id.
        id: String,
        #[command(flatten)]
        wait: Wait,
    },
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
    /// The enterprise that it belongs to.
    #[arg(long, value_name = "ID")]
    enterprise: Option<String>,
    /// A host where alone it is served; repeat it for more.
    #[arg(long = "host", value_name = "HOST")]
    hosts: Vec<String>,
    /// End a key's sessions when the key is revoked or deleted.
    #[arg(long)]
    revoke_sessions: bool,
    #[command(flatten)]
    wait: Wait,
}

#[derive(Args)]
pub(crate) struct List {
    /// Only those of this enterprise.
    #[arg(long, value_name = "ID")]
    enterprise: Option<String>,
    /// Only those in this state.
    #[arg(long, value_parser = ["active", "disabled"])]
    state: Option<String>,
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
    quota: QuotaChange,
    /// The enterprise that it belongs to; '' for none.
    #[arg(long, value_name = "ID")]
    enterprise: Option<String>,
    /// A host where alone it is served from now on; repeat it for more.
    #[arg(long = "host", value_name = "HOST")]
    hosts: Vec<String>,
    /// Serve it on the hosts that no team has for itself.
    #[arg(long, conflicts_with = "hosts")]
    no_hosts: bool,
    /// Whether a key's sessions end when the key is revoked or deleted.
    #[arg(long, value_name = "BOOL")]
    revoke_sessions: Option<bool>,
    #[command(flatten)]
    wait: Wait,
}

pub(super) async fn run(command: Command, target: &Target) -> Result<(), CommandError> {
    match command {
        Command::Create(args) => create(args, target).await,
        Command::List(List { enterprise, state }) => {
            let filters = [("enterprise", enterprise.as_deref()), ("state", state.as_deref())];
            thing::list::<TeamView>(target, &filters).await
        }
        Command::Show { id } => thing::show::<TeamView>(target, &id).await,
        Command::Set(args) => set(args, target).await,
        Command::Delete { id, wait } => thing::delete::<TeamView>(target, wait, &id).await,
    }
}

async fn create(args: Create, target: &Target) -> Result<(), CommandError> {
    let body = Fields::default()
        .maybe("id", Some(args.id))
        .maybe("name", args.name)
        .maybe("quota", args.quota.to_json())
        .maybe("enterprise", args.enterprise)
        .maybe("hosts", Some(args.hosts).filter(|hosts| !hosts.is_empty()))
        .maybe("revoke_sessions", args.revoke_sessions.then_some(true));
    thing::create::<TeamView>(target, args.wait, body.body()).await
}

async fn set(args: Set, target: &Target) -> Result<(), CommandError> {
    let body = Fields::default()
        .maybe("name", args.name)
        .maybe("state", args.state)
        .maybe("quota", args.quota.to_json())
        .clearable("enterprise", args.enterprise)
        .maybe("hosts", list(args.hosts, args.no_hosts))
        .maybe("revoke_sessions", args.revoke_sessions);
    thing::change::<TeamView>(target, args.wait, &args.id, body.change("teams set")?).await
}

impl Thing for TeamView {
    const WORD: &'static str = "team";
    const LIST: &'static str = "teams";
    const PATH: &'static str = "/v1/teams";
    const HEAD: &'static [&'static str] = &["ID", "NAME", "STATE", "QUOTA", "GRANTED", "LIMITED", "LAST USED"];

    fn row(self) -> Vec<String> {
        let quota = quota(self.quota);
        let used = self.used;
        let last = or_dash(used.last_used_at.as_deref());
        vec![self.id, self.name, self.state, quota, used.granted.to_string(), used.limited.to_string(), last]
    }

    fn about(self) -> Vec<(&'static str, Option<String>)> {
        vec![
            ("id", Some(self.id)),
            ("name", Some(self.name)),
            ("state", Some(self.state)),
            ("quota", Some(quota(self.quota))),
            ("enterprise", self.enterprise),
            ("hosts", Some(self.hosts.join(" ")).filter(|hosts| !hosts.is_empty())),
            ("sessions", self.revoke_sessions.then(|| "end with their key".to_owned())),
            ("created", Some(self.created_at)),
            ("granted", Some(self.used.granted.to_string())),
            ("limited", Some(self.used.limited.to_string())),
            ("last used", self.used.last_used_at),
        ]
    }

    fn path(id: &str) -> Result<String, CommandError> {
        path_of(Self::PATH, TeamId::parse(id))
    }
}
