//! Between the clock of the lab and the wall clock.
//!
//! Both run at the same speed (the kernel slews them together), so their difference holds until somebody sets
//! the wall clock. No duration of the lab is computed from wall times. They tell a reader when something was, and they
//! place what other programs date by the wall clock.

use rustix::time::{ClockId, clock_gettime};

use crate::clock;

/// How often both clocks are read; the reading that was disturbed least is taken.
const TRIES: u32 = 5;

/// How far the wall clock, in nanoseconds since 1970, is ahead of [`clock::now`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WallClock {
    ahead_ns: i64,
}

impl WallClock {
    /// Reads both clocks. The wall clock is read between two readings of the other: the narrowest such
    /// bracket, well under a microsecond, bounds the error.
    #[must_use]
    pub fn read() -> WallClock {
        let reading = |_| {
            let before = clock::now();
            let wall = clock_gettime(ClockId::Realtime);
            let after = clock::now();
            let wall_ns = wall.tv_sec.saturating_mul(1_000_000_000).saturating_add(wall.tv_nsec);
            (after - before, wall_ns - (before + (after - before) / 2) as i64)
        };
        let (_, ahead_ns) = (0..TRIES).map(reading).min().unwrap_or_default();
        WallClock { ahead_ns }
    }

    /// A wall clock that is `ahead_ns` ahead, whatever this machine says.
    #[must_use]
    pub fn ahead_by(ahead_ns: i64) -> WallClock {
        WallClock { ahead_ns }
    }

    /// Nanoseconds since 1970 at `mark` on [`clock::now`]; 0 for times before 1970.
    #[must_use]
    pub fn to_wall(self, mark: u64) -> u64 {
        mark.saturating_add_signed(self.ahead_ns)
    }

    /// The reading of [`clock::now`] at `wall_ns` nanoseconds since 1970; 1 for times before the boot, since 0
    /// is no mark.
    #[must_use]
    pub fn to_mark(self, wall_ns: u64) -> u64 {
        wall_ns.saturating_add_signed(self.ahead_ns.saturating_neg()).max(1)
    }
}

/// The present, in nanoseconds since 1970.
#[must_use]
pub fn now() -> u64 {
    WallClock::read().to_wall(clock::now())
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;

    fn wall_ns() -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as u64
    }

    #[test]
    fn now_is_now_on_either_clock() {
        let clock = WallClock::read();
        let (before, wall_before) = (clock::now(), wall_ns());
        let (wall, mark) = (now(), clock::now());
        let (wall_after, after) = (wall_ns(), clock::now());
        // Readings of this process and of the clocks differ by less than scheduling would explain.
        let near = 1_000_000;
        let placed = clock.to_mark(wall);
        assert!(placed + near > before && placed < after + near, "{before} {placed} {after}");
        let told = clock.to_wall(mark);
        assert!(told + near > wall_before && told < wall_after + near, "{wall_before} {told}");
    }

    #[test]
    fn times_that_a_clock_cannot_show_are_its_ends() {
        let clock = WallClock::ahead_by(1_000);
        assert_eq!(clock.to_mark(0), 1);
        assert_eq!(clock.to_mark(5_000), 4_000);
        assert_eq!(clock.to_wall(4_000), 5_000);
        assert_eq!(clock.to_wall(u64::MAX), u64::MAX);
        assert_eq!(WallClock::ahead_by(-10).to_wall(5), 0);
        assert_eq!(WallClock::ahead_by(i64::MIN).to_mark(u64::MAX), u64::MAX);
    }
}
