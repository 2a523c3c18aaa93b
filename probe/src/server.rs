//! The instrumented server half: accepts, taps, and runs a service's routes with a record each.
//!
//! One listener speaks HTTP/1.1 and HTTP/2, so REST and gRPC share an address. What the routes do
//! is not known here.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::{Request, header};
use hyper::body::Incoming;
use hyper::rt::Executor as _;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use ledger::{Point, Side};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;

use crate::connect::TimedExecutor;
use crate::context::{SpanContext, TRACEPARENT};
use crate::probe::Probe;
use crate::record::{Identity, Record};
use crate::slot::Slot;
use crate::tap::{Claims, Tap};

/// How long connections may finish their requests after shutdown was asked for.
const GRACE: Duration = Duration::from_secs(5);
/// How long to wait after a failed accept (out of descriptors, say) before the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
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

/// Serves `routes` on `listener` until `shutdown` completes, then lets requests finish. What a peer does
/// is answered on its connection, and a failing accept is logged and tried again.
pub(crate) async fn serve(
    listener: TcpListener,
    routes: Router,
    probe: &Probe,
    options: ServerOptions,
    shutdown: impl Future<Output = ()> + Send,
) {
    let graceful = GracefulShutdown::new();
    let executor = TimedExecutor { enabled: probe.enabled() };
    let mut builder = auto::Builder::new(executor);
    builder
        .http2()
        .initial_stream_window_size(options.stream_window)
        .initial_connection_window_size(options.connection_window)
        .max_frame_size(options.frame_size);
    let nodelay = options.nodelay;
    let acceptor = Acceptor { routes, probe: probe.clone(), executor, builder, nodelay };
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => acceptor.accept(stream, graceful.watcher()),
            Err(error) => {
                tracing::warn!("accepting a connection: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still open {GRACE:?} after shutdown");
    }
}

struct Acceptor {
    routes: Router,
    probe: Probe,
    executor: TimedExecutor,
    builder: auto::Builder<TimedExecutor>,
    nodelay: bool,
}

impl Acceptor {
    fn accept(&self, stream: TcpStream, watcher: Watcher) {
        if let Err(error) = stream.set_nodelay(self.nodelay) {
            tracing::debug!("setting TCP_NODELAY: {error}");
        }
        let claims = Arc::new(Claims::default());
        let tap = if self.probe.enabled() {
            Tap::server(stream, Arc::clone(&claims), self.probe.sink().clone())
        } else {
            Tap::off(stream)
        };
        let service = Measured { routes: self.routes.clone(), claims, probe: self.probe.clone() };
        let builder = self.builder.clone();
        self.executor.execute(async move {
            let service = TowerToHyperService::new(service);
            let connection = builder.serve_connection(TokioIo::new(tap), service);
            if let Err(error) = watcher.watch(connection).await {
                tracing::debug!("a connection ended early: {error}");
            }
        });
    }
}

/// A service's routes with a record for each request.
#[derive(Debug, Clone)]
struct Measured {
    routes: Router,
    claims: Arc<Claims>,
    probe: Probe,
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
        if !self.probe.enabled() {
            return Box::pin(self.routes.clone().oneshot(request));
        }
        let (slot, tapped) = self.slot(&request);
        let reply = slot.clone().scope(self.routes.clone().oneshot(request));
        let sink = self.probe.sink().clone();
        Box::pin(async move {
            let reply = reply.await?;
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
        let caller = request
            .headers()
            .get(TRACEPARENT)
            .and_then(|value| SpanContext::parse(value.as_bytes()));
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
        let name = if context.sampled { name(request) } else { String::new() };
        let parent = caller.map_or(0, |caller| caller.span_id);
        let (peer, database, extra) = (None, None, Vec::new());
        record.identify(Identity { context, parent, name, peer, database, extra });
        (Slot { record, injector: self.probe.injector() }, tapped)
    }
}

/// What a span of this request is called.
fn name(request: &Request<Body>) -> String {
    let mut name = format!("{} {}", request.method(), request.uri().path());
    name.truncate(name.floor_char_boundary(LONGEST_NAME));
    name
}
