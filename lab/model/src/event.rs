//! What a run tells those who watch it: one closed list of events, which is all that passes between them.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::{Certificate, Component, Requests};

/// Something that happened in a run.
#[derive(Debug, Clone, PartialEq)]
pub enum LabEvent {
    /// The run begins.
    Began {
        /// Name of the plan.
        plan: String,
        /// Cells of the plan.
        cells: usize,
        /// Rounds of each cell.
        rounds: u32,
        /// How long the plan takes at least, in nanoseconds.
        expected_ns: u64,
        /// Where its files go.
        out: PathBuf,
    },
    /// A list of cells is about to be certified, without a plan.
    CertificationBegan {
        /// Cells of the list.
        cells: usize,
        /// How long it takes at least, in nanoseconds.
        expected_ns: u64,
    },
    /// A part that the run uses, real or standing in.
    Uses(Component),
    /// Something is being prepared that takes a while.
    Preparing {
        /// What.
        what: String,
    },
    /// A part is ready.
    Ready {
        /// Its name.
        part: String,
        /// Where it listens.
        address: SocketAddr,
        /// Its process id.
        pid: u32,
    },
    /// Grafana shows the run while it goes on.
    Boards {
        /// Where it listens.
        address: SocketAddr,
        /// The run, as the boards name it.
        run: String,
        /// The folder of the boards' files.
        files: PathBuf,
    },
    /// Grafana was to show the run, and does not start.
    NoBoards {
        /// Why.
        reason: String,
    },
    /// The cost of the probe is about to be measured.
    Certifying {
        /// Paired rounds it takes.
        pairs: u32,
        /// The cell it is measured on.
        cell: String,
        /// Which of how many cells that is, from 1.
        place: (usize, usize),
    },
    /// The cost of the probe is known.
    Certified(Certificate),
    /// The cost of the probe could not be measured.
    NotCertified {
        /// The cell it was to be measured on.
        cell: String,
        /// Why.
        reason: String,
    },
    /// A round begins.
    RoundBegan {
        /// The cell.
        cell: String,
        /// The round, from 0.
        round: u32,
    },
    /// A round goes on.
    RoundGoesOn {
        /// The cell.
        cell: String,
        /// What became of its requests so far.
        requests: Requests,
        /// Requests without an answer yet.
        in_flight: u64,
        /// Time since the round began, warm-up included, in nanoseconds.
        elapsed_ns: u64,
    },
    /// A round has ended.
    RoundEnded {
        /// The cell.
        cell: String,
        /// The round, from 0.
        round: u32,
        /// What became of its requests.
        requests: Requests,
        /// Median latency of those that succeeded, in nanoseconds.
        p50_ns: u64,
        /// 99th percentile of it, in nanoseconds.
        p99_ns: u64,
        /// What the plan said the round takes, in nanoseconds.
        planned_ns: u64,
    },
    /// The run was told to stop, or has to.
    Stopping {
        /// Why.
        reason: String,
    },
    /// The load is over; the books are being closed.
    Closing,
}

/// Somebody who watches a run.
pub trait Reporter: Send {
    /// Takes notice of `event`.
    fn on(&mut self, event: &LabEvent);
}
