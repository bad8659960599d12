//! What is renewed while the service runs, each time that it is told to (SIGHUP): certificates, tokens, the signing secret.

use std::sync::Arc;

use rustls::ServerConfig;
use tokio::{signal::unix::Signal, sync::watch};

use crate::{
    api::Tokens,
    domain::TokenRules,
    login::Desk,
    serve::{ServeError, prepare_tokens},
    settings::{self, SettingError, from_environment},
    store::Store,
    tls::{TlsError, TlsFiles},
};

/// Where everything comes from, and where it goes.
pub(crate) struct Renewal {
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) certificates: watch::Sender<Option<Arc<ServerConfig>>>,
    pub(crate) rules: TokenRules,
    pub(crate) tokens: watch::Sender<Arc<Tokens>>,
    pub(crate) desk: Arc<Desk>,
    pub(crate) store: Store,
}

/// Why everything stays as it was.
#[derive(Debug, thiserror::Error)]
enum RenewalError {
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Setting(#[from] SettingError),
    #[error(transparent)]
    TokenKeys(#[from] ServeError),
}

impl Renewal {
    /// Renews everything whenever the signal comes. What cannot be read, or does not fit together, changes nothing at all.
    pub(crate) async fn on_signal(self, mut signal: Signal) {
        while signal.recv().await.is_some() {
            match self.renew().await {
                Ok(()) => tracing::info!("certificates and tokens were read again"),
                Err(error) => tracing::error!(%error, "certificates and tokens stay as they were"),
            }
        }
    }

    async fn renew(&self) -> Result<(), RenewalError> {
        let certificate = self.tls.as_ref().map(TlsFiles::read).transpose()?;
        let secrets = settings::secrets(self.rules.clone(), from_environment)?;
        let mint = secrets.mint.map(Arc::new);
        if let Some(mint) = &mint {
            prepare_tokens(&self.store, mint).await?;
        }
        self.desk.make_with(mint);
        self.tokens.send_replace(Arc::new(secrets.tokens));
        self.certificates.send_replace(certificate);
        Ok(())
    }
}
