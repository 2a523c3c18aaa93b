//! `--forward`: every export passed on to where it would have gone, byte for byte.
//!
//! Whoever puts the sidecar between a system and its Collector takes no traces away from it. Exports wait in a
//! queue that is bounded in bytes; the intake never waits for it. What is passed on, refused over there, or
//! found no room is counted. No spans are looked at here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use settings::PeerUrl;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use crate::budget::{Budget, Share};

/// Exports under way at once.
const WORKERS: usize = 4;
/// How long one may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pauses between tries: the first, doubled each time up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How often an export is tried that the receiver asks to send again later. Where nobody answers it is tried for ever.
const TRIES: u32 = 10;
/// How long the queue may take to empty when the sidecar stops.
const LAST: Duration = Duration::from_secs(2);
/// Most of an answer that is read, in bytes.
const ANSWER: usize = 1 << 20;

/// Headers that speak of one connection or one sender alone (RFC 9110, 7.6.1): these are not passed on.
const OURS: [HeaderName; 10] = [
    header::CONNECTION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::HOST,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::ORIGIN,
    HeaderName::from_static("keep-alive"),
];

/// Codes of gRPC that the OTLP specification lets a sender try again after.
const AGAIN: [&str; 6] = ["1", "4", "10", "11", "14", "15"];

/// Where exports are passed on to.
#[derive(Debug, Clone)]
pub(crate) struct Targets {
    /// Those by gRPC: `http://HOST:PORT`.
    pub(crate) grpc: PeerUrl,
    /// Those by HTTP: the same.
    pub(crate) http: PeerUrl,
}

/// One export on its way.
struct Export {
    grpc: bool,
    path: &'static str,
    headers: HeaderMap,
    body: Bytes,
    _held: Share,
}

/// Passes exports on.
pub(crate) struct Forward {
    queue: UnboundedSender<Export>,
    room: Arc<Budget>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    taken: AtomicU64,
    forwarded: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
    retries: AtomicU64,
    away: AtomicBool,
    last_error: Mutex<String>,
}

/// What became of exports passed on, as `GET /stats` answers it under `forward`:
/// `taken = forwarded + failed + dropped + waiting`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ForwardStats {
    /// Exports to pass on.
    pub taken: u64,
    /// Exports that the receiver took.
    pub forwarded: u64,
    /// Exports that the receiver refused for good.
    pub failed: u64,
    /// Exports that found no room in the queue, or were in it when the sidecar stopped.
    pub dropped: u64,
    /// Exports in the queue or under way.
    pub waiting: u64,
    /// Their bytes.
    pub waiting_bytes: u64,
    /// Tries that failed and were made again.
    pub retries: u64,
    /// The latest error in words; empty if there was none.
    pub last_error: String,
}

/// What a try came to.
enum Tried {
    Taken,
    /// No receiver answers.
    Away(String),
    /// The receiver asks to send it again later.
    Later(String),
    Refused(String),
}

/// The tasks of a [`Forward`].
pub(crate) struct Workers(JoinSet<()>);

impl Forward {
    /// Starts passing on to `targets`, with a queue of `limit` bytes.
    pub(crate) fn start(targets: Targets, limit: usize) -> (Forward, Workers) {
        let (queue, waiting) = unbounded_channel();
        let counts = Arc::new(Counts::default());
        let waiting = Arc::new(tokio::sync::Mutex::new(waiting));
        let sender = Arc::new(Sender::new(targets, Arc::clone(&counts)));
        let mut workers = JoinSet::new();
        for _ in 0..WORKERS {
            workers.spawn(work(Arc::clone(&sender), Arc::clone(&waiting)));
        }
        (Forward { queue, room: Budget::new(limit), counts }, Workers(workers))
    }

    /// Passes an export on, if there is room for it.
    pub(crate) fn pass(&self, grpc: bool, path: &'static str, headers: &HeaderMap, body: Bytes) {
        self.counts.taken.fetch_add(1, Relaxed);
        let mut held = self.room.share();
        if held.grow(body.len() + size_of::<Export>() + 1_024).is_err() {
            self.counts.dropped.fetch_add(1, Relaxed);
            return self
                .counts
                .say("there is no room for more exports to pass on (--forward-queue)");
        }
        let mut headers = headers.clone();
        for name in OURS {
            headers.remove(name);
        }
        if grpc {
            headers.insert(header::TE, HeaderValue::from_static("trailers"));
        }
        // The workers live as long as the queue.
        let _ = self.queue.send(Export { grpc, path, headers, body, _held: held });
    }

    /// The counters.
    pub(crate) fn stats(&self) -> ForwardStats {
        let counts = &self.counts;
        let settled = || {
            let [forwarded, failed, dropped] = [&counts.forwarded, &counts.failed, &counts.dropped];
            [forwarded, failed, dropped].map(|count| count.load(Relaxed))
        };
        let [forwarded, failed, dropped] = settled();
        let taken = counts.taken.load(Relaxed);
        ForwardStats {
            taken,
            forwarded,
            failed,
            dropped,
            waiting: taken.saturating_sub(forwarded + failed + dropped),
            waiting_bytes: self.room.used() as u64,
            retries: counts.retries.load(Relaxed),
            last_error: counts.last_error.lock().clone(),
        }
    }

    /// Lets what waits go, for a while; the rest is dropped.
    pub(crate) async fn close(&self, mut workers: Workers) {
        let empty = async {
            while self.stats().waiting > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let _ = tokio::time::timeout(LAST, empty).await;
        workers.0.shutdown().await;
        let left = self.stats().waiting;
        if left > 0 {
            self.counts.dropped.fetch_add(left, Relaxed);
            tracing::warn!("{left} exports were not passed on before the end");
        }
    }
}

impl Counts {
    /// Keeps `error` for those who ask, and says it once until something is passed on again.
    fn say(&self, error: &str) {
        if !self.away.swap(true, Relaxed) {
            tracing::warn!("exports are not passed on (said once until they are): {error}");
        }
        error.clone_into(&mut self.last_error.lock());
    }
}

async fn work(sender: Arc<Sender>, waiting: Arc<tokio::sync::Mutex<UnboundedReceiver<Export>>>) {
    loop {
        let next = waiting.lock().await.recv().await;
        let Some(export) = next else { return };
        sender.deliver(export).await;
    }
}

/// Sends exports to where they go.
struct Sender {
    targets: Targets,
    http1: Client<HttpConnector, Full<Bytes>>,
    http2: Client<HttpConnector, Full<Bytes>>,
    counts: Arc<Counts>,
}

impl Sender {
    fn new(targets: Targets, counts: Arc<Counts>) -> Sender {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(PATIENCE));
        let builder = || {
            let mut builder = Client::builder(TokioExecutor::new());
            builder.pool_timer(TokioTimer::new()).pool_idle_timeout(Duration::from_secs(30));
            builder
        };
        let http1 = builder().build(connector.clone());
        let http2 = builder().http2_only(true).build(connector);
        Sender { targets, http1, http2, counts }
    }

    /// Sends one export until it is taken or refused.
    async fn deliver(&self, export: Export) {
        let mut pause = FIRST_PAUSE;
        let mut answered = 0;
        loop {
            let tried = tokio::time::timeout(PATIENCE, self.send(&export)).await;
            let tried =
                tried.unwrap_or_else(|_| Tried::Away(format!("no answer within {PATIENCE:?}")));
            match tried {
                Tried::Taken => {
                    self.counts.away.store(false, Relaxed);
                    self.counts.forwarded.fetch_add(1, Relaxed);
                    return;
                }
                Tried::Later(why) if answered < TRIES => {
                    answered += 1;
                    self.counts.say(&why);
                }
                Tried::Later(why) | Tried::Refused(why) => {
                    self.counts.failed.fetch_add(1, Relaxed);
                    return self.counts.say(&why);
                }
                Tried::Away(why) => self.counts.say(&why),
            }
            self.counts.retries.fetch_add(1, Relaxed);
            tokio::time::sleep(pause).await;
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
    }

    async fn send(&self, export: &Export) -> Tried {
        let (client, base) = match export.grpc {
            true => (&self.http2, &self.targets.grpc),
            false => (&self.http1, &self.targets.http),
        };
        let url = format!("{base}{}", export.path);
        let request = Request::post(&url).body(Full::new(export.body.clone()));
        let mut request = match request {
            Ok(request) => request,
            Err(error) => return Tried::Refused(format!("{url}: {error}")),
        };
        *request.headers_mut() = export.headers.clone();
        let response = match client.request(request).await {
            Ok(response) => response,
            Err(error) => return Tried::Away(format!("{url}: {}", innermost(&error))),
        };
        let (head, body) = response.into_parts();
        let body = Limited::new(body, ANSWER).collect().await;
        if head.status != StatusCode::OK || !export.grpc {
            let why = format!("{url} answered {}", head.status);
            return match head.status.as_u16() {
                200..=299 if !export.grpc => Tried::Taken,
                429 | 502..=504 => Tried::Later(why),
                _ => Tried::Refused(why),
            };
        }
        let trailers = body.ok().and_then(|body| body.trailers().cloned()).unwrap_or_default();
        let find = |name| trailers.get(name).or_else(|| head.headers.get(name));
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let code = find("grpc-status").map_or("none".into(), text);
        let message = find("grpc-message").map_or(String::new(), text);
        let why = format!("{url} answered gRPC status {code} {message}");
        match code.as_str() {
            "0" => Tried::Taken,
            again if AGAIN.contains(&again) => Tried::Later(why),
            _ => Tried::Refused(why),
        }
    }
}

/// The innermost cause of an error: `Connection refused`, not that a request failed.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
