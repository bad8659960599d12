//! Starts, listens, and ends in good order.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinSet,
    time::{interval, timeout},
};

use crate::{
    api::{self, App},
    census::Census,
    connections::{self, Terms},
    domain::{Mint, TokenRules, TrustedProxies},
    edge, fleet,
    guesses::Guesses,
    login::Desk,
    metrics::Metrics,
    nodes::Nodes,
    quota::{Place, Quotas},
    renewal::Renewal,
    settings::Secrets,
    store::{ActError, Database, Housekeeping, OpenError, Retention, Store, TokenKeys},
    tls::{TlsError, TlsFiles},
};

/// How long requests under way may take once the program is asked to end.
const GRACE: Duration = Duration::from_secs(5);

/// How often the database forgets what it keeps only for a while.
const HOUSEKEEPING: Duration = Duration::from_secs(600);

/// What the service needs to start.
#[derive(Debug, Clone)]
pub struct ServeSettings {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where everything is kept.
    pub database: Database,
    /// Where to write the address that was bound.
    pub address_file: Option<PathBuf>,
    /// Who may call, and what tokens are made with; both are read again when the program is told to.
    pub secrets: Secrets,
    /// What all tokens say alike.
    pub rules: TokenRules,
    /// How long the audit log is kept, in days.
    pub audit_days: u64,
    /// Whose word on where a request comes from is taken.
    pub trusted_proxies: TrustedProxies,
    /// Where the books of the fleet's quotas are kept.
    pub quota_store: Place,
    /// Where the certificates are; without them it speaks plain HTTP.
    pub tls: Option<TlsFiles>,
    /// How many connections there are at a time.
    pub most_connections: usize,
    /// How long the head of a request may take, and how long a connection may be idle.
    pub head: Duration,
}

/// What to do when the newest token key was made from other secrets.
const SECRET_CHANGED: &str = "the newest token key was made from another signing secret (for HS256, perhaps from another node token), so a new one \
     was made, and signs from now on; tokens of the others are taken until they end. If the secret has leaked, end them \
     now: POST /v1/token-keys with {\"end_others\": true}. If it was not changed on purpose, give all services the same \
     TOLLKEEPER_SIGNING_SECRET and TOLLKEEPER_NODE_TOKEN";

/// What to do when no token key is left to sign with.
pub const SECRET_MISMATCH: &str = "no token key that has not ended is made from the secrets of this service, so nobody can log in: give it the \
     TOLLKEEPER_SIGNING_SECRET and TOLLKEEPER_NODE_TOKEN that the others have, or, if they are right, make a key from \
     them with POST /v1/token-keys";

/// Why the service cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The database cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {cause}; free it, or set TOLLKEEPER_LISTEN to another address")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        cause: io::Error,
    },
    /// The address file cannot be written.
    #[error("cannot write the address to {}: {cause}; check TOLLKEEPER_ADDRESS_FILE", .path.display())]
    AddressFile {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// No key that signs tokens can be made.
    #[error("cannot prepare the keys that sign tokens: {0}")]
    TokenKeys(#[source] ActError),
    /// There can be no TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The system refused what every server needs.
    #[error("the system failed: {0}")]
    System(#[from] io::Error),
}

/// Serves until the program is asked to end (SIGINT or SIGTERM).
///
/// # Errors
/// When it cannot start.
pub async fn serve(settings: ServeSettings) -> Result<(), ServeError> {
    let (stop, stopping) = watch::channel(false);
    tokio::spawn(stop_on_signal(signals()?, stop));
    let hangup = signal(SignalKind::hangup())?;
    let tls = settings.tls.as_ref().map(TlsFiles::read).transpose()?;
    // First the address: a start that fails on it must not have changed the database's schema.
    let listener = listen(settings.listen).await?;
    let store = Store::open(&settings.database).await?;
    let address = listener.local_addr()?;
    let Secrets { tokens, mint } = settings.secrets;
    let mint = mint.map(Arc::new);
    let (tokens_now, tokens) = watch::channel(Arc::new(tokens));
    if let Some(mint) = &mint {
        prepare_tokens(&store, mint).await?;
    }
    let nodes = Arc::new(Nodes::default());
    let quotas = Arc::new(Quotas::new(settings.quota_store));
    let mut background = JoinSet::new();
    background.spawn(look_after(Arc::clone(&quotas)));
    let desk = Arc::new(Desk::new(mint));
    let app = App {
        store: store.clone(),
        tokens,
        guesses: Guesses::none(),
        trusted_proxies: settings.trusted_proxies,
        desk: Arc::clone(&desk),
        metrics: Metrics::new(),
        nodes: Arc::clone(&nodes),
        census: Census::default(),
        quotas: Arc::clone(&quotas),
        stopping: stopping.clone(),
    };
    background.spawn(keep_house(store.clone(), settings.audit_days));
    background.spawn(fleet::keep_writing(store.clone(), Arc::clone(&nodes)));
    if let Some(path) = &settings.address_file {
        write_whole(path, &format!("{address}\n"))
            .map_err(|cause| ServeError::AddressFile { path: path.clone(), cause })?;
    }
    tracing::info!(%address, database = %settings.database, tls = tls.is_some(), "listening");
    let (certificates, tls) = watch::channel(tls);
    let (store_again, rules) = (store.clone(), settings.rules);
    let renewal = Renewal { tls: settings.tls, certificates, rules, tokens: tokens_now, desk, store: store_again };
    background.spawn(renewal.on_signal(hangup));
    let terms = Terms { tls, most: settings.most_connections, head: settings.head };
    run(listener, terms, app, stopping).await;
    background.shutdown().await;
    fleet::write_down(&store, &nodes).await;
    if let Err(error) = quotas.end(&store).await {
        tracing::warn!(%error, "the books of quotas could not be saved; everybody begins with none");
    }
    if timeout(GRACE, store.close()).await.is_err() {
        tracing::warn!("the database did not close in time; its log holds all that was committed");
    }
    tracing::info!("ended");
    Ok(())
}

/// Checks where quotas are kept, and from then on that nothing is lent after an absence before nodes have said what they spent.
async fn look_after(quotas: Arc<Quotas>) {
    tokio::join!(quotas.check(), quotas.keep_beating());
}

/// Sees to it that there is a key that signs tokens. One that was made from other secrets is replaced, which harms no
/// token and no other service, and is told about: whether the secrets are new or wrong is for people to say.
pub(crate) async fn prepare_tokens(store: &Store, mint: &Arc<Mint>) -> Result<(), ServeError> {
    let entropy = edge::token_key_entropy().map_err(|error| io::Error::other(error.to_string()))?;
    match store.prepare_token_keys(mint, entropy, edge::now()).await {
        Ok(TokenKeys::Found(key) | TokenKeys::Made(key)) => {
            tracing::info!(kid = %key.kid, algorithm = key.algorithm.as_str(), "tokens are signed with this key");
        }
        Ok(TokenKeys::Replaced { made, foreign }) => {
            tracing::warn!(kid = %made.kid, before = %foreign.kid, "{SECRET_CHANGED}");
        }
        Err(error) => return Err(ServeError::TokenKeys(error)),
    }
    Ok(())
}

async fn run(listener: TcpListener, terms: Terms, app: App, stopping: watch::Receiver<bool>) {
    let router = api::router(Arc::new(app));
    tokio::select! {
        () = connections::serve(listener, terms, router, stopping.clone()) => {}
        () = asked_long_ago(stopping) => tracing::warn!(seconds = GRACE.as_secs(), "requests under way were cut off"),
    }
}

async fn asked(mut stopping: watch::Receiver<bool>) {
    // An error says that nobody is left who could ask.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

async fn asked_long_ago(stopping: watch::Receiver<bool>) {
    asked(stopping).await;
    tokio::time::sleep(GRACE).await;
}

type Signals = [tokio::signal::unix::Signal; 2];

fn signals() -> io::Result<Signals> {
    Ok([signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?])
}

async fn stop_on_signal([mut interrupt, mut terminate]: Signals, stop: watch::Sender<bool>) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    tracing::info!("asked to end");
    stop.send_replace(true);
    // The sender must outlive the wait of everybody who listens.
    stop.closed().await;
}

async fn listen(address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|cause| ServeError::Listen { address, cause })
}

async fn keep_house(store: Store, audit_days: u64) {
    let retention = Retention { audit_seconds: audit_days * 24 * 60 * 60, ..Retention::default() };
    let mut rounds = interval(HOUSEKEEPING);
    loop {
        rounds.tick().await;
        match store.clear(retention, edge::now()).await {
            Ok(Housekeeping::Cleared(cleared)) => tracing::debug!(?cleared, "housekeeping"),
            Ok(Housekeeping::Doubtful(believed)) => tracing::warn!(
                clock = %edge::now(), last = %believed,
                "the clock leaped, or this service did not run for more than an hour: nothing is forgotten until the clock \
                 is set right, or has gone on for as long again, or a week"
            ),
            Err(error) => tracing::warn!(%error, "housekeeping failed; it will be tried again"),
        }
    }
}

/// Writes a file so that a reader finds all of it or none.
fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    std::fs::write(&partial, text)?;
    std::fs::rename(&partial, path)
}
