//! A bar of families that is exactly as wide as asked: no family is drawn wider because of rounding.

use std::fmt::Write as _;

use ledger::Family;

use super::super::family::look;
use super::super::text::Paint;
use lab_judge::result::{CellResult, FamilyResult};

/// The shares of `families` as a bar of `width` characters: blocks in colour, else letters.
pub(super) fn bar(families: &[FamilyResult], width: usize, paint: Paint) -> String {
    let shares: Vec<f64> = families.iter().map(|family| family.share.max(0.0)).collect();
    families
        .iter()
        .zip(apportion(&shares, width))
        .filter(|(_, cells)| *cells > 0)
        .map(|(family, cells)| {
            let look = super::super::family::named(&family.family);
            if paint.0 {
                paint.colour(&"█".repeat(cells), look.ansi)
            } else {
                look.letter.to_string().repeat(cells)
            }
        })
        .collect()
}

/// What the bar's colours or letters mean. Where nothing is unseen, nothing is said of it.
pub(super) fn legend(cells: &[CellResult], width: usize, paint: Paint) -> String {
    let unseen = |part: &FamilyResult| part.family == Family::Unseen.name() && part.share > 0.0;
    let any_unseen = cells.iter().flat_map(|cell| &cell.families).any(unseen);
    let entries = Family::ALL.into_iter().filter(|&family| family != Family::Unseen || any_unseen);
    let (mut text, mut used) = (String::new(), INDENT);
    for family in entries {
        let look = look(family);
        let name = if width < 112 { look.short } else { look.name };
        let sign = if paint.0 { paint.colour("█", look.ansi) } else { look.letter.to_string() };
        let long = name.chars().count() + 2;
        if used > INDENT && used + 3 + long > width {
            let _ = write!(text, "\n{:INDENT$}", "");
            used = INDENT;
        } else if used > INDENT {
            text.push_str(" · ");
            used += 3;
        }
        let _ = write!(text, "{sign} {name}");
        used += long;
    }
    text
}

/// Columns before the legend.
pub(super) const INDENT: usize = 10;

/// `width` split in proportion to `shares`, by largest remainder.
fn apportion(shares: &[f64], width: usize) -> Vec<usize> {
    let total: f64 = shares.iter().sum();
    if total <= 0.0 {
        return vec![0; shares.len()];
    }
    let exact: Vec<f64> = shares.iter().map(|share| share / total * width as f64).collect();
    let mut cells: Vec<usize> = exact.iter().map(|part| part.floor() as usize).collect();
    let mut order: Vec<usize> = (0..shares.len()).collect();
    order.sort_by(|&a, &b| exact[b].fract().total_cmp(&exact[a].fract()));
    let left = width.saturating_sub(cells.iter().sum());
    for &index in order.iter().take(left) {
        cells[index] += 1;
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::apportion;

    #[test]
    fn a_bar_is_as_wide_as_asked() {
        assert_eq!(apportion(&[0.5, 0.3, 0.2], 10), [5, 3, 2]);
        assert_eq!(apportion(&[0.34, 0.33, 0.33], 10), [4, 3, 3]);
        assert_eq!(apportion(&[0.0, 0.0], 10), [0, 0]);
        for width in 1..40 {
            assert_eq!(
                apportion(&[0.613, 0.2, 0.1, 0.08, 0.007], width).iter().sum::<usize>(),
                width
            );
        }
    }
}
