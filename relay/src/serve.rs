//! A relay at work: it accepts connections, opens one to the service for each, and goes on until it is asked to stop.

use std::fmt;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use ledger::Side;
use probe::tap::{Tap, Tapped};
use probe::{ProbeError, Reporter, stdin_closed};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::RelayConfig;
use crate::faces::{Spans, Tally, ears};
use crate::line::Line;
use crate::pump::{Broken, Pump, both};

/// How long to wait after a failed accept (out of descriptors, say) before the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long a service may take to take a connection, when the relay starts and later.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a connection may be without a byte, once the relay is to stop, before it is closed.
const QUIET: Duration = Duration::from_millis(250);
/// How long connections may go on at most after that.
const GRACE: Duration = Duration::from_secs(5);

/// Why a relay did not run.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// Its address could not be bound.
    #[error("listening on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// There is nothing to pass connections on to.
    #[error("connecting to {to}: {source}; start the service that it is to relay to first")]
    Target {
        /// What was asked for.
        to: String,
        /// Why not.
        source: io::Error,
    },
    /// Spans cannot be sent where they were to go.
    #[error(transparent)]
    Spans(#[from] ProbeError),
    /// The kernel refused something that the relay needs.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What a relay did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Connections that were taken.
    pub connections: u64,
    /// Those of them that spoke HTTP/1.1.
    pub http1: u64,
    /// Those that spoke HTTP/2.
    pub http2: u64,
    /// Those that spoke TLS: of their requests nothing is known.
    pub tls: u64,
    /// Connections that spoke something else: of their requests nothing is known either.
    pub unknown: u64,
    /// Connections for which the service could not be reached.
    pub refused: u64,
    /// Connections that one of the ends reset.
    pub broken: u64,
    /// Requests that were seen.
    pub requests: u64,
    /// Those of them that were sampled.
    pub sampled: u64,
    /// Requests that looked different on the two faces.
    pub unmatched: u64,
    /// Spans that were made and not delivered.
    pub lost: u64,
    /// Bytes that were passed on, both directions together.
    pub bytes: u64,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary { connections, http1, http2, tls, unknown, requests, sampled, bytes, .. } =
            self;
        write!(f, "{connections} connections ({http1} HTTP/1.1, {http2} HTTP/2")?;
        for (count, what) in
            [(tls, "TLS, passed unread"), (unknown, "of another kind, passed unread")]
        {
            if *count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        write!(f, "), {requests} requests of which {sampled} sampled, {bytes} bytes")?;
        for (count, what) in [
            (self.refused, "connections for which the service could not be reached"),
            (self.broken, "connections reset"),
            (self.unmatched, "requests that the two faces saw differently"),
            (self.lost, "spans lost"),
        ] {
            if count > 0 {
                write!(f, "; {count} {what}")?;
            }
        }
        Ok(())
    }
}

/// Relays until `shutdown` completes: binds its address, looks whether there is a service, and says on standard output
/// that it is ready (`listening 127.0.0.1:9081`).
///
/// # Errors
/// [`RelayError`] if the address cannot be bound, or nobody is there to relay to.
pub async fn run(
    config: RelayConfig,
    shutdown: impl Future<Output = ()>,
) -> Result<Summary, RelayError> {
    let address = config.listen;
    let listen = |source| RelayError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(listen)?;
    let target = |source| RelayError::Target { to: config.to.clone(), source };
    drop(connect(&config.to).await.map_err(target)?);
    {
        let mut out = io::stdout().lock();
        writeln!(out, "listening {}", listener.local_addr()?)?;
        out.flush()?;
    }
    let with_stdin = config.stop_with_stdin;
    let stop = async {
        tokio::select! { () = shutdown => {}, () = stdin_closed(), if with_stdin => {} }
    };
    serve(listener, config, stop).await
}

/// Relays on a bound listener until `shutdown` completes.
///
/// # Errors
/// Spans cannot be sent where they were to go.
pub async fn serve(
    listener: TcpListener,
    config: RelayConfig,
    shutdown: impl Future<Output = ()>,
) -> Result<Summary, RelayError> {
    let start = |url: &String| Reporter::start(&config.name, std::process::id(), url);
    let spans = config.sidecar.as_ref().map(start).transpose()?;
    Ok(serve_reporting(listener, config, spans, shutdown).await)
}

/// The same with spans that go to `spans`, wherever the settings say.
pub async fn serve_reporting(
    listener: TcpListener,
    config: RelayConfig,
    spans: Option<Reporter>,
    shutdown: impl Future<Output = ()>,
) -> Summary {
    let relay = Arc::new(Relay::new(config, spans.map(Arc::new)));
    let connections = TaskTracker::new();
    relay.accept(&listener, &connections, shutdown).await;
    drop(listener);
    relay.stop.cancel();
    connections.close();
    let _ = tokio::time::timeout(GRACE, connections.wait()).await;
    relay.finish().await
}

/// Connects to the service.
async fn connect(to: &str) -> io::Result<TcpStream> {
    match tokio::time::timeout(PATIENCE, TcpStream::connect(to)).await {
        Ok(connected) => connected,
        Err(_) => {
            let why = format!("no answer within {PATIENCE:?}");
            Err(io::Error::new(io::ErrorKind::TimedOut, why))
        }
    }
}

#[derive(Debug)]
struct Relay {
    config: RelayConfig,
    /// Towards the service, and back.
    lines: [Arc<Line>; 2],
    tally: Arc<Tally>,
    spans: Spans,
    connections: AtomicU64,
    refused: AtomicU64,
    broken: AtomicU64,
    bytes: AtomicU64,
    /// It was said that the service cannot be reached.
    complained: AtomicBool,
    stop: CancellationToken,
}

impl Relay {
    fn new(config: RelayConfig, spans: Spans) -> Relay {
        // The odd nanosecond goes one way.
        let out_ns = config.rtt.0 / 2;
        let lines = [out_ns, config.rtt.0 - out_ns];
        Relay {
            lines: lines.map(|delay| Arc::new(Line::new(delay, config.bandwidth))),
            tally: Arc::default(),
            spans,
            connections: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            broken: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            complained: AtomicBool::new(false),
            stop: CancellationToken::new(),
            config,
        }
    }

    async fn accept(
        self: &Arc<Self>,
        listener: &TcpListener,
        connections: &TaskTracker,
        shutdown: impl Future<Output = ()>,
    ) {
        let mut shutdown = std::pin::pin!(shutdown);
        let mut failed = false;
        loop {
            let accepted = tokio::select! {
                () = &mut shutdown => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((near, _)) => {
                    self.connections.fetch_add(1, Relaxed);
                    let relay = Arc::clone(self);
                    connections.spawn(async move { relay.take(near).await });
                }
                Err(error) => {
                    // It fails again until somebody leaves: once is enough to say so.
                    if !std::mem::replace(&mut failed, true) {
                        tracing::warn!("accepting a connection: {error}");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Relays one connection to its end.
    async fn take(&self, near: TcpStream) {
        let far = match connect(&self.config.to).await {
            Ok(far) => far,
            Err(error) => {
                self.refused.fetch_add(1, Relaxed);
                if !self.complained.swap(true, Relaxed) {
                    tracing::warn!(
                        "connecting to {}: {error}; callers are reset until it is there",
                        self.config.to
                    );
                }
                let _ = near.set_zero_linger();
                return;
            }
        };
        self.complained.store(false, Relaxed);
        if let Err(error) = self.relay(near, far).await {
            self.broken.fetch_add(1, Relaxed);
            tracing::debug!("a connection was reset: {error}");
        }
    }

    async fn relay(&self, near: TcpStream, far: TcpStream) -> io::Result<()> {
        for stream in [&near, &far] {
            stream.set_nodelay(true)?;
            rustix::net::sockopt::set_socket_keepalive(stream, true)?;
        }
        let (near_ear, far_ear) = ears(&self.tally, &self.spans);
        let mut near = Tapped::new(near, Some(Tap::new(Side::Server, near_ear, None)));
        let mut far = Tapped::new(far, Some(Tap::new(Side::Client, far_ear, None)));
        let passed = Arc::new(AtomicU64::new(0));
        let pump = |line: &Arc<Line>| Pump::new(Arc::clone(line), Arc::clone(&passed));
        let pumps = (pump(&self.lines[0])?, pump(&self.lines[1])?);
        let relayed = tokio::select! {
            relayed = both((&mut near, &mut far), pumps) => relayed,
            () = self.quiet(&passed) => Ok(()),
        };
        self.bytes.fetch_add(passed.load(Relaxed), Relaxed);
        let Err(Broken::Source(error) | Broken::Sink(error)) = relayed else { return Ok(()) };
        // Who is left is told by a reset too: an end in good order would make a part look whole.
        for stream in [near.io(), far.io()] {
            let _ = stream.set_zero_linger();
        }
        Err(error)
    }

    /// Completes when the relay is to stop and this connection has nothing more to say.
    async fn quiet(&self, passed: &AtomicU64) {
        self.stop.cancelled().await;
        loop {
            let before = passed.load(Relaxed);
            // What is under way on a long line is on no face.
            tokio::time::sleep(QUIET + self.config.rtt.duration()).await;
            if passed.load(Relaxed) == before {
                return;
            }
        }
    }

    /// What came of it all, when the last spans are on their way.
    async fn finish(&self) -> Summary {
        let lost = match &self.spans {
            Some(reporter) => reporter.shutdown().await,
            None => 0,
        };
        let count = |count: &AtomicU64| count.load(Relaxed);
        let tally = &self.tally;
        Summary {
            connections: count(&self.connections),
            http1: count(&tally.http1),
            http2: count(&tally.http2),
            tls: count(&tally.tls),
            unknown: count(&tally.unknown),
            refused: count(&self.refused),
            broken: count(&self.broken),
            requests: count(&tally.requests),
            sampled: count(&tally.sampled),
            unmatched: count(&tally.unmatched),
            lost,
            bytes: count(&self.bytes),
        }
    }
}
