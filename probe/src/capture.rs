//! For tests of services: finished spans kept in memory instead of exported, and a service started on a
//! free port.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ledger::{Half, HopNode, Side, Stage, Value, clock};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::context::SpanContext;
use crate::export::Sink;
use crate::probe::{Probe, ProbeError};
use crate::record::Record;
use crate::reporter::Reporter;
use crate::service::{Service, ServiceConfig, serve};

/// How long [`Captured::span`] waits before it says that nothing comes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A span as it would have been exported.
#[derive(Debug, Clone)]
pub struct CapturedSpan {
    /// Trace and span.
    pub context: SpanContext,
    /// Span id of the caller; 0 for a root.
    pub parent: u64,
    /// The `tracestate` that it exports; empty without one.
    pub state: String,
    /// Name of the span.
    pub name: String,
    /// Its marks and counts.
    pub half: Half,
    /// What the stopwatch outside the probe read, in nanoseconds.
    pub stopwatch: Option<u64>,
    /// The error it ended with.
    pub failure: Option<String>,
    /// What it says beside its record, in the words of the semantic conventions.
    pub said: Vec<(&'static str, Value)>,
}

impl CapturedSpan {
    /// What it says by this name, as text.
    #[must_use]
    pub fn says(&self, name: &str) -> Option<String> {
        let (_, value) = self.said.iter().find(|(key, _)| *key == name)?;
        Some(match value {
            Value::Text(text) => text.clone(),
            Value::Int(whole) => whole.to_string(),
            Value::Float(number) => number.to_string(),
        })
    }
}

/// The spans of a process, in the order in which they ended.
#[derive(Debug)]
pub struct Captured {
    records: mpsc::Receiver<Arc<Record>>,
    clock: String,
}

impl Captured {
    /// Makes a probe whose spans are captured.
    ///
    /// # Errors
    /// As [`Probe::start`].
    pub fn probe(inject: Vec<(Stage, Duration)>) -> Result<(Probe, Captured), ProbeError> {
        let (sink, records) = Sink::kept();
        let probe = Probe::with_sink(sink, inject)?;
        Ok((probe, Captured { records, clock: clock::identity() }))
    }

    /// Makes a reporter whose spans are captured.
    #[must_use]
    pub fn reporter() -> (Reporter, Captured) {
        let (sink, records) = Sink::kept();
        (Reporter::with_sink(sink), Captured { records, clock: clock::identity() })
    }

    /// The next span to end, if one does within half a minute.
    pub async fn span(&mut self) -> Option<CapturedSpan> {
        let record = tokio::time::timeout(PATIENCE, self.records.recv()).await.ok()??;
        let identity = record.identity()?;
        let mut half = record.half();
        half.clock.clone_from(&self.clock);
        Some(CapturedSpan {
            context: identity.context,
            parent: identity.parent,
            state: String::from_utf8_lossy(identity.state()).into_owned(),
            name: identity.name.clone(),
            half,
            stopwatch: record.stopwatch(),
            failure: record.failure(),
            said: identity.extra.iter().cloned().chain(record.said()).collect(),
        })
    }
}

/// Serves on a free port of loopback, in the current runtime and for as long as it lives; answers where.
/// The address among the settings is not used.
///
/// # Panics
/// There is no port, or the settings are impossible: a test that cannot be set up has failed.
pub async fn start<S: Service + 'static>(
    config: impl Into<ServiceConfig<S>>,
    probe: Probe,
) -> SocketAddr {
    let config = config.into();
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let listener = bound.expect("a free port of loopback");
    let address = listener.local_addr().expect("a bound address");
    tokio::spawn(async move {
        let served = serve(listener, config, &probe, std::future::pending()).await;
        served.expect("settings that can be");
    });
    address
}

/// Joins the spans of one trace into the tree of its hops, edge first.
#[must_use]
pub fn join(spans: &[CapturedSpan]) -> Option<HopNode> {
    let is = |side| move |span: &&CapturedSpan| span.half.side == side;
    let root = spans.iter().filter(is(Side::Client)).find(|span| span.parent == 0)?;
    Some(hop(root, spans))
}

fn hop(client: &CapturedSpan, spans: &[CapturedSpan]) -> HopNode {
    let called = |span: &&CapturedSpan| {
        span.half.side == Side::Server && span.parent == client.context.span_id
    };
    let server = spans.iter().find(called);
    let children = spans.iter().filter(|span| {
        span.half.side == Side::Client
            && server.is_some_and(|server| span.parent == server.context.span_id)
    });
    let mut relays: Vec<_> = spans
        .iter()
        .filter(|span| span.half.side == Side::Wire && span.parent == client.context.span_id)
        .map(|span| span.half.clone())
        .collect();
    // Each is inside the one before it.
    relays.sort_by_key(|relay| std::cmp::Reverse(relay.duration()));
    HopNode {
        relays,
        name: client.name.clone(),
        client: Some(client.half.clone()),
        server: server.map(|span| span.half.clone()),
        children: children.map(|child| hop(child, spans)).collect(),
        ..HopNode::default()
    }
}
