//! Ports: whether one is free, and a free one that stays the same over restarts.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Result, bail};

/// Below Linux's range for outgoing connections, so that no client takes the port while its owner restarts.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

static TRIED: AtomicU16 = AtomicU16::new(0);

/// An address on 127.0.0.1 that nobody listens on now. Different test processes start looking at different places.
///
/// # Errors
/// When all are taken.
pub fn reserve() -> Result<SocketAddr> {
    let start = u16::try_from(process::id().wrapping_mul(97) % u32::from(COUNT))?;
    for _ in 0..COUNT {
        let step = TRIED.fetch_add(1, Ordering::Relaxed) % COUNT;
        let address = local(FIRST + (start + step) % COUNT);
        if is_free(address) {
            return Ok(address);
        }
    }
    bail!("no port from {FIRST} on is free");
}

/// Whether a server could listen there.
pub fn is_free(address: SocketAddr) -> bool {
    TcpListener::bind(address).is_ok()
}

/// The address of a port on this machine only.
pub fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}
