//! The commands of the program.
//!
//! Exit codes: 0 done, 1 refused or failed, 2 wrong usage or setting, 3 the key service could not be reached.

mod client;
mod keys;
mod output;
mod teams;
mod time;

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};
use tollkeeper_contract::Algorithm;

use crate::{
    domain::{TokenRules, TrustedProxies},
    logs,
    serve::{ServeError, ServeSettings, serve},
    settings::{self, LogFormat, SettingError, from_environment},
    store::Database,
};
use client::{CallError, Client};
use output::Output;

const AFTER_HELP: &str = "\
Secrets come from the environment or a file, never from a flag that `ps` shows:
  TOLLKEEPER_ADMIN_TOKEN or TOLLKEEPER_ADMIN_TOKEN_FILE   all commands
  TOLLKEEPER_NODE_TOKEN  or TOLLKEEPER_NODE_TOKEN_FILE    serve
  TOLLKEEPER_SIGNING_SECRET or TOLLKEEPER_SIGNING_SECRET_FILE  serve; without it nobody can log in

Exit codes:
  0 done, 1 refused or failed, 2 wrong usage or setting, 3 the key service could not be reached

Examples:
  keyservice serve --database /var/lib/tollkeeper/keys.db
  keyservice teams create acme --name 'Acme Ltd' --limit 300 --window 300
  keyservice keys create --team acme --scope read --scope write --expires 90d
  keyservice keys revoke c7tq4m2xkz5r6y3a --reason 'found in a public repository'";

/// Issues, revokes and publishes API keys, and counts their use.
#[derive(Parser)]
#[command(name = "keyservice", version, after_help = AFTER_HELP, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the admin API and the node API until SIGINT or SIGTERM.
    Serve(ServeFlags),
    /// Make, show, change and delete teams.
    #[command(subcommand)]
    Teams(teams::Command),
    /// Make, show, change, revoke and delete keys.
    #[command(subcommand)]
    Keys(keys::Command),
}

#[derive(Args)]
struct ServeFlags {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, env = "TOLLKEEPER_LISTEN", default_value = "127.0.0.1:8081", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// A SQLite file, made if there is none, or postgres://USER:PASSWORD@HOST:PORT/NAME (better in the environment:
    /// `ps` shows flags).
    #[arg(
        long,
        env = "TOLLKEEPER_DATABASE",
        hide_env_values = true,
        default_value = "tollkeeper.db",
        value_name = "FILE|URL"
    )]
    database: String,
    /// How long the audit log is kept, in days.
    #[arg(long, env = "TOLLKEEPER_AUDIT_DAYS", default_value_t = 400, value_name = "DAYS",
        value_parser = clap::value_parser!(u64).range(1..=36_500))]
    audit_days: u64,
    /// Write the address that was bound into this file once the service listens.
    #[arg(long, env = "TOLLKEEPER_ADDRESS_FILE", value_name = "FILE")]
    address_file: Option<PathBuf>,
    /// Proxies whose `x-forwarded-for` is believed: addresses and ranges, parted by commas; none for nobody.
    #[arg(long, env = "TOLLKEEPER_TRUSTED_PROXIES", default_value = "127.0.0.0/8,::1", value_name = "RANGES")]
    trusted_proxies: TrustedProxies,
    #[command(flatten)]
    tokens: TokenFlags,
    /// How log lines look.
    #[arg(long, env = "TOLLKEEPER_LOG_FORMAT", value_enum, default_value = "json")]
    log_format: LogFormat,
    /// Which log lines are written: a level, or a filter such as `info,keyservice=debug`.
    #[arg(long, env = "TOLLKEEPER_LOG", default_value = "info", value_name = "FILTER")]
    log: String,
}

/// What stands in tokens.
#[derive(Args)]
struct TokenFlags {
    /// The `iss` of tokens: 1 to 256 visible ASCII characters.
    #[arg(
        long,
        env = "TOLLKEEPER_ISSUER",
        default_value = TokenRules::DEFAULT_NAME,
        value_parser = settings::token_name,
        value_name = "TEXT"
    )]
    issuer: String,
    /// The `aud` of tokens: 1 to 256 visible ASCII characters.
    #[arg(
        long,
        env = "TOLLKEEPER_AUDIENCE",
        default_value = TokenRules::DEFAULT_NAME,
        value_parser = settings::token_name,
        value_name = "TEXT"
    )]
    audience: String,
    /// How long a token lasts, in seconds: 60 to 86400.
    #[arg(
        long,
        env = "TOLLKEEPER_TOKEN_SECONDS",
        default_value_t = TokenRules::DEFAULT_SECONDS,
        value_parser = settings::token_seconds,
        value_name = "SECONDS"
    )]
    token_seconds: u64,
    /// How tokens are signed: HS256, EdDSA or ES256. Unless told, as the newest token key; the first one is for HS256.
    #[arg(long, env = "TOLLKEEPER_TOKEN_ALGORITHM", value_parser = settings::token_algorithm, value_name = "ALGORITHM")]
    token_algorithm: Option<Algorithm>,
}

impl TokenFlags {
    fn rules(&self) -> TokenRules {
        TokenRules {
            issuer: self.issuer.clone(),
            audience: self.audience.clone(),
            seconds: self.token_seconds,
            algorithm: self.token_algorithm,
        }
    }
}

/// Where commands go, and how they answer.
#[derive(Args)]
pub(crate) struct Target {
    /// Where the key service is.
    #[arg(long, env = client::URL, default_value = "http://127.0.0.1:8081", value_name = "URL")]
    url: String,
    /// Answer in JSON, as the admin API does.
    #[arg(long)]
    json: bool,
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
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error("cannot write the answer: {0}")]
    Output(#[from] std::io::Error),
}

impl CommandError {
    fn code(&self) -> u8 {
        match self {
            Self::Setting(_) | Self::Usage(_) => 2,
            Self::Call(error) => error.code(),
            Self::Serve(_) | Self::Output(_) => 1,
        }
    }
}

/// Reads the command line, does what it says, and gives the code to exit with.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&error);
            ExitCode::from(error.code())
        }
    }
}

fn run(command: Command) -> Result<(), CommandError> {
    let mut runtime = match &command {
        Command::Serve(_) => tokio::runtime::Builder::new_multi_thread(),
        Command::Teams(_) | Command::Keys(_) => tokio::runtime::Builder::new_current_thread(),
    };
    let runtime = runtime.enable_all().build()?;
    match command {
        Command::Serve(flags) => runtime.block_on(start(flags)),
        Command::Teams(command) => runtime.block_on(teams::run(command)),
        Command::Keys(command) => runtime.block_on(keys::run(command)),
    }
}

async fn start(flags: ServeFlags) -> Result<(), CommandError> {
    let tokens = settings::tokens(from_environment)?;
    logs::start(flags.log_format, &flags.log).map_err(CommandError::Usage)?;
    let rules = flags.tokens.rules();
    let mint = settings::mint(&tokens, rules, from_environment)?;
    let ServeFlags { listen, database, address_file, trusted_proxies, audit_days, .. } = flags;
    let database = Database::parse(&database)
        .map_err(|error| CommandError::Usage(format!("--database or TOLLKEEPER_DATABASE: {error}")))?;
    Ok(serve(ServeSettings { listen, database, address_file, tokens, trusted_proxies, mint, audit_days }).await?)
}

impl Target {
    fn client(&self) -> Result<Client, CommandError> {
        Ok(Client::new(&self.url, settings::admin_token(from_environment)?)?)
    }

    fn output(&self) -> Output {
        if self.json { Output::Json } else { Output::Text }
    }
}
