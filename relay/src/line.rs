//! The line that bytes go over in one direction: how long it is, and how wide. All connections of a relay share it, as
//! they would share a cable.

use parking_lot::Mutex;
use settings::Bandwidth;

/// Bytes that are read at a time.
pub(crate) const CHUNK: usize = 64 << 10;
/// Most bytes of one connection that are under way, and held in memory, where no bandwidth says how much fits on the
/// line.
const MOST_UNDER_WAY: usize = 16 << 20;

/// One direction of a line.
#[derive(Debug)]
pub(crate) struct Line {
    delay_ns: u64,
    rate: Option<Bandwidth>,
    /// When the last of what was put on it so far will have left this end.
    free: Mutex<u64>,
}

impl Line {
    /// A line on which each byte is under way for `delay_ns`, after it was put on it at `rate`.
    pub(crate) fn new(delay_ns: u64, rate: Option<Bandwidth>) -> Line {
        Line { delay_ns, rate, free: Mutex::new(0) }
    }

    /// Whether nothing is held back.
    pub(crate) fn is_direct(&self) -> bool {
        self.delay_ns == 0 && self.rate.is_none()
    }

    /// When bytes are at the other end that are put on it now.
    pub(crate) fn due(&self, now: u64, bytes: usize) -> u64 {
        let Some(rate) = self.rate else { return now.saturating_add(self.delay_ns) };
        let mut free = self.free.lock();
        *free = now.max(*free).saturating_add(rate.takes(bytes));
        free.saturating_add(self.delay_ns)
    }

    /// How many bytes of a connection may be under way. Where nothing is held back that is one read: a sender is to feel
    /// at once that its receiver takes nothing.
    pub(crate) fn room(&self) -> usize {
        if self.is_direct() {
            return 1;
        }
        let fits = self.rate.map_or(u64::MAX, |rate| rate.carries(self.delay_ns));
        usize::try_from(fits).unwrap_or(usize::MAX).clamp(CHUNK, MOST_UNDER_WAY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_due_after_the_distance_and_after_those_before_them() {
        let far = Line::new(5_000, None);
        assert_eq!((far.due(100, 1), far.due(100, 1 << 20)), (5_100, 5_100));
        // Of 8 Mbit a second a byte takes a microsecond.
        let narrow = Line::new(5_000, Some("8Mbit".parse().unwrap()));
        assert_eq!(narrow.due(100, 10), 15_100);
        assert_eq!(narrow.due(100, 10), 25_100, "those before them go first, whoever's they are");
        assert_eq!(narrow.due(1_000_000, 1), 1_006_000, "a line that was free is no faster");
    }

    #[test]
    fn no_more_is_under_way_than_fits_the_line() {
        assert_eq!(Line::new(0, None).room(), 1);
        assert_eq!(Line::new(1, None).room(), MOST_UNDER_WAY);
        let rate = Some("100Mbit".parse().unwrap());
        assert_eq!(Line::new(50_000_000, rate).room(), 625_000);
        assert_eq!(Line::new(0, rate).room(), CHUNK);
    }
}
