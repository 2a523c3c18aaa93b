//! Verdicts: whether a result means what it says, and why, in words.
//!
//! INVALID: the number does not mean what the cell says (another payload went over the wire, the books
//! do not close). SUSPECT: it does, but something may have distorted it (a saturated generator, lost
//! spans), or it is that of an overloaded system. What is asked of a cell is in [`rules`], one table;
//! here and below only the asking. Judging reads the result and nothing else, so a stored result can
//! be judged again.

mod causes;
mod claim;
mod explanation;
mod ledgers;
mod load;
pub mod rules;
mod run;
mod summary;
mod workload;

use lab_model::{Reason, Status, Verdict};

use crate::result::{CellResult, RunResult};

pub use explanation::explain;
pub use summary::summarise;

/// Judges and explains every cell and the run.
pub fn judge(result: &mut RunResult) {
    let built_in = result.built_in_driver();
    for cell in &mut result.cells {
        cell.verdict = judge_cell(cell, built_in, result.incomplete);
        cell.explanation = explain(cell);
    }
    result.verdict = run::judge(result);
    result.explanation = summarise(result);
}

/// Judges one cell. `built_in` tells whether the load generator's own connections were tapped.
#[must_use]
pub fn judge_cell(cell: &CellResult, built_in: bool, incomplete: bool) -> Verdict {
    let mut reasons = Vec::new();
    load::judge(cell, incomplete, &mut reasons);
    if cell.factors.knobs.probes_off {
        reasons.extend(rules::PROBES_OFF.always(
            "probes were off: only the load generator measured, there are no stages and no proof \
             of what was sent"
                .to_owned(),
        ));
    } else if cell.requests.ok > 0 {
        ledgers::judge(cell, built_in, &mut reasons);
        workload::judge(cell, &mut reasons);
    }
    Verdict::from_reasons(reasons)
}
