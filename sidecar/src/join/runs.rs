//! Which of the open traces are of which run: to close those of one, and look at no others.

use std::collections::BTreeMap;

use super::trace::Slot;
use crate::runs::Run;

/// In the place of a slot: there is none.
const NONE: u32 = u32::MAX;

/// Two slots in a list of them.
#[derive(Debug, Clone, Copy)]
struct Two {
    before: u32,
    after: u32,
}

/// The open traces of each run, in the order in which they were noted: lists that lead from slot to slot.
#[derive(Debug, Default)]
pub(super) struct OfRuns {
    /// The last and the first slot of each run that has one.
    ends: BTreeMap<Run, Two>,
    /// The neighbours of each slot, which hold while it is in a list.
    neighbours: Vec<Two>,
}

impl OfRuns {
    /// Notes that the trace in `slot` is of `run`.
    pub(super) fn note(&mut self, run: Run, slot: Slot) {
        let at = slot.at as usize;
        if self.neighbours.len() <= at {
            self.neighbours.resize(at + 1, Two { before: NONE, after: NONE });
        }
        let ends = self.ends.entry(run).or_insert(Two { before: NONE, after: slot.at });
        let before = std::mem::replace(&mut ends.before, slot.at);
        self.neighbours[at] = Two { before, after: NONE };
        if let Some(before) = self.neighbours.get_mut(before as usize) {
            before.after = slot.at;
        }
    }

    /// Forgets the trace in `slot`, if it was noted to be of `run`.
    pub(super) fn forget(&mut self, run: Run, slot: Slot) {
        let Some(ends) = self.ends.get_mut(&run) else { return };
        let Some(&Two { before, after }) = self.neighbours.get(slot.at as usize) else { return };
        let here = self.neighbours.get(before as usize).map_or(ends.after, |before| before.after);
        if here != slot.at {
            return;
        }
        match self.neighbours.get_mut(before as usize) {
            Some(before) => before.after = after,
            None => ends.after = after,
        }
        match self.neighbours.get_mut(after as usize) {
            Some(after) => after.before = before,
            None => ends.before = before,
        }
        if ends.after == NONE {
            self.ends.remove(&run);
        }
    }

    /// Where the first trace of `run` is.
    pub(super) fn first(&self, run: Run) -> Option<u32> {
        self.ends.get(&run).map(|ends| ends.after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_forgotten_the_others_of_a_run_stay_in_their_order() {
        let slot = |at| Slot { at, serial: 9 };
        let runs = crate::runs::Runs::default();
        let [one, other] = [(); 2].map(|()| runs.open().expect("a run").0);
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let mut of_runs = OfRuns::default();
            for at in 0..6 {
                of_runs.note(if at % 2 == 0 { one } else { other }, slot(at));
            }
            let mut left = vec![0, 2, 4];
            for gone in order.map(|at| at * 2) {
                assert_eq!(of_runs.first(one), left.first().copied());
                of_runs.forget(one, slot(gone));
                left.retain(|&at| at != gone);
            }
            assert_eq!((of_runs.first(one), of_runs.first(other)), (None, Some(1)));
            of_runs.forget(one, slot(2));
            of_runs.forget(other, slot(2));
            // Slots are used again, by another run too.
            of_runs.note(other, slot(4));
            for at in [1, 3, 5, 4] {
                assert_eq!(of_runs.first(other), Some(at));
                of_runs.forget(other, slot(at));
            }
            assert_eq!(of_runs.first(other), None);
        }
    }
}
