//! How much two halves of one arm differ from each other (A/A): a difference of two arms has to be larger than that.

/// Most rounds of which every balanced split is looked at: of more there would be too many splits.
const MOST: usize = 20;

/// The largest difference of means, of 95 % of all balanced splits of `values` into two halves (A/A). `None` of fewer
/// than four. Of an odd number the last is left out, of very many those after the first 20.
#[must_use]
pub fn noise_floor(values: &[f64]) -> Option<f64> {
    let even = values.len().min(MOST) / 2 * 2;
    let values = &values[..even];
    if even < 4 {
        return None;
    }
    let (half, total) = (even / 2, values.iter().sum::<f64>());
    let mut differences: Vec<f64> = (0_u32..1 << (even - 1))
        .filter(|mask| mask.count_ones() as usize == half)
        .map(|mask| {
            let chosen: f64 = (0..even).filter(|at| mask >> at & 1 == 1).map(|at| values[at]).sum();
            ((total - 2.0 * chosen) / half as f64).abs()
        })
        .collect();
    differences.sort_by(f64::total_cmp);
    let at = (differences.len() as f64 * 0.95).ceil() as usize;
    differences.get(at.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_balanced_splits_are_looked_at() {
        // Splits of 1 2 3 10: {1,2|3,10} 5, {1,3|2,10} 4, {1,10|2,3} 3.
        assert_eq!(noise_floor(&[1.0, 2.0, 3.0, 10.0]), Some(5.0));
        assert_eq!(noise_floor(&[1.0, 2.0, 3.0]), None);
        assert_eq!(noise_floor(&[2.0; 6]), Some(0.0));
    }

    #[test]
    fn very_many_rounds_take_no_longer_than_twenty() {
        let values: Vec<f64> = (0..1_000).map(f64::from).collect();
        assert_eq!(noise_floor(&values), noise_floor(&values[..20]));
    }
}
