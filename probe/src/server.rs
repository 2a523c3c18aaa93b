//! The instrumented server half: taps connections, and runs a service's routes with a record for each
//! request.
//!
//! A connection speaks HTTP/1.1 or HTTP/2, so REST and gRPC share an address. Where connections come
//! from, and what the routes do, is not known here.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, Request, Version, header};
use hyper::body::Incoming;
use hyper::rt::Executor as _;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use ledger::{Point, Side};
use tokio::net::TcpStream;
use tower::ServiceExt;

use crate::carried::{self, Carried};
use crate::connect::TimedExecutor;
use crate::context::SpanContext;
use crate::probe::Probe;
use crate::record::{Identity, Record};
use crate::slot::Slot;
use crate::tap::{Claims, Tap};

/// Streams of one connection that its peer has reset and that nobody has looked at yet. h2 ends the connection, and
/// every other caller's call with it, at the 21st; callers here give up together when a service stands still, and are
/// no attackers. A call that was reset is small: its head.
const RESETS: usize = 16_384;

/// How long a connection of HTTP/1.1 may be quiet, once the server is to stop, before it is closed. Its
/// client may have sent a request already, which would be answered by a reset.
const QUIET: Duration = Duration::from_millis(250);
/// How long connections may finish their requests after that.
const GRACE: Duration = Duration::from_secs(5);
/// How often to look whether all connections are closed.
const LOOK: Duration = Duration::from_millis(10);
/// A span's name is cut off here: a path is a peer's to choose.
const LONGEST_NAME: usize = 80;

/// How a server treats its connections. Windows and frame sizes are in bytes; `None` leaves
/// hyper's default.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// HTTP/2 stream window for requests.
    pub stream_window: Option<u32>,
    /// HTTP/2 connection window for requests.
    pub connection_window: Option<u32>,
    /// Largest HTTP/2 frame accepted.
    pub frame_size: Option<u32>,
    /// TCP_NODELAY.
    pub nodelay: bool,
}

impl Default for ServerOptions {
    fn default() -> Self {
        ServerOptions {
            stream_window: None,
            connection_window: None,
            frame_size: None,
            nodelay: true,
        }
    }
}

/// Serves connections of one runtime.
pub(crate) struct Server {
    routes: Router,
    probe: Probe,
    executor: TimedExecutor,
    builder: auto::Builder<TimedExecutor>,
    nodelay: bool,
    graceful: GracefulShutdown,
    stopping: Arc<AtomicBool>,
}

impl Server {
    pub(crate) fn new(routes: Router, probe: &Probe, options: &ServerOptions) -> Server {
        let executor = TimedExecutor { enabled: probe.enabled() };
        let mut builder = auto::Builder::new(executor);
        builder
            .http2()
            .initial_stream_window_size(options.stream_window)
            .initial_connection_window_size(options.connection_window)
            .max_frame_size(options.frame_size)
            .max_pending_accept_reset_streams(RESETS);
        Server {
            routes,
            probe: probe.clone(),
            executor,
            builder,
            nodelay: options.nodelay,
            graceful: GracefulShutdown::new(),
            stopping: Arc::default(),
        }
    }

    /// Serves what comes on `stream`, in a task of its own.
    pub(crate) fn serve(&self, stream: TcpStream) {
        if let Err(error) = stream.set_nodelay(self.nodelay) {
            tracing::debug!("setting TCP_NODELAY: {error}");
        }
        let claims = Arc::new(Claims::default());
        let tap = if self.probe.enabled() {
            Tap::server(stream, Arc::clone(&claims), self.probe.sink().clone())
        } else {
            Tap::off(stream)
        };
        let (routes, probe) = (self.routes.clone(), self.probe.clone());
        let service = Measured { routes, claims, probe, stopping: Arc::clone(&self.stopping) };
        let builder = self.builder.clone();
        let watcher = self.graceful.watcher();
        self.executor.execute(async move {
            let service = TowerToHyperService::new(service);
            let connection = builder.serve_connection(TokioIo::new(tap), service);
            if let Err(error) = watcher.watch(connection).await {
                tracing::debug!("a connection ended early: {error}");
            }
        });
    }

    /// Lets every request that was sent be answered, and closes the connections, within [`QUIET`] and
    /// [`GRACE`]. Nothing must be accepted any more.
    ///
    /// HTTP/2 has a way to say which request is the last one; HTTP/1.1 has only the answer to it. So
    /// each answer says `connection: close` first, and only who is quiet is closed without one.
    pub(crate) async fn stop(self) {
        self.stopping.store(true, Relaxed);
        let answered = async {
            while self.graceful.count() > 0 {
                tokio::time::sleep(LOOK).await;
            }
        };
        if tokio::time::timeout(QUIET, answered).await.is_ok() {
            return;
        }
        if tokio::time::timeout(GRACE, self.graceful.shutdown()).await.is_err() {
            tracing::warn!("requests were still open {GRACE:?} after shutdown");
        }
    }
}

/// A service's routes with a record for each request.
#[derive(Debug, Clone)]
struct Measured {
    routes: Router,
    claims: Arc<Claims>,
    probe: Probe,
    stopping: Arc<AtomicBool>,
}

impl tower::Service<Request<Incoming>> for Measured {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let request = request.map(Body::new);
        let last = (request.version() < Version::HTTP_2).then(|| Arc::clone(&self.stopping));
        if !self.probe.enabled() {
            let reply = self.routes.clone().oneshot(request);
            return Box::pin(async move { Ok(closing(reply.await?, last.as_deref())) });
        }
        let (slot, tapped) = self.slot(&request);
        let reply = slot.clone().scope(self.routes.clone().oneshot(request));
        let sink = self.probe.sink().clone();
        Box::pin(async move {
            let reply = closing(reply.await?, last.as_deref());
            if reply.status().is_server_error() {
                slot.record.failed(format!("answered {}", reply.status()));
            }
            if !tapped {
                sink.submit(&slot.record);
            }
            Ok(reply)
        })
    }
}

impl Measured {
    /// The record that the tap made of this request, or one of its own if the tap made none.
    fn slot(&self, request: &Request<Body>) -> (Slot, bool) {
        let caller = carried::caller(request.headers());
        let carried = Carried::read(request.headers(), caller.is_some());
        let claimed = self.claims.claim(caller.map_or(0, |caller| caller.span_id));
        let tapped = claimed.is_some();
        let record = claimed.unwrap_or_else(|| {
            let record = Arc::new(Record::new(Side::Server));
            record.mark(Point::FirstRead);
            record
        });
        let grpc = request
            .headers()
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
        if grpc {
            record.is_grpc();
        }
        let context = caller.map_or_else(|| SpanContext::new_root(false), SpanContext::child);
        let name = if context.sampled() { name(request) } else { String::new() };
        let parent = caller.map_or(0, |caller| caller.span_id);
        let (peer, database, extra) = (None, None, Vec::new());
        record.identify(Identity { context, parent, carried, name, peer, database, extra });
        (Slot { record, injector: self.probe.injector() }, tapped)
    }
}

/// Says that the connection is closed after this reply, if the server is stopping.
fn closing(mut reply: Response, stopping: Option<&AtomicBool>) -> Response {
    if stopping.is_some_and(|stopping| stopping.load(Relaxed)) {
        let close = HeaderValue::from_static("close");
        reply.headers_mut().insert(header::CONNECTION, close);
    }
    reply
}

/// What a span of this request is called.
fn name(request: &Request<Body>) -> String {
    let mut name = format!("{} {}", request.method(), request.uri().path());
    name.truncate(name.floor_char_boundary(LONGEST_NAME));
    name
}
