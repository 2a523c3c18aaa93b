//! What was measured, as plain data: load generators fill it, results are computed from it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::cell::Cell;
use crate::environment::{ArmProgram, Component, Environment};
use crate::plan::Aim;
use crate::round::RoundMeasure;
use crate::system::System;

/// A cell with all its rounds.
#[derive(Debug, Clone)]
pub struct CellMeasure {
    /// What was asked for.
    pub cell: Cell,
    /// What was measured.
    pub rounds: Vec<RoundMeasure>,
}

/// The certified cost of the probe: CPU seconds per request of the services, probes on over off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeCost {
    /// Mean ratio on/off.
    pub ratio: f64,
    /// Lower and upper end of its 95 % interval (Student's t over the logarithms of paired rounds, drift taken out).
    pub interval: (f64, f64),
    /// Paired rounds it was computed from.
    pub pairs: u32,
    /// The cell it was measured on.
    pub cell: String,
    /// Share of requests that were traced while probes were on.
    pub traced_share: f64,
    /// The same ratio of the mean latency, with its interval, by the load generator's stopwatch.
    #[serde(default)]
    pub latency: Option<(f64, (f64, f64))>,
}

/// What a certification of the probe found: its cost, and what it was computed from.
#[derive(Debug, Clone, PartialEq)]
pub struct Certificate {
    /// The cost.
    pub cost: ProbeCost,
    /// CPU time of gateway and echo per request with probes on, in nanoseconds, mean of the pairs.
    pub on_ns: f64,
    /// The same with probes off.
    pub off_ns: f64,
    /// Mean latency with probes on, in nanoseconds, mean of the pairs.
    pub latency_on_ns: f64,
    /// The same with probes off.
    pub latency_off_ns: f64,
    /// Pairs that are in none of these numbers, since not every request was answered.
    pub left_out: u32,
}

/// What a run was asked besides how long its cells take.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Asked {
    /// What the arms are started from, where there are some.
    pub arms: Vec<ArmProgram>,
    /// What is asked of the system.
    pub objectives: Vec<Aim>,
    /// k6 holds its rounds to thresholds.
    pub thresholds: bool,
}

/// Everything a run measured, before it is judged.
#[derive(Debug, Clone)]
pub struct RunMeasure {
    /// Name of the plan.
    pub plan: String,
    /// Unique name of the run.
    pub run_id: String,
    /// What was measured.
    pub system: System,
    /// Where it was made.
    pub environment: Environment,
    /// The parts used.
    pub components: Vec<Component>,
    /// The cells, in plan order.
    pub cells: Vec<CellMeasure>,
    /// What it was asked besides.
    pub asked: Asked,
    /// The cost of measuring, if it was certified.
    pub probe_cost: Option<ProbeCost>,
    /// The run was interrupted.
    pub incomplete: bool,
    /// The command line that made the run.
    pub command: String,
    /// Spans that processes lost before sending, and that the sidecar dropped, by reason.
    pub spans_lost: BTreeMap<String, u64>,
    /// Points that InfluxDB did not have when the books were closed, by what became of them.
    pub points_missing: BTreeMap<String, u64>,
}
