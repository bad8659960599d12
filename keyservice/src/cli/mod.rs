//! The commands of the program.
//!
//! Exit codes: 0 done, 1 refused, failed or not complete, 2 wrong usage or setting, 3 the key service could not be
//! reached.
//!
//! * `target`: where commands go, how they answer, and what they wait for
//! * `thing`: what listing, showing, changing and deleting have in common

mod audit;
mod client;
mod enterprises;
mod fields;
mod fleet;
mod keys;
mod limits;
mod output;
mod serve;
mod service_accounts;
mod sessions;
mod target;
mod teams;
mod thing;
mod time;
mod token_keys;
mod users;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::{serve::ServeError, settings::SettingError};
use client::CallError;
use output::Output;
use target::{Group, Target};

const AFTER_HELP: &str = "\
Secrets come from the environment or a file, never from a flag that `ps` shows:
  TOLLKEEPER_ADMIN_TOKEN or TOLLKEEPER_ADMIN_TOKEN_FILE   all commands
  TOLLKEEPER_NODE_TOKEN  or TOLLKEEPER_NODE_TOKEN_FILE    serve
  TOLLKEEPER_SIGNING_SECRET or TOLLKEEPER_SIGNING_SECRET_FILE  serve; without it nobody can log in

Exit codes:
  0 done, 1 refused, failed or not complete, 2 wrong usage or setting, 3 the key service could not be reached

Examples:
  keyservice serve --database /var/lib/tollkeeper/keys.db
  keyservice teams create acme --name 'Acme Ltd' --limit 300 --window 300
  keyservice keys create --team acme --scope read --scope write --expires 90d
  keyservice keys revoke c7tq4m2xkz5r6y3a --reason 'found in a public repository' --compromised --wait";

/// Issues, revokes and publishes API keys, and counts their use.
#[derive(Parser)]
#[command(name = "keyservice", version, after_help = AFTER_HELP, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the admin API, logins and the node API until SIGINT or SIGTERM.
    #[command(after_help = "Examples:
  keyservice serve --database /var/lib/tollkeeper/keys.db --listen 10.0.0.5:8081
  TOLLKEEPER_DATABASE=postgres://keys@db/keys keyservice serve --log-format text")]
    Serve(serve::ServeFlags),
    /// Make, show, change and delete enterprises, which own teams.
    #[command(after_help = "Examples:
  keyservice enterprises create umbrella --name 'Umbrella Corp'
  keyservice enterprises list")]
    Enterprises(Group<enterprises::Command>),
    /// Make, show, change and delete teams, which own keys and are rate-limited.
    #[command(after_help = "Examples:
  keyservice teams create acme --name 'Acme Ltd' --limit 300 --window 300
  keyservice teams set acme --state disabled --wait")]
    Teams(Group<teams::Command>),
    /// Show and set what all limits are multiplied by, for the time being.
    #[command(after_help = "Examples:
  keyservice limits show
  keyservice limits set --factor 0.5 --wait")]
    Limits(Group<limits::Command>),
    /// Make, show, change and delete users, and set their passwords.
    #[command(after_help = "Examples:
  keyservice users create ada --team acme --permission read
  keyservice users password ada --stdin < password")]
    Users(Group<users::Command>),
    /// Make, show, change and delete service accounts: programs with exactly one key each.
    #[command(after_help = "Examples:
  keyservice service-accounts create ci --team acme
  keyservice service-accounts list --team acme")]
    ServiceAccounts(Group<service_accounts::Command>),
    /// Make, show, change, rotate, revoke, delete, import and export keys.
    #[command(after_help = "Examples:
  keyservice keys create --team acme --scope read --expires 90d
  keyservice keys rotate c7tq4m2xkz5r6y3a --overlap 24h
  keyservice keys revoke c7tq4m2xkz5r6y3a --reason 'no longer needed' --wait")]
    Keys(Group<keys::Command>),
    /// Show and revoke sessions: tokens that were given out.
    #[command(after_help = "Examples:
  keyservice sessions list --user ada --state live
  keyservice sessions revoke --user ada --wait")]
    Sessions(Group<sessions::Command>),
    /// Show and rotate the keys that sign tokens.
    #[command(after_help = "Examples:
  keyservice token-keys list
  keyservice token-keys rotate --wait")]
    TokenKeys(Group<token_keys::Command>),
    /// Show the nodes, what they serve, and how far they are behind; forget those that have ended.
    #[command(after_help = "Examples:
  keyservice fleet --json | jq '.nodes[] | select(.lag > 0)'
  keyservice fleet forget 'edge-1#5f3a9c01'")]
    Fleet(fleet::Fleet),
    /// Show who changed what, when, and from where.
    #[command(after_help = "Examples:
  keyservice audit --team acme --since 2030-01-31T00:00:00Z
  keyservice audit --resource key:c7tq4m2xkz5r6y3a
  keyservice audit --enterprise umbrella --order newest --limit 20
  keyservice audit --action key.revoke --actor ada --json")]
    Audit(audit::Audit),
    /// Write completions for a shell to standard output.
    #[command(after_help = "Examples:
  keyservice completions bash > ~/.local/share/bash-completion/completions/keyservice
  keyservice completions zsh > ~/.zfunc/_keyservice
  keyservice completions fish > ~/.config/fish/completions/keyservice.fish")]
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// Why a command did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    #[error(transparent)]
    Setting(#[from] SettingError),
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Call(#[from] CallError),
    /// A part of what was asked for is done.
    #[error("{error} ({how_to_go_on})")]
    BrokenOff { error: CallError, how_to_go_on: String },
    /// The change has happened, but not everywhere yet, or not all of it.
    #[error("{detail}")]
    Incomplete { reason: &'static str, detail: String },
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error("cannot write the answer: {0}")]
    Output(#[from] std::io::Error),
}

impl CommandError {
    fn code(&self) -> u8 {
        match self {
            Self::Setting(_) | Self::Usage(_) => 2,
            Self::Call(error) | Self::BrokenOff { error, .. } => error.code(),
            Self::Incomplete { .. } | Self::Serve(_) | Self::Output(_) => 1,
        }
    }

    /// The error as a problem (RFC 9457); the service's own is passed on as it is.
    fn problem(&self) -> serde_json::Value {
        let reason = match self {
            Self::Setting(_) => "wrong_setting",
            Self::Usage(_) => "wrong_usage",
            Self::Call(error) => return error.problem(),
            Self::BrokenOff { error, how_to_go_on } => {
                let mut problem = error.problem();
                let detail = problem["detail"].as_str().unwrap_or_default();
                problem["detail"] = format!("{detail} ({how_to_go_on})").into();
                return problem;
            }
            Self::Incomplete { reason, .. } => reason,
            Self::Serve(_) => "cannot_serve",
            Self::Output(_) => "cannot_write",
        };
        output::problem(reason, &self.to_string())
    }
}

/// Reads the command line, does what it says, and gives the code to exit with.
pub fn main() -> ExitCode {
    let command = Cli::parse().command;
    let output = command.output();
    match run(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            match output {
                Output::Text => output::complain(&error),
                Output::Json => output::complain_json(&error.problem()),
            }
            ExitCode::from(error.code())
        }
    }
}

impl Command {
    fn output(&self) -> Output {
        match self {
            Self::Serve(_) | Self::Completions { .. } => Output::Text,
            Self::Enterprises(group) => group.target.output(),
            Self::Teams(group) => group.target.output(),
            Self::Limits(group) => group.target.output(),
            Self::Users(group) => group.target.output(),
            Self::ServiceAccounts(group) => group.target.output(),
            Self::Keys(group) => group.target.output(),
            Self::Sessions(group) => group.target.output(),
            Self::TokenKeys(group) => group.target.output(),
            Self::Fleet(fleet) => fleet.target.output(),
            Self::Audit(audit) => audit.place.output(),
        }
    }
}

fn run(command: Command) -> Result<(), CommandError> {
    let mut runtime = if matches!(command, Command::Serve(_)) {
        tokio::runtime::Builder::new_multi_thread()
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    runtime.enable_all().build()?.block_on(carry_out(command))
}

async fn carry_out(command: Command) -> Result<(), CommandError> {
    match command {
        Command::Serve(flags) => serve::start(flags).await,
        Command::Enterprises(Group { command, target }) => enterprises::run(command, &target).await,
        Command::Teams(Group { command, target }) => teams::run(command, &target).await,
        Command::Limits(Group { command, target }) => limits::run(command, &target).await,
        Command::Users(Group { command, target }) => users::run(command, &target).await,
        Command::ServiceAccounts(Group { command, target }) => service_accounts::run(command, &target).await,
        Command::Keys(Group { command, target }) => keys::run(command, &target).await,
        Command::Sessions(Group { command, target }) => sessions::run(command, &target).await,
        Command::TokenKeys(Group { command, target }) => token_keys::run(command, &target).await,
        Command::Fleet(fleet) => fleet::run(fleet).await,
        Command::Audit(audit) => audit::run(audit).await,
        Command::Completions { shell } => complete(shell),
    }
}

fn complete(shell: Shell) -> Result<(), CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "keyservice", &mut script);
    Ok(output::write(&String::from_utf8_lossy(&script))?)
}

#[cfg(test)]
mod tests;
