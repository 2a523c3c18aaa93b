//! A mean of rounds, how far it may be off, and what it could have seen.

use statrs::distribution::{ContinuousCDF, StudentsT};
use statrs::statistics::Statistics;

/// How sure an interval is to hold what it is about.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Level(f64);

impl Level {
    /// 95 %, of one interval by itself.
    pub const ALONE: Level = Level(0.95);

    /// Each of `count` intervals, so that all of them hold together with 95 %.
    ///
    /// Z. Šidák, "Rectangular confidence regions for the means of multivariate normal distributions", JASA 62 (1967):
    /// exact where they are independent, on the safe side where they go up and down together.
    #[must_use]
    pub fn together(count: usize) -> Level {
        Level(0.95_f64.powf(1.0 / count.max(1) as f64))
    }

    /// The two-sided quantile of Student's t.
    fn quantile(self, freedom: f64) -> f64 {
        quantile(0.5 + self.0 / 2.0, freedom)
    }
}

/// The quantile `share` of Student's t; without a degree of freedom nothing is excluded.
fn quantile(share: f64, freedom: f64) -> f64 {
    StudentsT::new(0.0, 1.0, freedom).map_or(f64::INFINITY, |t| t.inverse_cdf(share))
}

/// A mean over rounds, with its standard error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mean {
    /// The mean.
    pub value: f64,
    /// Its standard error.
    pub error: f64,
    /// Degrees of freedom of that error.
    pub freedom: f64,
}

impl Mean {
    /// Of values that have nothing to do with each other; `None` of fewer than two.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Mean> {
        let freedom = values.len().checked_sub(1).filter(|&freedom| freedom > 0)? as f64;
        let error = (values.variance() / values.len() as f64).sqrt();
        Some(Mean { value: values.mean(), error, freedom })
    }

    /// Of differences between two arms that ran in alternating order (A B, B A, A B, …), of which none is missing.
    #[must_use]
    pub fn of_alternating(values: &[f64]) -> Option<Mean> {
        let rounds: Vec<(u32, f64)> = (0..).zip(values.iter().copied()).collect();
        Mean::of_rounds(&rounds)
    }

    /// Of differences between two arms that ran in alternating order, each with the number of its round: even ones ran
    /// in one order, odd ones in the other, whichever are missing.
    ///
    /// What drifts on, or what the first of a pair does to the second, moves the values of one order up and those of
    /// the other down by as much. So the mean is that of the two orders' means, and each value varies about the mean
    /// of its own order (the analysis of a two-period crossover trial: Jones and Kenward, "Design and Analysis of
    /// Cross-Over Trials", 2.3). That takes one degree of freedom; of fewer than four values the order is not told
    /// apart. Of four and more that all ran in one order nothing is said: what the order does would be taken for a
    /// difference of the arms.
    #[must_use]
    pub fn of_rounds(rounds: &[(u32, f64)]) -> Option<Mean> {
        let values = |order: Option<u32>| {
            let own =
                rounds.iter().filter(|(round, _)| order.is_none_or(|order| round % 2 == order));
            own.map(|(_, value)| *value).collect::<Vec<f64>>()
        };
        if rounds.len() < 4 {
            return Mean::of(&values(None));
        }
        let (even, odd) = (values(Some(0)), values(Some(1)));
        if even.is_empty() || odd.is_empty() {
            return None;
        }
        let (a, b) = ((&even).mean(), (&odd).mean());
        let about =
            |own: &[f64], mean: f64| own.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        let freedom = (rounds.len() - 2) as f64;
        let variance = (about(&even, a) + about(&odd, b)) / freedom;
        let shares = 1.0 / even.len() as f64 + 1.0 / odd.len() as f64;
        Some(Mean { value: (a + b) / 2.0, error: 0.5 * (variance * shares).sqrt(), freedom })
    }

    /// The interval that holds the true mean, as sure as `level`.
    #[must_use]
    pub fn interval(&self, level: Level) -> (f64, f64) {
        let half = self.half(level);
        (self.value - half, self.value + half)
    }

    /// The smallest true mean that would have been told from 0 in four of five such experiments.
    #[must_use]
    pub fn visible(&self, level: Level) -> f64 {
        self.half(level) + quantile(0.8, self.freedom) * self.error
    }

    /// Half the width of the interval.
    #[must_use]
    pub fn half(&self, level: Level) -> f64 {
        // Without any spread there is nothing to multiply, not even by infinity.
        if self.error == 0.0 { 0.0 } else { level.quantile(self.freedom) * self.error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_interval_comes_out() {
        // Mean 3, standard deviation sqrt(2.5), t(4) = 2.776: 3 ± 1.963.
        let mean = Mean::of(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        let (low, high) = mean.interval(Level::ALONE);
        assert!((mean.value - 3.0).abs() < 1e-12);
        assert!((low - 1.037).abs() < 1e-3 && (high - 4.963).abs() < 1e-3);
    }

    #[test]
    fn the_interval_of_a_crossover_is_the_textbook_one() {
        // Orders {1, 3} and {2, 6}: means 2 and 4, squares 2 + 8 over 2 degrees of freedom, t = 4.303:
        // 3 ± 4.303 · ½ · sqrt(5 · (½ + ½)).
        let mean = Mean::of_alternating(&[1.0, 2.0, 3.0, 6.0]).unwrap();
        assert!((mean.value - 3.0).abs() < 1e-12);
        assert!((mean.half(Level::ALONE) - 4.811).abs() < 1e-3);
    }

    #[test]
    fn a_linear_drift_cancels_in_alternating_pairs() {
        // The machine gets slower by d a round: A B reads low, B A high, by as much.
        let steady = [1.01, 1.03, 1.02, 1.00, 1.01, 1.02];
        let drifting: Vec<f64> = std::iter::zip(steady, [-0.05, 0.05].into_iter().cycle())
            .map(|(value, drift)| value + drift)
            .collect();
        let (with, without) = (Mean::of_alternating(&drifting), Mean::of_alternating(&steady));
        let (with, without) = (with.unwrap(), without.unwrap());
        assert!((with.value - without.value).abs() < 1e-12);
        assert!((with.error - without.error).abs() < 1e-12);
        assert!(with.error < Mean::of(&drifting).unwrap().error / 2.0);
    }

    #[test]
    fn a_round_that_is_missing_does_not_change_the_order_of_those_behind_it() {
        // What runs second reads 10 more. Round 3 of 8 is missing.
        let differences =
            (0..8).map(|round| (round, 5.0 + if round % 2 == 0 { 10.0 } else { -10.0 }));
        let there: Vec<_> = differences.filter(|&(round, _)| round != 3).collect();
        let mean = Mean::of_rounds(&there).unwrap();
        assert_eq!((mean.value, mean.error, mean.freedom), (5.0, 0.0, 5.0));
        let (one_order, other): (Vec<_>, Vec<_>) =
            there.iter().partition(|(round, _)| round % 2 == 0);
        assert_eq!(Mean::of_rounds(&one_order), None, "what the order does is not told apart");
        let one_other = [one_order, other[..1].to_vec()].concat();
        assert_eq!(Mean::of_rounds(&one_other).unwrap().value, 5.0);
    }

    #[test]
    fn more_intervals_that_are_to_hold_together_are_wider() {
        let mean = Mean::of(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        assert_eq!(Level::together(1), Level::ALONE);
        assert!(mean.half(Level::together(20)) > 1.5 * mean.half(Level::ALONE));
        assert!(mean.visible(Level::ALONE) > mean.half(Level::ALONE));
    }

    #[test]
    fn the_quantiles_are_those_of_the_tables() {
        // NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2.
        for (freedom, expected) in [
            (1.0, 12.706),
            (2.0, 4.303),
            (4.0, 2.776),
            (10.0, 2.228),
            (30.0, 2.042),
            (100.0, 1.984),
        ] {
            let found = Level::ALONE.quantile(freedom);
            assert!((found - expected).abs() < 5e-4, "{freedom}: {found}");
        }
    }

    #[test]
    fn one_value_has_no_interval() {
        assert_eq!(Mean::of(&[1.0]), None);
        assert_eq!(Mean::of_alternating(&[]), None);
    }
}
