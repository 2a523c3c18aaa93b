//! One side of one call while it happens: the place where tap, codecs and halves leave their marks.
//!
//! A record is written from several tasks (the call's own, the connection's), so every field is an
//! atomic or behind a short lock. It becomes a [`ledger::Half`] once, when the call is over.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use http::StatusCode;
use ledger::{Half, Marks, Point, Sending, Side, Stage, Traffic, Value, names};
use parking_lot::Mutex;
use tonic::Code;

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
    /// When the service got the request (server only).
    handed_over: AtomicU64,
    /// Its span's number among those of the process, from 1.
    sequence: AtomicU64,
    codec: [CodecBytes; 2],
    details: Mutex<Details>,
    /// What somebody else measured of it, in place of all that.
    made: OnceLock<Box<Half>>,
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
    /// Messages so far.
    messages: AtomicU64,
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
    /// Kind of the failure, where there is a word for it.
    kind: Option<&'static str>,
    /// Status of the HTTP reply.
    http_status: Option<u16>,
    /// Status that the gRPC call ended with.
    grpc_status: Option<i32>,
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
            handed_over: AtomicU64::new(0),
            sequence: AtomicU64::new(0),
            codec: Default::default(),
            details: Mutex::default(),
            made: OnceLock::new(),
        }
    }

    /// The record of what somebody else measured.
    pub(crate) fn made(half: Half) -> Self {
        let record = Record::new(half.side);
        let _ = record.made.set(Box::new(half));
        record
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
        // Only gRPC has calls of several messages, which then count together.
        if self.grpc.load(Relaxed) && codec.messages.fetch_add(1, Relaxed) > 0 {
            codec.encoded.fetch_add(encoded, Relaxed);
            codec.payload.fetch_add(payload, Relaxed);
            return;
        }
        codec.encoded.store(encoded, Relaxed);
        codec.payload.store(payload, Relaxed);
    }

    /// The latest mark before `by` of what comes before sending the outbound message: sending does not begin earlier,
    /// whoever made the message.
    pub(crate) fn ready(&self, by: u64) -> u64 {
        let before: &[Point] = match self.side {
            Side::Client => &[Point::CallStart, Point::EncodeEnd],
            Side::Server => &[
                Point::LastRead,
                Point::DecodeEnd,
                Point::HandlerStart,
                Point::HandlerEnd,
                Point::EncodeEnd,
            ],
            Side::Wire => &[],
        };
        before.iter().map(|&point| self.get(point)).filter(|&at| at <= by).max().unwrap_or(0)
    }

    /// The service gets the request.
    pub(crate) fn handed_over(&self) {
        self.handed_over.store(ledger::clock::now(), Relaxed);
    }

    /// The service's answer is there. Where the service did not say when its own code ended, this does; a reply that
    /// was encoded by then was so afterwards.
    pub(crate) fn handled(&self) {
        if self.get(Point::HandlerEnd) == 0 {
            match self.get(Point::EncodeStart) {
                0 => self.mark(Point::HandlerEnd),
                encoding => self.set(Point::HandlerEnd, encoding),
            }
        }
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

    /// The failure in a word.
    pub(crate) fn failed_as(&self, kind: &'static str) {
        self.details.lock().kind = Some(kind);
    }

    /// The reply had this status.
    pub(crate) fn answered(&self, status: StatusCode) {
        self.details.lock().http_status = Some(status.as_u16());
    }

    /// The gRPC call ended with this status.
    pub(crate) fn grpc_status(&self, code: Code) {
        self.details.lock().grpc_status = Some(code as i32);
    }

    /// What its span says of how the call ended, in the words of the semantic conventions.
    pub(crate) fn said(&self) -> Vec<(&'static str, Value)> {
        let details = self.details.lock();
        let mut said = Vec::new();
        if let Some(status) = details.http_status {
            said.push((names::HTTP_RESPONSE_STATUS_CODE, Value::Int(status.into())));
        }
        if let Some(code) = details.grpc_status {
            said.push((names::RPC_GRPC_STATUS_CODE, Value::Int(code.into())));
        }
        if details.status.is_some() {
            let code = details.grpc_status.filter(|&code| code != 0);
            let status = details.http_status.filter(|&status| status >= 400);
            let kind = match (details.kind, code, status) {
                (Some(kind), _, _) if kind != "status" => kind.to_owned(),
                (_, Some(code), _) => format!("{:?}", Code::from(code)),
                (_, _, Some(status)) => status.to_string(),
                _ => "_OTHER".to_owned(),
            };
            said.push((names::ERROR_TYPE, Value::Text(kind)));
        }
        said
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
        if let Some(made) = self.made.get() {
            return Half::clone(made);
        }
        let mut marks = Marks::default();
        for &point in Point::ALL {
            marks.set(point, self.get(point));
        }
        let streaming = self.codec.iter().any(|codec| codec.messages.load(Relaxed) > 1);
        if streaming {
            marks = outermost(&marks);
        } else if self.side == Side::Server {
            codecs_outside_of_the_handler(&mut marks);
            deframed_before_it_is_handled(&mut marks, self.handed_over.load(Relaxed));
        }
        let interval = marks.ends().unwrap_or_default();
        let details = self.details.lock();
        let mut half = Half::new(self.side, interval);
        half.marks = marks;
        half.streaming = streaming;
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
        let codec = &self.codec[direction as usize];
        let prefixes = GRPC_PREFIX * codec.messages.load(Relaxed).max(1);
        if self.grpc.load(Relaxed) && traffic.body >= prefixes {
            traffic.body -= prefixes;
            traffic.framing += prefixes;
        }
        let payload = codec.payload.load(Relaxed);
        let envelope = codec.encoded.load(Relaxed).saturating_sub(payload);
        traffic.payload = if payload == 0 { 0 } else { traffic.body.saturating_sub(envelope) };
        traffic
    }
}

/// What is left of the marks where messages came and went in between: each took those of the one before.
fn outermost(marks: &Marks) -> Marks {
    const KEPT: [Point; 6] = [
        Point::Planned,
        Point::CallStart,
        Point::FirstRead,
        Point::EosWrite,
        Point::CallEnd,
        Point::Abandoned,
    ];
    let others = Point::ALL.iter().filter(|point| !KEPT.contains(point));
    others.fold(*marks, |marks, &point| marks.with(point, 0))
}

/// Puts the marks of codecs in their place where the service's own code reads the request or encodes the reply
/// itself: that is its work. Only what it waited for, the rest of the request, is not.
fn codecs_outside_of_the_handler(marks: &mut Marks) {
    let Some(start) = marks.get(Point::HandlerStart) else { return };
    if let Some(decoded) = marks.get(Point::DecodeEnd)
        && marks.get(Point::DecodeStart) >= Some(start)
    {
        if marks.get(Point::LastRead) > Some(start) {
            marks.set(Point::HandlerStart, decoded);
        } else {
            marks.set(Point::DecodeStart, 0);
            marks.set(Point::DecodeEnd, 0);
        }
    }
    let end = marks.get(Point::HandlerEnd);
    let encoding = marks.get(Point::EncodeStart);
    if encoding >= Some(start) && encoding.is_some() && encoding < end {
        marks.set(Point::EncodeStart, 0);
        marks.set(Point::EncodeEnd, 0);
    }
}

/// Ends the deframing of a request that nobody decoded where the service gets it: the connection's next I/O call may
/// come only after all of the service's work, which one task does with it.
fn deframed_before_it_is_handled(marks: &mut Marks, handed_over: u64) {
    let Some(next) = marks.get(Point::NextIo) else { return };
    if marks.get(Point::DecodeStart).is_some() {
        return;
    }
    let handled = marks.get(Point::HandlerStart).unwrap_or(u64::MAX).min(handed_over);
    // Of a body that came later nobody knows who read it when.
    let known = Some(handled) >= marks.get(Point::LastRead);
    marks.set(Point::NextIo, if known { next.min(handled) } else { 0 });
}
