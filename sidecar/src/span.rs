//! A span as the sidecar keeps it: what joining and the ledger need, and nothing else.
//!
//! Decoding makes it ([`crate::otlp`]), joining takes it apart ([`crate::join`]). No wire format here.

use std::sync::Arc;

use ledger::{AtRest, Half, Side};

use crate::budget::Share;
use crate::process::Claim;
use crate::runfile::Claimed;
use crate::runs::Run;

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
    /// What it takes of the memory for spans.
    pub(crate) held: Share,
}

impl Source {
    /// What it takes, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let names = self.service.len() + self.clock.len() + self.pid_namespace.len();
        size_of::<Source>() + names + self.claim.bytes()
    }
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
    /// A relay between the two sides of a hop. OTLP has no such kind: it comes as internal, with two faces.
    Wire,
}

impl SpanKind {
    /// Every kind, in the order of OTLP's numbers from 1, and ours.
    pub(crate) const ALL: [SpanKind; 6] = [
        SpanKind::Internal,
        SpanKind::Server,
        SpanKind::Client,
        SpanKind::Producer,
        SpanKind::Consumer,
        SpanKind::Wire,
    ];

    /// The kind with OTLP's number; numbers that OTLP does not define are internal.
    pub(crate) fn from_otlp(number: u64) -> SpanKind {
        let at = usize::try_from(number).unwrap_or(0).saturating_sub(1);
        Self::ALL.get(at).copied().filter(|&kind| kind != SpanKind::Wire).unwrap_or_default()
    }

    /// The name used in counters.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            SpanKind::Internal => "internal",
            SpanKind::Server => "server",
            SpanKind::Client => "client",
            SpanKind::Producer => "producer",
            SpanKind::Consumer => "consumer",
            SpanKind::Wire => "wire",
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
    pub(crate) cell: Option<Arc<str>>,
    /// `lab.round`.
    pub(crate) round: u32,
    /// `lab.weight`; 1 where the span has none.
    pub(crate) weight: Option<f64>,
    /// `lab.stopwatch_ns`, in nanoseconds.
    pub(crate) stopwatch: Option<u64>,
}

/// What the generator of a request says of it, in the `tracestate` of all its spans.
#[derive(Debug, PartialEq, Eq, Default)]
pub(crate) struct Said {
    /// The run whose nonce it has.
    pub(crate) run: Run,
    /// Cell of the plan; empty where there is none, or where its word is not taken.
    pub(crate) cell: Arc<str>,
    /// Round of the cell.
    pub(crate) round: u32,
}

/// The edge of a request by `tracestate`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edge {
    /// Span of the generator: the parent of the edge, or the edge itself.
    pub(crate) span: u64,
    /// What is the same for all requests of a round.
    pub(crate) said: Arc<Said>,
}

/// What a span is called and what it calls: the same for many spans of one export.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Names {
    /// Name of the called service as the client knows it.
    pub(crate) peer: Option<Arc<str>>,
    /// The kind of database that the span calls, if it calls one: nothing else will tell of that call.
    pub(crate) database: Option<Arc<str>>,
    /// What the request does that the span may be the beginning of.
    pub(crate) operation: Option<Operation>,
}

/// What a request does, by the span that begins it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Operation {
    pub(crate) name: Arc<str>,
    /// Whether the name is a route or a method, which is the same for all requests of a kind; otherwise it is the span's
    /// own name.
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
    /// What it is called and what it calls, as far as it says so.
    pub(crate) names: Option<Arc<Names>>,
    /// The span is the edge of a request by its own `tracestate`.
    pub(crate) edge: Option<Edge>,
    /// Its `tracestate` names another span as the edge of its request, so this one is not the edge.
    pub(crate) inner: bool,
    /// The run that its `tracestate` names.
    pub(crate) run: Run,
    /// The trace and the span that it continues in another place: for a CONSUMER that of whoever sent the message.
    pub(crate) link: Option<Box<(u128, u64)>>,
    /// What the span measured of its side of a hop: most of the time that a span is held nobody looks at it. `None` where
    /// it measured nothing, and of spans that are no side of a hop nor between.
    pub(crate) record: Option<Box<AtRest>>,
    /// What it says of the bodies of its call; `None` unless [`SpanKind::is_half`].
    pub(crate) claimed: Option<Box<Claimed>>,
    /// What the load generator wrote on it.
    pub(crate) planned: Option<Box<Planned>>,
}

impl Span {
    /// Its length, in nanoseconds.
    pub(crate) fn length(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Name of the called service as the client knows it.
    pub(crate) fn peer(&self) -> Option<&str> {
        self.names.as_ref()?.peer.as_deref()
    }

    /// The kind of database that the span calls, if it calls one.
    pub(crate) fn database(&self) -> Option<&str> {
        self.names.as_ref()?.database.as_deref()
    }

    /// What the request does that the span may be the beginning of.
    pub(crate) fn operation(&self) -> Option<&Operation> {
        self.names.as_ref()?.operation.as_ref()
    }

    /// The name of the side that the span calls; empty where nothing tells it.
    pub(crate) fn called(&self) -> &str {
        self.peer().unwrap_or_default()
    }

    /// Its names, to be given some.
    #[cfg(test)]
    pub(crate) fn named(&mut self) -> &mut Names {
        Arc::make_mut(self.names.get_or_insert_default())
    }

    /// What the span takes, in bytes: itself four times, for a trace has room for four, lists of spans grow by doubling,
    /// and every span is an entry of tables of its trace; and what it points to.
    pub(crate) fn bytes(&self) -> usize {
        let planned = self.planned.as_ref().map_or(0, |_| size_of::<Planned>() + 256);
        // An allocation takes more than what is in it.
        let claimed = self.claimed.as_ref().map_or(0, |_| size_of::<Claimed>() + 16);
        let said = self.edge.as_ref().map_or(0, |edge| edge.said.cell.len());
        // Others may have the same names: that is known when the last of them goes.
        let named = self.names.as_ref().map_or(0, |_| size_of::<Names>() + 16);
        let text = |text: Option<&str>| text.map_or(0, str::len);
        let operation = self.operation().map(|operation| &*operation.name);
        let texts = text(self.peer()) + text(self.database()) + text(operation) + said;
        let record = |record: &AtRest| size_of::<AtRest>() + 16 + record.elsewhere();
        let record = self.record.as_deref().map_or(0, record);
        4 * size_of::<Span>() + record + planned + claimed + named + texts
    }

    /// What it measured, in the memory of `half`.
    pub(crate) fn measured(&self, half: &mut Half) {
        let side = match self.kind {
            SpanKind::Client => Side::Client,
            SpanKind::Wire => Side::Wire,
            _ => Side::Server,
        };
        half.begin_anew(side, (self.start, self.end));
        half.wall = self.wall;
        if let Some(record) = &self.record {
            record.restore(half);
        }
        half.database = self.database().map(str::to_owned);
        half.clock.push_str(&self.source.clock);
    }

    /// What it measured.
    pub(crate) fn half(&self) -> Half {
        let mut half = Half::new(Side::Server, (0, 0));
        self.measured(&mut half);
        half
    }
}
