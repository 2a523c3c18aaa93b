//! Verdicts: whether a result means what it says, and why, in words and with the evidence.
//!
//! INVALID: the number does not mean what the cell says (another payload went over the wire, the books
//! do not close). SUSPECT: it does, but something may have distorted it (a saturated generator, lost
//! spans), or it is that of an overloaded system. UNCHECKED: nothing that was here could tell. What is asked of a cell is in [`rules`], one table;
//! here and below only the asking. Judging reads the result and nothing else, so a stored result can
//! be judged again.

mod causes;
mod claim;
mod diagnosis;
mod evidence;
mod explanation;
mod ledgers;
mod load;
pub mod rules;
mod run;
mod steady;
mod summary;
mod workload;

use lab_model::{Reason, Status, System, Verdict};

use crate::result::{CellResult, RunResult};

pub use claim::{
    Comparison, ONE_START, at_a_glance, comparison, headline, mostly, part_words, told,
};
pub use diagnosis::full_service;
pub use explanation::explain;
pub use summary::summarise;

/// Judges and explains every cell and the run.
pub fn judge(result: &mut RunResult) {
    let run = Circumstances {
        system: result.system.clone(),
        built_in: result.built_in_driver(),
        incomplete: result.incomplete,
        cpus: result.environment.cpus,
        commit: result.environment.commit.clone(),
    };
    for cell in &mut result.cells {
        cell.verdict = judge_cell(cell, &run);
        cell.evidence = evidence::of(cell, &run);
        cell.explanation = explain(cell);
    }
    result.verdict = run::judge(result);
    result.explanation = summarise(result);
}

/// What is to be known of a run to judge one of its cells.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Circumstances {
    /// What was measured.
    system: System,
    /// The built-in driver made the load: its own connections were tapped, and it has a stopwatch of its own.
    built_in: bool,
    /// The run was interrupted.
    incomplete: bool,
    /// CPUs that there are.
    cpus: usize,
    /// Commit that the lab was built from.
    commit: String,
}

impl Circumstances {
    /// The commit whose tests certify the marks of this build, if they are those of a commit.
    fn certified(&self) -> Option<&str> {
        let known = self.commit != "unknown" && !self.commit.ends_with("-dirty");
        known.then_some(&*self.commit).filter(|commit| !commit.is_empty())
    }
}

/// Judges one cell.
fn judge_cell(cell: &CellResult, run: &Circumstances) -> Verdict {
    let mut reasons = Vec::new();
    load::judge(cell, run, &mut reasons);
    if cell.factors.knobs.probes_off {
        reasons.extend(rules::PROBES_OFF.untold(
            "probes were off: only the load generator measured, there are no stages and no proof \
             of what was sent"
                .to_owned(),
        ));
    } else if cell.requests.ok > 0 {
        ledgers::judge(cell, run, &mut reasons);
        workload::judge(cell, run, &mut reasons);
    }
    load::busy(&mut reasons);
    Verdict::from_reasons(reasons)
}
