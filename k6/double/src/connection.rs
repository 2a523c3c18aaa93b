//! A virtual user's connection to a service: one request at a time, timed as k6 times it.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::response::Parts;
use http::{HeaderMap, Request, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// What has gone over the connection since it was last looked at.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Traffic {
    pub(crate) sent: usize,
    pub(crate) received: usize,
    last_write: Option<Instant>,
    first_read: Option<Instant>,
}

impl Traffic {
    /// The next request begins: what was read and written before is of another.
    fn begin(&mut self) {
        (self.last_write, self.first_read) = (None, None);
    }
}

type Shared = Arc<Mutex<Traffic>>;

/// What became of a request.
#[derive(Debug)]
pub(crate) struct Reply {
    /// 0 if there was none.
    pub(crate) status: u16,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// When it was over.
    pub(crate) at: SystemTime,
    pub(crate) times: Times,
    /// k6's number for what went wrong, and its words; the words may lack.
    pub(crate) error: Option<(u32, &'static str)>,
}

/// From wanting a connection to having the whole answer.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Times {
    /// Until there was a connection; connecting is within it.
    pub(crate) blocked: Duration,
    pub(crate) connecting: Duration,
    pub(crate) sending: Duration,
    pub(crate) waiting: Duration,
    pub(crate) receiving: Duration,
}

/// The connection of one virtual user, made when it is first wanted.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    sender: Option<SendRequest<Full<Bytes>>>,
    traffic: Shared,
}

/// Where a request has got to.
#[derive(Debug, Default)]
struct Progress {
    connecting: Duration,
    connected: Option<Instant>,
}

impl Connection {
    /// Sends `request` to `host` (with its port) and reads the answer, for so long at most.
    pub(crate) async fn ask(
        &mut self,
        host: &str,
        request: Request<Full<Bytes>>,
        most: Duration,
    ) -> Reply {
        let asked = Instant::now();
        lock(&self.traffic).begin();
        let mut progress = Progress::default();
        let attempt = self.attempt(host, request, &mut progress);
        let ended = timeout_at(asked + most, attempt).await;
        let (at, now) = (SystemTime::now(), Instant::now());
        let mut reply = Reply {
            status: 0,
            version: Version::HTTP_11,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            at,
            times: self.times(asked, &progress, now),
            error: None,
        };
        match ended {
            Ok(Ok((head, body))) => {
                let status = head.status.as_u16();
                (reply.status, reply.version, reply.headers) = (status, head.version, head.headers);
                reply.body = body;
                reply.error = (status >= 400).then(|| (1_000 + u32::from(status), ""));
            }
            Ok(Err(error)) => {
                reply.error = Some(error);
                self.sender = None;
            }
            Err(_) => {
                reply.error = Some((1050, "request timeout"));
                self.sender = None;
            }
        }
        reply
    }

    /// What has gone over it since this was last asked.
    pub(crate) fn traffic(&self) -> Traffic {
        std::mem::take(&mut *lock(&self.traffic))
    }

    async fn attempt(
        &mut self,
        host: &str,
        request: Request<Full<Bytes>>,
        progress: &mut Progress,
    ) -> Result<(Parts, Bytes), (u32, &'static str)> {
        // One that its server has closed meanwhile has carried nothing of this request: there is another.
        if let Some(sender) = &mut self.sender
            && sender.ready().await.is_err()
        {
            self.sender = None;
        }
        if self.sender.is_none() {
            let began = Instant::now();
            let stream = TcpStream::connect(host).await.map_err(|error| dial(&error))?;
            progress.connecting = began.elapsed();
            // k6 leaves Go's default on: small writes go at once.
            let _ = stream.set_nodelay(true);
            let counted = Counted { stream, traffic: Arc::clone(&self.traffic) };
            let (sender, driver) = handshake(TokioIo::new(counted)).await.map_err(broken)?;
            tokio::spawn(driver);
            self.sender = Some(sender);
        }
        let Some(sender) = &mut self.sender else { return Err((1000, "no connection")) };
        sender.ready().await.map_err(broken)?;
        progress.connected = Some(Instant::now());
        let reply = sender.send_request(request).await.map_err(broken)?;
        let (head, body) = reply.into_parts();
        Ok((head, body.collect().await.map_err(broken)?.to_bytes()))
    }

    /// All nothing if there was no connection.
    fn times(&self, asked: Instant, progress: &Progress, now: Instant) -> Times {
        let Some(connected) = progress.connected else { return Times::default() };
        let traffic = *lock(&self.traffic);
        let sent = traffic.last_write.unwrap_or(connected).max(connected);
        let first = traffic.first_read.unwrap_or(now).max(sent);
        Times {
            blocked: connected - asked,
            connecting: progress.connecting,
            sending: sent - connected,
            waiting: first - sent,
            receiving: now.saturating_duration_since(first),
        }
    }
}

fn lock(traffic: &Shared) -> std::sync::MutexGuard<'_, Traffic> {
    traffic.lock().unwrap_or_else(PoisonError::into_inner)
}

fn dial(error: &io::Error) -> (u32, &'static str) {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => (1212, "dial: connection refused"),
        io::ErrorKind::TimedOut => (1211, "dial: i/o timeout"),
        _ => (1210, "dial: failed"),
    }
}

fn broken(error: hyper::Error) -> (u32, &'static str) {
    use std::error::Error as _;
    let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    match io.map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionReset) => (1220, "read: connection reset by peer"),
        Some(io::ErrorKind::BrokenPipe) => (1201, "write: broken pipe"),
        _ => (1000, "EOF"),
    }
}

/// A socket that counts its bytes, and remembers when they went.
struct Counted {
    stream: TcpStream,
    traffic: Shared,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        let count = buf.filled().len() - before;
        if count > 0 {
            let mut traffic = lock(&self.traffic);
            traffic.received += count;
            traffic.first_read.get_or_insert_with(Instant::now);
        }
        polled
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        if let Poll::Ready(Ok(count)) = polled {
            let mut traffic = lock(&self.traffic);
            traffic.sent += count;
            traffic.last_write = Some(Instant::now());
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
