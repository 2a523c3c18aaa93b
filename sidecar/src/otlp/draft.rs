//! One span as it is read: what has been seen of it, and the span that it becomes.

use std::sync::Arc;

use ledger::{Half, Side, names};

use super::attribute::{Any, key_value};
use super::limits;
use super::naming::{self, Peer, Queries};
use super::reject::Reason;
use super::state;
use super::wire::{Fields, Value, WireError};
use crate::span::{Operation, Planned, Source, Span, SpanKind};

/// Why one span is refused, with what was wrong in particular.
pub(super) struct Refusal {
    pub(super) reason: Reason,
    pub(super) detail: String,
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
    name: &'a [u8],
    state: &'a [u8],
    link: Option<&'a [u8]>,
    /// `http.route`, else `rpc.method`.
    route: Option<&'a [u8]>,
    route_is_http: bool,
    peer: Peer<'a>,
    database: Option<&'a [u8]>,
    half: Option<Box<Half>>,
    planned: Option<Box<Planned>>,
}

pub(super) fn read_span(
    message: &[u8],
    source: &Arc<Source>,
    lost: &mut Option<u64>,
    recent: &mut Recent,
) -> Result<Span, Refusal> {
    let mut draft = Draft::default();
    for field in Fields::of(message) {
        match field? {
            (1, Value::Bytes(id)) => draft.trace = id,
            (2, Value::Bytes(id)) => draft.id = id,
            (3, Value::Bytes(state)) => draft.state = state,
            (4, Value::Bytes(id)) => draft.parent = id,
            (5, Value::Bytes(name)) => draft.name = name,
            (6, Value::Varint(kind)) => draft.kind = SpanKind::from_otlp(kind),
            (7, Value::Fixed64(at)) => draft.start = at,
            (8, Value::Fixed64(at)) => draft.end = at,
            (9, Value::Bytes(attribute)) => draft.read_attribute(attribute, lost)?,
            (13, Value::Bytes(link)) => draft.link = draft.link.or(Some(link)),
            (15, Value::Bytes(status)) => draft.error = is_error(status)?,
            _ => {}
        }
    }
    draft.finish(source, recent)
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
        match key {
            b"http.route" => {
                self.route = value.bytes().filter(|route| !route.is_empty()).or(self.route);
                self.route_is_http = self.route.is_some();
            }
            b"rpc.method" if !self.route_is_http => {
                self.route = value.bytes().filter(|method| !method.is_empty()).or(self.route);
            }
            _ if key == names::DB_SYSTEM_NAME.as_bytes() || key == names::DB_SYSTEM.as_bytes() => {
                self.database = value.bytes().filter(|name| !name.is_empty());
            }
            _ => self.peer.read(key, value),
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

    /// What the request does that this span may be the beginning of. Most spans are not, and need no name.
    fn operation(&self, begins: bool, recent: &mut Recent) -> Option<Operation> {
        let may_begin = begins || matches!(self.kind, SpanKind::Server | SpanKind::Consumer);
        let text = self.route.unwrap_or(self.name);
        (may_begin && !text.is_empty())
            .then(|| Operation { name: recent.get(text), is_route: self.route.is_some() })
    }

    fn finish(self, source: &Arc<Source>, recent: &mut Recent) -> Result<Span, Refusal> {
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
        let edge = state::edge(self.state, limits::NAME_BYTES);
        let is_edge = edge.as_ref().is_some_and(|edge| edge.span == parent || edge.span == id);
        let mut span = Span {
            trace,
            id,
            parent,
            kind: self.kind,
            error: self.error,
            start: self.start,
            end: self.end,
            wall: self.start,
            source: Arc::clone(source),
            operation: self.operation(parent == 0 || is_edge, recent),
            inner: edge.is_some() && !is_edge,
            edge: edge.filter(|_| is_edge).map(Box::new),
            link: self.link.filter(|_| self.kind == SpanKind::Consumer).and_then(link),
            planned: self.planned,
            ..Span::default()
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
                span.peer = self
                    .peer
                    .name(self.database, limits::NAME_BYTES, recent.queries)
                    .map(Into::into);
            }
            (span.start, span.end) = half.interval;
            span.half = Some(half);
        }
        Ok(span)
    }
}

/// A name as it came, and as it is kept.
type Named = (Box<[u8]>, Arc<str>);

/// The latest names of operations: those of one process come again and again.
#[derive(Debug, Default)]
pub(super) struct Recent {
    queries: Queries,
    names: [Option<Named>; 4],
    next: usize,
}

impl Recent {
    pub(super) fn new(queries: Queries) -> Recent {
        Recent { queries, ..Recent::default() }
    }

    fn get(&mut self, text: &[u8]) -> Arc<str> {
        let known = self.names.iter().flatten().find(|(from, _)| **from == *text);
        if let Some((_, name)) = known {
            return Arc::clone(name);
        }
        let made = naming::bounded(text, limits::NAME_BYTES, self.queries);
        let made: Arc<str> = made.into();
        self.names[self.next % 4] = Some((text.into(), Arc::clone(&made)));
        self.next += 1;
        made
    }
}

/// A name that a peer chose.
fn name(bytes: &[u8]) -> String {
    naming::bounded(bytes, limits::NAME_BYTES, Queries::Dropped)
}

/// The same of an attribute of any kind.
pub(super) fn name_of(value: Any<'_>) -> String {
    value.bytes().map_or_else(|| value.lossy_text(limits::NAME_BYTES), name)
}

/// Reads a `Link`: the trace and the span that it names, if it names any.
fn link(message: &[u8]) -> Option<Box<(u128, u64)>> {
    let (mut trace, mut span): (&[u8], &[u8]) = (&[], &[]);
    for field in Fields::of(message) {
        match field.ok()? {
            (1, Value::Bytes(id)) => trace = id,
            (2, Value::Bytes(id)) => span = id,
            _ => {}
        }
    }
    let trace = trace.try_into().map(u128::from_be_bytes).ok()?;
    Some(Box::new((trace, span.try_into().map(u64::from_be_bytes).ok()?)))
}
