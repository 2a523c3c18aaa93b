//! What k6 and the machine use of the CPU in the measured part of a round.
//!
//! k6 tells a fraction of a second late when its scenario began, and is gone when it has ended. So readings are
//! taken all the while, and those nearest to the beginning and the end of the measured part count.

use std::collections::VecDeque;

use ledger::clock;

use crate::builtin::{Usage, child_cpu_ns};

/// Readings kept before it is known where the measured part begins.
const KEPT: usize = 64;

/// Readings of one process.
#[derive(Debug)]
pub(super) struct Readings {
    pid: u32,
    /// Where the measured part begins, once known.
    first: Option<(u64, Usage)>,
    kept: VecDeque<(u64, Usage)>,
    last: Option<Usage>,
    over: bool,
}

impl Readings {
    /// Of process `pid`.
    pub(super) fn of(pid: u32) -> Readings {
        Readings { pid, first: None, kept: VecDeque::new(), last: None, over: false }
    }

    /// Takes a reading. `start_ns` is where the measured part begins, once that is known; `over` says that it
    /// has ended, and after one more reading nothing is read.
    pub(super) fn take(&mut self, start_ns: Option<u64>, over: bool) {
        if self.over {
            return;
        }
        let Some(cpu_ns) = child_cpu_ns(self.pid) else { return };
        let (now, usage) = (clock::now(), Usage::with(cpu_ns));
        self.over = over;
        self.last = Some(usage);
        if self.first.is_none() {
            if self.kept.len() == KEPT {
                self.kept.pop_front();
            }
            self.kept.push_back((now, usage));
        }
        let Some(start) = start_ns.filter(|&start| start <= now) else { return };
        if self.first.is_none() {
            self.first = self.kept.iter().min_by_key(|(at, _)| at.abs_diff(start)).copied();
            self.kept.clear();
        }
    }

    /// CPU of the process in the measured part in nanoseconds, and the busy share of all CPUs (0 … 1).
    pub(super) fn used(&self) -> (u64, f64) {
        match (self.first, &self.last) {
            (Some((_, first)), Some(last)) => first.until(last),
            _ => (0, 0.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_measured_part_begins_at_the_reading_nearest_to_it() {
        let mut readings = Readings::of(std::process::id());
        readings.take(None, false);
        let start = clock::now();
        readings.take(None, false);
        assert_eq!(readings.used(), (0, 0.0));
        let nearest = readings.kept.iter().map(|(at, _)| *at).min_by_key(|at| at.abs_diff(start));
        let until = crate::builtin::process_cpu_ns() + 30_000_000;
        while crate::builtin::process_cpu_ns() < until {
            std::hint::black_box(0);
        }
        readings.take(Some(start), true);
        assert_eq!(readings.first.map(|(at, _)| at), nearest);
        let used = readings.used();
        assert!(used.0 >= 10_000_000, "{used:?}");
        readings.take(Some(start), true);
        assert_eq!(readings.used(), used);
    }
}
