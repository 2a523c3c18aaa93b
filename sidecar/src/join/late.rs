//! Traces that were closed with something missing, and spans that come after their trace was closed.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::Limits;
use super::trace::{Slot, Trace};
use crate::span::Span;

/// A trace that is to be closed.
#[derive(Debug)]
pub(crate) enum Due {
    /// Nobody else has it.
    Whole(Box<Trace>),
    /// It is kept, for spans that come late.
    Kept(Arc<Trace>),
}

impl std::ops::Deref for Due {
    type Target = Trace;

    fn deref(&self) -> &Trace {
        match self {
            Due::Whole(trace) => trace,
            Due::Kept(trace) => trace,
        }
    }
}

/// The spans of a trace that is being closed: its own, or copies where it may have to be closed again.
pub(super) enum Taken {
    Own(Box<Trace>),
    Copies(Vec<Span>),
}

impl std::ops::Deref for Taken {
    type Target = [Span];

    fn deref(&self) -> &[Span] {
        match self {
            Taken::Own(trace) => trace.spans(),
            Taken::Copies(spans) => spans,
        }
    }
}

impl std::ops::DerefMut for Taken {
    fn deref_mut(&mut self) -> &mut [Span] {
        match self {
            Taken::Own(trace) => trace.spans_mut(),
            Taken::Copies(spans) => spans,
        }
    }
}

/// A closed trace is kept for so many times the window.
const WINDOWS: u64 = 12;
/// Traces of which late spans are told one by one between two ticks, at most; of others they are only counted.
const MOST_TOLD: usize = 4_096;

/// Spans of one trace that came after it was closed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Late {
    /// The trace.
    pub(crate) trace: u128,
    /// How many.
    pub(crate) spans: u32,
    /// The cell that one of them names.
    pub(crate) cell: Option<Arc<str>>,
}

/// Late spans that have not been told of.
#[derive(Debug, Default)]
pub(super) struct LateSpans(HashMap<u128, Late>);

impl LateSpans {
    pub(super) fn note(&mut self, trace: u128, cell: Option<Arc<str>>) {
        if self.0.len() < MOST_TOLD || self.0.contains_key(&trace) {
            let late = self.0.entry(trace).or_default();
            late.trace = trace;
            late.spans = late.spans.saturating_add(1);
            late.cell = late.cell.take().or(cell);
        }
    }

    pub(super) fn take(&mut self) -> Vec<Late> {
        std::mem::take(&mut self.0).into_values().collect()
    }
}

/// Closed traces that may be opened again.
#[derive(Debug)]
pub(super) struct Retained {
    /// How long each is kept, in nanoseconds.
    hold_ns: u64,
    /// How many are kept.
    most: usize,
    traces: HashMap<u128, Arc<Trace>>,
    /// Until when, oldest first; may name traces that were opened again.
    order: VecDeque<(u64, u128, Slot)>,
}

impl Retained {
    pub(super) fn new(limits: Limits) -> Retained {
        Retained {
            hold_ns: limits.window_ns.saturating_mul(WINDOWS),
            most: limits.max_traces,
            traces: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// Keeps a trace that is closed at `now`.
    pub(super) fn keep(&mut self, trace: &Arc<Trace>, now: u64) {
        self.order.push_back((now.saturating_add(self.hold_ns), trace.id, trace.slot));
        self.traces.insert(trace.id, Arc::clone(trace));
        // Those that were opened again have left an entry each.
        if self.order.len() > 2 * self.most {
            self.drop_oldest();
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.traces.len()
    }

    /// The trace, to be opened again; none if it is gone, or still being closed.
    pub(super) fn take(&mut self, id: u128) -> Option<Box<Trace>> {
        let trace = self.traces.remove(&id)?;
        match Arc::try_unwrap(trace) {
            Ok(mut trace) => {
                trace.earlier = Some(trace.tally.take().unwrap_or_default());
                Some(Box::new(trace))
            }
            Err(closing) => {
                self.traces.insert(id, closing);
                None
            }
        }
    }

    /// Lets go of those whose time is over at `now`.
    pub(super) fn forget(&mut self, now: u64) {
        while self.order.front().is_some_and(|(until, ..)| *until <= now) {
            self.drop_oldest();
        }
    }

    /// Lets go of the oldest; answers how many spans it had.
    pub(super) fn drop_oldest(&mut self) -> usize {
        while let Some((_, id, slot)) = self.order.pop_front() {
            if self.traces.get(&id).is_some_and(|trace| trace.slot == slot)
                && let Some(trace) = self.traces.remove(&id)
            {
                return trace.spans().len();
            }
        }
        0
    }
}
