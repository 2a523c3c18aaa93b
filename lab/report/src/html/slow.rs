//! The first screen of a run in which nothing is compared: what is slow, and why, the slowest first.

use maud::{Markup, html};

use super::super::headline::compared;
use super::markup::chip;
use lab_judge::result::units::time;
use lab_judge::result::{CellResult, RunResult};
use lab_model::{Reason, Status};

/// So many cells are told of: the others are further down.
const MOST: usize = 4;

/// The section.
pub(super) fn section(result: &RunResult) -> Markup {
    html! {
        dl.slow {
            @for cell in told(result) {
                dt { b { (cell.id) } " takes " (time(cell.latency_us.mean)) " " (chip(cell.verdict.status)) }
                dd { (why(cell)) }
            }
        }
    }
}

/// Whether the page has begun with the explanation of `cell`.
pub(super) fn explained(result: &RunResult, cell: &CellResult) -> bool {
    let begun = compared(result).is_empty() && told(result).any(|one| one.id == cell.id);
    begun && why(cell) == cell.explanation
}

/// The cells that are told of.
fn told(result: &RunResult) -> impl Iterator<Item = &CellResult> {
    let mut cells: Vec<&CellResult> =
        result.cells.iter().filter(|cell| cell.requests.ok > 0).collect();
    cells.sort_by(|a, b| b.latency_us.mean.total_cmp(&a.latency_us.mean));
    cells.into_iter().take(MOST)
}

/// Where its time goes; of a cell that is not what it says, that.
fn why(cell: &CellResult) -> &str {
    let invalid = |reason: &&Reason| reason.status == Status::Invalid;
    cell.verdict.reasons.iter().find(invalid).map_or(&cell.explanation, |reason| &reason.text)
}
