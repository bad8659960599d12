//! What the tokens of one token key have in common, worked out once: how their header is written, and the secrets of HS256.
//!
//! It follows from the header's text alone, or from the key's record and the node token. So nothing here can be out of date, and
//! every token is verified as ever.

use std::{fmt, rc::Rc};

use hmac::Hmac;
use sha2::Sha256;
use tollkeeper_contract::{Digest, page::NodeToken, token::Header};

use crate::refusal::Fault;

use super::signature;

/// How many headers, and secrets of how many keys, are kept: a fleet signs with one key, and for a while with the next.
const KEPT: usize = 4;

/// HMAC-SHA256 with each secret of a token key, ready for any message.
pub(super) type Secrets = Rc<Vec<Hmac<Sha256>>>;

/// What was worked out lately under one configuration in one VM.
#[derive(Default)]
pub(super) struct Known {
    headers: Vec<Rc<KnownHeader>>,
    secrets: Vec<([u8; 32], Secrets)>,
}

/// The header of a token that was genuine.
pub(super) struct KnownHeader {
    /// As it stands in the token.
    pub(super) written: Box<[u8]>,
    /// What it says.
    pub(super) header: Header,
    /// Where its key lies in the table.
    pub(super) kid: Digest,
}

impl Known {
    /// The header that is written like this.
    pub(super) fn header(&self, written: &[u8]) -> Option<Rc<KnownHeader>> {
        self.headers.iter().find(|known| *known.written == *written).cloned()
    }

    /// Keeps the header of a token that was genuine: strangers push out nothing.
    pub(super) fn keep_header(&mut self, header: KnownHeader) {
        keep(&mut self.headers, Rc::new(header));
    }

    /// What verifies HS256 tokens of the token key with this salt.
    pub(super) fn secrets(&mut self, salt: &[u8; 32], node: &NodeToken) -> Result<Secrets, Fault> {
        if let Some((_, secrets)) = self.secrets.iter().find(|(known, _)| known == salt) {
            return Ok(Rc::clone(secrets));
        }
        let mut secrets = Vec::with_capacity(1);
        for secret in node.token_secrets(salt) {
            secrets.push(signature::keyed(&secret)?);
        }
        let secrets = Rc::new(secrets);
        keep(&mut self.secrets, (*salt, Rc::clone(&secrets)));
        Ok(secrets)
    }
}

fn keep<T>(kept: &mut Vec<T>, one: T) {
    if kept.len() >= KEPT {
        kept.remove(0);
    }
    kept.push(one);
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Known(…)")
    }
}
