//! What was asked of the system, in words: objectives and limits of a change. Not whether a number can be believed.

use lab_judge::result::units::{count, percent, rate, time};
use lab_judge::result::{ObjectiveResult, RunResult};
use lab_model::plan::{Measured, Objective};

/// Whether anything was.
pub(super) fn anything(result: &RunResult) -> bool {
    !result.objectives.is_empty() || result.gate.is_some()
}

/// What was measured of an objective, in its unit.
pub(super) fn value(result: &ObjectiveResult) -> String {
    let Some(value) = result.value else { return "not measured".to_owned() };
    match result.objective.parse::<Objective>().map(|objective| objective.measured) {
        Ok(Measured::Errors | Measured::Dropped) => percent(value),
        Ok(Measured::Completed) => format!("{}/s", rate(value)),
        Ok(_) => time(value),
        // k6's thresholds are its own words.
        Err(_) => format!("missed in {} rounds", count(value as u64)),
    }
}

/// One line for each objective that was missed, and one for those that were met.
pub(super) fn objectives(result: &RunResult) -> Vec<String> {
    let missed = result.objectives.iter().filter(|objective| !objective.met);
    let mut lines: Vec<String> = missed
        .map(|missed| {
            format!("MISSED     {}  {}: {}", missed.cell, missed.objective, value(missed))
        })
        .collect();
    let met = result.objectives.iter().filter(|objective| objective.met).count();
    if met > 0 {
        lines.push(format!("met        {} of {} objectives", met, result.objectives.len()));
    }
    lines
}
