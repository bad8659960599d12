//! `keyservice sessions`.

use clap::{ArgGroup, Args, Subcommand};
use reqwest::Method;
use tollkeeper_contract::SessionId;

use super::{
    CommandError, Target,
    client::view,
    fields::Fields,
    output::or_dash,
    target::Wait,
    thing::{self, Thing, path_of, told},
};
use crate::api::wire::{SessionView, SessionsRevoked};

/// What to do with sessions.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// List sessions.
    #[command(after_help = "Examples:
  keyservice sessions list --user ada --state live
  keyservice sessions list --key c7tq4m2xkz5r6y3a")]
    List(List),
    /// Show one session.
    #[command(after_help = "Example:\n  keyservice sessions show 5hq2w8zr4k1m9c3x")]
    Show {
        /// The session's id: the `jti` of its token.
        id: String,
    },
    /// Revoke one session, or all of a key or a user.
    #[command(after_help = "Examples:
  keyservice sessions revoke 5hq2w8zr4k1m9c3x --reason 'lost laptop' --wait
  keyservice sessions revoke --key c7tq4m2xkz5r6y3a
  keyservice sessions revoke --user ada --wait 10")]
    Revoke(Revoke),
}

#[derive(Args)]
pub(crate) struct List {
    /// Only those made with this key.
    #[arg(long, value_name = "ID")]
    key: Option<String>,
    /// Only those of this user.
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// Only those of this team.
    #[arg(long, value_name = "ID")]
    team: Option<String>,
    /// Only those in this state.
    #[arg(long, value_parser = ["live", "revoked", "expired"])]
    state: Option<String>,
}

#[derive(Args)]
#[command(group = ArgGroup::new("whose").args(["id", "key", "user"]).required(true))]
pub(crate) struct Revoke {
    /// The session's id.
    id: Option<String>,
    /// All sessions that were made with this key; it need not exist any more.
    #[arg(long, value_name = "ID")]
    key: Option<String>,
    /// All sessions of this user.
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// Why, in your words.
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    wait: Wait,
}

pub(super) async fn run(command: Command, target: &Target) -> Result<(), CommandError> {
    match command {
        Command::List(List { key, user, team, state }) => {
            let filters = [
                ("key", key.as_deref()),
                ("user", user.as_deref()),
                ("team", team.as_deref()),
                ("state", state.as_deref()),
            ];
            thing::list::<SessionView>(target, &filters).await
        }
        Command::Show { id } => thing::show::<SessionView>(target, &id).await,
        Command::Revoke(args) => revoke(args, target).await,
    }
}

async fn revoke(args: Revoke, target: &Target) -> Result<(), CommandError> {
    let body = Fields::default().maybe("reason", args.reason);
    if let Some(id) = args.id {
        let path = format!("{}/revoke", SessionView::path(&id)?);
        return thing::act::<SessionView>(target, args.wait, Method::POST, &path, Some(&body.body())).await;
    }
    let body = body.maybe("key", args.key).maybe("user", args.user).body();
    let (answer, waited) = args.wait.send(&target.client()?, Method::POST, "/v1/sessions/revoke", Some(&body)).await?;
    let SessionsRevoked { revoked, .. } = view(answer.clone())?;
    told(target, answer, "revoked", revoked.into(), &format!("{revoked} sessions are revoked\n"), &waited)
}

impl Thing for SessionView {
    const WORD: &'static str = "session";
    const LIST: &'static str = "sessions";
    const PATH: &'static str = "/v1/sessions";
    const HEAD: &'static [&'static str] = &["ID", "STATE", "KEY", "USER", "TEAM", "SCOPES", "CREATED", "EXPIRES"];

    fn row(self) -> Vec<String> {
        let [key, user, team] = [self.key, self.user, self.team].map(|id| or_dash(id.as_deref()));
        let scopes = or_dash(Some(self.scopes.join(" ").as_str()).filter(|scopes| !scopes.is_empty()));
        vec![self.id, self.state, key, user, team, scopes, self.created_at, self.expires]
    }

    fn about(self) -> Vec<(&'static str, Option<String>)> {
        vec![
            ("id", Some(self.id)),
            ("state", Some(self.state)),
            ("kind", Some(self.kind)),
            ("key", self.key),
            ("user", self.user),
            ("team", self.team),
            ("enterprise", self.enterprise),
            ("subject", Some(self.subject).filter(|subject| !subject.is_empty())),
            ("scopes", Some(self.scopes.join(" ")).filter(|scopes| !scopes.is_empty())),
            ("origin", self.origin),
            ("session id", self.session_id),
            ("token key", Some(self.token_key)),
            ("source", self.source),
            ("created", Some(self.created_at)),
            ("expires", Some(self.expires)),
            ("revoked", self.revoked_at),
            ("reason", self.revoke_reason),
        ]
    }

    fn path(id: &str) -> Result<String, CommandError> {
        // What is typed here may be a token by mistake, so it is not shown again.
        let about = |rule| format!("{rule}; this is the id in `keyservice sessions list`, not the token");
        path_of(Self::PATH, SessionId::parse(id).map_err(about))
    }
}
