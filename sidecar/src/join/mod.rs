//! Holding spans until their trace is whole, in bounded memory.
//!
//! Pure: spans and the time go in, whole traces come out. How spans hang together is decided by [`links`], which
//! requests they are by [`tree`]; who turns them into rows and when, by [`crate::pipeline`].
//!
//! A trace is closed when nothing has come for a while and nothing is missing, later if something is. One that was
//! closed with something missing is kept for a time: a span that comes late opens it again, and its rows are
//! written anew. Whatever is looked at under the joiner's lock is looked at one by one, never all together.

mod attempts;
mod hop;
mod known;
mod late;
mod links;
mod places;
mod relays;
mod row;
mod runs;
mod tally;
mod trace;
mod tree;

#[cfg(test)]
mod spec;

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::RwLock;

pub(crate) use known::Known;
pub(crate) use late::{Due, Late};
pub(crate) use row::{Closing, close_traces};

use crate::budget::Share;
use crate::runs::Run;
use crate::span::Span;
use late::{LateSpans, Retained};
use places::{Found, Places};
use runs::OfRuns;
use trace::{Inserted, Slot, Trace};

/// How long and how much to hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// A trace of which something is missing is closed when no span has come for this long, in nanoseconds.
    pub(crate) window_ns: u64,
    /// A trace with nothing missing is closed when no span has come for this long, in nanoseconds.
    pub(crate) grace_ns: u64,
    /// Most traces held at once.
    pub(crate) max_traces: usize,
}

/// What became of the spans that were offered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Offered again, the same; ignored.
    pub(crate) duplicates: u64,
    /// Offered with the id and kind of another span of their trace; one of the two is ignored.
    pub(crate) unequal: u64,
    /// Offered after their trace was closed, and not joined any more; ignored.
    pub(crate) late: u64,
    /// Offered after their trace was closed, which was opened again for them.
    pub(crate) late_joined: u64,
    /// Past the bound of spans per trace; ignored.
    pub(crate) over_limit: u64,
    /// Traces closed before their time to keep the bound of traces or of memory.
    pub(crate) evicted: u64,
    /// Traces thrown away because even those closed before their time could not be written.
    pub(crate) dropped_traces: u64,
    /// The spans of those.
    pub(crate) dropped_spans: u64,
}

/// When to look again at an open trace.
#[derive(Debug, Clone, Copy)]
struct Look {
    at: u64,
    slot: Slot,
    /// When its latest span had come, when this was noted.
    seen: u64,
}

/// Collects spans by trace and hands out the traces whose time has come.
#[derive(Debug)]
pub(crate) struct Joiner {
    limits: Limits,
    known: Arc<RwLock<Known>>,
    places: Places,
    /// Each open trace has one entry in one of the two: in the second if nothing had come for it between two
    /// looks. Traces that were closed leave theirs behind until their time.
    lively: VecDeque<Look>,
    idle: VecDeque<Look>,
    of_runs: OfRuns,
    retained: Retained,
    late: LateSpans,
    /// Closed before their time and not yet handed out.
    evicted: Vec<Due>,
    counts: Counts,
}

impl Joiner {
    pub(crate) fn new(limits: Limits) -> Self {
        Joiner {
            limits,
            known: Arc::default(),
            places: Places::new(limits.max_traces),
            lively: VecDeque::new(),
            idle: VecDeque::new(),
            of_runs: OfRuns::default(),
            retained: Retained::new(limits),
            late: LateSpans::default(),
            evicted: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// What this run has taught.
    pub(crate) fn known(&self) -> Arc<RwLock<Known>> {
        Arc::clone(&self.known)
    }

    /// Makes room for the traces of spans that are about to come.
    pub(crate) fn expect(&mut self, spans: &[Span]) {
        let others = spans.chunk_by(|a, b| a.trace == b.trace).map(|run| run[0].trace);
        self.places.expect(others);
    }

    /// Takes in a span that arrived at `now` (nanoseconds of any clock that does not go back). What it takes of the
    /// memory comes out of `share`.
    pub(crate) fn insert(&mut self, span: Span, share: &mut Share, now: u64) {
        let id = span.trace;
        match self.places.find(id) {
            Found::Closed => self.insert_late(span, share, now),
            Found::Open(trace) => {
                let again = trace.earlier.is_some();
                if trace.run == Run::NONE && span.run != Run::NONE {
                    self.of_runs.forget(Run::NONE, trace.slot);
                    self.of_runs.note(span.run, trace.slot);
                }
                let inserted = trace.insert(span, share, now);
                if again && inserted == Inserted::Taken {
                    trace.late += 1;
                    self.counts.late_joined += 1;
                    self.late.note(id, None);
                }
                self.count(inserted);
            }
            Found::Nothing => {
                let mut trace = Trace::new(id, now);
                trace.insert(span, share, now);
                self.open_trace(trace, now);
                if self.places.open_traces() + self.retained.len() > self.limits.max_traces {
                    self.evict_oldest();
                }
            }
        }
    }

    /// Opens a trace, for the first time or again.
    fn open_trace(&mut self, trace: Box<Trace>, now: u64) {
        let run = trace.run;
        let slot = self.places.open(trace);
        self.of_runs.note(run, slot);
        self.look_at(slot, now, now);
    }

    fn count(&mut self, inserted: Inserted) {
        match inserted {
            Inserted::Taken => {}
            Inserted::Duplicate => self.counts.duplicates += 1,
            Inserted::Unequal => self.counts.unequal += 1,
            Inserted::Full => self.counts.over_limit += 1,
        }
    }

    /// Opens the trace of a span that came late again, if it is still there.
    fn insert_late(&mut self, span: Span, share: &mut Share, now: u64) {
        let id = span.trace;
        let Some(mut trace) = self.retained.take(id) else {
            self.counts.late += 1;
            return self.late.note(id, span.planned.as_ref().and_then(|plan| plan.cell.clone()));
        };
        trace.remembered = true;
        self.open_trace(trace, now);
        self.insert(span, share, now);
    }

    /// Notes when to look at a trace again: soon enough for its grace and its window, and no later than others
    /// that are noted now.
    fn look_at(&mut self, slot: Slot, seen: u64, now: u64) {
        let Limits { window_ns, grace_ns, .. } = self.limits;
        let later = |wait: u64| Some(seen.saturating_add(wait)).filter(|&at| at > now);
        let step = now.saturating_add(grace_ns.min(window_ns));
        let at = later(grace_ns).into_iter().chain(later(window_ns)).fold(step, u64::min);
        self.lively.push_back(Look { at, slot, seen });
    }

    /// The next traces to close at `now`, at most `most` of them.
    pub(crate) fn due(&mut self, now: u64, most: usize) -> Vec<Due> {
        self.retained.forget(now);
        let mut due = self.evicted.split_off(self.evicted.len().saturating_sub(most));
        for of in [Joiner::idle_look, Joiner::lively_look] {
            while due.len() < most {
                // Their traces were put away a while ago: looked up one right after the other they are waited for together.
                let looks = std::iter::from_fn(|| of(self, now)).take(most - due.len());
                let looks: Vec<Look> = looks.collect();
                if looks.is_empty() {
                    break;
                }
                let seen = |look: Look| Some((look, self.places.get(look.slot)?.last_seen));
                let open: Vec<(Look, u64)> = looks.into_iter().filter_map(seen).collect();
                due.extend(
                    open.into_iter().filter_map(|(look, seen)| self.decide(look, seen, now)),
                );
            }
        }
        due
    }

    /// Takes a trace that is to be closed at `now`, and has that looked at again which is not. The latest span of it had
    /// come when it was `seen`.
    fn decide(&mut self, look: Look, seen: u64, now: u64) -> Option<Due> {
        let quiet = now.saturating_sub(seen);
        let waited = quiet >= self.limits.window_ns;
        let lacking = (waited || quiet >= self.limits.grace_ns)
            .then(|| self.places.get(look.slot).is_some_and(|it| it.lacks(&self.known.read())));
        if waited || lacking == Some(false) {
            let lacking = waited && lacking == Some(true);
            return self.take(look.slot, lacking, lacking, now);
        }
        self.look_at(look.slot, seen, now);
        if seen == look.seen
            && let Some(again) = self.lively.pop_back()
        {
            self.idle.push_back(again);
        }
        None
    }

    fn idle_look(&mut self, now: u64) -> Option<Look> {
        self.idle.pop_front_if(|look| look.at <= now)
    }

    fn lively_look(&mut self, now: u64) -> Option<Look> {
        self.lively.pop_front_if(|look| look.at <= now)
    }

    /// The next traces of `run`, whatever their time, at most `most` of them.
    pub(crate) fn flush_run(&mut self, run: Run, now: u64, most: usize) -> Vec<Due> {
        let mut due = self.evicted.split_off(self.evicted.len().saturating_sub(most));
        while due.len() < most {
            let Some(at) = self.of_runs.first(run) else { break };
            let Some(trace) = self.places.at(at) else { break };
            let (slot, lacking) = (trace.slot, trace.lacks(&self.known.read()));
            due.extend(self.take(slot, lacking, false, now));
        }
        due
    }

    /// The next traces of all that are open, whatever their time, at most `most` of them.
    pub(crate) fn flush(&mut self, now: u64, most: usize) -> Vec<Due> {
        let mut due = self.evicted.split_off(self.evicted.len().saturating_sub(most));
        while due.len() < most {
            let Some(look) = self.idle.pop_front().or_else(|| self.lively.pop_front()) else {
                break;
            };
            if let Some(trace) = self.places.get(look.slot) {
                let lacking = trace.lacks(&self.known.read());
                due.extend(self.take(look.slot, lacking, false, now));
            }
        }
        due
    }

    /// Spans that came late since this was asked before.
    pub(crate) fn take_late(&mut self) -> Vec<Late> {
        self.late.take()
    }

    /// Traces being held.
    pub(crate) fn open(&self) -> usize {
        self.places.open_traces() + self.evicted.len()
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// Takes a trace out of those that are open. One of which something is missing is kept, too.
    fn take(&mut self, slot: Slot, lacking: bool, waited: bool, now: u64) -> Option<Due> {
        let mut trace = self.remove(slot)?;
        (trace.lacking, trace.waited, trace.retained) = (lacking, waited, lacking);
        if !lacking {
            return Some(Due::Whole(trace));
        }
        let trace = Arc::from(trace);
        self.retained.keep(&trace, now);
        Some(Due::Kept(trace))
    }

    /// Takes a trace out of those that are open, and remembers it as closed.
    fn remove(&mut self, slot: Slot) -> Option<Box<Trace>> {
        let trace = self.places.close(slot)?;
        self.of_runs.forget(trace.run, slot);
        Some(trace)
    }

    /// Lets go of the trace that can best be spared: one that was closed, else the one that has been quiet for
    /// longest. Answers how many spans it had.
    pub(crate) fn evict_oldest(&mut self) -> usize {
        match self.retained.drop_oldest() {
            0 => self.evict_open(),
            spans => spans,
        }
    }

    /// Closes the open trace that has been quiet for longest. Where those closed so have piled up to an eighth of
    /// the bound, the writer cannot keep up: the trace is thrown away.
    fn evict_open(&mut self) -> usize {
        while let Some(look) = self.idle.pop_front().or_else(|| self.lively.pop_front()) {
            let Some(trace) = self.places.get(look.slot) else { continue };
            if trace.last_seen != look.seen && self.places.open_traces() > 1 {
                // Something came since: it is as good as a new one. It was paid for by that.
                let seen = trace.last_seen;
                self.lively.push_back(Look { seen, ..look });
                continue;
            }
            let Some(mut trace) = self.remove(look.slot) else { continue };
            let spans = trace.spans().len();
            self.counts.evicted += 1;
            if self.evicted.len() > self.limits.max_traces / 8 {
                self.counts.dropped_traces += 1;
                self.counts.dropped_spans += spans as u64;
            } else {
                trace.lacking = true;
                self.evicted.push(Due::Whole(trace));
            }
            return spans;
        }
        0
    }
}
