//! How much CPU this process, another one and the whole machine have used.

use std::fs;

use lab_model::CpuUse;
use rustix::time::{ClockId, clock_gettime};

/// Readings at the start of a measured part.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    process_ns: u64,
    host: Option<(u64, u64)>,
}

impl Usage {
    /// Reads now.
    pub(super) fn now() -> Usage {
        Usage::with(process_cpu_ns())
    }

    /// Reads the machine's now, beside the CPU time that some process has used.
    pub(crate) fn with(process_ns: u64) -> Usage {
        Usage { process_ns, host: host_ticks() }
    }

    /// CPU of this process since then in nanoseconds, and the busy share of all CPUs (0 … 1).
    pub(super) fn until_now(&self) -> (u64, f64) {
        self.until(&Usage::now())
    }

    /// CPU of the process from here to `now` in nanoseconds, and the busy share of all CPUs (0 … 1).
    pub(crate) fn until(&self, now: &Usage) -> (u64, f64) {
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
#[must_use]
pub fn threads_cpu_ns(pid: u32) -> Option<u64> {
    Some(threads_use(pid)?.cpu_ns)
}

/// What the living threads of process `pid` have used, and how long they waited for a CPU; `None` if it has gone.
///
/// From `schedstat`, which counts nanoseconds where `stat` counts ticks of ten milliseconds. That of
/// the process speaks of its main thread only, so the threads are added up.
#[must_use]
pub fn threads_use(pid: u32) -> Option<CpuUse> {
    let mut total = CpuUse::default();
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        // A thread may end between the listing and the reading.
        let Ok(text) = fs::read_to_string(task.ok()?.path().join("schedstat")) else {
            continue;
        };
        let mut counters = text.split_ascii_whitespace().map(|ns| ns.parse().unwrap_or(0_u64));
        total.cpu_ns += counters.next().unwrap_or(0);
        total.wait_ns += counters.next().unwrap_or(0);
    }
    Some(total)
}

/// CPU time process `pid` has used, threads that have ended included, in nanoseconds; `None` if it has
/// gone.
///
/// The living threads are known to the nanosecond, the whole process in ticks of ten milliseconds: where the
/// ticks say more, threads have ended, and the ticks count.
#[must_use]
pub fn child_cpu_ns(pid: u32) -> Option<u64> {
    let living = threads_cpu_ns(pid)?;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(living.max(parse_process_ticks(&stat)?.saturating_mul(TICK_NS)))
}

/// A clock tick of `/proc`: USER_HZ is 100 on every architecture that Rust's standard library supports.
const TICK_NS: u64 = 10_000_000;

/// From `/proc/PID/stat`: utime and stime, the 12th and 13th field after the name in brackets (proc(5)).
fn parse_process_ticks(stat: &str) -> Option<u64> {
    // The name may itself hold brackets and blanks.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let (user, system) = (fields.next()?.parse::<u64>().ok()?, fields.next()?.parse::<u64>().ok()?);
    user.checked_add(system)
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
    fn ticks_of_a_process_are_found_behind_any_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 250 31 9 9 20 0 8 0 100";
        assert_eq!(parse_process_ticks(stat), Some(281));
        assert_eq!(parse_process_ticks("7 (k6) S 1"), None);
    }

    #[test]
    fn a_thread_that_has_ended_still_counts() {
        let before = child_cpu_ns(std::process::id()).unwrap();
        let burn = || {
            let until = process_cpu_ns() + 60_000_000;
            while process_cpu_ns() < until {
                std::hint::black_box(0);
            }
        };
        std::thread::spawn(burn).join().unwrap();
        assert!(child_cpu_ns(std::process::id()).unwrap() > before);
        assert_eq!(child_cpu_ns(u32::MAX), None);
    }

    #[test]
    fn work_shows_in_both_clocks() {
        let before = (process_cpu_ns(), threads_cpu_ns(std::process::id()).unwrap());
        let until = before.0 + 5_000_000;
        while process_cpu_ns() < until {
            std::hint::black_box(0);
        }
        // The scheduler tally a running thread's time at its ticks, so the second clock is coarser.
        assert!(threads_cpu_ns(std::process::id()).unwrap() >= before.1);
        assert_eq!(threads_cpu_ns(u32::MAX), None);
    }
}
