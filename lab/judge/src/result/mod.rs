//! The result of a run: one plain value that every report is made from and that `result.json` holds.
//!
//! Owns the public, versioned shape of a result and how it is computed from the driver's
//! measurements and the rows of the run file. Judging is done elsewhere, showing in
//! the reports. What each number means is written down in `docs/reference.md`.

mod breakdown;
mod cell;
mod claims;
mod contrasts;
mod costs;
mod factors;
mod gate;
mod in_time;
mod latency;
mod load;
mod objectives;
mod precision;
mod probe;
mod request;
mod resources;
mod rounding;
mod rounds;
mod rows;
mod runs;
mod slowest;
mod subject;
pub mod units;
mod wire;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use lab_model::{ArmProgram, Component, Environment, ProbeCost, RunMeasure, System, Verdict};

pub use breakdown::Latencies;
pub use cell::{
    CellResult, DatabaseResult, EndedResult, FamilyResult, Injected, K6Result, LoadResult,
    MarksResult, Residual, ResourceResult, RoundResult, StageResult, Traced,
};
pub use claims::{BodiesResult, ENVELOPE_BYTES, holds_payload};
pub use contrasts::{ContrastResult, Part, RESIDUAL, TAIL, paired, pairs, part_names, without_arm};
pub use costs::{COSTS_SCHEMA, CellCost, Costs, MeanCost, NotMeasured};
pub use factors::Factors;
pub use gate::{Check, GateResult, Ruling, gate};
pub use in_time::in_time;
pub use lab_contrast::{Difference, Ratio};
pub use latency::{CurvePoint, LatencyResult, SecondResult, SendDelay};
pub use load::on_the_clock;
pub use objectives::ObjectiveResult;
pub use precision::{interval, precision};
pub use probe::certificate;
pub use request::{HopInTime, Piece, RequestResult, sum};
pub use rounding::ratio;
pub(crate) use rounds::{Halves, Rounds};
pub use rows::CellRows;
pub use runs::{RunsChange, RunsCompared, compare_runs};
pub use slowest::SLOWEST;
pub use subject::Subject;
pub use wire::WireResult;

/// The version of the shape of `result.json`.
///
/// 3: each round of a cell by itself, and contrasts of cells. 2: null, not 0, where nobody tells: `requests.late` where k6 drove, `involuntary_switches` of the host. Results of schemas 1 and 2 are read too.
pub const SCHEMA: u32 = 3;
/// The oldest shape that can still be read.
const OLDEST: u32 = 1;

/// A run, measured, judged and explained. Times are microseconds, shares run from 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// Version of this shape: [`SCHEMA`].
    pub schema: u32,
    /// Unique name of the run.
    pub run_id: String,
    /// Name of the plan.
    pub plan: String,
    /// The command line that made the run.
    pub command: String,
    /// The run was interrupted.
    pub incomplete: bool,
    /// The worst verdict of the cells, and what holds for the run as a whole.
    pub verdict: Verdict,
    /// The answer in words.
    pub explanation: String,
    /// What was measured.
    #[serde(default, skip_serializing_if = "System::is_owned")]
    pub system: System,
    /// Where the run was made.
    pub environment: Environment,
    /// The parts used, real or standing in.
    pub components: Vec<Component>,
    /// The certified cost of the probe, if it was measured.
    pub probe_cost: Option<ProbeCost>,
    /// Spans lost on their way, by reason.
    pub spans_lost: BTreeMap<String, u64>,
    /// Points that InfluxDB did not have when the breakdown were closed, by what became of them. The run file
    /// has everything all the same.
    #[serde(default)]
    pub points_missing: BTreeMap<String, u64>,
    /// The cells, in plan order.
    pub cells: Vec<CellResult>,
    /// Cells against each other: what may be claimed of them.
    #[serde(default)]
    pub contrasts: Vec<ContrastResult>,
    /// What the arms were started from, where arms were compared; the first is the one that is compared with.
    #[serde(default)]
    pub arms: Vec<ArmProgram>,
    /// What was asked of the system, and whether it was reached.
    #[serde(default)]
    pub objectives: Vec<ObjectiveResult>,
    /// Whether the second arm keeps the limits that it was held to, where it was.
    #[serde(default)]
    pub gate: Option<GateResult>,
    /// The slowest requests that were traced, of all cells, the slowest first: each a ledger drawn in time.
    #[serde(default)]
    pub slowest: Vec<RequestResult>,
}

/// A result that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The text is not JSON of the expected shape.
    #[error("result.json is not a result that this version can read: {0}")]
    Shape(#[from] serde_json::Error),
    /// The result was written by another version of the lab.
    #[error("result.json has schema {found}; this version reads schemas {OLDEST} to {SCHEMA}")]
    Schema {
        /// The schema that the file names.
        found: u32,
    },
}

impl RunResult {
    /// Reads what the reports' JSON wrote.
    ///
    /// # Errors
    /// [`ReadError`] if the text is not such a result, or one of another schema.
    pub fn from_json(text: &str) -> Result<RunResult, ReadError> {
        #[derive(Deserialize)]
        struct Head {
            schema: u32,
        }
        let Head { schema } = serde_json::from_str(text)?;
        if !(OLDEST..=SCHEMA).contains(&schema) {
            return Err(ReadError::Schema { found: schema });
        }
        Ok(serde_json::from_str(text)?)
    }

    /// Whether the load came from the built-in driver, whose calls are tapped on both ends.
    #[must_use]
    pub fn built_in_driver(&self) -> bool {
        self.components.iter().any(|part| part.role == "driver" && part.name.contains("built-in"))
    }
}

/// The result of a run that has these `cells`; nothing in it is judged yet.
pub(crate) fn assemble(run: &RunMeasure, mut cells: Vec<CellResult>) -> RunResult {
    let slowest = slowest::of_all(cells.iter_mut().map(|cell| &mut cell.slowest));
    RunResult {
        schema: SCHEMA,
        run_id: run.run_id.clone(),
        plan: run.plan.clone(),
        command: run.command.clone(),
        incomplete: run.incomplete,
        verdict: Verdict::default(),
        explanation: String::new(),
        system: run.system.clone(),
        environment: run.environment.clone(),
        components: run.components.clone(),
        probe_cost: run.probe_cost.clone(),
        spans_lost: run.spans_lost.clone(),
        points_missing: run.points_missing.clone(),
        contrasts: contrasts::claims(&cells),
        arms: run.asked.arms.clone(),
        objectives: objectives::objectives(&cells, &run.asked.objectives, run.asked.thresholds),
        gate: None,
        slowest,
        cells,
    }
}
