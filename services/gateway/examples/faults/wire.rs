//! A wire between two services to which things happen, and servers that refuse.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What is happening to the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct State {
    /// Nothing passes.
    still: bool,
    /// Connections of earlier numbers pass nothing ever again, and nobody is told.
    gone: u64,
    /// Connections of earlier numbers are cut.
    cut: u64,
}

/// The wire.
#[derive(Debug, Clone)]
pub(crate) struct Wire {
    pub(crate) address: SocketAddr,
    state: Arc<watch::Sender<State>>,
    target: Arc<watch::Sender<SocketAddr>>,
    connections: Arc<AtomicU64>,
}

impl Wire {
    /// A wire to `target`.
    pub(crate) async fn to(target: SocketAddr) -> anyhow::Result<Wire> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let wire = Wire {
            address: listener.local_addr()?,
            state: Arc::new(watch::Sender::new(State { still: false, gone: 0, cut: 0 })),
            target: Arc::new(watch::Sender::new(target)),
            connections: Arc::default(),
        };
        let this = wire.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let number = this.connections.fetch_add(1, Relaxed);
                tokio::spawn(this.clone().join(number, near));
            }
        });
        Ok(wire)
    }

    async fn join(self, number: u64, near: TcpStream) -> anyhow::Result<()> {
        let target = *self.target.borrow();
        let far = TcpStream::connect(target).await.context("connecting to the service")?;
        near.set_nodelay(true)?;
        far.set_nodelay(true)?;
        let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
        tokio::spawn(self.clone().pump(number, near_in, far_out));
        tokio::spawn(self.pump(number, far_in, near_out));
        Ok(())
    }

    async fn pump(self, number: u64, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let mut state = self.state.subscribe();
        let mut bytes = vec![0; 65_536];
        loop {
            let read = tokio::select! {
                read = from.read(&mut bytes) => read,
                cut = state.wait_for(|state| number < state.cut) => { drop(cut); return }
            };
            let Ok(read @ 1..) = read else { return };
            let passes = state.wait_for(|state| !state.still || number < state.gone).await;
            if passes.is_ok_and(|state| number < state.gone) {
                // Held for ever, and open: nobody hears of it.
                std::future::pending::<()>().await;
            }
            if to.write_all(&bytes[..read]).await.is_err() {
                return;
            }
        }
    }

    /// Nothing passes for so long, as if the process at the other end stood still.
    pub(crate) async fn stop_for(&self, long: Duration) {
        self.stand_still(true);
        tokio::time::sleep(long).await;
        self.stand_still(false);
    }

    /// Nothing passes from now on, or all does again.
    pub(crate) fn stand_still(&self, still: bool) {
        self.state.send_modify(|state| state.still = still);
    }

    /// The other ends of all connections vanish without a word. New ones find a peer.
    pub(crate) fn vanish(&self) {
        let gone = self.connections.load(Relaxed);
        self.state.send_modify(|state| state.gone = gone);
    }

    /// All connections are cut, and new ones lead to `target`: the service was started again.
    pub(crate) fn restart(&self, target: SocketAddr) {
        self.target.send_replace(target);
        let cut = self.connections.load(Relaxed);
        self.state.send_modify(|state| state.cut = cut);
    }

    /// Connections so far.
    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Relaxed)
    }
}

/// What a server of its own answers: the body that it got, as gRPC does or as REST.
async fn echo(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    use http_body_util::BodyExt as _;
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    Ok(Response::new(Full::new(body)))
}

/// A server that lets every connection end in an orderly way when it is so old: GOAWAY, or `connection: close`.
pub(crate) async fn aging(age: Duration) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                let connection = server.serve_connection(TokioIo::new(stream), service_fn(echo));
                let mut connection = std::pin::pin!(connection);
                tokio::select! {
                    _ = connection.as_mut() => return,
                    () = tokio::time::sleep(age) => {}
                }
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            });
        }
    });
    Ok(address)
}

/// How a server of HTTP/2 refuses some of its calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refuses {
    /// Each tenth stream, before it looks at it (REFUSED_STREAM).
    Streams,
    /// Each tenth stream, when it has looked at it (INTERNAL_ERROR).
    InTheMiddle,
}

/// A server of HTTP/2 that refuses.
pub(crate) async fn refusing(how: Refuses) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let calls = Arc::new(AtomicU64::new(0));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(refuse_on(stream, how, Arc::clone(&calls)));
        }
    });
    Ok(address)
}

async fn refuse_on(
    stream: TcpStream,
    how: Refuses,
    calls: Arc<AtomicU64>,
) -> Result<(), h2::Error> {
    let mut connection = h2::server::handshake(stream).await?;
    while let Some(call) = connection.accept().await {
        let (request, mut respond) = call?;
        let number = calls.fetch_add(1, Relaxed);
        let refused = match how {
            Refuses::Streams => Some(h2::Reason::REFUSED_STREAM),
            Refuses::InTheMiddle => Some(h2::Reason::INTERNAL_ERROR),
        };
        if let Some(reason) = refused.filter(|_| number % 10 == 9) {
            respond.send_reset(reason);
            continue;
        }
        tokio::spawn(async move {
            let mut body = request.into_body();
            let mut whole = Vec::new();
            while let Some(Ok(piece)) = body.data().await {
                let _ = body.flow_control().release_capacity(piece.len());
                whole.extend_from_slice(&piece);
            }
            let mut sending = respond.send_response(Response::new(()), false)?;
            sending.send_data(Bytes::from(whole), true)
        });
    }
    Ok(())
}
