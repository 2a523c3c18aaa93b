//! OTLP trace messages into [`Span`]s: what is taken, what is refused and why.
//!
//! Field numbers are those of opentelemetry-proto 1.x (`trace/v1/trace.proto`, `common/v1`,
//! `resource/v1`); a test decodes bytes made by the generated code.

use std::sync::Arc;

use ledger::{Half, Side, names};

use super::attribute::{Any, key_value};
use super::limits;
use super::reject::{Reason, Rejections};
use super::wire::{Fields, Value, WireError};
use crate::span::{Planned, Source, Span, SpanKind};

/// What one export request brought.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Spans accepted.
    pub(crate) spans: Vec<Span>,
    /// Spans refused.
    pub(crate) rejected: Rejections,
    /// Spans that a process says it lost so far (`lab.lost`), the largest per resource.
    pub(crate) lost: Vec<(Arc<Source>, u64)>,
    /// The resources that the spans came from.
    pub(crate) sources: Vec<Arc<Source>>,
}

/// Decodes an `ExportTraceServiceRequest`.
///
/// # Errors
/// [`WireError`] where the envelope itself is broken, so that spans cannot be told apart. A span
/// that is broken inside is refused alone.
pub(crate) fn export_request(message: &[u8]) -> Result<Batch, WireError> {
    // Our spans take some 450 bytes each: one allocation instead of eight doublings.
    let mut batch =
        Batch { spans: Vec::with_capacity(message.len() / 450 + 1), ..Batch::default() };
    for field in Fields::of(message) {
        if let (1, Value::Bytes(resource_spans)) = field? {
            read_resource_spans(resource_spans, &mut batch)?;
        }
    }
    Ok(batch)
}

fn read_resource_spans(message: &[u8], batch: &mut Batch) -> Result<(), WireError> {
    // Fields may come in any order: the resource is read before the spans that it holds for.
    let (mut source, mut lost) = (Source::default(), None);
    for field in Fields::of(message) {
        if let (1, Value::Bytes(resource)) = field? {
            read_resource(resource, &mut source, &mut lost)?;
        }
    }
    if source.service.is_empty() {
        source.service.push_str("unknown_service");
    }
    let source = Arc::new(source);
    for field in Fields::of(message) {
        let (2, Value::Bytes(scope_spans)) = field? else {
            continue;
        };
        for field in Fields::of(scope_spans) {
            let (2, Value::Bytes(span)) = field? else {
                continue;
            };
            match read_span(span, &source, &mut lost) {
                Ok(span) => batch.spans.push(span),
                Err(Refusal { reason, detail }) => batch.rejected.count(reason, &detail),
            }
        }
    }
    if let Some(lost) = lost {
        batch.lost.push((Arc::clone(&source), lost));
    }
    batch.sources.push(source);
    Ok(())
}

fn read_resource(
    message: &[u8],
    source: &mut Source,
    lost: &mut Option<u64>,
) -> Result<(), WireError> {
    for field in Fields::of(message) {
        let (1, Value::Bytes(attribute)) = field? else {
            continue;
        };
        let (key, value) = key_value(attribute)?;
        if key == names::SERVICE_NAME.as_bytes() {
            source.service = value.lossy_text(limits::NAME_BYTES);
        } else if key == names::CLOCK.as_bytes() {
            source.clock = value.lossy_text(limits::NAME_BYTES);
        } else if key == names::PROCESS_PID.as_bytes() {
            source.pid = value.whole().and_then(|pid| u32::try_from(pid).ok()).unwrap_or(0);
        } else if key == names::PID_NAMESPACE.as_bytes() {
            source.pid_namespace = value.lossy_text(limits::NAME_BYTES);
        } else if key == names::LOST.as_bytes() {
            *lost = value.whole();
        }
    }
    Ok(())
}

/// Why one span is refused, with what was wrong in particular.
struct Refusal {
    reason: Reason,
    detail: String,
}

impl From<WireError> for Refusal {
    fn from(error: WireError) -> Self {
        Refusal { reason: Reason::Malformed, detail: error.to_string() }
    }
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Refusal { reason, detail: String::new() }
    }
}

/// The parts of a span while it is being read.
#[derive(Default)]
struct Draft<'a> {
    trace: &'a [u8],
    id: &'a [u8],
    parent: &'a [u8],
    kind: SpanKind,
    start: u64,
    end: u64,
    error: bool,
    peer: Option<&'a [u8]>,
    peer_is_service: bool,
    database: Option<&'a [u8]>,
    half: Option<Box<Half>>,
    planned: Option<Box<Planned>>,
}

fn read_span(
    message: &[u8],
    source: &Arc<Source>,
    lost: &mut Option<u64>,
) -> Result<Span, Refusal> {
    let mut draft = Draft::default();
    for field in Fields::of(message) {
        match field? {
            (1, Value::Bytes(id)) => draft.trace = id,
            (2, Value::Bytes(id)) => draft.id = id,
            (4, Value::Bytes(id)) => draft.parent = id,
            (6, Value::Varint(kind)) => draft.kind = SpanKind::from_otlp(kind),
            (7, Value::Fixed64(at)) => draft.start = at,
            (8, Value::Fixed64(at)) => draft.end = at,
            (9, Value::Bytes(attribute)) => draft.read_attribute(attribute, lost)?,
            (15, Value::Bytes(status)) => draft.error = is_error(status)?,
            _ => {}
        }
    }
    draft.finish(source)
}

/// Reads a `Status`: STATUS_CODE_ERROR is 2.
fn is_error(message: &[u8]) -> Result<bool, WireError> {
    let mut error = false;
    for field in Fields::of(message) {
        if let (3, Value::Varint(code)) = field? {
            error = code == 2;
        }
    }
    Ok(error)
}

impl<'a> Draft<'a> {
    fn read_attribute(&mut self, message: &'a [u8], lost: &mut Option<u64>) -> Result<(), Refusal> {
        let (key, value) = key_value(message)?;
        if let Some(name) = key.strip_prefix(b"lab.") {
            return self.read_lab(name, value, lost).map_err(|detail| {
                let key = String::from_utf8_lossy(key);
                let detail: String = format!("{key}: {detail}").chars().take(200).collect();
                Refusal { reason: Reason::Attribute, detail }
            });
        }
        // `peer.service` is the better name; an address stands in where there is none.
        if key == names::PEER_SERVICE.as_bytes() {
            (self.peer, self.peer_is_service) = (value.bytes(), true);
        } else if key == names::SERVER_ADDRESS.as_bytes() && !self.peer_is_service {
            self.peer = value.bytes();
        } else if key == names::DB_SYSTEM_NAME.as_bytes() || key == names::DB_SYSTEM.as_bytes() {
            self.database = value.bytes().filter(|name| !name.is_empty());
        }
        Ok(())
    }

    /// Takes in the attribute `lab.<name>`; unknown ones are ignored.
    fn read_lab(
        &mut self,
        name: &[u8],
        value: Any<'_>,
        lost: &mut Option<u64>,
    ) -> Result<(), String> {
        match name {
            b"packed" => self.read_packed(value),
            // The text form that our spans had before, and that others may write.
            b"marks" => self.read_record(names::MARKS, value),
            b"wire" => self.read_record(names::WIRE, value),
            b"injected" => self.read_record(names::INJECTED, value),
            b"cell" => {
                let cell = value.text()?;
                if cell.len() > limits::NAME_BYTES {
                    return Err(format!("{} bytes, more than {}", cell.len(), limits::NAME_BYTES));
                }
                self.plan().cell = Some(cell.to_owned());
                Ok(())
            }
            b"round" => {
                let round = value.whole().and_then(|round| u32::try_from(round).ok());
                self.plan().round = round.ok_or("not a whole number of 32 bits")?;
                Ok(())
            }
            b"weight" => {
                let weight = value.number().filter(|&weight| limits::weight(weight));
                self.plan().weight = Some(weight.ok_or("not a number above 0 and at most 1e12")?);
                Ok(())
            }
            b"stopwatch_ns" => {
                let ns = value.whole().filter(|&ns| ns <= limits::DAY_NS);
                self.plan().stopwatch = Some(ns.ok_or("not nanoseconds within a day")?);
                Ok(())
            }
            b"lost" => {
                let count = value.whole().ok_or("not a whole number")?;
                *lost = Some(lost.map_or(count, |lost| lost.max(count)));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Takes in one attribute of a record; which side it is of is settled when the kind is known.
    fn read_record(&mut self, key: &str, value: Any<'_>) -> Result<(), String> {
        let text = value.text()?;
        if text.len() > limits::RECORD_BYTES {
            return Err(format!("{} bytes, more than {}", text.len(), limits::RECORD_BYTES));
        }
        self.half().read(key, text).map_err(|error| error.to_string())
    }

    fn read_packed(&mut self, value: Any<'_>) -> Result<(), String> {
        let Any::Packed(bytes) = value else { return Err("not bytes".to_owned()) };
        if bytes.len() > limits::RECORD_BYTES {
            return Err(format!("{} bytes, more than {}", bytes.len(), limits::RECORD_BYTES));
        }
        self.half().unpack(bytes).map(drop).map_err(|error| error.to_string())
    }

    fn half(&mut self) -> &mut Half {
        self.half.get_or_insert_with(|| Box::new(Half::new(Side::Client, (0, 0))))
    }

    fn plan(&mut self) -> &mut Planned {
        self.planned.get_or_insert_default()
    }

    fn finish(self, source: &Arc<Source>) -> Result<Span, Refusal> {
        let trace = self.trace.try_into().map_or(0, u128::from_be_bytes);
        if trace == 0 {
            return Err(Reason::TraceId.into());
        }
        let id = self.id.try_into().map_or(0, u64::from_be_bytes);
        if id == 0 {
            return Err(Reason::SpanId.into());
        }
        let parent = match self.parent {
            [] => 0,
            bytes => u64::from_be_bytes(bytes.try_into().map_err(|_| Reason::ParentId)?),
        };
        let mut span = Span {
            trace,
            id,
            parent,
            kind: self.kind,
            error: self.error,
            start: self.start,
            source: Arc::clone(source),
            peer: None,
            half: None,
            planned: self.planned,
        };
        let side = match self.kind {
            SpanKind::Client => Some(Side::Client),
            SpanKind::Server => Some(Side::Server),
            _ => None,
        };
        let marked = self.half.as_ref().and_then(|half| half.marks.first()).is_some();
        if !(side.is_some() && marked) {
            limits::interval(self.start, self.end)?;
        }
        if let Some(side) = side {
            let mut half = self.half.unwrap_or_else(|| Box::new(Half::new(side, (0, 0))));
            half.side = side;
            half.interval = (self.start, self.end);
            limits::half(&mut half)?;
            if side == Side::Client {
                half.database = self.database.map(name);
            }
            span.start = half.interval.0;
            span.half = Some(half);
            span.peer = self.peer.map(|peer| name(peer).into());
        }
        Ok(span)
    }
}

/// The beginning of a name that a peer chose.
fn name(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(limits::NAME_BYTES)]).into_owned()
}
