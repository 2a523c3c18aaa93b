//! Tapped TCP connections for the client half, and the executor that times their tasks.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::poll::Timed;
use crate::probe::Probe;
use crate::tap::Tap;

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
    probe: Probe,
    http2: bool,
    nodelay: bool,
    opened: Arc<AtomicU64>,
}

impl Connector {
    pub(crate) fn new(probe: Probe, http2: bool, nodelay: bool) -> Self {
        Connector { probe, http2, nodelay, opened: Arc::default() }
    }

    pub(crate) fn opened(&self) -> u64 {
        self.opened.load(Relaxed)
    }

    async fn connect(self, target: Uri) -> io::Result<TokioIo<TappedStream>> {
        let host = target.host().unwrap_or_default().trim_matches(['[', ']']);
        let port = target.port_u16().unwrap_or(80);
        let stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(self.nodelay)?;
        self.opened.fetch_add(1, Relaxed);
        let tap = if self.probe.enabled() {
            let outstanding = Arc::clone(self.probe.outstanding());
            Tap::client(stream, outstanding, self.probe.sink().clone(), self.http2)
        } else {
            Tap::off(stream)
        };
        Ok(TokioIo::new(TappedStream { tap, http2: self.http2 }))
    }
}

impl tower::Service<Uri> for Connector {
    type Response = TokioIo<TappedStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        Box::pin(self.clone().connect(target))
    }
}

/// A tapped stream that tells the pool what it speaks.
#[derive(Debug)]
pub(crate) struct TappedStream {
    tap: Tap<TcpStream>,
    http2: bool,
}

impl Connection for TappedStream {
    fn connected(&self) -> Connected {
        let connected = Connected::new();
        if self.http2 { connected.negotiated_h2() } else { connected }
    }
}

impl AsyncRead for TappedStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tap).poll_read(cx, buf)
    }
}

impl AsyncWrite for TappedStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().tap).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().tap).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.tap.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tap).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tap).poll_shutdown(cx)
    }
}
