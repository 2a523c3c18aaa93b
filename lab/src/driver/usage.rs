//! How much CPU this process, another one and the whole machine have used.

use std::fs;

use rustix::time::{ClockId, clock_gettime};

/// Readings at the start of a measured part.
#[derive(Debug, Clone, Copy)]
pub(super) struct Usage {
    process_ns: u64,
    host: Option<(u64, u64)>,
}

impl Usage {
    /// Reads now.
    pub(super) fn now() -> Usage {
        Usage { process_ns: process_cpu_ns(), host: host_ticks() }
    }

    /// CPU of this process since then in nanoseconds, and the busy share of all CPUs (0 … 1).
    pub(super) fn until_now(&self) -> (u64, f64) {
        let now = Usage::now();
        let share = match (self.host, now.host) {
            (Some((busy, all)), Some((busy_now, all_now))) if all_now > all => {
                busy_now.saturating_sub(busy) as f64 / (all_now - all) as f64
            }
            _ => 0.0,
        };
        (now.process_ns.saturating_sub(self.process_ns), share)
    }
}

/// CPU time this process has used, all threads, user and system, in nanoseconds.
#[must_use]
pub fn process_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// CPU time the living threads of process `pid` have used, in nanoseconds; `None` if it has gone.
///
/// From `schedstat`, which counts nanoseconds where `stat` counts ticks of ten milliseconds. That of
/// the process speaks of its main thread only, so the threads are added up.
#[must_use]
pub fn threads_cpu_ns(pid: u32) -> Option<u64> {
    let mut total = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        // A thread may end between the listing and the reading.
        let Ok(text) = fs::read_to_string(task.ok()?.path().join("schedstat")) else {
            continue;
        };
        total +=
            text.split_ascii_whitespace().next().and_then(|ns| ns.parse::<u64>().ok()).unwrap_or(0);
    }
    Some(total)
}

/// Busy ticks and all ticks of the machine so far.
fn host_ticks() -> Option<(u64, u64)> {
    parse_host_ticks(&fs::read_to_string("/proc/stat").ok()?)
}

/// From the first line of `/proc/stat`: user nice system idle iowait irq softirq steal (proc(5)).
fn parse_host_ticks(stat: &str) -> Option<(u64, u64)> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<u64> =
        line.split_ascii_whitespace().take(8).map_while(|tick| tick.parse().ok()).collect();
    let all: u64 = ticks.iter().sum();
    let idle = ticks.get(3)? + ticks.get(4)?;
    Some((all - idle, all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_and_waiting_for_disks_are_not_busy() {
        let stat = "cpu  10 1 20 100 50 3 4 2 99 99\ncpu0 1 2 3\n";
        assert_eq!(parse_host_ticks(stat), Some((40, 190)));
        assert_eq!(parse_host_ticks("nonsense"), None);
    }

    #[test]
    fn work_shows_in_both_clocks() {
        let before = (process_cpu_ns(), threads_cpu_ns(std::process::id()).unwrap());
        let until = before.0 + 5_000_000;
        while process_cpu_ns() < until {
            std::hint::black_box(0);
        }
        // The scheduler books a running thread's time at its ticks, so the second clock is coarser.
        assert!(threads_cpu_ns(std::process::id()).unwrap() >= before.1);
        assert_eq!(threads_cpu_ns(u32::MAX), None);
    }
}
