//! Exit codes, and the errors that end a command with one of them.

use std::process::ExitCode;

use crate::run::RunError;
use lab_drive::k6::K6Error;
use lab_model::plan::PlanError;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// As it should.
    Done = 0,
    /// In a way that no other code says.
    Other = 1,
    /// The command line or the plan is wrong.
    Usage = 2,
    /// A cell is INVALID.
    Invalid = 3,
    /// A required part is missing.
    Missing = 4,
    /// A part did not start, or died.
    NotStarted = 5,
    /// An objective was missed, or a limit of a change is exceeded.
    Missed = 6,
    /// It was asked to decide, and cannot tell.
    Undecided = 7,
    /// Interrupted.
    Interrupted = 130,
}

impl Exit {
    /// Every exit code.
    pub const ALL: [Exit; 9] = [
        Exit::Done,
        Exit::Other,
        Exit::Usage,
        Exit::Invalid,
        Exit::Missing,
        Exit::NotStarted,
        Exit::Missed,
        Exit::Undecided,
        Exit::Interrupted,
    ];

    /// What it says, in one line of the help.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Exit::Done => {
                "done, and every cell can be believed or is only suspect; every limit is kept"
            }
            Exit::Other => "something else went wrong",
            Exit::Usage => "the command line or the plan is wrong",
            Exit::Invalid => "a cell is INVALID: what was declared is not what was sent",
            Exit::Missing => "a part that was required is missing",
            Exit::NotStarted => "a part did not start, or died",
            Exit::Missed => "an objective was missed, or a limit of a change is exceeded",
            Exit::Undecided => "asked to decide, it cannot tell",
            Exit::Interrupted => {
                "interrupted (once: stop and keep what was measured; twice: stop at once)"
            }
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// An error with the exit code that tells its kind.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What went wrong.
    pub error: anyhow::Error,
}

impl Failure {
    /// The command line asks for something that cannot be.
    pub fn usage(message: impl std::fmt::Display) -> Failure {
        Failure { exit: Exit::Usage, error: anyhow::anyhow!("{message}") }
    }

    /// A required part is missing.
    pub fn missing(message: impl std::fmt::Display) -> Failure {
        Failure { exit: Exit::Missing, error: anyhow::anyhow!("{message}") }
    }

    /// Anything else.
    #[must_use]
    pub fn other(error: anyhow::Error) -> Failure {
        Failure { exit: Exit::Other, error }
    }
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Failure {
        Failure { exit: Exit::Usage, error: error.into() }
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Failure {
        let exit = match &error {
            RunError::Part(_)
            | RunError::K6(K6Error::Start { .. } | K6Error::Ended { .. } | K6Error::Stuck { .. }) => {
                Exit::NotStarted
            }
            RunError::K6(K6Error::Unable { .. }) => Exit::Usage,
            RunError::Interrupted => Exit::Interrupted,
            _ => Exit::Other,
        };
        Failure { exit, error: error.into() }
    }
}
