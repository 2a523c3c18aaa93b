//! The spans of one trace while it is open.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::OnceLock;

use smallvec::SmallVec;

use super::known::Known;
use super::tally::Tally;
use crate::budget::Share;
use crate::runs::Run;
use crate::span::{Span, SpanKind};

/// Most spans held of one trace. Bounds memory, and the sums that closing it makes.
pub(crate) const MAX_SPANS: usize = 1_024;

/// A trace larger than this has an index, and is not tested for completeness, which compares all pairs of its
/// spans: it waits for its window.
const MAX_CHECKED: usize = 64;

/// What became of a span that was offered to a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inserted {
    Taken,
    /// The same was there.
    Duplicate,
    /// Another of its id and kind was there; one of the two is kept.
    Unequal,
    /// One span too many: the shortest that begins no request is gone.
    Full,
}

/// Which of two spans to keep: one that begins a request, then the longer. What is around a span is at least as
/// long, so this keeps the root and those nearest to it, and does not depend on the order in which they come.
type Worth = (bool, u64, bool, u64, SpanKind);

/// The spans of a trace that has many: where each is, and which can best be spared.
#[derive(Debug, Default)]
struct Crowd {
    index: HashMap<(u64, SpanKind), usize>,
    /// The spans by their worth, the least first, once the trace is full. Has entries of spans that are gone.
    worth: BinaryHeap<Reverse<(Worth, usize)>>,
}

/// A note of where a trace is, which holds until it is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Slot {
    pub(super) at: u32,
    /// Tells the trace from others that were there. Numbers begin anew after so many traces that none of them is left.
    pub(super) serial: u32,
}

/// The spans of one trace, in order of arrival.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    pub(super) id: u128,
    /// Where it is while it is open: tells it from an earlier one of its id, too.
    pub(super) slot: Slot,
    pub(super) last_seen: u64,
    /// The run that it belongs to.
    pub(super) run: Run,
    /// What its spans take of the memory.
    held: Share,
    /// It is among those that are remembered as closed, though it was opened again.
    pub(super) remembered: bool,
    /// It was closed while something was missing.
    pub(super) lacking: bool,
    /// It is kept after it was closed, for spans that come late.
    pub(super) retained: bool,
    /// What was missing had been waited for.
    pub(super) waited: bool,
    /// Spans that were left out because the trace had too many.
    pub(super) cut: u32,
    /// Spans that came after it had been closed.
    pub(super) late: u32,
    /// What was made of it when it was closed before.
    pub(super) earlier: Option<Box<Tally>>,
    /// What was made of it now, for when it is closed again.
    pub(super) tally: OnceLock<Box<Tally>>,
    /// In the memory of the trace itself while they are few: the lab's own traces have four.
    spans: SmallVec<[Span; 4]>,
    /// Once there are many.
    crowd: Option<Box<Crowd>>,
}

impl Trace {
    pub(super) fn new(id: u128, now: u64) -> Box<Self> {
        // Made in its place: it would be moved there, with room for spans that have not come.
        let mut trace = Box::<Trace>::default();
        (trace.id, trace.last_seen) = (id, now);
        trace
    }

    /// Takes in a span, and out of `share` what that takes of the memory.
    pub(super) fn insert(&mut self, span: Span, share: &mut Share, now: u64) -> Inserted {
        if self.run == Run::NONE {
            self.run = span.run;
        }
        if let Some(at) = self.find(span.id, span.kind) {
            return self.settle(at, span, share);
        }
        self.last_seen = now;
        if self.spans.len() >= MAX_SPANS {
            self.replace_least(span, share);
            return Inserted::Full;
        }
        share.give(&mut self.held, span.bytes());
        if self.spans.len() >= MAX_CHECKED {
            let crowd = self.crowd.get_or_insert_with(|| {
                let places = self.spans.iter().enumerate();
                let index = places.map(|(at, span)| ((span.id, span.kind), at)).collect();
                Box::new(Crowd { index, worth: BinaryHeap::new() })
            });
            crowd.index.insert((span.id, span.kind), self.spans.len());
        }
        self.spans.push(span);
        Inserted::Taken
    }

    fn find(&self, id: u64, kind: SpanKind) -> Option<usize> {
        match &self.crowd {
            None => self.spans.iter().position(|known| known.id == id && known.kind == kind),
            Some(crowd) => crowd.index.get(&(id, kind)).copied(),
        }
    }

    /// Keeps one of two spans of one id and kind, whichever came first.
    fn settle(&mut self, at: usize, span: Span, share: &mut Share) -> Inserted {
        let known = &self.spans[at];
        if *known == span {
            return Inserted::Duplicate;
        }
        let rank = |span: &Span| {
            let marked = span.half().marks.first().is_some();
            (marked, span.length(), span.start, span.parent, span.error, span.wall)
        };
        let order = rank(known).cmp(&rank(&span));
        // Any order will do that is the same whichever came first; this is rare.
        if order.then_with(|| format!("{known:?}").cmp(&format!("{span:?}"))).is_lt() {
            if let Some(crowd) = self.crowd.as_mut().filter(|crowd| !crowd.worth.is_empty()) {
                crowd.worth.push(Reverse((worth(&span), at)));
            }
            self.replace(at, span, share);
        }
        Inserted::Unequal
    }

    /// Puts `span` in the place of the one that is worth least, or leaves it out itself.
    fn replace_least(&mut self, span: Span, share: &mut Share) {
        self.cut = self.cut.saturating_add(1);
        let Some(Crowd { index, worth: by_worth }) = self.crowd.as_deref_mut() else { return };
        if by_worth.is_empty() {
            let places = self.spans.iter().enumerate();
            *by_worth = places.map(|(at, span)| Reverse((worth(span), at))).collect();
        }
        while let Some(&Reverse((least, at))) = by_worth.peek() {
            if worth(&self.spans[at]) != least {
                by_worth.pop();
                continue;
            }
            if worth(&span) > least {
                by_worth.pop();
                by_worth.push(Reverse((worth(&span), at)));
                index.remove(&(self.spans[at].id, self.spans[at].kind));
                index.insert((span.id, span.kind), at);
                self.replace(at, span, share);
            }
            return;
        }
    }

    /// Puts `span` in the place of another.
    fn replace(&mut self, at: usize, span: Span, share: &mut Share) {
        share.give(&mut self.held, span.bytes());
        self.held.give(share, self.spans[at].bytes());
        self.spans[at] = span;
    }

    /// Its spans, in order of arrival.
    pub(crate) fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// Its spans, to be sorted.
    pub(super) fn spans_mut(&mut self) -> &mut [Span] {
        &mut self.spans
    }

    /// Whether something is known to be missing: a root, a parent, the SERVER span of a call to a peer that may
    /// send one.
    ///
    /// A subtree of which nothing has come yet cannot be missed. But a call ends before the span
    /// around it does, so processes that export in order of ending send it no later: the grace
    /// after the latest span covers exports that overtake each other.
    pub(super) fn lacks(&self, known: &Known) -> bool {
        let spans = &self.spans;
        if spans.len() > MAX_CHECKED {
            return true;
        }
        let here = |id: u64| spans.iter().any(|up| up.id == id);
        let answers = |caller: u64| {
            spans.iter().find(|up| up.kind == SpanKind::Server && up.parent == caller)
        };
        let relayed = |server: &Span| {
            spans.iter().any(|it| it.kind == SpanKind::Wire && it.parent == server.parent)
        };
        let mut rooted = false;
        for span in spans {
            rooted |= span.parent == 0 || span.kind == SpanKind::Consumer || span.edge.is_some();
            let service = span.source.service.as_str();
            let placed = match span.kind {
                SpanKind::Consumer => true,
                _ if span.parent == 0 || here(span.parent) => true,
                _ if span.edge.is_some() => !known.generator_tells(),
                SpanKind::Server if !span.inner && known.is_edge(service) => {
                    rooted = true;
                    true
                }
                // A relay stands beside the server: below one caller.
                SpanKind::Wire => answers(span.parent).is_some(),
                _ => false,
            };
            let answered = || {
                let below = |other: &Span| match other.kind {
                    SpanKind::Server => true,
                    SpanKind::Client => other.source == span.source,
                    _ => false,
                };
                span.database().is_some()
                    || spans.iter().any(|other| other.parent == span.id && below(other))
                    || known.is_silent((service, span.called()))
            };
            if !placed || (span.kind == SpanKind::Client && !answered()) {
                return true;
            }
            if span.kind == SpanKind::Server && known.is_relayed(service) && !relayed(span) {
                return true;
            }
        }
        !rooted
    }
}

fn worth(span: &Span) -> Worth {
    let begins = span.parent == 0 || span.edge.is_some();
    (begins, span.length(), span.kind.is_half(), span.id, span.kind)
}
