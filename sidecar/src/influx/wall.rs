//! Wall time of a monotonic reading, by one offset taken at start.
//!
//! No duration is ever computed from wall times: they only say in which second of the world's clock a
//! window lies. If the machine's clock is set while the sidecar runs, its points keep to the old setting.

use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds of a second.
pub(super) const SECOND: u64 = 1_000_000_000;

/// Adds wall time's lead over [`ledger::clock`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WallClock {
    offset_ns: u64,
}

impl WallClock {
    /// Reads both clocks. Of a few readings the one counts during which the least time went by.
    pub(crate) fn read() -> WallClock {
        let reading = || {
            let before = ledger::clock::now();
            let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let after = ledger::clock::now();
            let wall = u64::try_from(wall.as_nanos()).unwrap_or(u64::MAX);
            (after - before, wall.saturating_sub(before + (after - before) / 2))
        };
        let best = (0..5).map(|_| reading()).min().unwrap_or_default();
        WallClock { offset_ns: best.1 }
    }

    #[cfg(test)]
    pub(super) fn with_offset(offset_ns: u64) -> WallClock {
        WallClock { offset_ns }
    }

    /// Nanoseconds since 1970 at `monotonic_ns` on [`ledger::clock`].
    pub(super) fn wall_ns(self, monotonic_ns: u64) -> u64 {
        monotonic_ns.saturating_add(self.offset_ns)
    }
}
