//! The spans of one trace while it is open.

use crate::span::{Span, SpanKind};

/// Most spans held of one trace. Bounds memory, and the sums that closing it makes.
pub(crate) const MAX_SPANS: usize = 1_024;

/// A trace larger than this is not tested for completeness, which compares all pairs of its spans:
/// it waits for the join window.
const MAX_CHECKED: usize = 64;

/// What became of a span that was offered to a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inserted {
    Taken,
    Duplicate,
    Full,
}

/// The spans of one trace, in order of arrival.
#[derive(Debug, Clone)]
pub(crate) struct Trace {
    first_seen: u64,
    last_seen: u64,
    spans: Vec<Span>,
}

impl Trace {
    pub(super) fn new(span: Span, now: u64) -> Self {
        // The lab's own traces have four spans.
        let mut spans = Vec::with_capacity(4);
        spans.push(span);
        Trace { first_seen: now, last_seen: now, spans }
    }

    pub(super) fn insert(&mut self, span: Span, now: u64) -> Inserted {
        if self.spans.iter().any(|known| known.id == span.id && known.kind == span.kind) {
            return Inserted::Duplicate;
        }
        if self.spans.len() >= MAX_SPANS {
            return Inserted::Full;
        }
        self.last_seen = now;
        self.spans.push(span);
        Inserted::Taken
    }

    /// When its first span came, in nanoseconds.
    pub(super) fn first_seen(&self) -> u64 {
        self.first_seen
    }

    /// When its latest span came, in nanoseconds.
    pub(super) fn last_seen(&self) -> u64 {
        self.last_seen
    }

    /// Its spans, in order of arrival.
    pub(crate) fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// The spans, to be taken apart.
    pub(super) fn into_spans(self) -> Vec<Span> {
        self.spans
    }

    /// Whether nothing is known to be missing: there is a root CLIENT span, every parent is there,
    /// and every CLIENT span has its SERVER span, unless it calls a database: those send none.
    ///
    /// A subtree of which nothing has come yet cannot be missed. But a call ends before the span
    /// around it does, so processes that export in order of ending send it no later: the grace
    /// after the latest span covers exports that overtake each other.
    pub(super) fn is_complete(&self) -> bool {
        let spans = &self.spans;
        let linked = |span: &Span| span.parent == 0 || spans.iter().any(|up| up.id == span.parent);
        let answered = |call: &Span| {
            call.database().is_some()
                || spans.iter().any(|span| span.kind == SpanKind::Server && span.parent == call.id)
        };
        spans.len() <= MAX_CHECKED
            && spans.iter().any(|span| span.kind == SpanKind::Client && span.parent == 0)
            && spans.iter().all(linked)
            && spans.iter().filter(|span| span.kind == SpanKind::Client).all(answered)
    }
}
