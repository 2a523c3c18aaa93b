//! Connections of peers, whoever they are: how many, how long they may be idle, and what they may hold.
//!
//! HTTP/1.1 and HTTP/2 without TLS, told apart by their first bytes. What is answered is not known here.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long a connection that is to be closed may go on with what it is working on.
const LAST: Duration = Duration::from_secs(40);

/// What a listener bears.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// What it is for.
    pub(crate) purpose: &'static str,
    /// Most connections at once; past it the one that is idle longest is closed for the next.
    pub(crate) connections: usize,
    /// A connection is closed after so long without a request. Clients open another.
    pub(crate) idle: Duration,
    /// How often to look for such.
    pub(crate) look: Duration,
}

impl Bounds {
    /// The bounds of a listener for `purpose` that holds so many `connections`.
    pub(crate) const fn of(purpose: &'static str, connections: usize) -> Bounds {
        let (idle, look) = (Duration::from_secs(120), Duration::from_secs(5));
        Bounds { purpose, connections, idle, look }
    }
}

/// Why a connection was not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unserved {
    /// So many others are at work.
    Full(usize),
    /// Its peer began TLS.
    Tls,
    /// Its peer spoke no HTTP.
    NotHttp(String),
}

/// Who answers what comes over the connections.
pub(crate) trait Answers: Send + Sync + 'static {
    /// The body of an answer.
    type Body: http_body_util::BodyExt<Data = bytes::Bytes, Error: std::error::Error + Send + Sync>
        + Send
        + 'static;

    /// Answers one request.
    fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        from: SocketAddr,
    ) -> impl Future<Output = Response<Self::Body>> + Send;

    /// Takes note of a connection that was not served.
    fn unserved(&self, why: Unserved, from: SocketAddr);
}

/// The HTTP/2 window of a request, and with it what may have come of a body that is not being read; lets a batch of
/// spans through without waiting for updates. In bytes, as those below.
pub(crate) const WINDOW: u32 = 256 << 10;
/// The same of all requests of a connection.
const CONNECTION_WINDOW: u32 = 1 << 20;
const FRAME: u32 = 256 << 10;
/// Requests under way at once on one connection.
const MAX_STREAMS: u32 = 32;
/// How long the head of a request may take to come.
const HEAD: Duration = Duration::from_secs(120);
/// The largest headers of a request, in bytes.
const HEADERS: u32 = 16 << 10;
/// What HTTP/1.1 reads at once, in bytes.
const BUFFER: usize = 64 << 10;

/// What is known of a connection while it is open.
#[derive(Debug, Default)]
struct Activity {
    /// Requests under way.
    busy: AtomicUsize,
    /// When the last of them ended, or the connection began, on [`ledger::clock`].
    since: AtomicU64,
    close: CancellationToken,
}

impl Activity {
    /// Since when nothing is under way, if so.
    fn idle_since(&self) -> Option<u64> {
        (self.busy.load(Relaxed) == 0).then(|| self.since.load(Relaxed))
    }
}

/// Counts a request as under way until it is dropped: also one that its sender gives up.
struct Busy(Arc<Activity>);

impl Busy {
    fn on(activity: &Arc<Activity>) -> Busy {
        activity.busy.fetch_add(1, Relaxed);
        Busy(Arc::clone(activity))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.since.store(ledger::clock::now(), Relaxed);
        self.0.busy.fetch_sub(1, Relaxed);
    }
}

/// Serves `listener` within `bounds` until `stop`, then lets every connection finish what it is working on.
pub(crate) async fn serve<A: Answers>(
    listener: TcpListener,
    bounds: Bounds,
    answers: Arc<A>,
    stop: CancellationToken,
) {
    let mut connections = JoinSet::new();
    let mut open: Vec<Arc<Activity>> = Vec::new();
    let mut look = tokio::time::interval(bounds.look);
    let mut said = false;
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            _ = look.tick() => {
                forget(&mut open);
                close_idle(&open, bounds.idle);
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Too many open files, or a peer that was gone at once: others may still get in.
                if !std::mem::replace(&mut said, true) {
                    let purpose = bounds.purpose;
                    tracing::warn!("cannot accept a connection for {purpose} (said once): {error}");
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
        };
        if connections.len() >= bounds.connections {
            forget(&mut open);
            if !close_idlest(&open) {
                answers.unserved(Unserved::Full(bounds.connections), from);
                continue;
            }
        }
        let activity = Arc::new(Activity { close: stop.child_token(), ..Activity::default() });
        activity.since.store(ledger::clock::now(), Relaxed);
        open.push(Arc::clone(&activity));
        connections.spawn(connection(stream, from, Arc::clone(&answers), activity));
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Forgets the connections that have ended: nobody else knows of them any more.
fn forget(open: &mut Vec<Arc<Activity>>) {
    open.retain(|activity| Arc::strong_count(activity) > 1 && !activity.close.is_cancelled());
}

fn close_idle(open: &[Arc<Activity>], after: Duration) {
    let now = ledger::clock::now();
    let idle = |since: u64| u128::from(now.saturating_sub(since)) > after.as_nanos();
    for activity in open.iter().filter(|activity| activity.idle_since().is_some_and(idle)) {
        activity.close.cancel();
    }
}

/// Closes the connection that is idle longest, if any is.
fn close_idlest(open: &[Arc<Activity>]) -> bool {
    let idle = open.iter().filter_map(|activity| Some((activity.idle_since()?, activity)));
    let idlest = idle.min_by_key(|(since, _)| *since);
    if let Some((_, activity)) = &idlest {
        activity.close.cancel();
    }
    idlest.is_some()
}

async fn connection<A: Answers>(
    stream: TcpStream,
    from: SocketAddr,
    answers: Arc<A>,
    activity: Arc<Activity>,
) {
    let close = activity.close.clone();
    let mut first = [0];
    match close.run_until_cancelled(stream.peek(&mut first)).await {
        Some(Ok(1)) => {}
        // Nobody said anything.
        _ => return,
    }
    // A record of TLS begins with its type, 22 for a handshake (RFC 8446, 5.1).
    if first == [22] {
        return answers.unserved(Unserved::Tls, from);
    }
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let (answers, busy) = (Arc::clone(&answers), Busy::on(&activity));
        async move {
            let answer = answers.answer(request, from).await;
            drop(busy);
            Ok::<_, Infallible>(answer)
        }
    });
    let builder = builder();
    let mut serving = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let served = tokio::select! {
        served = serving.as_mut() => Some(served),
        () = close.cancelled() => {
            serving.as_mut().graceful_shutdown();
            tokio::time::timeout(LAST, serving).await.ok()
        }
    };
    if let Some(Err(error)) = served
        && error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse)
    {
        answers.unserved(Unserved::NotHttp(error.to_string()), from);
    }
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(BUFFER);
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(HEADERS)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}

#[cfg(test)]
mod tests;
