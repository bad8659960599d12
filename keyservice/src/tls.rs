//! TLS: what the service shows and asks of its callers, read from files, again whenever it is told to.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};

/// The variable that names the file with the certificate.
pub const CERTIFICATE: &str = "TOLLKEEPER_TLS_CERTIFICATE";

/// The variable that names the file with the certificate's private key.
pub const KEY: &str = "TOLLKEEPER_TLS_KEY";

/// The variable that names the file with the authorities whose certificates callers must show.
pub const CLIENT_CA: &str = "TOLLKEEPER_TLS_CLIENT_CA";

/// Where the certificates are.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The service's certificate, and behind it those that lead to the authority.
    pub certificate: PathBuf,
    /// The private key of the first certificate.
    pub key: PathBuf,
    /// The authorities of which callers must show a certificate; whoever comes may call if there is none.
    pub client_ca: Option<PathBuf>,
}

/// Why there can be no TLS: names the setting and the file, and says what to do.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file cannot be read, or is no PEM.
    #[error("{setting}: cannot read {}: {cause}", .path.display())]
    Unreadable {
        /// The setting.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: pem::Error,
    },
    /// The file has none of what it is for.
    #[error("{setting}: there is no certificate in {}; it takes PEM, with -----BEGIN CERTIFICATE-----", .path.display())]
    Empty {
        /// The setting.
        setting: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// Certificate and key do not fit, or one of them cannot be used.
    #[error(
        "{CERTIFICATE} ({}) and {KEY} ({}) cannot be used: {cause}; the key must be that of the first certificate",
        .certificate.display(), .key.display()
    )]
    Unusable {
        /// The file with the certificate.
        certificate: PathBuf,
        /// The file with the key.
        key: PathBuf,
        /// What is wrong.
        cause: rustls::Error,
    },
    /// The authorities cannot be used.
    #[error("{CLIENT_CA}: the authorities in {} cannot be used: {cause}", .path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: String,
    },
}

impl TlsFiles {
    /// What connections are accepted with, from what is in the files now.
    ///
    /// # Errors
    /// When a file cannot be read, or what is in them does not fit together.
    pub fn read(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let unusable =
            |cause| TlsError::Unusable { certificate: self.certificate.clone(), key: self.key.clone(), cause };
        let chain = certificates(CERTIFICATE, &self.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|cause| unreadable(KEY, &self.key, cause))?;
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(unusable)?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => builder.with_client_cert_verifier(verifier(path, provider)?),
        };
        let mut config = builder.with_single_cert(chain, key).map_err(unusable)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

fn verifier(path: &Path, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let refused = |cause: String| TlsError::Authorities { path: path.to_owned(), cause };
    let roots = roots(CLIENT_CA, path)?;
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| refused(error.to_string()))
}

/// The authorities in a file; `setting` is what named it.
///
/// # Errors
/// When it cannot be read, or has no authority.
pub fn roots(setting: &'static str, path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(setting, path)? {
        let refused = |cause: rustls::Error| TlsError::Authorities { path: path.to_owned(), cause: cause.to_string() };
        roots.add(certificate).map_err(refused)?;
    }
    Ok(roots)
}

fn certificates(setting: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let found = found.map_err(|cause| unreadable(setting, path, cause))?;
    if found.is_empty() { Err(TlsError::Empty { setting, path: path.to_owned() }) } else { Ok(found) }
}

fn unreadable(setting: &'static str, path: &Path, cause: pem::Error) -> TlsError {
    TlsError::Unreadable { setting, path: path.to_owned(), cause }
}
