//! Connections of a client that speaks HTTP/2: one that all calls share, and another when that one is over.
//!
//! A connection is over for new calls when its peer says so (GOAWAY), when it is lost, or when its peer is silent
//! ([`crate::silence`]). Calls on it stay there. How a request is made is not known here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::rt::Executor as _;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::sync::OnceCell;
use tonic::body::Body;
use tower::ServiceExt as _;

use crate::connect::{Connector, TimedExecutor};
use crate::replay::Replay;
use crate::silence::{Lively, PING_AFTER, Patience};
use crate::transport::TransportError;

/// How long a PING may be unanswered before the calls on a connection are given up. A peer may stand still for a
/// while, and by HTTP/1.1 nobody would give up a call for it.
const PING_LIMIT: Duration = Duration::from_secs(60);
/// Streams reset by this side of which h2 remembers that it did so, for a second. Of those that it forgot, each
/// answer that still comes counts as an error, and at the 1,025th of these it ends the connection with all calls.
const RESETS: usize = 16_384;
/// A request finds a connection over that was just not, so many times in turn, before it is given up.
const MOST_OVER: usize = 16;

/// HTTP/2 sizes, in bytes; `None` leaves hyper's default.
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
    builder: http2::Builder<TimedExecutor>,
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
    sender: SendRequest<Replay>,
    silent: Arc<AtomicBool>,
}

impl Connection {
    fn is_over(&self) -> bool {
        self.sender.is_closed() || self.silent.load(Relaxed)
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
        let mut builder = http2::Builder::new(executor);
        builder
            .timer(TokioTimer::new())
            .initial_stream_window_size(sizes.stream_window)
            .initial_connection_window_size(sizes.connection_window)
            .max_frame_size(sizes.frame)
            .keep_alive_interval(PING_AFTER)
            .keep_alive_timeout(PING_LIMIT)
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
    ) -> Result<Response<Incoming>, Arc<TransportError>> {
        let (head, body) = request.into_parts();
        let (body, again) = Replay::kept(body);
        let error = match self.attempt(Request::from_parts(head.clone(), body)).await {
            Ok(reply) => return Ok(reply),
            Err(error) if error.not_processed() => error,
            Err(error) => return Err(error),
        };
        let Some(body) = again.body() else { return Err(error) };
        tracing::debug!("a call is made once more: {error}");
        self.attempt(Request::from_parts(head, body)).await
    }

    async fn attempt(
        &self,
        mut request: Request<Replay>,
    ) -> Result<Response<Incoming>, Arc<TransportError>> {
        let mut last = None;
        for _ in 0..MOST_OVER {
            let mut connection = self.connection().await?;
            match connection.sender.try_send_request(request).await {
                Ok(reply) => return Ok(reply),
                Err(mut error) => {
                    let unsent = error.take_message();
                    let error = Arc::new(TransportError::of(&self.address, error.into_error()));
                    // One that comes back was never sent.
                    let Some(unsent) = unsent else { return Err(error) };
                    request = unsent;
                    last = Some(error);
                }
            }
        }
        Err(last.expect("there was an attempt"))
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
        let silent = Arc::new(AtomicBool::new(false));
        let lively =
            Lively::new(stream.into_inner(), Arc::clone(&self.patience), Arc::clone(&silent));
        let (sender, connection) = self
            .builder
            .handshake(TokioIo::new(lively))
            .await
            .map_err(|error| failed(error.into()))?;
        self.executor.execute(async move {
            if let Err(error) = connection.await {
                tracing::debug!("a connection ended early: {error}");
            }
        });
        Ok(Connection { sender, silent })
    }
}
