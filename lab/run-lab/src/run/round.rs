//! A round of a cell: what it asks for, in how many turns, and how the built-in driver begins it.

use std::sync::Arc;
use std::time::Duration;

use lab_drive::builtin::{Driver, Earlier, Gateway, Round, Running, Sampling};
use lab_model::{Arrivals, Cell, Entry, RoundMeasure};
use lab_supervise::Cpus;
use tokio_util::sync::CancellationToken;

use super::RunError;

/// A cell in a round, while it is measured.
pub(super) struct Lane {
    /// Its place among the cells.
    pub(super) place: usize,
    pub(super) cell: Cell,
    /// Turns of the round.
    pub(super) turns: u32,
    /// Who is asked, once the round has begun.
    pub(super) entry: Option<Entry>,
    /// The same as the built-in driver asks it.
    pub(super) target: Option<Arc<Gateway>>,
    /// What was measured so far.
    pub(super) measured: Option<RoundMeasure>,
}

impl Lane {
    /// Of the cell at `place`, in turns or in one go.
    pub(super) fn of(place: usize, cell: Cell, in_turns: bool) -> Lane {
        let turns = if in_turns { cell.turns() } else { 1 };
        Lane { place, cell, turns, entry: None, target: None, measured: None }
    }
}

/// A turn of a cell in a round.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    /// Number of the round.
    pub(super) round: u32,
    /// Its own in the round, from 0.
    pub(super) number: u32,
    /// When the one before it ends by its plan, of whichever cell.
    pub(super) until_ns: u64,
}

/// The round that `cell` asks for.
pub(super) fn round(cell: &Cell, number: u32, timeout_ns: u64) -> Round {
    Round {
        number,
        rate: cell.rate,
        warmup_ns: cell.warmup_ns,
        duration_ns: cell.duration_ns,
        earlier: Earlier::default(),
        max_in_flight: cell.max_in_flight,
        timeout: Duration::from_nanos(timeout_ns),
        sampling: Sampling::at_most(cell.traces_per_second, expected_rate(cell)),
        arrivals: cell.arrivals,
    }
}

/// A turn of the round `whole` of `cell`, of which `arrivals` came in earlier ones.
pub(super) fn turn_of(whole: Round, cell: &Cell, turn: Turn, arrivals: u64) -> Round {
    let (from, to) = (cell.before_turn(turn.number), cell.before_turn(turn.number + 1));
    Round {
        warmup_ns: if turn.number == 0 { whole.warmup_ns } else { cell.lead_in_ns() },
        duration_ns: to - from,
        earlier: Earlier { ns: from, arrivals, until_ns: turn.until_ns },
        ..whole
    }
}

/// Requests a second that are to be expected. How fast a closed loop goes is not known before: that of each of its users
/// is taken for no faster than this, and a faster one is traced more often.
const OF_A_USER: f64 = 2_000.0;

fn expected_rate(cell: &Cell) -> f64 {
    match cell.arrivals {
        Arrivals::Closed(users) => users as f64 * OF_A_USER,
        Arrivals::Constant | Arrivals::Poisson | Arrivals::Script => cell.rate,
    }
}

/// Starts `round` against the gateway.
pub(super) fn begin(
    driver: &Driver,
    target: Arc<Gateway>,
    round: Round,
    halt: &CancellationToken,
) -> Result<Running, RunError> {
    driver
        .begin(target, round, halt.clone())
        .map_err(|error| RunError::System { attempt: "start the pacer's timer".to_owned(), error })
}

/// Starts the load generator, on some CPUs if they are named.
pub(super) fn start_driver(cpus: Option<&Cpus>) -> Result<Driver, RunError> {
    let started = match cpus {
        Some(cpus) => cpus.start(Driver::start),
        None => Driver::start(),
    };
    started.map_err(|error| RunError::System {
        attempt: "start the driver's thread".to_owned(),
        error,
    })
}
