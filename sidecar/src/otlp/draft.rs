//! One span as it is read: what has been seen of it, and the span that it becomes.

use std::sync::Arc;

use ledger::{AtRest, Half, Origin, Rested, Side, names};

use super::attribute::{Any, key_value};
use super::limits;
use super::naming::{self, Peer, Queries, RecentNames};
use super::reject::Reason;
use super::sizes::Sizes;
use super::state::States;
use super::wire::{Value, WireError, fields};
use crate::losses::Told;
use crate::runs::Runs;
use crate::span::{Edge, Names, Planned, Source, Span, SpanKind};

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

/// What a span measured, as far as it has been read.
#[derive(Default)]
enum Measured {
    /// Nothing.
    #[default]
    Nothing,
    /// A record that was put at rest as it was read, with the earliest and the latest of its marks. Most have one.
    AtRest(Box<AtRest>, Option<(u64, u64)>),
    /// Something else, which is in [`Reader::half`].
    InHand,
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
    sizes: Sizes,
    database: Option<&'a [u8]>,
    measured: Measured,
    planned: Option<Box<Planned>>,
    /// The cell that is planned.
    cell: Option<&'a str>,
}

/// Reads the spans of one export. What many of them say alike is made once.
#[derive(Debug)]
pub(super) struct Reader<'r> {
    names: RecentNames,
    states: States<'r>,
    /// What the span in hand measured.
    half: Half,
    /// Spans whose word about the plan was not taken.
    pub(super) ignored: u64,
    /// Sizes of bodies that are none.
    pub(super) sizes_ignored: u64,
}

impl<'r> Reader<'r> {
    pub(super) fn new(queries: Queries, runs: &'r Runs) -> Reader<'r> {
        Reader {
            names: RecentNames::new(queries),
            states: States::of(runs),
            half: Half::new(Side::Client, (0, 0)),
            ignored: 0,
            sizes_ignored: 0,
        }
    }
}

pub(super) fn read_span(
    message: &[u8],
    source: &Arc<Source>,
    told: &mut Told,
    reader: &mut Reader<'_>,
) -> Result<Span, Refusal> {
    let mut draft = Draft::default();
    fields(message, |number, field| {
        match (number, field) {
            (1, Value::Bytes(id)) => draft.trace = id,
            (2, Value::Bytes(id)) => draft.id = id,
            (3, Value::Bytes(state)) => draft.state = state,
            (4, Value::Bytes(id)) => draft.parent = id,
            (5, Value::Bytes(name)) => draft.name = name,
            (6, Value::Varint(kind)) => draft.kind = SpanKind::from_otlp(kind),
            (7, Value::Fixed64(at)) => draft.start = at,
            (8, Value::Fixed64(at)) => draft.end = at,
            (9, Value::Bytes(attribute)) => {
                draft.read_attribute(attribute, &mut reader.half, told)?;
            }
            (13, Value::Bytes(link)) => draft.link = draft.link.or(Some(link)),
            (15, Value::Bytes(status)) => draft.error = is_error(status)?,
            _ => {}
        }
        Ok::<_, Refusal>(())
    })?;
    draft.finish(source, reader)
}

/// Reads a `Status`: STATUS_CODE_ERROR is 2.
fn is_error(message: &[u8]) -> Result<bool, WireError> {
    let mut error = false;
    fields(message, |number, field| {
        if let (3, Value::Varint(code)) = (number, field) {
            error = code == 2;
        }
        Ok::<_, WireError>(())
    })?;
    Ok(error)
}

impl<'a> Draft<'a> {
    fn read_attribute(
        &mut self,
        message: &'a [u8],
        half: &mut Half,
        told: &mut Told,
    ) -> Result<(), Refusal> {
        let (key, value) = key_value(message)?;
        if let Some(name) = key.strip_prefix(b"lab.") {
            return self.read_lab(name, value, half, told).map_err(|detail| {
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
            _ if self.sizes.read(key, value) => {}
            _ => self.peer.read(key, value),
        }
        Ok(())
    }

    /// Takes in the attribute `lab.<name>`; unknown ones are ignored.
    fn read_lab(
        &mut self,
        name: &[u8],
        value: Any<'a>,
        half: &mut Half,
        told: &mut Told,
    ) -> Result<(), String> {
        match name {
            b"packed" => self.read_packed(value, half, told),
            // The text form that our spans had before, and that others may write.
            b"marks" => self.read_record(names::MARKS, value, half),
            b"wire" => self.read_record(names::WIRE, value, half),
            b"injected" => self.read_record(names::INJECTED, value, half),
            b"cell" => {
                let cell = value.text()?;
                if cell.len() > limits::NAME_BYTES {
                    return Err(format!("{} bytes, more than {}", cell.len(), limits::NAME_BYTES));
                }
                self.plan();
                self.cell = Some(cell);
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
                told.lost = told.lost.max(count);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Takes in one attribute of a record; which side it is of is settled when the kind is known.
    fn read_record(&mut self, key: &str, value: Any<'_>, half: &mut Half) -> Result<(), String> {
        let text = value.text()?;
        if text.len() > limits::RECORD_BYTES {
            return Err(format!("{} bytes, more than {}", text.len(), limits::RECORD_BYTES));
        }
        self.record(half).read(key, text).map_err(|error| error.to_string())
    }

    fn read_packed(
        &mut self,
        value: Any<'a>,
        half: &mut Half,
        told: &mut Told,
    ) -> Result<(), String> {
        let Any::Packed(bytes) = value else { return Err("not bytes".to_owned()) };
        if bytes.len() > limits::RECORD_BYTES {
            return Err(format!("{} bytes, more than {}", bytes.len(), limits::RECORD_BYTES));
        }
        let rested = match self.measured {
            Measured::Nothing => AtRest::unpack(bytes),
            _ => None,
        };
        let origin = match rested {
            Some(Rested { record, ends, origin }) => {
                self.measured = Measured::AtRest(Box::new(record), ends);
                origin
            }
            None => self.record(half).unpack(bytes).map_err(|error| error.to_string())?,
        };
        if let Some(Origin { sequence, .. }) = origin.filter(|it| it.instance == told.instance) {
            told.came(sequence);
        }
        Ok(())
    }

    /// The record of the span in hand: what two attributes say is one record.
    fn record<'h>(&mut self, half: &'h mut Half) -> &'h mut Half {
        let before = std::mem::replace(&mut self.measured, Measured::InHand);
        if !matches!(before, Measured::InHand) {
            half.begin_anew(Side::Client, (0, 0));
        }
        if let Measured::AtRest(record, _) = before {
            record.restore(half);
        }
        half
    }

    fn plan(&mut self) -> &mut Planned {
        self.planned.get_or_insert_default()
    }

    /// What it is called and what it calls. Most spans do not begin a request, and need no name of their own.
    fn names(&self, begins: bool, names: &mut RecentNames) -> Option<Arc<Names>> {
        let may_begin = begins || matches!(self.kind, SpanKind::Server | SpanKind::Consumer);
        let operation = (self.route.unwrap_or(self.name), self.route.is_some());
        let operation = Some(operation).filter(|(text, _)| may_begin && !text.is_empty());
        let database = self.database.filter(|_| self.kind == SpanKind::Client);
        let peer = match self.kind {
            SpanKind::Client => self.peer.called(database),
            _ => None,
        };
        names.get(operation, peer, database)
    }

    /// The ids of its trace, itself and its parent.
    fn ids(&self) -> Result<(u128, u64, u64), Reason> {
        let trace = self.trace.try_into().map_or(0, u128::from_be_bytes);
        if trace == 0 {
            return Err(Reason::TraceId);
        }
        let id = self.id.try_into().map_or(0, u64::from_be_bytes);
        if id == 0 {
            return Err(Reason::SpanId);
        }
        let parent = match self.parent {
            [] => 0,
            bytes => u64::from_be_bytes(bytes.try_into().map_err(|_| Reason::ParentId)?),
        };
        Ok((trace, id, parent))
    }

    fn finish(&mut self, source: &Arc<Source>, reader: &mut Reader<'_>) -> Result<Span, Refusal> {
        let (trace, id, parent) = self.ids()?;
        let state = reader.states.read(self.state);
        let edge = state.filter(|&(edge, _)| edge == parent || edge == id);
        let far = matches!(self.measured, Measured::InHand) && reader.half.far.is_some();
        let relays = self.kind == SpanKind::Internal && far;
        let kind = if relays { SpanKind::Wire } else { self.kind };
        reader.sizes_ignored += self.sizes.ignored;
        let told = (self.start, self.end);
        let ((start, end), record) = match std::mem::take(&mut self.measured) {
            Measured::AtRest(record, ends) if kind.is_half() => {
                (limits::marks(ends, told)?, Some(record))
            }
            Measured::InHand if kind.is_half() || relays => {
                let half = &reader.half;
                (limits::record(half, told)?, Some(Box::new(AtRest::of(half))))
            }
            _ => (limits::interval(told)?, None),
        };
        let says = self.planned.is_some() || edge.is_some_and(|(_, state)| state.claims);
        // What a span says of the plan is taken of the edge of a request of the run that is open.
        let believed = edge.map(|(_, state)| state).filter(|state| state.believed);
        reader.ignored += u64::from(says && believed.is_none());
        Ok(Span {
            trace,
            id,
            parent,
            kind,
            error: self.error,
            start,
            end,
            wall: self.start,
            source: Arc::clone(source),
            names: self.names(parent == 0 || edge.is_some(), &mut reader.names),
            edge: edge.map(|(span, state)| Edge { span, said: Arc::clone(&state.said) }),
            inner: state.is_some() && edge.is_none(),
            run: state.map(|(_, state)| state.said.run).unwrap_or_default(),
            link: self.link.filter(|_| self.kind == SpanKind::Consumer).and_then(link),
            record,
            claimed: self.sizes.claimed().filter(|_| self.kind.is_half()),
            planned: believed.and_then(|state| self.planned(&state.said.cell)),
        })
    }

    /// What it says of the plan. The cell is mostly the same as its `tracestate` has, `said`.
    fn planned(&mut self, said: &Arc<str>) -> Option<Box<Planned>> {
        let mut planned = self.planned.take()?;
        let same = self.cell.is_some_and(|cell| *cell == **said);
        planned.cell = if same { Some(Arc::clone(said)) } else { self.cell.map(Arc::from) };
        Some(planned)
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
    let read = fields(message, |number, field| {
        match (number, field) {
            (1, Value::Bytes(id)) => trace = id,
            (2, Value::Bytes(id)) => span = id,
            _ => {}
        }
        Ok::<_, WireError>(())
    });
    read.ok()?;
    let trace = trace.try_into().map(u128::from_be_bytes).ok()?;
    Some(Box::new((trace, span.try_into().map(u64::from_be_bytes).ok()?)))
}
