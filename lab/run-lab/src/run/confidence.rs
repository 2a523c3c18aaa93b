//! The 95 % interval of a mean, by Student's t.

use statrs::distribution::{ContinuousCDF, StudentsT};
use statrs::statistics::Statistics;

/// The mean of `values` and the lower and upper end of its 95 % interval; `None` of fewer than two.
#[must_use]
pub fn interval(values: &[f64]) -> Option<(f64, (f64, f64))> {
    let freedom = values.len().checked_sub(1).filter(|&freedom| freedom > 0)?;
    let mean = values.mean();
    let half = t95(freedom)? * (values.variance() / values.len() as f64).sqrt();
    Some((mean, (mean - half, mean + half)))
}

/// The mean and its interval of `values` that were measured in alternating order (A B, B A, A B, …).
///
/// What drifts on, or what the first of a pair does to the second, moves the values of one order up
/// and those of the other down by as much. So the mean is that of the two orders' means, and each value
/// varies about the mean of its own order (the analysis of a two-period crossover trial). That takes
/// one degree of freedom; of fewer than four values the order is not told apart.
#[must_use]
pub fn crossover(values: &[f64]) -> Option<(f64, (f64, f64))> {
    if values.len() < 4 {
        return interval(values);
    }
    let order = |first: usize| -> (f64, f64, f64) {
        let own: Vec<f64> = values.iter().skip(first).step_by(2).copied().collect();
        let count = own.len() as f64;
        ((&own).mean(), (&own).variance() * (count - 1.0), count)
    };
    let ((a, about_a, of_a), (b, about_b, of_b)) = (order(0), order(1));
    let freedom = values.len() - 2;
    let variance = (about_a + about_b) / freedom as f64;
    let half = t95(freedom)? * 0.5 * (variance * (1.0 / of_a + 1.0 / of_b)).sqrt();
    let mean = (a + b) / 2.0;
    Some((mean, (mean - half, mean + half)))
}

/// The two-sided 95 % quantile of Student's t for so many degrees of freedom.
fn t95(freedom: usize) -> Option<f64> {
    StudentsT::new(0.0, 1.0, freedom as f64).ok().map(|t| t.inverse_cdf(0.975))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_interval_comes_out() {
        // Mean 3, standard deviation sqrt(2.5), t(4) = 2.776: 3 ± 1.963.
        let (mean, (low, high)) = interval(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        assert!((mean - 3.0).abs() < 1e-12);
        assert!((low - 1.037).abs() < 1e-3 && (high - 4.963).abs() < 1e-3);
    }

    #[test]
    fn a_linear_drift_cancels_in_alternating_pairs() {
        // The machine gets slower by d a round: A B reads low, B A high, by the same factor.
        let steady = [1.01, 1.03, 1.02, 1.00, 1.01, 1.02];
        let drifting: Vec<f64> = steady
            .iter()
            .zip([-0.05, 0.05].iter().cycle())
            .map(|(value, drift)| value + drift)
            .collect();
        let (mean, (low, high)) = crossover(&drifting).unwrap();
        let (same, (from, to)) = crossover(&steady).unwrap();
        assert!(
            (mean - same).abs() < 1e-12 && (low - from).abs() < 1e-12 && (high - to).abs() < 1e-12
        );
        let naive = interval(&drifting).unwrap().1;
        assert!(high - low < (naive.1 - naive.0) / 2.0, "the drift is in the naive interval");
    }

    #[test]
    fn the_interval_of_a_crossover_is_the_textbook_one() {
        // Orders {1, 3} and {2, 6}: means 2 and 4, squares 2 + 8 over 2 degrees of freedom, t = 4.303:
        // 3 ± 4.303 · ½ · sqrt(5 · (½ + ½)).
        let (mean, (low, high)) = crossover(&[1.0, 2.0, 3.0, 6.0]).unwrap();
        assert!((mean - 3.0).abs() < 1e-12 && (high - mean - 4.811).abs() < 1e-3);
        assert!((mean - low - (high - mean)).abs() < 1e-12);
        assert_eq!(crossover(&[1.0, 2.0]), interval(&[1.0, 2.0]));
    }

    #[test]
    fn the_quantiles_are_those_of_the_tables() {
        // NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2.
        for (freedom, quantile) in
            [(1, 12.706), (2, 4.303), (4, 2.776), (10, 2.228), (30, 2.042), (100, 1.984)]
        {
            let found = t95(freedom).unwrap();
            assert!((found - quantile).abs() < 5e-4, "{freedom}: {found}");
        }
    }

    #[test]
    fn one_value_has_no_interval() {
        assert_eq!(interval(&[1.0]), None);
        assert_eq!(interval(&[]), None);
    }
}
