//! A round by the built-in driver: what a cell asks for, and how it begins.

use std::sync::Arc;
use std::time::Duration;

use lab_drive::builtin::{Driver, Earlier, Gateway, Round, Running, Sampling};
use lab_model::{Arrivals, Cell};
use lab_supervise::Cpus;
use tokio_util::sync::CancellationToken;

use super::RunError;
use super::turns::Turn;

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
