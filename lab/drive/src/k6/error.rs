//! Why k6 could not drive a round, or not to its end.

use std::io;
use std::time::Duration;

use super::Driven;
use lab_supervise::PartError;

/// k6 did not drive a round, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum K6Error {
    /// k6 cannot do what the cell asks for.
    #[error("k6 cannot drive cell {cell}: {reason}")]
    Unable {
        /// The cell.
        cell: String,
        /// What it asks for that k6 cannot do.
        reason: String,
    },
    /// The system refused something that the round needs.
    #[error("k6 cannot drive cell {cell}: cannot {attempt}: {error}")]
    System {
        /// The cell.
        cell: String,
        /// What was tried.
        attempt: String,
        /// What the system said.
        error: io::Error,
    },
    /// Its requests cannot be told to the sidecar.
    #[error("k6 cannot drive cell {cell}: {source}")]
    Spans {
        /// The cell.
        cell: String,
        /// Why.
        source: probe::ProbeError,
    },
    /// k6 did not start.
    #[error("round {round} of cell {cell}: {source}")]
    Start {
        /// The cell.
        cell: String,
        /// The round, from 0.
        round: u32,
        /// Why, with the end of its log.
        source: Box<PartError>,
    },
    /// k6 ended with an error of its own, or was killed.
    #[error("round {round} of cell {cell} was not driven to its end: {source}")]
    Ended {
        /// The cell.
        cell: String,
        /// The round, from 0.
        round: u32,
        /// How it ended, with the end of its log.
        source: Box<PartError>,
        /// What was measured until then, if the measured part had begun.
        kept: Option<Box<Driven>>,
    },
    /// k6 did not end when its round was over, and was stopped.
    #[error(
        "round {round} of cell {cell}: k6 (process {pid}) had not ended {waited:?} after it began, \
         longer than the round with the last request's time-out takes, and was stopped; its log is k6.log"
    )]
    Stuck {
        /// The cell.
        cell: String,
        /// The round, from 0.
        round: u32,
        /// k6's process id.
        pid: u32,
        /// How long it was waited for.
        waited: Duration,
        /// What was measured, if the measured part had begun.
        kept: Option<Box<Driven>>,
    },
    /// Its stream could not be read any more, and k6 was stopped.
    #[error(
        "round {round} of cell {cell} was not driven to its end: cannot read k6's stream: {source}"
    )]
    Unreadable {
        /// The cell.
        cell: String,
        /// The round, from 0.
        round: u32,
        /// What the system said.
        source: io::Error,
        /// What was measured until then, if the measured part had begun.
        kept: Option<Box<Driven>>,
    },
    /// What a script declares of its requests cannot be; k6 was stopped.
    #[error("{reason}")]
    Declared {
        /// What it says, and what it may say.
        reason: String,
    },
    /// k6 ended well and had not made one request.
    #[error(
        "k6 made no request in round {round} of cell {cell} that could be read \
         ({lines_refused} lines of its stream were refused); its log is k6.log"
    )]
    Nothing {
        /// The cell.
        cell: String,
        /// The round, from 0.
        round: u32,
        /// Lines of its stream that could not be what k6 writes.
        lines_refused: u64,
    },
}

impl K6Error {
    /// In another round the script declared something else of the requests of `cell`.
    #[must_use]
    pub fn declared_anew(cell: &str) -> K6Error {
        let reason = format!(
            "the script declares of the requests of {cell} in each round something else that they carry: an operation has \
             one payload; give those of another size another name (tags: {{ name: … }})"
        );
        K6Error::Declared { reason }
    }

    /// Takes out what was measured before k6 ended.
    pub fn take_kept(&mut self) -> Option<Driven> {
        match self {
            K6Error::Ended { kept, .. }
            | K6Error::Stuck { kept, .. }
            | K6Error::Unreadable { kept, .. } => kept.take().map(|driven| *driven),
            _ => None,
        }
    }
}
