//! Rounding at the edge: results hold microseconds to the nanosecond and shares to one in a million.
//!
//! Short decimals survive the way through JSON unchanged, and nobody reads digits that no clock has.

/// Nanoseconds as microseconds, to the nearest nanosecond.
pub(super) fn us(ns: f64) -> f64 {
    round(ns / 1e3, 1e3)
}

/// `part / whole` to one in a million; 0 where there is no whole.
#[must_use]
pub fn ratio(part: f64, whole: f64) -> f64 {
    if whole == 0.0 { 0.0 } else { round(part / whole, 1e6) }
}

/// A mean of values that come one by one.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Mean {
    sum: f64,
    count: u64,
}

impl Mean {
    pub(super) fn take(&mut self, value: f64) {
        self.sum += value;
        self.count += 1;
    }

    /// To three decimals; 0 of nothing.
    pub(super) fn value(self) -> f64 {
        if self.count == 0 { 0.0 } else { round(self.sum / self.count as f64, 1e3) }
    }
}

/// `value` to `1 / unit`. Never a negative zero, which would be printed.
pub(super) fn round(value: f64, unit: f64) -> f64 {
    (value * unit).round() / unit + 0.0
}
