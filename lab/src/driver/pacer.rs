//! When each request starts: absolute times, so that no delay shifts the arrivals after it.
//!
//! A thread of its own sleeps on the monotonic clock: tokio's timer wheel turns once a millisecond.

use std::num::NonZeroU64;

use ledger::clock;
use rustix::thread::{clock_nanosleep_absolute, set_current_timer_slack};
use rustix::time::{ClockId, Timespec};
use tokio_util::sync::CancellationToken;

use super::Round;
use super::usage::Usage;

/// The longest sleep before cancellation is looked for, in nanoseconds.
const NAP_NS: u64 = 20_000_000;

/// The planned times of a round's arrivals, on [`ledger::clock`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Schedule {
    /// The first arrival of the warm-up.
    pub(super) warmup_ns: u64,
    /// The first arrival of the measured part.
    pub(super) start_ns: u64,
    /// Arrivals in the warm-up and in the measured part.
    pub(super) counts: (u64, u64),
    /// Arrivals per second.
    pub(super) rate: f64,
}

impl Schedule {
    /// The schedule of `round`, whose warm-up begins at `warmup_ns`.
    pub(super) fn new(warmup_ns: u64, round: &Round) -> Schedule {
        // An arrival on the very end of a span belongs to the next; the rounding keeps a product such
        // as 0.1 × 30 from making one arrival more.
        let within =
            |span_ns: u64| ((span_ns as f64 * 1e-9 * round.rate) - 1e-6).ceil().max(0.0) as u64;
        Schedule {
            warmup_ns,
            start_ns: warmup_ns + round.warmup_ns,
            counts: (within(round.warmup_ns), within(round.duration_ns)),
            rate: round.rate,
        }
    }

    /// The planned time of an arrival of the measured part, and of one of the warm-up.
    fn at(&self, from_ns: u64, index: u64) -> u64 {
        // Exact to the nanosecond for 104 days of it: f64 carries 53 bits.
        from_ns + (index as f64 * 1e9 / self.rate).round() as u64
    }
}

/// Calls `arrive(planned, index)` for every arrival at its planned time; warm-up arrivals have no index.
///
/// Arrivals that are overdue follow each other at once: the plan is caught up with, not shifted.
/// Returns the use of CPU at the start of the measured part, if that was reached.
pub(super) fn pace(
    schedule: &Schedule,
    cancel: &CancellationToken,
    mut arrive: impl FnMut(u64, Option<u64>),
) -> Option<Usage> {
    // The default slack of 50 us would be part of every send delay. Refused, it stays: no harm done.
    let _ = set_current_timer_slack(NonZeroU64::new(1));
    for index in 0..schedule.counts.0 {
        let planned = schedule.at(schedule.warmup_ns, index);
        if !sleep_until(planned, cancel) {
            return None;
        }
        arrive(planned, None);
    }
    // Early enough that reading the counters delays no arrival.
    if !sleep_until(schedule.start_ns.saturating_sub(1_000_000), cancel) {
        return None;
    }
    let usage = Usage::now();
    for index in 0..schedule.counts.1 {
        let planned = schedule.at(schedule.start_ns, index);
        if !sleep_until(planned, cancel) {
            break;
        }
        arrive(planned, Some(index));
    }
    Some(usage)
}

/// Sleeps until `deadline`; false if cancelled before.
fn sleep_until(deadline: u64, cancel: &CancellationToken) -> bool {
    loop {
        if cancel.is_cancelled() {
            return false;
        }
        let now = clock::now();
        if now >= deadline {
            return true;
        }
        let until = deadline.min(now + NAP_NS);
        let until = Timespec {
            tv_sec: (until / 1_000_000_000) as i64,
            tv_nsec: (until % 1_000_000_000) as _,
        };
        // Interrupted by a signal: the loop looks again.
        let _ = clock_nanosleep_absolute(ClockId::Monotonic, &until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::Sampling;

    fn schedule(rate: f64, warmup_ns: u64, duration_ns: u64) -> Schedule {
        let round = Round {
            number: 0,
            rate,
            warmup_ns,
            duration_ns,
            max_in_flight: 1,
            timeout: std::time::Duration::from_secs(1),
            sampling: Sampling::at_most(200.0, rate),
        };
        Schedule::new(clock::now(), &round)
    }

    #[test]
    fn arrivals_are_planned_without_drift() {
        let schedule = schedule(3.0, 0, 1_000_000_000_000);
        assert_eq!(schedule.counts, (0, 3_000));
        assert_eq!(schedule.at(0, 1), 333_333_333);
        assert_eq!(schedule.at(0, 2_999), 999_666_666_667);
    }

    #[test]
    fn a_span_holds_as_many_arrivals_as_begin_in_it() {
        assert_eq!(schedule(100.0, 0, 1_000_000_000).counts.1, 100);
        assert_eq!(schedule(0.1, 0, 30_000_000_000).counts.1, 3);
        assert_eq!(schedule(0.1, 0, 31_000_000_000).counts.1, 4);
        assert_eq!(schedule(1.0, 0, 500_000_000).counts.1, 1);
    }

    #[test]
    fn nothing_arrives_before_its_time() {
        let schedule = schedule(1_000.0, 10_000_000, 20_000_000);
        let mut seen = Vec::new();
        let usage = pace(&schedule, &CancellationToken::new(), |planned, index| {
            assert!(clock::now() >= planned);
            seen.push(index);
        });
        let expected = std::iter::repeat_n(None, 10).chain((0..20).map(Some));
        assert_eq!(seen, expected.collect::<Vec<_>>());
        assert!(usage.is_some());
    }

    #[test]
    fn a_cancelled_pacer_stops_at_once() {
        let cancel = CancellationToken::new();
        let mut count = 0;
        pace(&schedule(100.0, 0, 3_600_000_000_000), &cancel, |_, _| {
            count += 1;
            cancel.cancel();
        });
        assert_eq!(count, 1);
    }
}
