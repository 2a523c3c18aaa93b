//! OTLP trace messages into [`Span`]s: what is taken, what is refused and why.
//!
//! Field numbers are those of opentelemetry-proto 1.x (`trace/v1/trace.proto`, `common/v1`,
//! `resource/v1`); a test decodes bytes made by the generated code.

use std::sync::Arc;
use std::time::Duration;

use ledger::names;

use super::attribute::{Any, key_value};
use super::draft::{Reader, Refusal, name_of, read_span};
use super::limits;
use super::naming::Queries;
use super::reject::{Reason, Rejections};
use super::wire::{Value, WireError, fields};
use crate::budget::{Budget, Share, Spent};
use crate::losses::Told;
use crate::process::Claim;
use crate::runs::Runs;
use crate::span::{Source, Span};

/// Bytes asked of the budget at once.
const STEP: usize = 64 << 10;
/// Spans of a large message that are taken in at once.
const CHUNK: usize = 4_096;
/// A message with more bytes is taken in by chunks: all of its spans at once would take several times its size.
pub(crate) const LARGE: usize = 256 << 10;
/// How often, and how long each time, a large message waits for memory that its own spans take.
const WAITS: u32 = 50;
const WAIT: Duration = Duration::from_millis(20);

/// Spans of one export request: all of them, or of a large one a part.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Spans accepted.
    pub(crate) spans: Vec<Span>,
    /// What they take of the budget, and a little more.
    pub(crate) share: Share,
    /// What they take, in bytes.
    held: usize,
    /// Spans refused.
    pub(crate) rejected: Rejections,
    /// Accepted spans whose word about the plan was not taken.
    pub(crate) ignored: u64,
    /// Sizes of bodies that spans claim and that are none: negative, past a limit, no whole number.
    pub(crate) sizes_ignored: u64,
    /// What processes say of all their spans, and which of them came.
    pub(crate) told: Vec<(Arc<Source>, Told)>,
    /// The resources that the spans came from.
    pub(crate) sources: Vec<Arc<Source>>,
}

/// Why no batch was made of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DecodeError {
    /// The envelope is broken: spans cannot be told apart.
    Wire(WireError),
    /// There is no memory for its spans now.
    Spent(Spent),
}

impl From<Spent> for DecodeError {
    fn from(spent: Spent) -> Self {
        DecodeError::Spent(spent)
    }
}

impl From<WireError> for DecodeError {
    fn from(error: WireError) -> Self {
        DecodeError::Wire(error)
    }
}

/// Decodes an `ExportTraceServiceRequest`, and has its spans taken in by `take`. They hold what they
/// take of `budget`. Blocks where a large message waits for memory.
///
/// # Errors
/// [`DecodeError`] where the envelope itself is broken, so that spans cannot be told apart, or where there is no
/// memory; then nothing was taken in. A span that is broken inside is refused alone, and so are those of a large
/// message for which there is no memory any more.
pub(crate) fn export_request(
    message: &[u8],
    budget: &Arc<Budget>,
    queries: Queries,
    runs: &Runs,
    take: &mut dyn FnMut(Batch),
) -> Result<(), DecodeError> {
    let large = message.len() > LARGE;
    if large {
        check(message)?;
    }
    // Our spans take some 200 bytes each: one allocation instead of eight doublings.
    let expected = (message.len() / 200 + 1).min(CHUNK);
    let spans = Vec::with_capacity(expected);
    let batch = Batch { spans, share: budget.share(), ..Batch::default() };
    let reader = Reader::new(queries, runs);
    let mut decoder = Decoder { batch, budget, reader, take, large, taken: false, waits: WAITS };
    fields(message, |number, field| match (number, field) {
        (1, Value::Bytes(resource_spans)) => decoder.read_resource_spans(resource_spans),
        _ => Ok(()),
    })?;
    decoder.hand_over();
    Ok(())
}

/// Whether the envelope of a message can be read to its end.
fn check(message: &[u8]) -> Result<(), WireError> {
    fields(message, |number, field| {
        let (1, Value::Bytes(resource_spans)) = (number, field) else { return Ok(()) };
        fields(resource_spans, |number, field| match (number, field) {
            (1, Value::Bytes(resource)) => {
                read_resource(resource, &mut Source::default(), &mut Told::default())
            }
            (2, Value::Bytes(scope)) => fields(scope, |_, _| Ok(())),
            _ => Ok(()),
        })
    })
}

/// A message that is being decoded.
struct Decoder<'a> {
    batch: Batch,
    budget: &'a Arc<Budget>,
    reader: Reader<'a>,
    take: &'a mut dyn FnMut(Batch),
    large: bool,
    /// Some of its spans were taken in: the rest cannot be sent again without them.
    taken: bool,
    /// How often it may wait for memory from now on.
    waits: u32,
}

impl Decoder<'_> {
    fn read_resource_spans(&mut self, message: &[u8]) -> Result<(), DecodeError> {
        // Fields may come in any order: the resource is read before the spans that it holds for.
        let (mut source, mut told) = (Source::default(), Told::default());
        fields(message, |number, field| match (number, field) {
            (1, Value::Bytes(resource)) => read_resource(resource, &mut source, &mut told),
            _ => Ok(()),
        })?;
        if source.service.is_empty() {
            source.service.push_str("unknown_service");
        }
        // Who makes much of its name holds much.
        let bytes = source.bytes();
        if self.has_room(bytes)? {
            self.batch.share.give(&mut source.held, bytes);
        }
        let source = Arc::new(source);
        let mut any = false;
        fields(message, |number, field| {
            let (2, Value::Bytes(scope_spans)) = (number, field) else { return Ok(()) };
            fields(scope_spans, |number, field| {
                let (2, Value::Bytes(span)) = (number, field) else { return Ok(()) };
                match read_span(span, &source, &mut told, &mut self.reader) {
                    Ok(span) => any |= self.push(span)?,
                    Err(Refusal { reason, detail }) => self.batch.rejected.count(reason, &detail),
                }
                Ok::<_, DecodeError>(())
            })
        })?;
        if told.says_more() {
            self.batch.told.push((Arc::clone(&source), told));
        }
        // A resource without spans says nothing, and a message can have millions of those.
        if any {
            self.batch.sources.push(source);
        }
        Ok(())
    }

    /// Adds a span, with what it takes of the budget; answers whether it was added.
    fn push(&mut self, span: Span) -> Result<bool, Spent> {
        let bytes = span.bytes();
        if !self.has_room(bytes)? {
            self.batch.rejected.count(Reason::Memory, "");
            return Ok(false);
        }
        self.batch.held += bytes;
        self.batch.spans.push(span);
        if self.large && self.batch.spans.len() >= CHUNK {
            self.hand_over();
        }
        Ok(true)
    }

    /// Whether the batch holds `bytes` more of the budget than its spans take.
    fn has_room(&mut self, bytes: usize) -> Result<bool, Spent> {
        while self.batch.share.bytes() - self.batch.held < bytes {
            let Err(spent) = self.batch.share.grow(STEP.max(bytes)) else { break };
            match (self.large, self.taken) {
                (false, _) => return Err(spent),
                // What the joiner has it can let go of.
                (true, _) if !self.batch.spans.is_empty() => self.hand_over(),
                (true, _) if self.waits > 0 => {
                    self.waits -= 1;
                    std::thread::sleep(WAIT);
                }
                (true, false) => return Err(spent),
                (true, true) => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Has the batch taken in, and begins another.
    fn hand_over(&mut self) {
        let next = Batch {
            spans: Vec::with_capacity(if self.large { CHUNK } else { 0 }),
            share: self.budget.share(),
            ..Batch::default()
        };
        let mut batch = std::mem::replace(&mut self.batch, next);
        batch.ignored = std::mem::take(&mut self.reader.ignored);
        batch.sizes_ignored = std::mem::take(&mut self.reader.sizes_ignored);
        self.taken |= !batch.spans.is_empty();
        (self.take)(batch);
    }
}

fn read_resource(message: &[u8], source: &mut Source, told: &mut Told) -> Result<(), WireError> {
    fields(message, |number, field| {
        let (1, Value::Bytes(attribute)) = (number, field) else { return Ok(()) };
        let (key, value) = key_value(attribute)?;
        if key == names::SERVICE_NAME.as_bytes() {
            source.service = name_of(value);
        } else if key == names::CLOCK.as_bytes() {
            source.clock = name_of(value);
        } else if key == names::PROCESS_PID.as_bytes() {
            source.pid = value.whole().and_then(|pid| u32::try_from(pid).ok()).unwrap_or(0);
        } else if key == names::PID_NAMESPACE.as_bytes() {
            source.pid_namespace = name_of(value);
        } else if key == names::LOST.as_bytes() {
            told.lost = value.whole().unwrap_or(0);
        } else if key == names::INSTANCE.as_bytes() {
            told.instance = value.whole().unwrap_or(0);
        } else if key == names::HIGHEST.as_bytes() {
            told.highest = value.whole().unwrap_or(0);
        } else {
            read_claim(key, value, &mut source.claim);
        }
        Ok(())
    })
}

/// Reads what a resource says of its process beside its id.
fn read_claim(key: &[u8], value: Any<'_>, claim: &mut Claim) {
    let text = || Some(value.lossy_text(limits::RECORD_BYTES)).filter(|text| !text.is_empty());
    match key {
        b"process.executable.name" | b"process.executable.path" if claim.executables.len() < 2 => {
            claim.executables.extend(text());
        }
        b"process.command" => claim.command = text(),
        b"process.command_line" => claim.line = text(),
        b"process.command_args" => {
            claim.arguments = value.texts(64).into_iter().map(str::to_owned).collect();
        }
        b"process.creation.time" => {
            claim.created = value.text().ok().and_then(ledger::date::parse);
        }
        b"container.id" => claim.container = text(),
        b"host.name" => claim.host = text(),
        _ => {}
    }
}
