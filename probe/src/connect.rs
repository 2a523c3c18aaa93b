//! Tapped TCP connections for the client half, and the executor that times their tasks.
//!
//! Finding an address and connecting to it is hyper-util's; what is ours is the tap round the stream.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use ledger::Side;
use tokio::net::TcpStream;

use crate::directory::{Directory, Outstanding};
use crate::poll::Timed;
use crate::probe::Probe;
use crate::tap::{Tap, Tapped};

/// Spawns tasks whose polls are timed (see [`crate::poll`]), unless probes are off.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TimedExecutor {
    pub(crate) enabled: bool,
}

impl<F> hyper::rt::Executor<F> for TimedExecutor
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, task: F) {
        if self.enabled {
            tokio::spawn(Timed::new(task));
        } else {
            tokio::spawn(task);
        }
    }
}

/// Opens tapped connections.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    tcp: HttpConnector,
    probe: Probe,
    outstanding: Arc<Outstanding>,
    http2: bool,
    opened: Arc<AtomicU64>,
}

impl Connector {
    pub(crate) fn new(
        probe: Probe,
        outstanding: Arc<Outstanding>,
        http2: bool,
        nodelay: bool,
    ) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(nodelay);
        Connector { tcp, probe, outstanding, http2, opened: Arc::default() }
    }

    pub(crate) fn opened(&self) -> u64 {
        self.opened.load(Relaxed)
    }

    fn tap(&self, stream: TcpStream) -> Tapped<TcpStream, Directory> {
        self.opened.fetch_add(1, Relaxed);
        let tap = self.probe.enabled().then(|| {
            let directory = Directory::Client(Arc::clone(&self.outstanding));
            Tap::new(Side::Client, directory, Some(self.http2))
        });
        Tapped::new(stream, tap)
    }
}

/// What [`HttpConnector`] says when there is no connection.
type Error = <HttpConnector as tower::Service<Uri>>::Error;

impl tower::Service<Uri> for Connector {
    type Response = TokioIo<Tapped<TcpStream, Directory>>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        tower::Service::poll_ready(&mut self.tcp, cx)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let connecting = self.tcp.call(target);
        let connector = self.clone();
        Box::pin(async move { Ok(TokioIo::new(connector.tap(connecting.await?.into_inner()))) })
    }
}

impl Connection for Tapped<TcpStream, Directory> {
    fn connected(&self) -> Connected {
        // What is spoken on it was settled beforehand (`http2_only`), not negotiated.
        Connected::new()
    }
}
