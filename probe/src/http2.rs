//! Connections of a client that speaks HTTP/2: one that all calls share, and another when that one is over.
//!
//! A connection is over for new calls when its peer says so (GOAWAY), when it is lost, or when its peer is silent
//! ([`crate::silence`]). Calls on it stay there. How a request is made is not known here.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;

use bytes::Bytes;
use h2::client::{self, SendRequest};
use http::header::{CONNECTION, CONTENT_LENGTH, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderName, HeaderValue, Method, Request, Response, Uri, request};
use http_body::Body as _;
use hyper::rt::Executor as _;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OnceCell, oneshot};
use tonic::body::Body;
use tower::ServiceExt as _;

use crate::connect::{Connector, TimedExecutor};
use crate::keepalive::{self, OpenCall, PING_LIMIT, Signs};
use crate::received::{Received, cause};
use crate::replay::Replay;
use crate::silence::{Lively, Patience};
use crate::transport::TransportError;
use crate::upload::Upload;
use crate::wrapped::Wrapped;

/// Streams reset by this side of which h2 remembers that it did so, for a second. Of those that it forgot, each
/// answer that still comes counts as an error, and at the 1,025th of these it ends the connection with all calls.
const RESETS: usize = 16_384;
/// A request finds a connection over that was just not, so many times in turn, before it is given up.
const MOST_OVER: usize = 16;
/// Where nothing else is asked for: windows and frames as hyper's client has them, in bytes.
const STREAM_WINDOW: u32 = 2 << 20;
const CONNECTION_WINDOW: u32 = 5 << 20;
const FRAME: u32 = 16 << 10;
/// What the headers of a reply may take, in bytes.
const HEADERS: u32 = 16 << 10;
/// Headers that speak of a connection of HTTP/1.1 (RFC 9113, section 8.2.2).
const OF_CONNECTIONS: [HeaderName; 5] = [
    CONNECTION,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// HTTP/2 sizes, in bytes; `None` leaves the default.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sizes {
    pub(crate) stream_window: Option<u32>,
    pub(crate) connection_window: Option<u32>,
    pub(crate) frame: Option<u32>,
}

/// The connections to one peer.
#[derive(Debug)]
pub(crate) struct Http2 {
    connector: Connector,
    builder: client::Builder,
    executor: TimedExecutor,
    target: Uri,
    address: Arc<str>,
    patience: Arc<Patience>,
    pooled: bool,
    current: Mutex<Arc<Opening>>,
}

/// A connection that whoever needs it first opens, and those who come meanwhile wait for.
type Opening = OnceCell<Result<Connection, Arc<TransportError>>>;

#[derive(Debug, Clone)]
struct Connection {
    sender: SendRequest<Bytes>,
    signs: Arc<Signs>,
}

impl Connection {
    fn is_over(&self) -> bool {
        self.signs.over.load(Relaxed) || self.signs.silent.load(Relaxed)
    }
}

impl Http2 {
    /// Connections to `target`, opened by `connector` when they are needed.
    pub(crate) fn new(
        connector: Connector,
        (executor, sizes, pooled): (TimedExecutor, Sizes, bool),
        target: Uri,
        address: Arc<str>,
    ) -> Self {
        let mut builder = client::Builder::new();
        builder
            .initial_window_size(sizes.stream_window.unwrap_or(STREAM_WINDOW))
            .initial_connection_window_size(sizes.connection_window.unwrap_or(CONNECTION_WINDOW))
            .max_frame_size(sizes.frame.unwrap_or(FRAME))
            .max_header_list_size(HEADERS)
            .enable_push(false)
            .max_concurrent_reset_streams(RESETS)
            .max_local_error_reset_streams(None)
            .max_pending_accept_reset_streams(RESETS);
        Http2 {
            connector,
            builder,
            executor,
            target,
            address,
            patience: Arc::default(),
            pooled,
            current: Mutex::default(),
        }
    }

    /// Sends a request; once more if it was certainly not processed.
    ///
    /// # Errors
    /// There was no reply.
    pub(crate) async fn send(
        &self,
        request: Request<Body>,
    ) -> Result<Response<Received>, Arc<TransportError>> {
        let (mut head, body) = request.into_parts();
        of_http2(&mut head, &body);
        let (body, again) = Replay::kept(body);
        let error = match self.attempt(&head, body).await {
            Ok(reply) => return Ok(reply),
            Err(error) if error.not_processed() => error,
            Err(error) => return Err(error),
        };
        let Some(body) = again.body() else { return Err(error) };
        tracing::debug!("a call is made once more: {error}");
        self.attempt(&head, body).await
    }

    async fn attempt(
        &self,
        head: &request::Parts,
        body: Replay,
    ) -> Result<Response<Received>, Arc<TransportError>> {
        let mut last = None;
        for _ in 0..MOST_OVER {
            let Connection { mut sender, signs } = self.connection().await?;
            let call = OpenCall::begin(&signs);
            let ended = body.is_end_stream();
            let opened = poll_fn(|cx| sender.poll_ready(cx)).await;
            let opened = opened
                .and_then(|()| sender.send_request(Request::from_parts(head.clone(), ()), ended));
            let (reply, stream) = match opened {
                Ok(opened) => opened,
                // The request was not begun.
                Err(error) if error.is_go_away() || error.is_io() => {
                    signs.over.store(true, Relaxed);
                    last = Some(self.failed(error, &signs));
                    continue;
                }
                Err(error) => return Err(self.failed(error, &signs)),
            };
            let wanted = if ended { None } else { self.upload(Upload::new(stream, body)).await };
            let reply = reply.await.map_err(|error| self.failed(error, &signs))?;
            return Ok(reply.map(|body| Received::http2(body, (call, wanted))));
        }
        Err(last.expect("there was an attempt"))
    }

    /// Sends what is there of a body. If there will be more, a task does the rest as long as what is answered lives.
    async fn upload(&self, mut upload: Upload) -> Option<oneshot::Sender<()>> {
        if poll_fn(|cx| Poll::Ready(upload.poll(cx).is_ready())).await {
            return None;
        }
        let (wanted, wants) = oneshot::channel();
        self.executor.execute(upload.rest(wants));
        Some(wanted)
    }

    fn failed(&self, error: h2::Error, signs: &Signs) -> Arc<TransportError> {
        let source = match signs.unheard.load(Relaxed) {
            true => io::Error::new(io::ErrorKind::TimedOut, "a PING was not answered").into(),
            false => cause(error),
        };
        Arc::new(TransportError::of(&self.address, source))
    }

    /// A connection for a new call.
    async fn connection(&self) -> Result<Connection, Arc<TransportError>> {
        if !self.pooled {
            return self.open().await;
        }
        loop {
            let opening = Arc::clone(&self.current.lock());
            let opened = opening.get_or_init(|| self.open()).await;
            if let Ok(connection) = opened
                && !connection.is_over()
            {
                return Ok(connection.clone());
            }
            let mut current = self.current.lock();
            if Arc::ptr_eq(&current, &opening) {
                *current = Arc::default();
            }
            if let Err(error) = opened {
                return Err(Arc::clone(error));
            }
        }
    }

    async fn open(&self) -> Result<Connection, Arc<TransportError>> {
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
            Arc::new(TransportError::of(&self.address, error))
        };
        let stream = self
            .connector
            .clone()
            .oneshot(self.target.clone())
            .await
            .map_err(|error| failed(error.into()))?;
        let signs = Arc::<Signs>::default();
        let lively = Lively::new(Arc::clone(&self.patience), Arc::clone(&signs));
        let handshake = self.builder.handshake(Wrapped::new(stream.into_inner(), lively)).await;
        let (sender, connection) = handshake.map_err(|error| failed(cause(error)))?;
        self.executor.execute(drive(connection, Arc::clone(&signs)));
        Ok(Connection { sender, signs })
    }
}

/// Moves the frames of a connection until it ends, or its peer is not heard any more.
async fn drive<IO>(mut connection: client::Connection<IO>, signs: Arc<Signs>)
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let watch = keepalive::watch(&signs, connection.ping_pong(), PING_LIMIT);
    tokio::select! {
        biased;
        ended = &mut connection => if let Err(error) = ended {
            tracing::debug!("a connection ended early: {error}");
        },
        () = watch => signs.unheard.store(true, Relaxed),
    }
    signs.over.store(true, Relaxed);
}

/// Makes a request one of HTTP/2.
fn of_http2(head: &mut request::Parts, body: &Body) {
    for header in &OF_CONNECTIONS {
        head.headers.remove(header);
    }
    if head.headers.get(TE).is_some_and(|te| te != "trailers") {
        head.headers.remove(TE);
    }
    let meant_to_have = [Method::POST, Method::PUT, Method::PATCH].contains(&head.method);
    if let Some(length) = body.size_hint().exact().filter(|length| *length > 0 || meant_to_have) {
        head.headers.entry(CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(length));
    }
}
