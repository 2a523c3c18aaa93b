//! A span as the sidecar keeps it: what joining and the ledger need, and nothing else.
//!
//! Decoding makes it ([`crate::otlp`]), joining takes it apart ([`crate::join`]). No wire format here.

use std::sync::Arc;

use ledger::{Edge, Half};

use crate::budget::Share;
use crate::process::Claim;

/// The process that made a span, from the attributes of its resource.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Source {
    /// `service.name`; `unknown_service` where the resource has none.
    pub(crate) service: String,
    /// `lab.clock`; empty for foreign processes.
    pub(crate) clock: String,
    /// `process.pid`; 0 if unknown.
    pub(crate) pid: u32,
    /// `lab.pid_namespace`; empty for foreign processes.
    pub(crate) pid_namespace: String,
    /// What else it says of its process.
    pub(crate) claim: Claim,
}

/// The kind of a span, with the numbers that OTLP gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(crate) enum SpanKind {
    /// Work inside a process; OTLP's `UNSPECIFIED` counts as internal, as its definition says.
    #[default]
    Internal,
    /// The answering side of a hop.
    Server,
    /// The calling side of a hop.
    Client,
    /// Hands a message to a queue.
    Producer,
    /// Takes a message from a queue.
    Consumer,
}

impl SpanKind {
    /// Every kind, in the order of OTLP's numbers from 1.
    pub(crate) const ALL: [SpanKind; 5] = [
        SpanKind::Internal,
        SpanKind::Server,
        SpanKind::Client,
        SpanKind::Producer,
        SpanKind::Consumer,
    ];

    /// The kind with OTLP's number; numbers that OTLP does not define are internal.
    pub(crate) fn from_otlp(number: u64) -> SpanKind {
        let at = usize::try_from(number).unwrap_or(0).saturating_sub(1);
        Self::ALL.get(at).copied().unwrap_or_default()
    }

    /// The name used in counters.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            SpanKind::Internal => "internal",
            SpanKind::Server => "server",
            SpanKind::Client => "client",
            SpanKind::Producer => "producer",
            SpanKind::Consumer => "consumer",
        }
    }

    /// Whether the span is one side of a hop.
    pub(crate) const fn is_half(self) -> bool {
        matches!(self, SpanKind::Client | SpanKind::Server)
    }
}

/// What the load generator wrote on a root span.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Planned {
    /// `lab.cell`, if the span has one.
    pub(crate) cell: Option<String>,
    /// `lab.round`.
    pub(crate) round: u32,
    /// `lab.weight`; 1 where the span has none.
    pub(crate) weight: Option<f64>,
    /// `lab.stopwatch_ns`, in nanoseconds.
    pub(crate) stopwatch: Option<u64>,
}

/// What a request does, by the span that begins it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Operation {
    pub(crate) name: Arc<str>,
    /// It is a route or a method, which an author chose for all requests of a kind; else the span's own name.
    pub(crate) is_route: bool,
}

/// One accepted span.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Span {
    /// Trace id; never zero.
    pub(crate) trace: u128,
    /// Span id; never zero.
    pub(crate) id: u64,
    /// Span id of the parent; 0 for a root.
    pub(crate) parent: u64,
    /// Kind.
    pub(crate) kind: SpanKind,
    /// The span ended with status ERROR.
    pub(crate) error: bool,
    /// Start in nanoseconds: orders spans of one process, nothing more.
    pub(crate) start: u64,
    /// End, on the same clock.
    pub(crate) end: u64,
    /// Start by the wall, as its process told it, in nanoseconds since 1970: dates the request that it begins.
    pub(crate) wall: u64,
    /// The process that made it.
    pub(crate) source: Arc<Source>,
    /// Name of the called service as the client knows it.
    pub(crate) peer: Option<Box<str>>,
    /// What the request does that the span may be the beginning of.
    pub(crate) operation: Option<Operation>,
    /// The span is the edge of a request by its own `tracestate`.
    pub(crate) edge: Option<Box<Edge>>,
    /// Its `tracestate` names another span as the edge of its request: it is none.
    pub(crate) inner: bool,
    /// The trace and the span that it goes on with in another place: of a CONSUMER, who sent the message.
    pub(crate) link: Option<Box<(u128, u64)>>,
    /// What the span measured of its side of a hop; `None` unless [`SpanKind::is_half`].
    pub(crate) half: Option<Box<Half>>,
    /// What the load generator wrote on it.
    pub(crate) planned: Option<Box<Planned>>,
    /// What it holds of the memory for spans.
    pub(crate) held: Share,
}

impl Span {
    /// Its length, in nanoseconds.
    pub(crate) fn length(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// The name of the side that the span calls; empty where nothing tells it.
    pub(crate) fn called(&self) -> &str {
        self.peer.as_deref().unwrap_or_default()
    }

    /// What the span takes, in bytes: itself three times, for lists of spans grow by doubling and every span is an
    /// entry of tables of its trace, and what it points to.
    pub(crate) fn bytes(&self) -> usize {
        let half = self.half.as_ref().map_or(0, |half| {
            size_of::<Half>() + half.injected.len() * size_of::<(ledger::Stage, u64)>()
        });
        let planned = self.planned.as_ref().map_or(0, |_| size_of::<Planned>() + 256);
        3 * size_of::<Span>() + half + planned + self.peer.as_ref().map_or(0, |peer| peer.len())
    }

    /// The kind of database that the span calls, if it calls one: nothing else will tell of that call.
    pub(crate) fn database(&self) -> Option<&str> {
        self.half.as_ref()?.database.as_deref()
    }
}
