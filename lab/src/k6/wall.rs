//! From k6's wall times to the clock of the lab.
//!
//! Both clocks run at the same speed (the kernel slews them together), so their difference holds until
//! somebody sets the wall clock. Where that happens in mid-round, marks move; durations are k6's own.

use ledger::clock;
use rustix::time::{ClockId, clock_gettime};

/// Readings of which the one least disturbed counts.
const TRIES: u32 = 5;

/// The difference between the wall clock and [`ledger::clock`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wall {
    ahead_ns: i64,
}

impl Wall {
    /// Reads both clocks. The wall clock is read between two readings of the other: the narrowest such
    /// bracket, well under a microsecond, bounds the error.
    pub(super) fn read() -> Wall {
        let reading = |_| {
            let before = clock::now();
            let wall = clock_gettime(ClockId::Realtime);
            let after = clock::now();
            let wall_ns = wall.tv_sec.saturating_mul(1_000_000_000).saturating_add(wall.tv_nsec);
            (after - before, wall_ns - (before + (after - before) / 2) as i64)
        };
        let (_, ahead_ns) = (0..TRIES).map(reading).min().unwrap_or_default();
        Wall { ahead_ns }
    }

    /// The reading of [`ledger::clock`] at `wall_ns` nanoseconds since 1970; 1 for times before the boot.
    pub(super) fn to_clock(self, wall_ns: u64) -> u64 {
        let ns = i64::try_from(wall_ns).unwrap_or(i64::MAX).saturating_sub(self.ahead_ns);
        u64::try_from(ns).unwrap_or(0).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wall_time_of_now_is_now_on_the_clock() {
        let wall = Wall::read();
        let before = clock::now();
        let time = clock_gettime(ClockId::Realtime);
        let after = clock::now();
        let now = wall.to_clock(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64);
        // Readings of this process and of the clocks differ by less than scheduling would explain.
        assert!(now + 1_000_000 > before && now < after + 1_000_000, "{before} {now} {after}");
        assert_eq!(wall.to_clock(0), 1);
        assert!(wall.to_clock(u64::MAX) > now);
    }
}
