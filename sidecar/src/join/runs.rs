//! Which of the open traces are of which run: to close those of one, and look at no others.

use std::collections::{BTreeMap, VecDeque};

use super::trace::Slot;
use crate::runs::Run;

/// So many places of traces that are gone are not worth clearing.
const FEW: usize = 1_024;
/// In the place of a trace that is gone.
const GONE: Slot = Slot::NONE;

/// The open traces of each run.
#[derive(Debug, Default)]
pub(super) struct OfRuns {
    runs: BTreeMap<Run, OfRun>,
    /// How often a trace was noted.
    notes: u64,
}

/// Those of one run, by the number of the note, in its order.
#[derive(Debug, Default)]
struct OfRun {
    traces: VecDeque<(u64, Slot)>,
    gone: usize,
}

impl OfRuns {
    /// Notes that a trace is of `run`; answers the number of the note.
    pub(super) fn note(&mut self, run: Run, slot: Slot) -> u64 {
        self.notes += 1;
        self.runs.entry(run).or_default().traces.push_back((self.notes, slot));
        self.notes
    }

    /// Forgets what was noted under this number. Traces are mostly closed in the order in which they came: then it is
    /// the first.
    pub(super) fn forget(&mut self, run: Run, note: u64) {
        let Some(OfRun { traces, gone }) = self.runs.get_mut(&run) else { return };
        // Where nothing was noted between of other runs it is in the place that the numbers say.
        let first = traces.front().map_or(note, |(first, _)| *first);
        let guess = usize::try_from(note.saturating_sub(first)).unwrap_or(usize::MAX);
        let at = match traces.get(guess) {
            Some((there, _)) if *there == note => Ok(guess),
            _ => traces.binary_search_by_key(&note, |(note, _)| *note),
        };
        if let Ok(at) = at {
            traces[at].1 = GONE;
            *gone += 1;
        }
        while traces.pop_front_if(|(_, slot)| *slot == GONE).is_some() {
            *gone -= 1;
        }
        if *gone > FEW.max(traces.len() / 2) {
            traces.retain(|(_, slot)| *slot != GONE);
            *gone = 0;
        }
        if traces.is_empty() {
            self.runs.remove(&run);
        }
    }

    /// The first trace of `run`.
    pub(super) fn first(&self, run: Run) -> Option<Slot> {
        self.runs.get(&run)?.traces.front().map(|(_, slot)| *slot)
    }
}
