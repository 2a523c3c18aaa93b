//! The 95 % interval of a mean, by Student's t.

/// Two-sided 95 % quantiles of Student's t for 1 to 30 degrees of freedom (NIST/SEMATECH e-Handbook
/// of Statistical Methods, 1.3.6.7.2).
const T95: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
    2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
    2.052, 2.048, 2.045, 2.042,
];

/// The mean of `values` and the lower and upper end of its 95 % interval; `None` of fewer than two.
#[must_use]
pub fn interval(values: &[f64]) -> Option<(f64, (f64, f64))> {
    let count = values.len();
    let freedom = count.checked_sub(1).filter(|&freedom| freedom > 0)?;
    let mean = values.iter().sum::<f64>() / count as f64;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / freedom as f64;
    let half = t95(freedom) * (variance / count as f64).sqrt();
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
        let mean = own.iter().sum::<f64>() / count;
        (mean, own.iter().map(|value| (value - mean).powi(2)).sum(), count)
    };
    let ((a, about_a, of_a), (b, about_b, of_b)) = (order(0), order(1));
    let freedom = values.len() - 2;
    let variance = (about_a + about_b) / freedom as f64;
    let half = t95(freedom) * 0.5 * (variance * (1.0 / of_a + 1.0 / of_b)).sqrt();
    let mean = (a + b) / 2.0;
    Some((mean, (mean - half, mean + half)))
}

/// The quantile for so many degrees of freedom, at least 1. Beyond the table its last row is kept: an
/// interval that is a little too wide.
fn t95(freedom: usize) -> f64 {
    T95[freedom.clamp(1, T95.len()) - 1]
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
    fn one_value_has_no_interval() {
        assert_eq!(interval(&[1.0]), None);
        assert_eq!(interval(&[]), None);
    }
}
