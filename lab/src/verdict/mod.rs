//! Verdicts: whether a result means what it says, and why, in words.
//!
//! INVALID: the number does not mean what the cell says (another payload went over the wire, the books
//! do not close). SUSPECT: it does, but something may have distorted it (a saturated generator, lost
//! spans), or it is that of an overloaded system. What is asked of a cell is in [`rules`], one table;
//! here and below only the asking. Judging reads the result and nothing else, so a stored result can
//! be judged again.

mod books;
mod causes;
mod explanation;
mod load;
pub mod rules;
mod run;
mod summary;
mod workload;

use serde::{Deserialize, Serialize};

use crate::result::{CellResult, RunResult};

pub use explanation::explain;
pub use summary::summarise;

/// Whether to believe a number.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// Nothing speaks against it. A reason with this status is a note.
    #[default]
    Valid,
    /// Something may have distorted it.
    Suspect,
    /// It does not mean what it says.
    Invalid,
}

impl Status {
    /// The name used in files and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Status::Valid => "VALID",
            Status::Suspect => "SUSPECT",
            Status::Invalid => "INVALID",
        }
    }
}

/// A status and what led to it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Verdict {
    /// The worst of the reasons.
    pub status: Status,
    /// The reasons, worst first. Notes have status VALID.
    pub reasons: Vec<Reason>,
}

/// One thing that speaks against a number, or that its reader should know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// Code of the rule: see [`rules::ALL`] and `docs/measuring.md`.
    pub code: String,
    /// How bad it is.
    pub status: Status,
    /// The number, the limit and what to do, in words.
    pub text: String,
    /// The number.
    pub value: f64,
    /// The limit it crossed.
    pub limit: f64,
}

impl Verdict {
    /// The verdict that `reasons` lead to.
    #[must_use]
    pub fn from_reasons(mut reasons: Vec<Reason>) -> Self {
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.status));
        let status = reasons.first().map_or(Status::Valid, |reason| reason.status);
        Verdict { status, reasons }
    }

    /// The reasons' codes, notes left out.
    pub fn codes(&self) -> impl Iterator<Item = &str> {
        self.reasons
            .iter()
            .filter(|reason| reason.status > Status::Valid)
            .map(|reason| reason.code.as_str())
    }
}

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
        books::judge(cell, built_in, &mut reasons);
        workload::judge(cell, &mut reasons);
    }
    Verdict::from_reasons(reasons)
}
