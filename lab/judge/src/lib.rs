//! From what was measured to what may be believed: the result of a run, and its verdicts.
//!
//! A result is computed first and judged then: [`result`] does not know [`verdict`].

pub mod result;
pub mod verdict;

use lab_model::{CellMeasure, RunMeasure};
use result::{CellResult, RunResult};
use sidecar::runfile::{ProcessSample, RequestRow};

/// Computes and judges the result of a run.
///
/// Rows that belong to no cell of the run (warm-up, foreign traffic) are left out.
#[must_use]
pub fn build(run: &RunMeasure, rows: &[RequestRow], samples: &[ProcessSample]) -> RunResult {
    let mut result = result::compute(run, rows, samples);
    verdict::judge(&mut result);
    result
}

/// Computes one cell of a run from its own rows: so a run file need not be held as a whole. Judged with the others
/// ([`assemble`]).
#[must_use]
pub fn cell(measure: &CellMeasure, rows: &[RequestRow], samples: &[ProcessSample]) -> CellResult {
    let rows: Vec<&RequestRow> = rows.iter().collect();
    result::build_cell(measure, &rows, samples)
}

/// Judges the result of a run that has these `cells`.
#[must_use]
pub fn assemble(run: &RunMeasure, cells: Vec<CellResult>) -> RunResult {
    let mut result = result::assemble(run, cells);
    verdict::judge(&mut result);
    result
}
