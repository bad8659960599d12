//! A way to a server that can be slow, or cut: then what is sent is lost, and nobody is told.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::port::local;

/// Where connections are taken, and how they are carried on. Ends when it is dropped.
pub struct Way {
    address: SocketAddr,
    state: watch::Sender<State>,
    leads_to: watch::Sender<Option<SocketAddr>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open { delay: Duration },
    Cut,
}

impl Way {
    /// A way that leads nowhere yet: whoever takes it waits.
    ///
    /// # Errors
    /// When there is no port for it.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind(local(0)).await?;
        let address = listener.local_addr()?;
        let (state, leads_to) = (watch::Sender::new(State::Open { delay: Duration::ZERO }), watch::Sender::new(None));
        let (states, targets) = (state.subscribe(), leads_to.subscribe());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(lead(client, targets.clone(), states.clone()));
            }
        });
        Ok(Self { address, state, leads_to })
    }

    /// Where it begins.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on it leads there.
    pub fn leads_to(&self, server: SocketAddr) {
        self.leads_to.send_replace(Some(server));
    }

    /// Everything takes so much longer, in each direction.
    pub fn slow_by(&self, delay: Duration) {
        self.state.send_replace(State::Open { delay });
    }

    /// From now on all that is sent is lost.
    pub fn cut(&self) {
        self.state.send_replace(State::Cut);
    }

    /// What comes now arrives. Connections that stood during a cut end.
    pub fn mend(&self) {
        self.slow_by(Duration::ZERO);
    }
}

async fn lead(
    client: TcpStream,
    mut targets: watch::Receiver<Option<SocketAddr>>,
    states: watch::Receiver<State>,
) -> Option<()> {
    let target = (*targets.wait_for(Option::is_some).await.ok()?)?;
    // Where nobody listens, the connection ends as it would there.
    let server = TcpStream::connect(target).await.ok()?;
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    tokio::select! {
        ended = carry(from_client, to_server, states.clone()) => ended,
        ended = carry(from_server, to_client, states.clone()) => ended,
        mended = is_mended(states) => mended,
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, states: watch::Receiver<State>) -> Option<()> {
    let mut bytes = vec![0; 1 << 16];
    loop {
        let count = from.read(&mut bytes).await.ok().filter(|count| *count > 0)?;
        let state = *states.borrow();
        let State::Open { delay } = state else { continue };
        tokio::time::sleep(delay).await;
        to.write_all(&bytes[..count]).await.ok()?;
    }
}

async fn is_mended(mut states: watch::Receiver<State>) -> Option<()> {
    states.wait_for(|state| *state == State::Cut).await.ok()?;
    states.wait_for(|state| *state != State::Cut).await.ok()?;
    Some(())
}
