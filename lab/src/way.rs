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

#[derive(Clone, Copy, Default)]
struct State {
    delay: Duration,
    is_cut: bool,
    /// How many cuts there have been: what a connection carries is lost from its first one on.
    cuts: u64,
    /// Connections of the first so many cuts end.
    ended: u64,
}

impl Way {
    /// A way that leads nowhere yet: whoever takes it waits.
    ///
    /// # Errors
    /// When there is no port for it.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind(local(0)).await?;
        let address = listener.local_addr()?;
        let (state, leads_to) = (watch::Sender::new(State::default()), watch::Sender::new(None));
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
        self.state.send_modify(|state| *state = State { delay, is_cut: false, ended: state.cuts, ..*state });
    }

    /// From now on all that is sent is lost.
    pub fn cut(&self) {
        self.state.send_modify(|state| *state = State { is_cut: true, cuts: state.cuts + 1, ..*state });
    }

    /// What comes now arrives. Connections that stood during a cut end.
    pub fn mend(&self) {
        self.slow_by(Duration::ZERO);
    }

    /// What comes on new connections arrives. Those that stood during the cut stay, and nobody is told that they are dead.
    pub fn mend_for_new_connections(&self) {
        self.state.send_modify(|state| state.is_cut = false);
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
    let before = {
        let state = states.borrow();
        state.cuts - u64::from(state.is_cut)
    };
    tokio::select! {
        ended = carry(from_client, to_server, states.clone(), before) => ended,
        ended = carry(from_server, to_client, states.clone(), before) => ended,
        ended = is_ended(states, before) => ended,
    }
}

/// On a connection before which there were so many cuts.
async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    states: watch::Receiver<State>,
    before: u64,
) -> Option<()> {
    let mut bytes = vec![0; 1 << 16];
    loop {
        let count = from.read(&mut bytes).await.ok().filter(|count| *count > 0)?;
        let State { delay, cuts, .. } = *states.borrow();
        if cuts > before {
            continue;
        }
        tokio::time::sleep(delay).await;
        to.write_all(&bytes[..count]).await.ok()?;
    }
}

async fn is_ended(mut states: watch::Receiver<State>, before: u64) -> Option<()> {
    states.wait_for(|state| state.ended > before).await.ok()?;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A way to a server that says everything again, and a connection on it that works.
    async fn way_to_an_echo() -> (Way, TcpStream) {
        let server = TcpListener::bind(local(0)).await.unwrap();
        let way = Way::start().await.unwrap();
        way.leads_to(server.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((stream, _)) = server.accept().await {
                let (mut from, mut to) = stream.into_split();
                tokio::spawn(async move { tokio::io::copy(&mut from, &mut to).await });
            }
        });
        let mut stood = TcpStream::connect(way.address()).await.unwrap();
        is_answered(&mut stood).await;
        (way, stood)
    }

    async fn is_answered(stream: &mut TcpStream) {
        stream.write_all(b"a").await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'a');
    }

    #[tokio::test]
    async fn a_connection_that_stood_during_a_cut_ends_when_it_is_mended_and_a_new_one_works() {
        let (way, mut stood) = way_to_an_echo().await;
        way.cut();
        stood.write_all(b"b").await.unwrap();
        way.mend();
        assert!(matches!(stood.read(&mut [0]).await, Ok(0) | Err(_)));
        is_answered(&mut TcpStream::connect(way.address()).await.unwrap()).await;
    }

    #[tokio::test]
    async fn a_way_that_is_mended_for_new_connections_carries_nothing_on_those_that_stood_and_tells_them_nothing() {
        let (way, mut stood) = way_to_an_echo().await;
        way.cut();
        way.mend_for_new_connections();
        stood.write_all(b"c").await.unwrap();
        is_answered(&mut TcpStream::connect(way.address()).await.unwrap()).await;
        let nothing = stood.try_read(&mut [0]).unwrap_err();
        assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
        way.mend();
        assert!(matches!(stood.read(&mut [0]).await, Ok(0) | Err(_)), "what stood ends now");
    }
}
