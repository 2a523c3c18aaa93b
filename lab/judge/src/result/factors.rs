//! What was asked of a cell, as `result.json` holds it.

use serde::{Deserialize, Serialize};

use lab_model::{Arrivals, CellMeasure, Knobs, Protocol, Workload};

/// What was asked of a cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Factors {
    /// Protocol of the inner hop.
    pub protocol: Protocol,
    /// Name of what was asked of the gateway.
    #[serde(default = "first")]
    pub workload: String,
    /// What the plan says of it, where it is the plan's own; absent where it is built in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_workload: Option<Workload>,
    /// Declared payload, in bytes; 0 where the workload has none.
    pub payload_bytes: u64,
    /// Planned arrivals per second.
    pub rate_per_s: f64,
    /// Measured time of each round, in seconds.
    pub duration_s: f64,
    /// Time before each round that is not counted, in seconds.
    pub warmup_s: f64,
    /// How long each was asked before the cells that it is compared with had their turn, in seconds; absent where rounds
    /// were measured in one go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_s: Option<f64>,
    /// Rounds that were run.
    pub rounds: u64,
    /// Requests in flight at most.
    pub max_in_flight: usize,
    /// Service settings.
    pub knobs: Knobs,
    /// The arm that the cell belongs to, where arms were compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arm: Option<String>,
    /// When requests began.
    #[serde(default)]
    pub arrivals: Arrivals,
    /// Requests traced in a second at most.
    #[serde(default = "usual")]
    pub traces_per_second: f64,
}

/// What results of earlier versions were traced by.
const fn usual() -> f64 {
    lab_model::MAX_TRACES_PER_SECOND
}

/// What was asked before cells named it.
fn first() -> String {
    lab_model::workload::first().name.clone()
}

impl Factors {
    /// What `measure` asked for.
    pub(super) fn of(measure: &CellMeasure) -> Self {
        let cell = &measure.cell;
        let took_turns = measure.rounds.iter().any(|round| !round.rests.is_empty());
        Factors {
            protocol: cell.protocol,
            workload: cell.workload.name.clone(),
            own_workload: (!cell.workload.is_built_in()).then(|| (*cell.workload).clone()),
            payload_bytes: cell.payload_bytes,
            rate_per_s: cell.rate,
            duration_s: cell.duration_ns as f64 / 1e9,
            warmup_s: cell.warmup_ns as f64 / 1e9,
            turn_s: took_turns.then(|| cell.duration_ns as f64 / f64::from(cell.turns()) / 1e9),
            rounds: measure.rounds.len() as u64,
            max_in_flight: cell.max_in_flight,
            knobs: cell.knobs.clone(),
            arm: cell.arm.as_ref().map(|arm| arm.name.clone()),
            arrivals: cell.arrivals,
            traces_per_second: cell.traces_per_second,
        }
    }
}
