//! From what was measured to what may be believed: the result of a run, and its verdicts.
//!
//! A result is computed first and judged then: [`result`] does not know [`verdict`].

pub mod result;
pub mod verdict;

use lab_model::RunMeasure;
use result::RunResult;
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
