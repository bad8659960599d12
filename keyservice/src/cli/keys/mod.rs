//! `keyservice keys`.
//!
//! * `create`: for every kind of key
//! * `acts`: change, revoke, rotate
//! * `import`, `export`: many keys at once

mod acts;
mod create;
mod export;
mod import;

use clap::{Args, Subcommand};
use serde_json::Value;
use tollkeeper_contract::KeyId;

use super::{
    CommandError, Target,
    client::view,
    output::{self, Output, or_dash},
    target::{Wait, Waited},
    thing::{self, Filters, Thing, path_of},
    time::When,
};
use crate::api::wire::{KeyMade, KeyView};

/// What to do with keys.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a key. It is shown once, in this answer, and never again.
    #[command(after_help = "Examples:
  keyservice keys create --team acme --scope read --scope write --expires 90d
  keyservice keys create --team acme --scope reports:read --name ci --subject ci@acme.example --json | jq -r .key
  keyservice keys create --team acme --scope read --webhook-url https://mycoolapp.com/api/webhook
  keyservice keys create --service-account ci --scope read
  keyservice keys create --user ada")]
    Create(create::Create),
    /// List keys.
    #[command(after_help = "Examples:
  keyservice keys list --team acme --state active
  keyservice keys list --user ada")]
    List(Filter),
    /// Show one key and what was counted of it.
    #[command(after_help = "Example:\n  keyservice keys show c7tq4m2xkz5r6y3a")]
    Show {
        /// The key's id (not the key).
        id: String,
    },
    /// Change a key.
    #[command(after_help = "Examples:
  keyservice keys set c7tq4m2xkz5r6y3a --scope read
  keyservice keys set c7tq4m2xkz5r6y3a --expires never --subject ''
  keyservice keys set c7tq4m2xkz5r6y3a --state disabled")]
    Set(acts::Set),
    /// Give a key another name.
    #[command(after_help = "Example:\n  keyservice keys rename c7tq4m2xkz5r6y3a 'build server'")]
    Rename {
        /// The key's id (not the key).
        id: String,
        /// What people call it from now on; '' for nothing.
        name: String,
    },
    /// Revoke a key for good. It stays listed, and callers are told that it is revoked.
    #[command(after_help = "Examples:
  keyservice keys revoke c7tq4m2xkz5r6y3a --reason 'no longer needed'
  keyservice keys revoke c7tq4m2xkz5r6y3a --reason 'found in a public repository' --compromised --wait")]
    Revoke(acts::Revoke),
    /// Replace a key by a new one, which is shown once. The old one still works for as long as you say.
    #[command(after_help = "Examples:
  keyservice keys rotate c7tq4m2xkz5r6y3a --overlap 24h
  keyservice keys rotate c7tq4m2xkz5r6y3a --expires 90d --wait")]
    Rotate(acts::Rotate),
    /// Delete a key. It is gone, and callers are told that it is unknown.
    #[command(after_help = "Example:\n  keyservice keys delete c7tq4m2xkz5r6y3a --wait")]
    Delete {
        /// The key's id (not the key).
        id: String,
        #[command(flatten)]
        wait: Wait,
    },
    /// Import keys of another system by their SHA-256, from JSON lines or CSV.
    ///
    /// Every thousand keys are imported as a whole or not at all. Keys that are there already are reported with their
    /// lines and left as they are; so an import that was broken off goes on when it is started again, with
    /// --skip-duplicates.
    #[command(after_help = "Examples:
  keyservice keys import keys.csv
  keyservice keys import keys.jsonl --skip-duplicates
  keyservice keys import - --format jsonl < keys.jsonl")]
    Import(import::Import),
    /// Write all about keys but their texts, as JSON lines or CSV.
    #[command(after_help = "Examples:
  keyservice keys export > keys.jsonl
  keyservice keys export --format csv --team acme > acme.csv")]
    Export(export::Export),
}

/// Which keys.
#[derive(Args)]
pub(crate) struct Filter {
    /// Only keys of this team.
    #[arg(long, value_name = "ID")]
    team: Option<String>,
    /// Only keys of this enterprise.
    #[arg(long, value_name = "ID")]
    enterprise: Option<String>,
    /// Only keys of this user.
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// Only keys of this service account.
    #[arg(long, value_name = "ID")]
    service_account: Option<String>,
    /// Only keys in this state.
    #[arg(long, value_parser = ["active", "disabled", "revoked"])]
    state: Option<String>,
    /// Only keys of this kind.
    #[arg(long, value_parser = ["application", "service_account", "enterprise_service_account", "personal"])]
    kind: Option<String>,
}

impl Filter {
    fn filters(&self) -> [(&'static str, Option<&str>); 6] {
        [
            ("team", self.team.as_deref()),
            ("enterprise", self.enterprise.as_deref()),
            ("user", self.user.as_deref()),
            ("service_account", self.service_account.as_deref()),
            ("state", self.state.as_deref()),
            ("kind", self.kind.as_deref()),
        ]
    }
}

/// When a key works.
#[derive(Args)]
struct Dates {
    /// When it begins to work: a time (RFC 3339), a duration from now such as 2h, or never (no such date).
    #[arg(long, value_parser = When::parse, value_name = "TIME")]
    not_before: Option<When>,
    #[command(flatten)]
    end: End,
}

/// When a key ends.
#[derive(Args)]
struct End {
    /// When it ends: a time (RFC 3339), a duration from now such as 90d, or never.
    #[arg(long, value_parser = When::parse, value_name = "TIME")]
    expires: Option<When>,
}

pub(super) async fn run(command: Command, target: &Target) -> Result<(), CommandError> {
    match command {
        Command::Create(args) => create::run(args, target).await,
        Command::List(filter) => {
            let filters: Filters<'_> = &filter.filters();
            thing::list::<KeyView>(target, filters).await
        }
        Command::Show { id } => thing::show::<KeyView>(target, &id).await,
        Command::Set(args) => acts::set(args, target).await,
        Command::Rename { id, name } => acts::rename(&id, name, target).await,
        Command::Revoke(args) => acts::revoke(args, target).await,
        Command::Rotate(args) => acts::rotate(args, target).await,
        Command::Delete { id, wait } => thing::delete::<KeyView>(target, wait, &id).await,
        Command::Import(args) => import::run(args, target).await,
        Command::Export(args) => export::run(args, target).await,
    }
}

/// Writes a key that was made.
fn write_made(target: &Target, answer: Value, waited: &Waited) -> Result<(), CommandError> {
    if target.output() == Output::Json {
        output::write_json(&answer)?;
        return waited.outcome();
    }
    let made: KeyMade = view(answer)?;
    let text = made.key.map(|text| ("key", Some(text)));
    let pairs: Vec<_> = text.into_iter().chain(made.view.about()).collect();
    let note = "The key is shown this once: keep it now.\n";
    output::write(&format!("{}{}{note}", output::pairs(&pairs), waited.line()))?;
    waited.outcome()
}

impl Thing for KeyView {
    const WORD: &'static str = "key";
    const LIST: &'static str = "keys";
    const PATH: &'static str = "/v1/keys";
    const HEAD: &'static [&'static str] =
        &["ID", "OWNER", "NAME", "STATE", "SCOPES", "EXPIRES", "GRANTED", "LIMITED", "LAST USED"];

    fn row(self) -> Vec<String> {
        let used = self.used;
        vec![
            self.id,
            or_dash(self.user.or(self.service_account).or(self.team).or(self.enterprise).as_deref()),
            or_dash(self.name.as_deref()),
            self.state,
            or_dash(Some(self.scopes.join(" ").as_str()).filter(|scopes| !scopes.is_empty())),
            or_dash(self.expires.as_deref()),
            used.granted.to_string(),
            used.limited.to_string(),
            or_dash(used.last_used_at.as_deref()),
        ]
    }

    fn about(self) -> Vec<(&'static str, Option<String>)> {
        vec![
            ("id", Some(self.id)),
            ("kind", Some(self.kind)),
            ("team", self.team),
            ("enterprise", self.enterprise),
            ("service account", self.service_account),
            ("user", self.user),
            ("name", self.name),
            ("subject", self.subject),
            ("scopes", Some(self.scopes.join(" ")).filter(|scopes| !scopes.is_empty())),
            ("state", Some(self.state)),
            ("not before", self.not_before),
            ("expires", self.expires),
            ("origin", self.origin),
            ("created", Some(self.created_at)),
            ("revoked", self.revoked_at),
            ("reason", self.revoke_reason),
            ("compromised", self.compromised.then(|| "yes".to_owned())),
            ("superseded by", self.superseded_by),
            ("granted", Some(self.used.granted.to_string())),
            ("limited", Some(self.used.limited.to_string())),
            ("last used", self.used.last_used_at),
        ]
    }

    fn path(id: &str) -> Result<String, CommandError> {
        // What is typed here may be a key by mistake, so it is not shown again.
        let about = |rule| format!("{rule}; this is the id in `keyservice keys list`, not the key");
        path_of(Self::PATH, KeyId::parse(id).map_err(about))
    }
}
