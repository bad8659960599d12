//! A certificate authority for tests, and certificates of its own making.

use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair};
use rustls::pki_types::CertificateDer;

/// The authority that all clients of the lab trust; another one in each process.
pub static LAB: LazyLock<Result<Authority>> = LazyLock::new(|| Authority::new("the lab"));

/// Signs certificates.
#[derive(Clone, Debug)]
pub struct Authority(Arc<CertifiedIssuer<'static, KeyPair>>);

/// A certificate and its private key, in PEM.
#[derive(Clone)]
pub struct Certificate {
    /// The certificate.
    pub chain: String,
    /// Its key.
    pub key: String,
}

impl Authority {
    /// A new one.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn new(name: &str) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name = named(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Ok(Self(Arc::new(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)))
    }

    /// Its own certificate, in PEM: what trusts it is given.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Its own certificate.
    pub fn der(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    /// A certificate for these names and addresses.
    ///
    /// # Errors
    /// When no key can be made, or a name is none.
    pub fn certificate(&self, names: &[&str]) -> Result<Certificate> {
        let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())?;
        params.distinguished_name = named(names.first().unwrap_or(&"nobody"));
        let key = KeyPair::generate()?;
        let chain = params.signed_by(&key, &*self.0)?.pem();
        Ok(Certificate { chain, key: key.serialize_pem() })
    }
}

impl Certificate {
    /// Writes it as `tls.crt` and `tls.key`, each at once.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write_to(&self, directory: &Path) -> Result<()> {
        for (name, text) in [("tls.crt", &self.chain), ("tls.key", &self.key)] {
            let partial = directory.join(format!("{name}.partial"));
            fs::write(&partial, text)?;
            fs::rename(&partial, directory.join(name))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.chain)
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}
