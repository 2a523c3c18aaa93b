//! Counters that Linux keeps per thread, summed over a process so that they never go back.
//!
//! `schedstat` and `status` of a process speak of its main thread alone, and what a thread counted
//! is gone when it ends. So every thread's latest reading is kept and added when the thread is gone.

use std::collections::HashMap;

use procfs::process::Process;

/// Counters of one thread, or the sum of many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Totals {
    /// CPU time, in nanoseconds.
    pub(super) run_ns: u64,
    /// Time ready and waiting for a CPU, in nanoseconds.
    pub(super) wait_ns: u64,
    /// Switches asked for.
    pub(super) voluntary: u64,
    /// Switches forced.
    pub(super) involuntary: u64,
}

impl std::ops::AddAssign for Totals {
    fn add_assign(&mut self, other: Totals) {
        self.run_ns += other.run_ns;
        self.wait_ns += other.wait_ns;
        self.voluntary += other.voluntary;
        self.involuntary += other.involuntary;
    }
}

/// The threads of one process, from reading to reading.
#[derive(Debug, Default)]
pub(super) struct Threads {
    live: HashMap<i32, Totals>,
    ended: Totals,
}

impl Threads {
    /// Reads every thread of `process`; answers the sum and how many there are.
    pub(super) fn read(&mut self, process: &Process) -> (Totals, u64) {
        let mut live = HashMap::new();
        for task in process.tasks().into_iter().flatten().flatten() {
            // A thread may end between being listed and being read.
            let (Ok(sched), Ok(status)) = (task.schedstat(), task.status()) else {
                continue;
            };
            let totals = Totals {
                run_ns: sched.sum_exec_runtime,
                wait_ns: sched.run_delay,
                voluntary: status.voluntary_ctxt_switches.unwrap_or(0),
                involuntary: status.nonvoluntary_ctxt_switches.unwrap_or(0),
            };
            live.insert(task.tid, totals);
        }
        self.replace(live)
    }

    fn replace(&mut self, live: HashMap<i32, Totals>) -> (Totals, u64) {
        for (tid, last) in &self.live {
            // Ids are used again: one whose CPU time went back is another thread.
            if live.get(tid).is_none_or(|now| now.run_ns < last.run_ns) {
                self.ended += *last;
            }
        }
        self.live = live;
        let mut sum = self.ended;
        for totals in self.live.values() {
            sum += *totals;
        }
        (sum, self.live.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_thread_counted_stays_when_it_ends() {
        let totals = |ns| Totals { run_ns: ns, wait_ns: ns, voluntary: 1, involuntary: 2 };
        let mut threads = Threads::default();
        assert_eq!(threads.replace([(1, totals(5)), (2, totals(7))].into()).0.run_ns, 12);
        assert_eq!(threads.replace([(1, totals(6))].into()).0.run_ns, 13);
        let (sum, count) = threads.replace([(1, totals(6)), (2, totals(1))].into());
        assert_eq!((sum.run_ns, sum.voluntary, count), (14, 3, 2));
        assert_eq!(threads.replace([(2, totals(0))].into()).0.run_ns, 14);
    }
}
