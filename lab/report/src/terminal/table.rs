//! The table of the terminal report: a row per cell, REST beside gRPC.

use std::fmt::Write as _;

use super::super::text::Paint;
use super::super::{family, label};
use super::bar::{INDENT, bar, legend};
use lab_judge::result::units::{percent, rate, time};
use lab_judge::result::{CellResult, RunResult};

/// Everything but the bar and the largest families, with the spaces between.
const FIXED: usize = 71;

/// The columns whose width depends on the terminal's.
#[derive(Clone, Copy)]
struct Layout {
    bar: usize,
    families: usize,
}

impl Layout {
    fn of(width: usize) -> Layout {
        let families = if width < 112 { 1 } else { 2 };
        let left = width.saturating_sub(FIXED + families * 11 + 2);
        Layout { bar: left.clamp(8, 40), families }
    }
}

/// Writes the table of `result`.
pub(super) fn write(text: &mut String, result: &RunResult, width: usize, paint: Paint) {
    let layout = Layout::of(width);
    let header = format!(
        "{:>9} {:4} {:>14} {:>8} {:>8} {:>8} {:bar$} {:families$} {:>6} verdict",
        "payload",
        "",
        "asked → done/s",
        "mean",
        "p50",
        "p99",
        "where it went",
        "largest, %",
        "resid.",
        bar = layout.bar,
        families = layout.families * 11,
    );
    let _ = writeln!(text, "{}", paint.bold(&header));
    for (index, group) in label::groups(result).iter().enumerate() {
        if let Some(heading) = super::heading(result, index) {
            let _ = writeln!(text, "── {heading}");
        }
        for cell in &group.cells {
            let _ = writeln!(text, "{}", row(cell, layout, paint));
        }
    }
    let _ = writeln!(text, "{:INDENT$}{}", "", legend(&result.cells, width, paint));
}

fn row(cell: &CellResult, layout: Layout, paint: Paint) -> String {
    let rates = format!("{} → {}", rate(cell.factors.rate_per_s), rate(cell.load.completed_per_s));
    let traced = cell.traced.succeeded > 0;
    let (bar, residual) = if traced {
        (bar(&cell.families, layout.bar, paint), percent(cell.residual.p50_share))
    } else {
        (format!("{:bar$}", "no traces", bar = layout.bar), "?".to_owned())
    };
    let latency = cell.latency_us;
    let of = |us| {
        if latency.count == 0 { "-".to_owned() } else { time(us) }
    };
    format!(
        "{:>9} {:4} {:>14} {:>8} {:>8} {:>8} {bar} {:families$} {residual:>6} {}",
        cell.factors.subject(),
        label::protocol(cell.factors.protocol),
        rates,
        of(latency.mean),
        of(latency.p50),
        latency.p99.map_or_else(|| "-".to_owned(), of),
        largest(cell, layout.families),
        paint.status(cell.verdict.status.name(), cell.verdict.status),
        families = layout.families * 11,
    )
}

/// The largest families with their shares of the mean.
fn largest(cell: &CellResult, how_many: usize) -> String {
    let mut families: Vec<_> = cell.families.iter().filter(|family| family.share > 0.0).collect();
    families.sort_by(|a, b| b.share.total_cmp(&a.share));
    let names: Vec<String> = families
        .iter()
        .take(how_many)
        .map(|part| format!("{} {:.0}", family::named(&part.family).short, part.share * 100.0))
        .collect();
    names.join(" ")
}
