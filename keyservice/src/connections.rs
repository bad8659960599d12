//! Accepts connections, so many at a time, and speaks HTTP/1.1 on each, with TLS or without.
//!
//! Nobody can keep a connection for nothing: whoever does not complete a handshake or the head of a request in time is
//! cut off. Bodies have their own time (`api::body`).

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tower_service::Service;

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long the head of a request may take to arrive, and how long a connection may be idle between two.
pub const HEAD: Duration = Duration::from_secs(60);

/// How often it is said at most that there are too many connections.
const SAYING: Duration = Duration::from_secs(60);

/// What connections are accepted with; `None` is plain HTTP. Another value holds for connections from then on.
pub type Tls = watch::Receiver<Option<Arc<ServerConfig>>>;

/// How connections are accepted.
#[derive(Clone)]
pub struct Terms {
    /// With TLS, or without.
    pub tls: Tls,
    /// How many there are at a time.
    pub most: usize,
    /// How long the head of a request may take.
    pub head: Duration,
}

/// Accepts connections until `stopping` becomes true, then waits for the requests under way.
pub async fn serve(listener: TcpListener, terms: Terms, router: Router, mut stopping: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(terms.most));
    let graceful = GracefulShutdown::new();
    let mut crowd = Crowd { most: terms.most, said: None };
    loop {
        let next = async {
            crowd.notice(&places);
            let place = Arc::clone(&places).acquire_owned().await.ok();
            (place, accept(&listener).await)
        };
        let (place, (stream, peer)) = tokio::select! {
            next = next => next,
            // An error says that nobody is left who could ask.
            _ = stopping.wait_for(|stopping| *stopping) => break,
        };
        let caller = Caller { router: router.clone(), peer, terms: terms.clone(), watcher: graceful.watcher() };
        tokio::spawn(caller.attend(stream, place));
    }
    drop(listener);
    graceful.shutdown().await;
}

/// Says when connections have to wait for a place, but not with each one.
struct Crowd {
    most: usize,
    said: Option<Instant>,
}

impl Crowd {
    fn notice(&mut self, places: &Semaphore) {
        let is_said = self.said.is_some_and(|at| at.elapsed() < SAYING);
        if places.available_permits() > 0 || is_said {
            return;
        }
        self.said = Some(Instant::now());
        tracing::warn!(
            connections = self.most,
            "there are as many connections as TOLLKEEPER_MAX_CONNECTIONS allows; others wait until one ends"
        );
    }
}

/// The next connection; what the system cannot accept now is waited for.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if is_its_own(&error) => {}
            Err(error) => {
                // Such as too many open files: asking again at once would only keep a core busy.
                tracing::error!(%error, "no connection can be accepted");
                sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// Whether only this one connection failed.
fn is_its_own(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    [ConnectionAborted, ConnectionRefused, ConnectionReset].contains(&error.kind())
}

/// Somebody who is connected.
struct Caller {
    router: Router,
    peer: SocketAddr,
    terms: Terms,
    watcher: Watcher,
}

impl Caller {
    /// Serves the connection to its end; `_place` is free again then.
    async fn attend(self, stream: TcpStream, _place: Option<OwnedSemaphorePermit>) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection cannot be told not to wait");
        }
        let tls = self.terms.tls.borrow().clone();
        let Some(tls) = tls else { return self.speak(stream).await };
        let peer = self.peer;
        match timeout(HANDSHAKE, TlsAcceptor::from(tls).accept(stream)).await {
            Ok(Ok(stream)) => self.speak(stream).await,
            Ok(Err(error)) => tracing::info!(%peer, %error, "a TLS handshake failed"),
            Err(_) => tracing::info!(%peer, "a TLS handshake took too long"),
        }
    }

    async fn speak<S: AsyncRead + AsyncWrite + Unpin + 'static>(self, stream: S) {
        let Self { router, peer, terms, watcher } = self;
        let answer = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            // A router is always ready.
            router.clone().call(request.map(Body::new))
        });
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(terms.head);
        let connection = http.serve_connection(TokioIo::new(stream), answer);
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!(%peer, %error, "a connection ended in the middle");
        }
    }
}
