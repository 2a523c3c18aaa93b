//! What a verdict is made of: the evidence, a status and its reasons. The judge gives verdicts; here are only their types.

use serde::{Deserialize, Serialize};

/// Whether a number can be believed.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// Nothing speaks against it. A reason with this status is a note.
    #[default]
    Valid,
    /// Something important could not be checked here: the number may be right, but nobody can tell.
    Unchecked,
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
            Status::Unchecked => "UNCHECKED",
            Status::Suspect => "SUSPECT",
            Status::Invalid => "INVALID",
        }
    }
}

impl Status {
    /// Every status, the best first.
    pub const ALL: [Status; 4] =
        [Status::Valid, Status::Unchecked, Status::Suspect, Status::Invalid];

    /// How bad it is: its place in [`Status::ALL`].
    #[must_use]
    pub const fn severity(self) -> i64 {
        self as i64
    }

    /// The number that stands for it in points. They are in no order: UNCHECKED came later.
    #[must_use]
    pub const fn number(self) -> i64 {
        match self {
            Status::Valid => 0,
            Status::Suspect => 1,
            Status::Invalid => 2,
            Status::Unchecked => 3,
        }
    }
}

/// What is asked of every cell. Each question is answered by evidence that could have shown the opposite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// Was the declared workload sent?
    Workload,
    /// Are all requests there?
    Requests,
    /// Was the whole latency explained?
    Latency,
    /// Are the marks right?
    Marks,
    /// Was it undisturbed?
    Undisturbed,
}

impl Question {
    /// All of them, as they are asked.
    pub const ALL: [Question; 5] = [
        Question::Workload,
        Question::Requests,
        Question::Latency,
        Question::Marks,
        Question::Undisturbed,
    ];

    /// The name used in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Question::Workload => "workload",
            Question::Requests => "requests",
            Question::Latency => "latency",
            Question::Marks => "marks",
            Question::Undisturbed => "undisturbed",
        }
    }

    /// The question itself.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Question::Workload => "Was the declared workload sent?",
            Question::Requests => "Are all requests there?",
            Question::Latency => "Was the whole latency explained?",
            Question::Marks => "Are the marks right?",
            Question::Undisturbed => "Was it undisturbed?",
        }
    }

    /// Whether a cell is VALID only if the answer is yes. For the other questions it is enough that the answer is not no.
    #[must_use]
    pub const fn must_be_yes(self) -> bool {
        matches!(self, Question::Workload | Question::Requests | Question::Latency)
    }
}

/// The answer to a [`Question`], the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It was looked at, and nothing speaks against it.
    Yes,
    /// Nothing here could tell.
    Unchecked,
    /// Something speaks against it.
    No,
}

impl Answer {
    /// The answer in words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Answer::Yes => "yes",
            Answer::Unchecked => "cannot be checked here",
            Answer::No => "no",
        }
    }
}

/// What is known of one [`Question`] about a cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// What was asked.
    pub question: Question,
    /// The answer.
    pub answer: Answer,
    /// What the answer means for the cell.
    pub status: Status,
    /// What was looked at, with number and limit, in words.
    pub text: String,
    /// The number that the answer rests on, where there is one.
    pub value: Option<f64>,
    /// The limit it was held to.
    pub limit: Option<f64>,
    /// Codes of the reasons that speak against it, the worst first.
    pub codes: Vec<String>,
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
    /// Code of the rule: see `docs/reference.md`.
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
