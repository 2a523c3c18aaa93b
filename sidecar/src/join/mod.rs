//! Holding spans until their trace is whole, in bounded memory.
//!
//! Pure: spans and the time go in, whole traces come out. What a trace means is decided by [`tree`];
//! who turns it into rows and when, by [`crate::pipeline`].

mod row;
mod trace;
mod tree;

#[cfg(test)]
mod spec;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};

pub(crate) use row::{Closing, close_trace};
pub(crate) use trace::Trace;

use crate::span::Span;
use trace::Inserted;

/// How long and how much to hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// A trace is closed this long after its first span, in nanoseconds.
    pub(crate) window_ns: u64,
    /// A trace with nothing missing is closed when no span has come for this long, in nanoseconds.
    pub(crate) grace_ns: u64,
    /// Most traces held at once.
    pub(crate) max_traces: usize,
}

/// What became of the spans that were offered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Offered again, same id and kind; ignored.
    pub(crate) duplicates: u64,
    /// Offered after their trace was closed; ignored.
    pub(crate) late: u64,
    /// Past the bound of spans per trace; ignored.
    pub(crate) over_limit: u64,
    /// Traces closed before their time to keep the bound of traces.
    pub(crate) evicted: u64,
    /// Traces thrown away because even those closed before their time could not be written.
    pub(crate) dropped_traces: u64,
    /// The spans of those.
    pub(crate) dropped_spans: u64,
}

/// Collects spans by trace and hands out the traces whose time has come.
#[derive(Debug)]
pub(crate) struct Joiner {
    limits: Limits,
    /// `HashMap`'s own hash is seeded: peers choose the ids.
    open: HashMap<u128, Trace>,
    /// When each trace must be closed, oldest first; may name traces that are closed already.
    deadlines: VecDeque<(u64, u128)>,
    /// When to look next whether a trace is complete, oldest first.
    checks: VecDeque<(u64, u128)>,
    /// Closed not long ago: the newest `max_traces` of them.
    closed: HashSet<u128>,
    closed_order: VecDeque<u128>,
    /// Closed before their time and not yet handed out.
    evicted: Vec<Trace>,
    counts: Counts,
}

impl Joiner {
    pub(crate) fn new(limits: Limits) -> Self {
        Joiner {
            limits,
            open: HashMap::new(),
            deadlines: VecDeque::new(),
            checks: VecDeque::new(),
            closed: HashSet::new(),
            closed_order: VecDeque::new(),
            evicted: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// Takes in a span that arrived at `now` (nanoseconds of any clock that does not go back).
    pub(crate) fn insert(&mut self, span: Span, now: u64) {
        let id = span.trace;
        match self.open.entry(id) {
            Entry::Occupied(mut trace) => match trace.get_mut().insert(span, now) {
                Inserted::Taken => {}
                Inserted::Duplicate => self.counts.duplicates += 1,
                Inserted::Full => self.counts.over_limit += 1,
            },
            Entry::Vacant(_) if self.closed.contains(&id) => self.counts.late += 1,
            Entry::Vacant(place) => {
                place.insert(Trace::new(span, now));
                self.deadlines.push_back((now.saturating_add(self.limits.window_ns), id));
                if self.limits.grace_ns < self.limits.window_ns {
                    self.checks.push_back((now.saturating_add(self.limits.grace_ns), id));
                }
                if self.open.len() > self.limits.max_traces {
                    self.evict_oldest();
                }
                // Traces that were complete early leave their deadlines behind.
                if self.deadlines.len() > 2 * self.limits.max_traces {
                    self.forget_stale_deadlines();
                }
            }
        }
    }

    /// The next traces to close at `now`, at most `most` of them.
    pub(crate) fn due(&mut self, now: u64, most: usize) -> Vec<Trace> {
        let mut due: Vec<Trace> = self.evicted.split_off(self.evicted.len().saturating_sub(most));
        while due.len() < most {
            let Some(&(at, id)) = self.deadlines.front().filter(|(at, _)| *at <= now) else {
                break;
            };
            self.deadlines.pop_front();
            if self.is_current(at, id) {
                due.extend(self.take(id));
            }
        }
        while due.len() < most {
            let Some((_, id)) = self.checks.front().copied().filter(|(at, _)| *at <= now) else {
                break;
            };
            self.checks.pop_front();
            let Some(trace) = self.open.get(&id) else {
                continue;
            };
            let quiet = now.saturating_sub(trace.last_seen()) >= self.limits.grace_ns;
            if quiet && trace.is_complete() {
                due.extend(self.take(id));
            } else {
                self.checks.push_back((now.saturating_add(self.limits.grace_ns), id));
            }
        }
        due
    }

    /// The next traces of all that are open, whatever their time, at most `most` of them.
    pub(crate) fn flush(&mut self, most: usize) -> Vec<Trace> {
        let mut due = self.evicted.split_off(self.evicted.len().saturating_sub(most));
        while due.len() < most {
            let Some((_, id)) = self.deadlines.pop_front() else {
                break;
            };
            due.extend(self.take(id));
        }
        due
    }

    /// Traces being held.
    pub(crate) fn open(&self) -> usize {
        self.open.len() + self.evicted.len()
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// Whether a deadline speaks of the trace that is open under its id now, not of an earlier one.
    fn is_current(&self, deadline: u64, id: u128) -> bool {
        self.open.get(&id).is_some_and(|trace| {
            trace.first_seen().saturating_add(self.limits.window_ns) == deadline
        })
    }

    fn forget_stale_deadlines(&mut self) {
        let (open, window) = (&self.open, self.limits.window_ns);
        self.deadlines.retain(|(at, id)| {
            open.get(id).is_some_and(|trace| trace.first_seen().saturating_add(window) == *at)
        });
    }

    fn take(&mut self, id: u128) -> Option<Trace> {
        let trace = self.open.remove(&id)?;
        if self.closed_order.len() >= self.limits.max_traces
            && let Some(oldest) = self.closed_order.pop_front()
        {
            self.closed.remove(&oldest);
        }
        if self.closed.insert(id) {
            self.closed_order.push_back(id);
        }
        Some(trace)
    }

    /// Closes the oldest open trace. Where those closed so have piled up to an eighth of the bound,
    /// the writer cannot keep up: the trace is thrown away. Answers how many spans it has.
    pub(crate) fn evict_oldest(&mut self) -> usize {
        while let Some((at, id)) = self.deadlines.pop_front() {
            if !self.is_current(at, id) {
                continue;
            }
            let Some(trace) = self.take(id) else { continue };
            let spans = trace.spans().len();
            self.counts.evicted += 1;
            if self.evicted.len() > self.limits.max_traces / 8 {
                self.counts.dropped_traces += 1;
                self.counts.dropped_spans += spans as u64;
            } else {
                self.evicted.push(trace);
            }
            return spans;
        }
        0
    }
}
