//! Child processes: how they start, where they listen, and how they end. None is left behind.
//!
//! Children are this same executable with another subcommand; for a program that is not ours, that subcommand is
//! its shim. Which programs there are and what they are told is not known here.

mod absolute;
mod affinity;
mod external;
mod group;
mod listening;
mod log;
mod part;
mod port;
mod shim;
mod watch;

use std::process::ExitStatus;

pub use absolute::Absolute;
pub use affinity::Cpus;
pub use external::External;
pub use part::{Part, Supervisor, Withheld, not_inherited};
pub use port::Port;
pub use shim::{ShimConfig, StopSignal, keep};

/// A part that did not start, or ended when nobody asked it to.
#[derive(Debug, thiserror::Error)]
pub enum PartError {
    /// The system would not start the process.
    #[error("cannot start {part} ({command}): {error}")]
    Spawn {
        /// The part.
        part: String,
        /// Its command line.
        command: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// It ended before it was ready.
    #[error("{part} ended before it was ready: {}\n  command: {command}\n{tail}", describe(*status))]
    Exited {
        /// The part.
        part: String,
        /// Its command line.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// The last lines it wrote.
        tail: log::Tail,
    },
    /// It did not say in time where it listens.
    #[error("{part} did not say where it listens within {seconds} s\n  command: {command}\n{tail}")]
    Silent {
        /// The part.
        part: String,
        /// Its command line.
        command: String,
        /// How long it was waited for.
        seconds: u64,
        /// The last lines it wrote.
        tail: log::Tail,
    },
    /// It said something else than where it listens.
    #[error("{part} said {line:?} instead of where it listens\n  command: {command}")]
    Address {
        /// The part.
        part: String,
        /// Its command line.
        command: String,
        /// What it said.
        line: String,
    },
    /// It ended in the middle of the run.
    #[error("{part} (process {pid}) died in the middle of the run: {}\n  command: {command}\n{tail}", describe(*status))]
    Died {
        /// The part.
        part: String,
        /// Its process id.
        pid: u32,
        /// Its command line.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// The last lines it wrote.
        tail: log::Tail,
    },
    /// It could not be prepared, or told what to do once it ran.
    #[error("{part}: cannot {attempt}: {reason}")]
    Setup {
        /// The part.
        part: String,
        /// What was attempted.
        attempt: String,
        /// Why it failed.
        reason: String,
    },
}

impl PartError {
    /// The part that died in the middle of the run, if this says so.
    #[must_use]
    pub fn died(&self) -> Option<&str> {
        match self {
            PartError::Died { part, .. } => Some(part),
            _ => None,
        }
    }
}

/// `exit status: 1` or `signal: 9 (SIGKILL)`, as the standard library words it.
fn describe(status: ExitStatus) -> String {
    status.to_string()
}
