//! The server half: taps connections, keeps them within their limits, and runs a service's routes with a record for
//! each request.
//!
//! A connection speaks HTTP/1.1 or HTTP/2, so REST and gRPC share an address. Where connections come
//! from, and what the routes do, is not known here.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, Request, StatusCode, Version, header};
use hyper::body::{Body as _, Incoming};
use hyper::rt::Executor as _;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use ledger::Side;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::admission::{is_grpc, refused};
use crate::connect::TimedExecutor;
use crate::directory::{Claims, Directory};
use crate::guard::Guard;
use crate::observed;
use crate::pace::{Pace, Paced};
use crate::probe::Probe;
use crate::reply::{Ending, ReplyBody};
use crate::routes::App;
use crate::slot::Slot;
use crate::standing::{Crowd, Flight, Standing};
use crate::tap::{LONGEST_HEAD, Tap, Tapped};
use crate::wrapped::Wrapped;

/// How many streams of one connection may have been reset by the peer before the server has looked at them. By default
/// h2 ends the connection at the 21st, and with it the calls of all other callers. Callers here give up together when a
/// service stands still, and are no attackers. A stream that was reset takes little memory: that of its head.
const RESETS: usize = 16_384;
/// When the peer of an HTTP/2 connection has said nothing for this part of the time that a connection may be idle, it is
/// asked by a PING whether it is there. After as long again without an answer the connection is closed: a peer may
/// vanish without a word while calls are open.
const PING_AFTER: u32 = 3;

/// How long a connection of HTTP/1.1 may be quiet, once the server is to stop, before it is closed. Its
/// client may have sent a request already, which would be answered by a reset.
const QUIET: Duration = Duration::from_millis(250);
/// How long connections may finish their requests after that.
const GRACE: Duration = Duration::from_secs(5);

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
    app: App,
    probe: Probe,
    crowd: Arc<Crowd>,
    executor: TimedExecutor,
    builder: auto::Builder<TokioExecutor>,
    nodelay: bool,
    connections: TaskTracker,
    /// From now on each reply is the last one of its connection.
    stopping: Arc<AtomicBool>,
    /// Connections are closed now, each with what its protocol has for that.
    goodbye: CancellationToken,
}

impl Server {
    pub(crate) fn new(
        app: App,
        probe: &Probe,
        options: &ServerOptions,
        crowd: &Arc<Crowd>,
    ) -> Self {
        let executor = TimedExecutor { enabled: probe.enabled() };
        let quiet = crowd.limits.idle / PING_AFTER;
        // Tasks that hyper starts answer requests and do no I/O: that is the connection's own task, which is timed.
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http2()
            .timer(TokioTimer::new())
            .initial_stream_window_size(options.stream_window)
            .initial_connection_window_size(options.connection_window)
            .max_frame_size(options.frame_size)
            .keep_alive_interval(quiet)
            .keep_alive_timeout(quiet)
            .max_local_error_reset_streams(None)
            .max_pending_accept_reset_streams(RESETS);
        // A client that has said all (`nc -N`) may close its side and still reads.
        builder.http1().half_close(true).max_buf_size(LONGEST_HEAD);
        Server {
            app,
            probe: probe.clone(),
            crowd: Arc::clone(crowd),
            executor,
            builder,
            nodelay: options.nodelay,
            connections: TaskTracker::new(),
            stopping: Arc::default(),
            goodbye: CancellationToken::new(),
        }
    }

    /// Serves what comes on `stream`, in a task of its own.
    pub(crate) fn serve(&self, stream: TcpStream) {
        if let Err(error) = stream.set_nodelay(self.nodelay) {
            tracing::debug!("setting TCP_NODELAY: {error}");
        }
        let claims = Arc::new(Claims::default());
        let tap = self.probe.enabled().then(|| {
            let directory = Directory::Server(Arc::clone(&claims), self.probe.sink().clone());
            Tap::new(Side::Server, directory, None)
        });
        let place = self.crowd.enter();
        let (retire, upgraded) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let flags = (Arc::clone(&retire), Arc::clone(&upgraded));
        let guard = Guard::new((&self.crowd, &place.standing), flags);
        let stream = Wrapped::new(Tapped::new(stream, tap), guard);
        let service = Measured {
            app: self.app.clone(),
            claims,
            probe: self.probe.clone(),
            crowd: Arc::clone(&self.crowd),
            standing: Arc::clone(&place.standing),
            stopping: Arc::clone(&self.stopping),
            upgraded,
        };
        let (builder, goodbye) = (self.builder.clone(), self.goodbye.clone());
        self.executor.execute(self.connections.track_future(async move {
            let service = TowerToHyperService::new(service);
            let io = TokioIo::new(stream);
            let mut connection = pin!(builder.serve_connection_with_upgrades(io, service));
            let mut goodbye = pin!(goodbye.cancelled());
            let mut said = false;
            let served = poll_fn(|cx| {
                let served = connection.as_mut().poll(cx);
                let over = retire.load(Relaxed) || goodbye.as_mut().poll(cx).is_ready();
                if served.is_ready() || said || !over {
                    return served;
                }
                said = true;
                connection.as_mut().graceful_shutdown();
                connection.as_mut().poll(cx)
            });
            if let Err(error) = served.await {
                tracing::debug!("a connection ended early: {error}");
            }
            drop(place);
        }));
    }

    /// Lets every request that was sent be answered, and closes the connections, within [`QUIET`] and
    /// [`GRACE`]. Nothing must be accepted any more.
    ///
    /// HTTP/2 has a way to say which request is the last one; HTTP/1.1 has only the answer to it. So
    /// each answer says `connection: close` first, and only quiet connections are closed without an answer.
    pub(crate) async fn stop(self) {
        self.stopping.store(true, Relaxed);
        self.connections.close();
        if tokio::time::timeout(QUIET, self.connections.wait()).await.is_ok() {
            return;
        }
        self.goodbye.cancel();
        if tokio::time::timeout(GRACE, self.connections.wait()).await.is_err() {
            tracing::warn!("requests were still open {GRACE:?} after shutdown");
        }
    }
}

/// A service's routes with a record for each request.
#[derive(Debug, Clone)]
struct Measured {
    app: App,
    claims: Arc<Claims>,
    probe: Probe,
    crowd: Arc<Crowd>,
    standing: Arc<Standing>,
    stopping: Arc<AtomicBool>,
    upgraded: Arc<AtomicBool>,
}

impl tower::Service<Request<Incoming>> for Measured {
    type Response = http::Response<ReplyBody<Body>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let flight = Flight::begin(&self.standing);
        let last = (request.version() < Version::HTTP_2).then(|| Arc::clone(&self.stopping));
        let upgraded = Arc::clone(&self.upgraded);
        let slot = self.probe.enabled().then(|| self.slot(&request));
        let refusal = refused(&request, &self.app.table);
        let deadline = observed::deadline(request.headers());
        let request = self.paced(request);
        let router = self.app.router.clone();
        let answer = observed::in_time(deadline, async move {
            match refusal {
                Some(refusal) => Ok(refusal.into_response()),
                None => router.oneshot(request).await,
            }
        });
        let Some((slot, ending)) = slot else {
            return Box::pin(async move {
                let reply = closing(answer.await?, last.as_deref(), &upgraded);
                Ok(on_its_way(reply, None, flight, None))
            });
        };
        let answer = slot.clone().scope(answer);
        Box::pin(async move {
            let reply = closing(answer.await?, last.as_deref(), &upgraded);
            let trailed = observed::note(&slot.record, &reply);
            let call = trailed.then(|| Arc::clone(&slot.record));
            Ok(on_its_way(reply, call, flight, ending))
        })
    }
}

/// A reply that is ready for its peer to take.
fn on_its_way(
    reply: Response,
    call: Option<Arc<crate::record::Record>>,
    mut flight: Flight,
    ending: Option<Ending>,
) -> http::Response<ReplyBody<Body>> {
    flight.replied();
    reply.map(|body| ReplyBody::new(body, call, Some(flight), ending))
}

impl Measured {
    /// The slot of a request whose record the tap made, or one of its own if the tap made none: then the record ends
    /// with the reply.
    fn slot(&self, request: &Request<Incoming>) -> (Slot, Option<Ending>) {
        let caller = observed::caller(request.headers());
        let claimed = self.claims.claim(caller.map_or(0, |caller| caller.span_id));
        let tapped = claimed.is_some();
        let slot = observed::slot(request, claimed, (&self.probe, &self.app.table));
        let sink = || self.probe.sink().clone();
        let ending = (!tapped).then(|| Ending::new(Arc::clone(&slot.record), sink()));
        (slot, ending)
    }

    /// The request with a body that must come at a pace.
    fn paced(&self, request: Request<Incoming>) -> Request<Body> {
        if request.body().is_end_stream() {
            return request.map(Body::new);
        }
        let pace = Pace {
            limit: self.crowd.limits.body,
            pauses: is_grpc(request.headers()),
            tally: Arc::clone(&self.crowd.tally),
        };
        request.map(|body| Body::new(Paced::new(body, pace)))
    }
}

/// Says that the connection is closed after this reply, if the server is stopping. One that becomes something else
/// than HTTP is no business of ours any more.
fn closing(mut reply: Response, stopping: Option<&AtomicBool>, upgraded: &AtomicBool) -> Response {
    if reply.status() == StatusCode::SWITCHING_PROTOCOLS {
        upgraded.store(true, Relaxed);
        return reply;
    }
    if stopping.is_some_and(|stopping| stopping.load(Relaxed)) {
        let close = HeaderValue::from_static("close");
        reply.headers_mut().insert(header::CONNECTION, close);
    }
    reply
}
