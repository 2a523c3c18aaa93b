//! Finished records as one OTLP export request, encoded straight into a buffer that is used again.
//!
//! Field numbers are those of opentelemetry-proto 1.x (`trace/v1/trace.proto`, `common/v1`,
//! `resource/v1`); a test reads the bytes with the generated code. What a span says of its hop is one
//! attribute of bytes ([`ledger::Half::pack`]): as text it cost more than everything else of a span.

use ledger::wall::WallClock;
use ledger::{Half, Origin, Side, Value, length_delimited, names, varint};

use crate::record::Record;

/// Name of the scope of our spans.
const SCOPE: &str = "probe";
/// `SpanKind` and `StatusCode` of OTLP.
const KIND_INTERNAL: u64 = 1;
const KIND_SERVER: u64 = 2;
const KIND_CLIENT: u64 = 3;
const STATUS_ERROR: u64 = 2;
/// It is known whether the parent is remote; it is (`SpanFlags`). Below them are W3C's flags.
const FLAG_KNOWN: u32 = 0x100;
const FLAG_REMOTE: u32 = 0x200;

/// What a process says of itself with every request.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub(crate) service: String,
    /// What else its environment says of it, by the standard's names.
    pub(crate) said: Vec<(String, String)>,
    pub(crate) pid: u32,
    /// Drawn at random when it starts.
    pub(crate) instance: u64,
}

/// How many spans a process has made and lost so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Number of the last span.
    pub(crate) highest: u64,
    pub(crate) lost: u64,
}

/// Encodes requests of one process.
#[derive(Debug)]
pub(crate) struct Encoder {
    process: Process,
    wall: WallClock,
    spans: Vec<u8>,
    span: Vec<u8>,
    packed: Vec<u8>,
    resource: Vec<u8>,
}

impl Encoder {
    pub(crate) fn new(process: Process) -> Self {
        Encoder {
            process,
            wall: WallClock::read(),
            spans: Vec::new(),
            span: Vec::new(),
            packed: Vec::new(),
            resource: Vec::new(),
        }
    }

    /// Adds the span of a record to the request in hand.
    pub(crate) fn add(&mut self, record: &Record) {
        let Some(identity) = record.identity() else { return };
        let half = record.half();
        let out = &mut self.span;
        out.clear();
        bytes(out, 1, &identity.context.trace_id.to_be_bytes());
        bytes(out, 2, &identity.context.span_id.to_be_bytes());
        let state = identity.state();
        if !state.is_empty() {
            bytes(out, 3, state);
        }
        if identity.parent != 0 {
            bytes(out, 4, &identity.parent.to_be_bytes());
        }
        bytes(out, 5, identity.name.as_bytes());
        let kind = match half.side {
            Side::Client => KIND_CLIENT,
            Side::Server => KIND_SERVER,
            Side::Wire => KIND_INTERNAL,
        };
        number(out, 6, kind);
        fixed64(out, 7, self.wall.to_wall(half.interval.0));
        fixed64(out, 8, self.wall.to_wall(half.interval.1));
        self.packed.clear();
        let origin = Origin { instance: self.process.instance, sequence: record.sequence() };
        half.pack(Some(origin), &mut self.packed);
        attribute(out, 9, names::PACKED, |any| bytes(any, 7, &self.packed));
        said_beside(&half, record, out);
        for (key, value) in identity.extra.iter().chain(&record.said()) {
            attribute(out, 9, key, |any| match value {
                Value::Text(text) => bytes(any, 1, text.as_bytes()),
                Value::Int(whole) => number(any, 3, whole.cast_unsigned()),
                Value::Float(float) => fixed64(any, 4, float.to_bits()),
            });
        }
        if let Some(peer) = &identity.peer {
            attribute(out, 9, names::PEER_SERVICE, |any| bytes(any, 1, peer.as_bytes()));
        }
        if let Some(why) = record.failure() {
            message(out, 15, |status| {
                bytes(status, 2, why.as_bytes());
                number(status, 3, STATUS_ERROR);
            });
        }
        let remote = if half.side == Side::Client { 0 } else { FLAG_REMOTE };
        fixed32(out, 16, u32::from(identity.context.flags) | FLAG_KNOWN | remote);
        bytes(&mut self.spans, 2, &self.span);
    }

    /// Ends the request in hand: an `ExportTraceServiceRequest` in `out`, in place of what it held. With
    /// no span added it only says how many there were.
    pub(crate) fn finish(&mut self, totals: Totals, out: &mut Vec<u8>) {
        out.clear();
        let resource = &mut self.resource;
        resource.clear();
        let text = |resource: &mut Vec<u8>, key, text: &str| {
            attribute(resource, 1, key, |any| bytes(any, 1, text.as_bytes()));
        };
        let whole = |resource: &mut Vec<u8>, key, whole| {
            attribute(resource, 1, key, |any| number(any, 3, whole));
        };
        text(resource, names::SERVICE_NAME, &self.process.service);
        for (key, value) in &self.process.said {
            text(resource, key, value);
        }
        whole(resource, names::PROCESS_PID, self.process.pid.into());
        text(resource, names::CLOCK, &ledger::clock::identity());
        text(resource, names::PID_NAMESPACE, &ledger::process::namespace());
        // A number of 64 bits may be negative as OTLP has it; a reader takes the same bits.
        whole(resource, names::INSTANCE, self.process.instance);
        whole(resource, names::HIGHEST, totals.highest);
        whole(resource, names::LOST, totals.lost);
        message(out, 1, |resource_spans| {
            bytes(resource_spans, 1, resource);
            message(resource_spans, 2, |scope_spans| {
                message(scope_spans, 1, |scope| {
                    bytes(scope, 1, SCOPE.as_bytes());
                    bytes(scope, 2, env!("CARGO_PKG_VERSION").as_bytes());
                });
                scope_spans.extend_from_slice(&self.spans);
            });
        });
        self.spans.clear();
    }
}

/// What is no part of the packed record: attributes that other tools know too.
fn said_beside(half: &Half, record: &Record, out: &mut Vec<u8>) {
    if let Some(database) = &half.database {
        attribute(out, 9, names::DB_SYSTEM_NAME, |any| bytes(any, 1, database.as_bytes()));
    }
    if let Some(stopwatch) = record.stopwatch() {
        attribute(out, 9, names::STOPWATCH, |any| number(any, 3, stopwatch));
    }
}

/// The key of a field: its number and its wire type.
fn key(out: &mut Vec<u8>, field: u64, wire_type: u64) {
    varint(out, field << 3 | wire_type);
}

fn number(out: &mut Vec<u8>, field: u64, number: u64) {
    key(out, field, 0);
    varint(out, number);
}

fn fixed64(out: &mut Vec<u8>, field: u64, number: u64) {
    key(out, field, 1);
    out.extend_from_slice(&number.to_le_bytes());
}

fn fixed32(out: &mut Vec<u8>, field: u64, number: u32) {
    key(out, field, 5);
    out.extend_from_slice(&number.to_le_bytes());
}

fn bytes(out: &mut Vec<u8>, field: u64, content: &[u8]) {
    key(out, field, 2);
    varint(out, content.len() as u64);
    out.extend_from_slice(content);
}

/// A message whose content is what `write` appends.
fn message(out: &mut Vec<u8>, field: u64, write: impl FnOnce(&mut Vec<u8>)) {
    key(out, field, 2);
    length_delimited(out, write);
}

/// A `KeyValue`, whose `AnyValue` is what `write` appends.
fn attribute(out: &mut Vec<u8>, field: u64, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
    message(out, field, |pair| {
        bytes(pair, 1, name.as_bytes());
        message(pair, 2, write);
    });
}
