//! The report for a terminal: the answer, a table with a row per cell, the reasons, the cost of measuring.

mod answer;
mod bar;
mod evidence;
mod reasons;
mod table;

use std::fmt::Write as _;

use super::asked::objectives;
use super::label;
use super::text::{Paint, wrap};
use lab_judge::result::RunResult;
use lab_judge::result::units::{count, percent, time};
use lab_model::ProbeCost;

/// Fewer columns than this are taken for this many: the table needs them.
const NARROWEST: usize = 100;

/// `result` as text of at most `width` columns (at least 100). `colour` only where a terminal shows it.
#[must_use]
pub fn terminal(result: &RunResult, width: usize, colour: bool) -> String {
    let (width, paint) = (width.max(NARROWEST), Paint(colour));
    let mut text = paint.bold(&format!("Where did the time go?  {}", result.run_id));
    text.push('\n');
    answer::write(&mut text, result, width, paint);
    let _ = writeln!(text, "{}\n", wrap(&result.explanation, width, 0));
    table::write(&mut text, result, width, paint);
    text.push('\n');
    words(&mut text, result, width);
    evidence::write(&mut text, result, width, paint);
    reasons::write(&mut text, result, width, paint);
    asked(&mut text, result, width);
    costs(&mut text, result, width);
    parts(&mut text, result, width);
    text
}

/// What took the time, cell by cell.
fn words(text: &mut String, result: &RunResult, width: usize) {
    let longest = longest_id(result);
    for cell in &result.cells {
        let line = format!("{:longest$}  {}", cell.id, cell.explanation);
        let _ = writeln!(text, "{}", wrap(&line, width, longest + 2));
    }
    text.push('\n');
}

fn longest_id(result: &RunResult) -> usize {
    result.cells.iter().map(|cell| cell.id.chars().count()).max().unwrap_or(0)
}

/// What was asked of the system, where something was.
fn asked(text: &mut String, result: &RunResult, width: usize) {
    let lines = objectives(result);
    for line in &lines {
        let _ = writeln!(text, "{}", wrap(line, width, 11));
    }
    if !lines.is_empty() {
        text.push('\n');
    }
}

/// What measuring cost and what it left unexplained.
fn costs(text: &mut String, result: &RunResult, width: usize) {
    let cost = match &result.probe_cost {
        Some(cost) => format!(
            "probe cost {:.3}× [{:.2}, {:.2}] CPU per request{}, probes on over off: {} pairs of rounds \
             on {}, {} of the requests traced",
            cost.ratio,
            cost.interval.0,
            cost.interval.1,
            latency_cost(cost),
            cost.pairs,
            cost.cell,
            percent(cost.traced_share)
        ),
        None => "probe cost not measured in this run".to_owned(),
    };
    let _ = writeln!(text, "{}", wrap(&cost, width, 11));
    let worst = result
        .cells
        .iter()
        .filter(|cell| cell.traced.succeeded > 0)
        .max_by(|a, b| a.residual.p99_share.abs().total_cmp(&b.residual.p99_share.abs()));
    let residual = match worst {
        Some(cell) => format!(
            "residual   at most {} of the p99 band ({} on {}); that is what the stopwatch saw and no \
             stage explains. At least {} of each mean is measured, not inferred",
            percent(cell.residual.p99_share),
            time(cell.residual.p99_band_us),
            cell.id,
            percent(least_measured(result))
        ),
        None => "residual   unknown: no request was traced".to_owned(),
    };
    let _ = writeln!(text, "{}", wrap(&residual, width, 11));
    let lost: u64 = result.spans_lost.values().sum();
    let _ = writeln!(text, "spans lost {}", count(lost));
}

/// What measuring adds to the latency, where that is known.
fn latency_cost(cost: &ProbeCost) -> String {
    cost.latency.map_or_else(String::new, |(ratio, (low, high))| {
        format!(" and {ratio:.3}× [{low:.2}, {high:.2}] latency")
    })
}

fn least_measured(result: &RunResult) -> f64 {
    let traced = result.cells.iter().filter(|cell| cell.traced.succeeded > 0);
    traced.map(|cell| cell.measured_share).fold(1.0, f64::min)
}

/// Which parts were real and which stood in.
fn parts(text: &mut String, result: &RunResult, width: usize) {
    for (real, title) in [(true, "real"), (false, "stand-ins")] {
        let names: Vec<String> = result
            .components
            .iter()
            .filter(|part| part.real == real)
            .map(|part| {
                format!("{} = {} {}", part.role, part.name, part.version).trim_end().to_owned()
            })
            .collect();
        if !names.is_empty() {
            let _ =
                writeln!(text, "{}", wrap(&format!("{title:11}{}", names.join(", ")), width, 11));
        }
    }
    let _ = writeln!(text, "repeat     {}", result.command);
}

/// The heading of a group of rows: what was set for them.
fn heading(result: &RunResult, index: usize) -> Option<String> {
    let groups = label::groups(result);
    let group = groups.get(index)?;
    let before = index.checked_sub(1).and_then(|index| groups.get(index));
    let changed = before.is_none_or(|before| before.setting != group.setting);
    (changed && !(index == 0 && group.setting.is_empty())).then(|| {
        if group.setting.is_empty() { "default settings".to_owned() } else { group.setting.clone() }
    })
}
