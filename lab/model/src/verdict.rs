//! What a verdict is: a status and its reasons. Who gives one is the judge's to say.

use serde::{Deserialize, Serialize};

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
    /// Code of the rule: see `docs/measuring.md`.
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
