//! From which address a request comes.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::{HeaderMap, request::Parts},
};

use super::{App, problem::Problem};
use crate::domain::TrustedProxies;

const FORWARDED: &str = "x-forwarded-for";

/// The address that a request comes from: that of the connection, or what a trusted proxy says.
pub(super) struct Source(pub(super) Option<IpAddr>);

impl FromRequestParts<Arc<App>> for Source {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
        Ok(Self(peer.map(|peer| source(peer, &parts.headers, &app.trusted_proxies))))
    }
}

/// The peer's address, or the last one that the peer wrote into `x-forwarded-for` if it is a proxy of ours. What stands
/// before the last one was written by others.
fn source(peer: IpAddr, headers: &HeaderMap, trusted: &TrustedProxies) -> IpAddr {
    let peer = peer.to_canonical();
    if !trusted.contains(peer) {
        if headers.contains_key(FORWARDED) {
            warn_of_proxy(peer);
        }
        return peer;
    }
    let last = headers.get_all(FORWARDED).iter().next_back().and_then(|value| value.to_str().ok());
    last.and_then(|value| value.rsplit(',').next()).and_then(|text| address(text.trim())).unwrap_or(peer)
}

/// Said once: a stranger can write the header as well.
fn warn_of_proxy(peer: IpAddr) {
    static SAID: AtomicBool = AtomicBool::new(false);
    if !SAID.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            %peer,
            "a request was forwarded by a proxy that is not trusted, so failed logins of all its clients count as the \
             proxy's own; if it is yours, name it in TOLLKEEPER_TRUSTED_PROXIES"
        );
    }
}

/// An address, perhaps with a port.
fn address(text: &str) -> Option<IpAddr> {
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    text.parse::<IpAddr>().ok().or_else(with_port).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue};

    use super::source;
    use crate::domain::TrustedProxies;

    fn from(peer: &str, forwarded: &[&'static str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", HeaderValue::from_static(value));
        }
        source(peer.parse().unwrap(), &headers, &TrustedProxies::default()).to_string()
    }

    #[test]
    fn a_trusted_proxy_says_where_a_request_comes_from() {
        assert_eq!(from("127.0.0.1", &["203.0.113.9"]), "203.0.113.9");
        assert_eq!(from("::1", &["2001:db8::1"]), "2001:db8::1");
        assert_eq!(from("::ffff:127.0.0.1", &["203.0.113.9:4711"]), "203.0.113.9");
    }

    #[test]
    fn what_a_client_wrote_before_the_proxy_is_not_believed() {
        assert_eq!(from("127.0.0.1", &["198.51.100.1, 203.0.113.9"]), "203.0.113.9");
        assert_eq!(from("127.0.0.1", &["198.51.100.1", "203.0.113.9"]), "203.0.113.9");
    }

    #[test]
    fn nobody_else_is_believed() {
        assert_eq!(from("192.0.2.1", &["203.0.113.9"]), "192.0.2.1");
    }

    #[test]
    fn without_an_address_it_is_the_proxy_itself() {
        for nothing in [&[][..], &["unknown"], &[""], &["203.0.113.9,"]] {
            assert_eq!(from("127.0.0.1", nothing), "127.0.0.1", "{nothing:?}");
        }
    }
}
