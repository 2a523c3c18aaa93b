//! OTLP trace messages into [`Span`]s: what is taken, what is refused and why.
//!
//! Field numbers are those of opentelemetry-proto 1.x (`trace/v1/trace.proto`, `common/v1`,
//! `resource/v1`); a test decodes bytes made by the generated code.

use std::sync::Arc;

use ledger::names;

use super::attribute::{Any, key_value};
use super::draft::{Recent, Refusal, name_of, read_span};
use super::limits;
use super::naming::Queries;
use super::reject::Rejections;
use super::wire::{Fields, Value, WireError};
use crate::budget::{Share, Spent};
use crate::process::Claim;
use crate::span::{Source, Span};

/// Bytes asked of the budget at once.
const STEP: usize = 64 << 10;

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
    /// What is taken of the budget and not yet held by a span.
    share: Share,
    /// What its spans hold of the budget, in bytes.
    held: usize,
}

/// Why no batch was made of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DecodeError {
    /// The envelope is broken: spans cannot be told apart.
    Wire(WireError),
    /// There is no memory for so many spans now.
    Spent(Spent),
    /// There never is memory for so many spans.
    TooMany {
        /// Those that there was memory for.
        spans: usize,
    },
}

impl From<WireError> for DecodeError {
    fn from(error: WireError) -> Self {
        DecodeError::Wire(error)
    }
}

impl Batch {
    /// Adds a span, which holds from now on what it takes of the budget.
    fn push(&mut self, mut span: Span) -> Result<(), DecodeError> {
        let bytes = span.bytes();
        if self.share.bytes() < bytes
            && let Err(spent) = self.share.grow(STEP.max(bytes))
        {
            let pointless = self.share.is_most(self.held + self.share.bytes() + bytes);
            let spans = self.spans.len();
            return Err(if pointless {
                DecodeError::TooMany { spans }
            } else {
                DecodeError::Spent(spent)
            });
        }
        self.held += bytes;
        span.held = self.share.split(bytes);
        self.spans.push(span);
        Ok(())
    }
}

/// Decodes an `ExportTraceServiceRequest`; spans hold of `share` what they take.
///
/// # Errors
/// [`DecodeError`] where the envelope itself is broken, so that spans cannot be told apart, or where `share`
/// cannot grow. A span that is broken inside is refused alone.
pub(crate) fn export_request(
    message: &[u8],
    share: Share,
    queries: Queries,
) -> Result<Batch, DecodeError> {
    // Our spans take some 450 bytes each: one allocation instead of eight doublings.
    let spans = Vec::with_capacity(message.len() / 450 + 1);
    let mut batch = Batch { spans, share, ..Batch::default() };
    for field in Fields::of(message) {
        if let (1, Value::Bytes(resource_spans)) = field? {
            read_resource_spans(resource_spans, &mut batch, queries)?;
        }
    }
    Ok(batch)
}

fn read_resource_spans(
    message: &[u8],
    batch: &mut Batch,
    queries: Queries,
) -> Result<(), DecodeError> {
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
    let (before, mut recent) = (batch.spans.len(), Recent::new(queries));
    for field in Fields::of(message) {
        let (2, Value::Bytes(scope_spans)) = field? else {
            continue;
        };
        for field in Fields::of(scope_spans) {
            let (2, Value::Bytes(span)) = field? else {
                continue;
            };
            match read_span(span, &source, &mut lost, &mut recent) {
                Ok(span) => batch.push(span)?,
                Err(Refusal { reason, detail }) => batch.rejected.count(reason, &detail),
            }
        }
    }
    if let Some(lost) = lost {
        batch.lost.push((Arc::clone(&source), lost));
    }
    // A resource without spans says nothing, and a message can have millions of those.
    if batch.spans.len() > before {
        batch.sources.push(source);
    }
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
            source.service = name_of(value);
        } else if key == names::CLOCK.as_bytes() {
            source.clock = name_of(value);
        } else if key == names::PROCESS_PID.as_bytes() {
            source.pid = value.whole().and_then(|pid| u32::try_from(pid).ok()).unwrap_or(0);
        } else if key == names::PID_NAMESPACE.as_bytes() {
            source.pid_namespace = name_of(value);
        } else if key == names::LOST.as_bytes() {
            *lost = value.whole();
        } else {
            read_claim(key, value, &mut source.claim);
        }
    }
    Ok(())
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
            claim.arguments = value.texts(64).map(str::to_owned).collect();
        }
        b"process.creation.time" => {
            claim.created = value.text().ok().and_then(ledger::date::parse);
        }
        b"container.id" => claim.container = text(),
        b"host.name" => claim.host = text(),
        _ => {}
    }
}
