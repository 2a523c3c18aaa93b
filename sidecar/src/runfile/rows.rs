//! The rows of the run file, as plain data.

use std::sync::Arc;

use ledger::{Stage, StageSet, Traffic, names};
use serde::{Deserialize, Serialize};

use super::json;
use super::trace_id::TraceId;

/// What kind of work a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RequestKind {
    /// Somebody asked and waited for the answer.
    #[default]
    Request,
    /// The work that a message asked for. Nobody waited for it, so it is in no mean of requests.
    Message,
}

impl RequestKind {
    /// The name used in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            RequestKind::Request => "request",
            RequestKind::Message => "message",
        }
    }

    /// The kind called `name`; what is unknown is a request.
    #[must_use]
    pub fn from_name(name: &str) -> RequestKind {
        if name == "message" { RequestKind::Message } else { RequestKind::Request }
    }
}

/// One traced request with its hops.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RequestRow {
    /// Trace id.
    #[serde(with = "json::trace")]
    pub trace_id: TraceId,
    /// Tells the request from others of its trace: id of its outermost span, also where that one never came.
    #[serde(with = "json::id")]
    pub root_id: u64,
    /// What kind of work it is.
    pub kind: RequestKind,
    /// Cell of the plan; empty for traffic that no plan made.
    #[serde(with = "json::text")]
    pub cell: Arc<str>,
    /// Round of the cell.
    pub round: u32,
    /// Number of the run that it belongs to, of those that the sidecar opened; 0 of requests of none.
    pub run: u32,
    /// What it does: `http.route`, `rpc.method` or name of its first span; empty if nothing tells.
    #[serde(with = "json::text")]
    pub operation: Arc<str>,
    /// Of a message: `TRACE/SPAN` that sent it; empty if nothing tells.
    pub linked: String,
    /// Planned start (or the start of the root span), on the clock of the process that made it.
    pub start_ns: u64,
    /// The same start by the wall, as that process told it, in nanoseconds since 1970. Dates the request; no
    /// duration is made of it.
    pub wall_ns: u64,
    /// Latency as the stages add up to it, in nanoseconds.
    pub latency_ns: i64,
    /// Latency by the stopwatch outside the probe, in nanoseconds.
    pub stopwatch_ns: Option<u64>,
    /// By how much the edge's server was inside its client: from the client's start to the server's first read, or from
    /// the server's last write to the client's end, whichever is less, in nanoseconds. Below 0 it was not. Unknown where
    /// the two were not timed on one clock.
    pub margin_ns: Option<i64>,
    /// How many requests this one stands for.
    pub weight: f64,
    /// Marks that were out of order, over all hops.
    pub out_of_order: u32,
    /// Some reply began before its request's last byte was written.
    pub early: bool,
    /// The root span ended with an error status.
    pub error: bool,
    /// Every call to a peer that has sent SERVER spans in this run has one, and nothing was cut. Means are of whole
    /// requests only.
    pub whole: bool,
    /// That it begins where it does is taken for granted: the caller of its first server sends no spans.
    pub edge_assumed: bool,
    /// Spans of its trace that were left out because there were too many, or too deep.
    pub cut: u32,
    /// Spans of its trace that came after it had been closed.
    pub late: u32,
    /// It was closed while something was missing, and may be written anew.
    pub provisional: bool,
    /// It takes the place of a row that was written before. Not stored.
    #[serde(skip)]
    pub amends: bool,
    /// No run asked for it: load by hand, or a system that nobody drives. Not stored.
    #[serde(skip)]
    pub unasked: bool,
    /// The hops, parents before children.
    pub hops: Vec<HopRow>,
}

impl Default for RequestRow {
    /// A request that is whole, of which nothing else is known.
    fn default() -> Self {
        RequestRow {
            trace_id: TraceId::default(),
            root_id: 0,
            kind: RequestKind::Request,
            cell: Arc::default(),
            round: 0,
            run: 0,
            operation: Arc::default(),
            linked: String::new(),
            start_ns: 0,
            wall_ns: 0,
            latency_ns: 0,
            stopwatch_ns: None,
            margin_ns: None,
            weight: 1.0,
            out_of_order: 0,
            early: false,
            error: false,
            whole: true,
            edge_assumed: false,
            cut: 0,
            late: 0,
            provisional: false,
            amends: false,
            unasked: false,
            hops: Vec::new(),
        }
    }
}

impl RequestRow {
    /// Whether means are also of this request: somebody waited for all of it, and it succeeded.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.whole && !self.error && self.kind == RequestKind::Request
    }

    /// Who asked, by its own service name; [`names::NO_CELL`] where the request begins at the first service.
    #[must_use]
    pub fn generator(&self) -> &str {
        let edge = self.hops.first().and_then(|edge| edge.hop.split_once('→'));
        edge.map(|(client, _)| client).filter(|client| *client != "?").unwrap_or(names::NO_CELL)
    }
}

/// A SERVER span below a call that is not the answer that its client got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Service that made it.
    pub service: String,
    /// Its length, in nanoseconds.
    pub length_ns: u64,
    /// It ended with an error status.
    pub error: bool,
}

/// What is known of a trace beside its requests.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Aside {
    /// Trace id.
    pub trace_id: TraceId,
    /// Cell of the plan, where a late span names one.
    pub cell: String,
    /// Spans of a request whose beginning never came; absent where nothing new is known of that.
    pub fragments: Option<u64>,
    /// How many of them were not told of before. Not stored.
    pub new_fragments: u64,
    /// Spans that came after the trace was closed.
    pub late: u64,
    /// The trace is closed again: what was written of its requests before no longer holds. Not stored.
    pub again: bool,
}

/// What the spans of a hop say of the bodies of its messages, in bytes. Nobody here counted them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Claimed {
    /// Body of the request.
    pub request: Option<u64>,
    /// Body of the reply.
    pub reply: Option<u64>,
}

impl Claimed {
    /// This, and where it says nothing the other.
    #[must_use]
    pub fn or(self, other: Claimed) -> Claimed {
        Claimed { request: self.request.or(other.request), reply: self.reply.or(other.reply) }
    }
}

/// One hop of a traced request.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct HopRow {
    /// `client→server`, by service name.
    #[serde(with = "json::text")]
    pub hop: Arc<str>,
    /// Distance from the edge.
    pub depth: u32,
    /// A client or a server half is missing.
    pub unjoined: bool,
    /// When what counts of this call began, after its caller had the request, in nanoseconds; unknown of the edge, and
    /// of calls that have no place on their caller's clock.
    pub at_ns: Option<i64>,
    /// Every stage's time and kind.
    #[serde(with = "json::stages")]
    pub stages: StageSet,
    /// Time of this call that the request did not wait for: it ran beside another, or nobody took its answer.
    pub concurrent_ns: i64,
    /// Time of this call before its caller had the request or after it had replied.
    pub detached_ns: i64,
    /// Time by which foreign spans did not fit the ones around them.
    pub clipped_ns: i64,
    /// What the request put on the wire (as the client's tap counted, else the server's, else a relay's); unknown where
    /// none looked.
    #[serde(with = "json::traffic")]
    pub request: Option<Traffic>,
    /// What the reply put on the wire.
    #[serde(with = "json::traffic")]
    pub reply: Option<Traffic>,
    /// Both are a relay's count, for no end was tapped: of bodies, in which it tells no payload apart.
    pub by_relay: bool,
    /// What its server's span claims, else its client's, whether a tap looked or not.
    pub claimed: Claimed,
    /// Both ends were tapped and counted different body bytes.
    pub wire_disagrees: bool,
    /// Connection number in the client process; 0 if unknown.
    pub connection: u64,
    /// HTTP version on the wire, 11 or 20; 0 if unknown.
    pub http: u64,
    /// How often the request was put on a connection, or was answered; 0 if unknown.
    pub attempts: u64,
    /// SERVER spans below the call that are not its answer.
    pub others: Vec<Attempt>,
    /// Injected delays as the injectors measured them, in nanoseconds; both sides.
    #[serde(with = "json::delays")]
    pub injected: Vec<(Stage, u64)>,
}

/// Resources of one process at one time. Counters run from the start of the process.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessSample {
    /// When, on [`ledger::clock`].
    pub at_ns: u64,
    /// Service name; `host` for the whole machine.
    pub process: String,
    /// Process id; 0 for the host.
    pub pid: u32,
    /// CPU time used so far, user and system, in nanoseconds.
    pub cpu_ns: u64,
    /// Resident memory in bytes.
    pub rss_bytes: u64,
    /// Threads.
    pub threads: u64,
    /// Context switches the process asked for, over all threads.
    pub voluntary_switches: u64,
    /// Context switches forced on it.
    pub involuntary_switches: u64,
    /// Time its threads were ready and waited for a CPU, in nanoseconds.
    pub run_queue_wait_ns: u64,
}
