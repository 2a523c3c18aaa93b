//! What was asked of the system, and whether it was reached. That says nothing of whether the numbers can be believed.

use lab_model::plan::{Aim, Measured};
use serde::{Deserialize, Serialize};

use super::cell::CellResult;
use super::rounding::{ratio, round};

/// An objective of one cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObjectiveResult {
    /// The cell.
    pub cell: String,
    /// What was asked, as it was written.
    pub objective: String,
    /// What was measured, in the unit of the limit: microseconds, a share, or answers a second; of k6's thresholds, the
    /// rounds in which one was missed. Absent where nothing was answered.
    pub value: Option<f64>,
    /// The limit.
    pub limit: f64,
    /// Whether it was reached. What could not be measured was not.
    pub met: bool,
}

/// What k6's thresholds are called among the objectives.
const THRESHOLDS: &str = "k6's thresholds";

/// Holds `aims` against `cells`, and k6's thresholds where there were some.
#[must_use]
pub(super) fn objectives(
    cells: &[CellResult],
    aims: &[Aim],
    thresholds: bool,
) -> Vec<ObjectiveResult> {
    cells.iter().flat_map(|cell| of_cell(cell, aims, thresholds)).collect()
}

fn of_cell(cell: &CellResult, aims: &[Aim], thresholds: bool) -> Vec<ObjectiveResult> {
    let own = aims.iter().filter(|aim| cell.id.contains(&aim.cells));
    let own = own.map(|aim| {
        let value = value(cell, aim.holds.measured);
        ObjectiveResult {
            cell: cell.id.clone(),
            objective: aim.holds.to_string(),
            value: value.map(|value| round(value, 1e6)),
            limit: aim.holds.limit,
            met: value.is_some_and(|value| aim.holds.met(value)),
        }
    });
    let by_k6 = cell.k6.filter(|_| thresholds).map(|k6| ObjectiveResult {
        cell: cell.id.clone(),
        objective: THRESHOLDS.to_owned(),
        value: Some(k6.thresholds_failed as f64),
        limit: 0.0,
        met: k6.thresholds_failed == 0,
    });
    own.chain(by_k6).collect()
}

/// What of `cell` an objective is about; `None` where nothing says.
fn value(cell: &CellResult, measured: Measured) -> Option<f64> {
    let (latency, requests) = (cell.latency_us, cell.requests);
    let of_answers = |value: f64| (latency.count > 0).then_some(value);
    let of_planned = |count: u64, of: u64| (of > 0).then(|| ratio(count as f64, of as f64));
    match measured {
        Measured::Mean => of_answers(latency.mean),
        Measured::P50 => of_answers(latency.p50),
        Measured::P90 => of_answers(latency.p90),
        Measured::P99 => latency.p99,
        Measured::Max => of_answers(latency.max),
        Measured::Errors => of_planned(requests.error, requests.started),
        Measured::Dropped => of_planned(requests.dropped, requests.planned),
        Measured::Completed => of_planned(1, requests.planned).map(|_| cell.load.completed_per_s),
    }
}
