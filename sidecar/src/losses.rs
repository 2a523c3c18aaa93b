//! Spans that were made and did not come, by the process that made them.
//!
//! A process of ours numbers its spans from 1, and tells with every export how many it has made and how many of them it
//! lost: a number that is passed over is a span that was lost on the way. Those made after the last that came may still
//! come; of a process that was killed they are lost, so they are told as "up to". Other processes tell nothing of this.
//! Bounded: names and numbers come from peers.

use std::collections::{BTreeMap, HashMap};

use parking_lot::Mutex;

use crate::span::Source;

/// Processes that are remembered, at most.
const MOST: usize = 1_024;
/// Gaps of one process in which spans may still come, at most: the oldest are closed for good.
const GAPS: usize = 256;

/// What one export says of the spans of one process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Told {
    /// Drawn at random when the process started; 0 of one that does not tell.
    pub(crate) instance: u64,
    /// The number of the last span that it has made.
    pub(crate) highest: u64,
    /// How many of its spans it has lost.
    pub(crate) lost: u64,
    /// The numbers of those that came, from … to …, in the order in which they stand.
    pub(crate) came: Vec<(u64, u64)>,
}

impl Told {
    /// Notes that the span with this number came.
    pub(crate) fn came(&mut self, number: u64) {
        match self.came.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(number) => *last = number,
            _ => self.came.push((number, number)),
        }
    }

    /// Whether it says anything.
    pub(crate) fn says_more(&self) -> bool {
        self.highest > 0 || self.lost > 0 || !self.came.is_empty()
    }
}

/// The spans of one process.
#[derive(Debug, Default)]
struct Process {
    /// The highest number that came.
    highest: u64,
    /// The highest that it told of.
    made: u64,
    /// How many it says that it lost.
    lost: u64,
    /// Numbers below the highest that have not come, from … to …, in order.
    gaps: Vec<(u64, u64)>,
    /// How many are missing in gaps that were closed for good.
    missed: u64,
}

impl Process {
    fn add(&mut self, told: &Told) {
        self.made = self.made.max(told.highest);
        self.lost = self.lost.max(told.lost);
        for &(from, to) in &told.came {
            self.came(from, to);
        }
    }

    fn came(&mut self, from: u64, to: u64) {
        // Of what is below the highest some may have come before.
        let first = self.gaps.partition_point(|gap| gap.1 < from);
        let count = self.gaps[first..].iter().take_while(|gap| gap.0 <= to).count();
        if count > 0 {
            let hit: Vec<_> = self.gaps.drain(first..first + count).collect();
            let left = hit.iter().flat_map(|&(start, end)| {
                let below = (start < from).then(|| (start, from - 1));
                below.into_iter().chain((end > to).then(|| (to + 1, end)))
            });
            self.gaps.splice(first..first, left);
        }
        if to > self.highest {
            if from > self.highest + 1 {
                self.gaps.push((self.highest + 1, from - 1));
            }
            self.highest = to;
        }
        let many = self.gaps.len().saturating_sub(GAPS);
        self.missed += self.gaps.drain(..many).map(|(start, end)| end - start + 1).sum::<u64>();
    }

    /// Those that are known to be lost: by the process itself, or because later ones came. Its own are among those.
    fn lost(&self) -> u64 {
        let gaps = self.gaps.iter().map(|(start, end)| end - start + 1);
        self.lost.max(self.missed.saturating_add(gaps.sum()))
    }

    /// Those that it made after the last that came, less those that it says it lost.
    fn pending(&self) -> u64 {
        let all = self.made.saturating_sub(self.highest);
        let gaps = self.gaps.iter().map(|(start, end)| end - start + 1).sum::<u64>();
        all.saturating_sub(self.lost.saturating_sub(self.missed.saturating_add(gaps)))
    }
}

/// What is lost of the spans of all processes.
#[derive(Debug, Default)]
pub(crate) struct Losses(Mutex<HashMap<(String, u64), Process>>);

impl Losses {
    /// Takes in what an export says of the spans of `source`.
    pub(crate) fn add(&self, source: &Source, told: &Told) {
        let mut processes = self.0.lock();
        let one = if told.instance == 0 { u64::from(source.pid) } else { told.instance };
        let key = (source.service.clone(), one);
        if processes.len() < MOST || processes.contains_key(&key) {
            processes.entry(key).or_default().add(told);
        }
    }

    /// Spans that are lost, and spans that may be, by service.
    pub(crate) fn by_service(&self) -> [BTreeMap<String, u64>; 2] {
        let mut all = [BTreeMap::new(), BTreeMap::new()];
        for ((service, _), process) in self.0.lock().iter() {
            for (sums, count) in all.iter_mut().zip([process.lost(), process.pending()]) {
                let sum: &mut u64 = sums.entry(service.clone()).or_default();
                *sum = sum.saturating_add(count);
            }
        }
        all[1].retain(|_, count| *count > 0);
        all
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(instance: u64, highest: u64, lost: u64, came: &[u64]) -> Told {
        let mut told = Told { instance, highest, lost, came: Vec::new() };
        came.iter().for_each(|&number| told.came(number));
        told
    }

    fn after(exports: &[Told]) -> (u64, u64) {
        let losses = Losses::default();
        let source = Source { service: "echo".to_owned(), ..Source::default() };
        exports.iter().for_each(|told| losses.add(&source, told));
        let [lost, pending] = losses.by_service();
        (lost["echo"], pending.get("echo").copied().unwrap_or(0))
    }

    #[test]
    fn a_gap_is_a_loss_until_it_is_filled() {
        assert_eq!(after(&[told(7, 3, 0, &[1, 2, 3])]), (0, 0));
        assert_eq!(after(&[told(7, 6, 0, &[1, 2, 6])]), (3, 0));
        assert_eq!(after(&[told(7, 6, 0, &[1, 2, 6]), told(7, 6, 0, &[4, 3])]), (1, 0));
        // Sent twice, it came once.
        assert_eq!(after(&[told(7, 6, 0, &[1, 2, 6]), told(7, 6, 0, &[1, 2, 6])]), (3, 0));
    }

    #[test]
    fn what_was_made_last_and_has_not_come_is_lost_up_to_its_number() {
        assert_eq!(after(&[told(7, 10, 0, &[1, 2])]), (0, 8));
        assert_eq!(
            after(&[told(7, 10, 0, &[1, 2]), told(7, 10, 0, &[3, 4, 5, 6, 7, 8, 9, 10])]),
            (0, 0)
        );
        // Those that the process itself gave up will not come.
        assert_eq!(after(&[told(7, 10, 8, &[1, 2])]), (8, 0));
        // What it says it lost is what is missing.
        assert_eq!(after(&[told(7, 6, 3, &[1, 2, 6])]), (3, 0));
    }

    #[test]
    fn two_processes_of_one_service_have_numbers_of_their_own() {
        assert_eq!(after(&[told(7, 2, 0, &[1, 2]), told(8, 2, 0, &[2])]), (1, 0));
        assert_eq!(after(&[told(0, 0, 4, &[])]), (4, 0));
    }

    #[test]
    fn what_peers_make_of_it_is_bounded() {
        let losses = Losses::default();
        for instance in 1..=2 * MOST as u64 {
            let source = Source { service: format!("s{instance}"), ..Source::default() };
            losses.add(&source, &told(instance, u64::MAX, u64::MAX, &[u64::MAX, 1, 5]));
        }
        assert_eq!(losses.0.lock().len(), MOST);
        let mut process = Process::default();
        (1..=10_000).for_each(|number| process.came(2 * number, 2 * number));
        assert!(process.gaps.len() <= GAPS && process.lost() == 10_000);
    }

    proptest! {
        #[test]
        fn every_number_up_to_the_highest_came_or_is_lost_in_any_order(
            came in proptest::collection::hash_set(1..200_u64, 1..100),
            order in proptest::collection::vec(1..200_u64, 0..100),
        ) {
            let again: Vec<u64> = order.into_iter().filter(|number| came.contains(number)).collect();
            let all: Vec<u64> = again.into_iter().chain(came.iter().copied()).collect();
            let highest = came.iter().max().copied().unwrap_or(0);
            prop_assert_eq!(after(&[told(7, 250, 0, &all)]), (highest - came.len() as u64, 250 - highest));
        }
    }
}
