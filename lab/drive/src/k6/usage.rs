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

/// Readings of one process, of which parts are asked for when it has ended.
#[derive(Debug)]
pub(super) struct History {
    pid: u32,
    all: Vec<(u64, Usage)>,
    /// One reading in so many is kept.
    every: u64,
    taken: u64,
}

/// Readings that a history keeps: past that every second one is let go of.
const HISTORY: usize = 8_192;

impl History {
    /// Of process `pid`.
    pub(super) fn of(pid: u32) -> History {
        History { pid, all: Vec::new(), every: 1, taken: 0 }
    }

    /// Takes a reading, if the process is there.
    pub(super) fn take(&mut self) {
        self.taken += 1;
        if !self.taken.is_multiple_of(self.every) {
            return;
        }
        let Some(cpu_ns) = child_cpu_ns(self.pid) else { return };
        if self.all.len() >= HISTORY {
            let mut index = 0_usize;
            self.all.retain(|_| {
                index += 1;
                index.is_multiple_of(2)
            });
            self.every *= 2;
        }
        self.all.push((clock::now(), Usage::with(cpu_ns)));
    }

    /// CPU of the process between two times in nanoseconds, and the busy share of all CPUs (0 … 1), by the readings nearest
    /// to them.
    pub(super) fn between(&self, start_ns: u64, end_ns: u64) -> (u64, f64) {
        let nearest =
            |to: u64| self.all.iter().min_by_key(|(at, _)| at.abs_diff(to)).map(|(_, usage)| usage);
        match (nearest(start_ns), nearest(end_ns)) {
            (Some(first), Some(last)) => first.until(last),
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

    #[test]
    fn what_was_used_is_told_of_each_part_of_a_run() {
        let mut history = History::of(std::process::id());
        let mut times = Vec::new();
        for busy_ns in [0, 40_000_000, 0] {
            history.take();
            times.push(clock::now());
            let until = crate::builtin::process_cpu_ns() + busy_ns;
            while crate::builtin::process_cpu_ns() < until {
                std::hint::black_box(0);
            }
        }
        history.take();
        let (first, second) =
            (history.between(0, times[1]).0, history.between(times[1], clock::now()).0);
        assert!(second >= 20_000_000 && first < second, "{first} {second}");
        for _ in 0..3 * HISTORY {
            history.take();
        }
        assert!(history.all.len() <= HISTORY, "{}", history.all.len());
        assert!(history.between(times[1], clock::now()).0 >= second);
    }
}
