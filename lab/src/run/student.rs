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
    // Beyond the table the last row is kept: an interval that is a little too wide.
    let t = T95[freedom.min(T95.len()) - 1];
    let half = t * (variance / count as f64).sqrt();
    Some((mean, (mean - half, mean + half)))
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
    fn one_value_has_no_interval() {
        assert_eq!(interval(&[1.0]), None);
        assert_eq!(interval(&[]), None);
    }
}
