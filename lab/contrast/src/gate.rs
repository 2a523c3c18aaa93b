//! A decision against a limit, which may also be that nothing can be said yet.

use crate::mean::{Level, Mean};

/// What a build is to do with a change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Decision {
    /// It surely stays below the limit.
    Kept,
    /// It is surely above.
    Exceeded,
    /// The limit lies inside the interval. If later rounds are like those that were made, it would lie outside after this
    /// many pairs of rounds.
    Unknown {
        /// In all, those that were made included; `None` where the change is seen at the limit itself.
        pairs: Option<usize>,
    },
}

/// Whether `value` (a difference, or the logarithm of a ratio) is below `limit`, from `pairs` pairs of rounds.
///
/// A one-sided question is asked, so only one end of the two-sided interval decides: at 95 %, a change that is exactly
/// at the limit is called exceeded in at most one of forty runs. Where several questions are asked of one run, `level`
/// is that at which their intervals hold together.
#[must_use]
pub fn decide(value: &Mean, limit: f64, pairs: usize, level: Level) -> Decision {
    let (low, high) = value.interval(level);
    if high < limit {
        return Decision::Kept;
    }
    if low > limit {
        return Decision::Exceeded;
    }
    // The interval shrinks with the root of the number of rounds.
    let distance = (value.value - limit).abs();
    let times = (value.half(level) / distance).powi(2);
    let needed = (pairs as f64 * times).ceil();
    Decision::Unknown { pairs: (needed.is_finite() && needed < 1e6).then_some(needed as usize) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(value: f64, error: f64) -> Mean {
        Mean { value, error, freedom: 1e6 }
    }

    #[test]
    fn the_whole_interval_decides() {
        assert_eq!(decide(&mean(0.0, 1.0), 3.0, 10, Level::ALONE), Decision::Kept);
        assert_eq!(decide(&mean(6.0, 1.0), 3.0, 10, Level::ALONE), Decision::Exceeded);
        assert!(matches!(decide(&mean(2.0, 1.0), 3.0, 10, Level::ALONE), Decision::Unknown { .. }));
    }

    #[test]
    fn what_cannot_be_told_says_how_many_rounds_it_would_take() {
        // Half the interval is 1.96, the distance 1: 1.96² times the rounds.
        assert_eq!(
            decide(&mean(2.0, 1.0), 3.0, 10, Level::ALONE),
            Decision::Unknown { pairs: Some(39) }
        );
        assert_eq!(
            decide(&mean(3.0, 1.0), 3.0, 10, Level::ALONE),
            Decision::Unknown { pairs: None }
        );
    }
}
