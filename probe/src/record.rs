//! One side of one call while it happens: the place where tap, codecs and halves leave their marks.
//!
//! A record is written from several tasks (the call's own, the connection's), so every field is an
//! atomic or behind a short lock. It becomes a [`ledger::Half`] once, when the call is over.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use ledger::{Half, Marks, Point, Sending, Side, Stage, Traffic};
use parking_lot::Mutex;

use crate::carried::Carried;
use crate::context::SpanContext;

/// Bytes of the length prefix that gRPC puts before each message
/// (PROTOCOL-HTTP2.md: one byte of flags, four of length).
const GRPC_PREFIX: u64 = 5;

/// One side of one call.
#[derive(Debug)]
pub(crate) struct Record {
    side: Side,
    marks: [AtomicU64; Point::COUNT],
    identity: OnceLock<Identity>,
    grpc: AtomicBool,
    submitted: AtomicBool,
    stopwatch: AtomicU64,
    /// Its span's number among those of the process, from 1.
    sequence: AtomicU64,
    codec: [CodecBytes; 2],
    details: Mutex<Details>,
}

/// Who a record belongs to, known once the request's headers are.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) context: SpanContext,
    pub(crate) parent: u64,
    /// What goes on with the trace beside it.
    pub(crate) carried: Option<Arc<Carried>>,
    /// Empty unless the trace is sampled: no span will need it.
    pub(crate) name: String,
    pub(crate) peer: Option<Arc<str>>,
    /// Kind of database called, if it is one.
    pub(crate) database: Option<Arc<str>>,
    pub(crate) extra: Vec<(&'static str, ledger::Value)>,
}

impl Identity {
    /// The `tracestate` of its trace; empty where there is none.
    pub(crate) fn state(&self) -> &[u8] {
        self.carried.as_ref().map_or(&[], |carried| carried.state())
    }
}

/// What a codec said of one message: its encoded length and the application payload inside.
#[derive(Debug, Default)]
struct CodecBytes {
    encoded: AtomicU64,
    payload: AtomicU64,
}

/// Which message of a record: the one sent or the one received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Outbound = 0,
    Inbound = 1,
}

/// What the tap hands over per message rather than per event.
#[derive(Debug, Default)]
struct Details {
    sending: Sending,
    outbound: Traffic,
    inbound: Traffic,
    connection: u64,
    http: u64,
    attempts: u64,
    injected: Vec<(Stage, u64)>,
    status: Option<String>,
}

impl Record {
    pub(crate) fn new(side: Side) -> Self {
        Record {
            side,
            marks: [const { AtomicU64::new(0) }; Point::COUNT],
            identity: OnceLock::new(),
            grpc: AtomicBool::new(false),
            submitted: AtomicBool::new(false),
            stopwatch: AtomicU64::new(0),
            sequence: AtomicU64::new(0),
            codec: Default::default(),
            details: Mutex::default(),
        }
    }

    pub(crate) fn side(&self) -> Side {
        self.side
    }

    pub(crate) fn identify(&self, identity: Identity) {
        // A record is claimed once; a second claim would be another call and changes nothing.
        let _ = self.identity.set(identity);
    }

    pub(crate) fn identity(&self) -> Option<&Identity> {
        self.identity.get()
    }

    /// Takes the mark at `point`, over any earlier one.
    pub(crate) fn set(&self, point: Point, at: u64) {
        self.marks[point as usize].store(at, Relaxed);
    }

    /// Takes the mark at `point` now.
    pub(crate) fn mark(&self, point: Point) {
        self.set(point, ledger::clock::now());
    }

    /// The mark at `point`; 0 if it was not taken.
    pub(crate) fn get(&self, point: Point) -> u64 {
        self.marks[point as usize].load(Relaxed)
    }

    pub(crate) fn is_grpc(&self) {
        self.grpc.store(true, Relaxed);
    }

    /// What the codec says of a message: `encoded` bytes of which `payload` are the application's.
    pub(crate) fn message(&self, direction: Direction, encoded: u64, payload: u64) {
        let codec = &self.codec[direction as usize];
        codec.encoded.store(encoded, Relaxed);
        codec.payload.store(payload, Relaxed);
    }

    pub(crate) fn sent(&self, sending: Sending, traffic: Traffic) {
        let mut details = self.details.lock();
        details.sending = sending;
        details.outbound = traffic;
    }

    pub(crate) fn received(&self, traffic: Traffic) {
        self.details.lock().inbound = traffic;
    }

    /// The request was put on connection number `connection` with HTTP version `http` (11, 20).
    pub(crate) fn attempt(&self, connection: u64, http: u64) {
        let mut details = self.details.lock();
        details.connection = connection;
        details.http = http;
        details.attempts += 1;
    }

    pub(crate) fn injected(&self, stage: Stage, ns: u64) {
        self.details.lock().injected.push((stage, ns));
    }

    /// The call failed; the span will say why.
    pub(crate) fn failed(&self, why: impl Into<String>) {
        self.details.lock().status = Some(why.into());
    }

    pub(crate) fn failure(&self) -> Option<String> {
        self.details.lock().status.clone()
    }

    /// Latency by a stopwatch outside the probe, in nanoseconds.
    pub(crate) fn timed_outside(&self, elapsed_ns: u64) {
        self.stopwatch.store(elapsed_ns, Relaxed);
    }

    pub(crate) fn stopwatch(&self) -> Option<u64> {
        Some(self.stopwatch.load(Relaxed)).filter(|&elapsed| elapsed != 0)
    }

    /// Gives its span a number.
    pub(crate) fn number(&self, sequence: u64) {
        self.sequence.store(sequence, Relaxed);
    }

    pub(crate) fn sequence(&self) -> u64 {
        self.sequence.load(Relaxed)
    }

    /// True for the first caller only: a record becomes a span at most once.
    pub(crate) fn take(&self) -> bool {
        !self.submitted.swap(true, Relaxed)
    }

    /// The record as it travels.
    pub(crate) fn half(&self) -> Half {
        let mut marks = Marks::default();
        for &point in Point::ALL {
            marks.set(point, self.get(point));
        }
        let interval = (marks.first().unwrap_or(0), marks.last().unwrap_or(0));
        let details = self.details.lock();
        let mut half = Half::new(self.side, interval);
        half.marks = marks;
        half.sending = details.sending;
        half.outbound = self.account(Direction::Outbound, details.outbound);
        half.inbound = self.account(Direction::Inbound, details.inbound);
        half.connection = details.connection;
        half.http = details.http;
        half.attempts = details.attempts;
        half.database =
            self.identity().and_then(|identity| identity.database.as_deref()).map(str::to_owned);
        half.injected.clone_from(&details.injected);
        half
    }

    /// Splits what the tap saw of a body into prefix, envelope and payload.
    fn account(&self, direction: Direction, mut traffic: Traffic) -> Traffic {
        if self.grpc.load(Relaxed) && traffic.body >= GRPC_PREFIX {
            traffic.body -= GRPC_PREFIX;
            traffic.framing += GRPC_PREFIX;
        }
        let codec = &self.codec[direction as usize];
        let payload = codec.payload.load(Relaxed);
        let envelope = codec.encoded.load(Relaxed).saturating_sub(payload);
        traffic.payload = if payload == 0 { 0 } else { traffic.body.saturating_sub(envelope) };
        traffic
    }
}
