//! Signatures that Envoy verifies, if it can.

use std::cell::OnceCell;

use crate::token::{FOREIGN_FUNCTION, Foreign, Signatures};

use super::host;

type Call = fn(&[u8]) -> Option<Vec<u8>>;

thread_local! {
    /// Asked for once per VM, which is one thread: what Envoy can do does not change.
    static FUNCTION: OnceCell<Foreign<Call>> = const { OnceCell::new() };
}

/// What Envoy verifies.
#[derive(Debug)]
pub(super) struct HostSignatures;

impl Signatures for HostSignatures {
    fn es256(&self, key: &[u8; 65], message: &[u8], signature: &[u8; 64]) -> Option<bool> {
        FUNCTION.with(|function| function.get_or_init(find).es256(key, message, signature))
    }
}

fn find() -> Foreign<Call> {
    let function = Foreign::new((|arguments| host::call_foreign(FOREIGN_FUNCTION, arguments)) as Call);
    let who = if function.is_trusted() { "Envoy" } else { "the filter itself, because Envoy cannot," };
    log::info!("tollkeeper: {who} verifies ES256 signatures");
    function
}
