//! `keyservice serve`.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Args;
use tollkeeper_contract::Algorithm;

use super::CommandError;
use crate::{
    connections,
    domain::{TokenRules, TrustedProxies},
    logs,
    serve::{ServeSettings, serve},
    settings::{self, LogFormat, from_environment},
    store::Database,
    tls::TlsFiles,
};

#[derive(Args)]
pub(super) struct ServeFlags {
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
    /// Where the quotas of the fleet are kept: `memory`, for a single service, or redis://USER:PASSWORD@HOST:PORT/DATABASE
    /// (better in the environment: `ps` shows flags).
    #[arg(
        long,
        env = "TOLLKEEPER_QUOTA_STORE",
        hide_env_values = true,
        default_value = "memory",
        value_name = "memory|URL"
    )]
    quota_store: String,
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
    connections: ConnectionFlags,
    #[command(flatten)]
    tokens: TokenFlags,
    /// How log lines look.
    #[arg(long, env = "TOLLKEEPER_LOG_FORMAT", value_enum, default_value = "json")]
    log_format: LogFormat,
    /// Which log lines are written: a level, or a filter such as `info,keyservice=debug`.
    #[arg(long, env = "TOLLKEEPER_LOG", default_value = "info", value_name = "FILTER")]
    log: String,
}

/// How connections are accepted.
#[derive(Args)]
struct ConnectionFlags {
    /// The service's certificate in PEM, with those behind it that lead to the authority; with --tls-key, it speaks TLS
    /// and no plain HTTP. SIGHUP reads both again.
    #[arg(long, env = "TOLLKEEPER_TLS_CERTIFICATE", value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// The private key of that certificate, in PEM.
    #[arg(long, env = "TOLLKEEPER_TLS_KEY", value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// Authorities, in PEM, of which every caller must show a certificate; whoever comes may connect if there is none.
    #[arg(long, env = "TOLLKEEPER_TLS_CLIENT_CA", value_name = "FILE", requires = "tls_certificate")]
    tls_client_ca: Option<PathBuf>,
    /// How many connections there are at a time; others wait. Each takes an open file.
    #[arg(long, env = "TOLLKEEPER_MAX_CONNECTIONS", default_value_t = 900, value_name = "COUNT",
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    max_connections: u32,
    /// How long the head of a request may take to arrive, and how long a connection may be idle, in seconds.
    #[arg(long, env = "TOLLKEEPER_HEAD_SECONDS", default_value_t = connections::HEAD.as_secs(), value_name = "SECONDS",
        value_parser = clap::value_parser!(u64).range(1..=3600))]
    head_seconds: u64,
}

impl ConnectionFlags {
    fn tls(&self) -> Option<TlsFiles> {
        let (certificate, key) = self.tls_certificate.clone().zip(self.tls_key.clone())?;
        Some(TlsFiles { certificate, key, client_ca: self.tls_client_ca.clone() })
    }
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

pub(super) async fn start(flags: ServeFlags) -> Result<(), CommandError> {
    let rules = flags.tokens.rules();
    let secrets = settings::secrets(rules.clone(), from_environment)?;
    logs::start(flags.log_format, &flags.log).map_err(CommandError::Usage)?;
    let ServeFlags { listen, database, address_file, trusted_proxies, audit_days, quota_store, connections, .. } =
        flags;
    let database = Database::parse(&database)
        .map_err(|error| CommandError::Usage(format!("--database or TOLLKEEPER_DATABASE: {error}")))?;
    let quota_store = quota_store
        .parse()
        .map_err(|error| CommandError::Usage(format!("--quota-store or TOLLKEEPER_QUOTA_STORE: {error}")))?;
    let settings = ServeSettings {
        listen,
        database,
        address_file,
        secrets,
        rules,
        trusted_proxies,
        audit_days,
        quota_store,
        tls: connections.tls(),
        most_connections: connections.max_connections.try_into().unwrap_or(usize::MAX),
        head: Duration::from_secs(connections.head_seconds),
    };
    Ok(serve(settings).await?)
}
