//! The result of a run: one plain value that every report is made from and that `result.json` holds.
//!
//! Owns the public, versioned shape of a result and how it is computed from the driver's
//! measurements and the rows of the run file. Judging is done elsewhere, showing in
//! the reports. What each number means is written down in `docs/measuring.md`.

mod books;
mod cell;
mod contrasts;
mod costs;
mod load;
mod resources;
mod rounding;
mod rounds;
mod subject;
pub mod units;
mod wire;

use std::collections::{BTreeMap, HashMap};

use ledger::Stage;
use serde::{Deserialize, Serialize};
use sidecar::runfile::{ProcessSample, RequestKind, RequestRow};

use lab_model::{CellMeasure, Component, Environment, ProbeCost, RunMeasure, Verdict};

pub use cell::{
    CellResult, CurvePoint, DatabaseResult, Factors, FamilyResult, Injected, K6Result,
    LatencyResult, LoadResult, MarksResult, Residual, ResourceResult, SecondResult, SendDelay,
    StageResult, Traced,
};
pub use contrasts::{ContrastResult, Part, RESIDUAL};
pub use costs::{COSTS_SCHEMA, CellCost, Costs, MeanCost, NotMeasured};
pub use rounding::ratio;
pub use rounds::{RoundResult, RoundStage};
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
    /// Where the run was made.
    pub environment: Environment,
    /// The parts used, real or standing in.
    pub components: Vec<Component>,
    /// The certified cost of the probe, if it was measured.
    pub probe_cost: Option<ProbeCost>,
    /// Spans lost on their way, by reason.
    pub spans_lost: BTreeMap<String, u64>,
    /// Points that InfluxDB did not have when the books were closed, by what became of them. The run file
    /// has everything all the same.
    #[serde(default)]
    pub points_missing: BTreeMap<String, u64>,
    /// The cells, in plan order.
    pub cells: Vec<CellResult>,
    /// Cells against each other: what may be claimed of them.
    #[serde(default)]
    pub contrasts: Vec<ContrastResult>,
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

/// Computes the result of a run; nothing in it is judged yet.
///
/// Rows that belong to no cell of the run (warm-up, foreign traffic) are left out.
#[must_use]
pub(crate) fn compute(
    run: &RunMeasure,
    rows: &[RequestRow],
    samples: &[ProcessSample],
) -> RunResult {
    let mut by_cell: HashMap<&str, Vec<&RequestRow>> = HashMap::new();
    for row in rows {
        by_cell.entry(&row.cell).or_default().push(row);
    }
    let cells = run
        .cells
        .iter()
        .map(|measure| {
            let rows = by_cell.remove(measure.cell.id.as_str()).unwrap_or_default();
            build_cell(measure, &rows, samples)
        })
        .collect();
    assemble(run, cells)
}

/// The result of a run that has these `cells`; nothing in it is judged yet.
pub(crate) fn assemble(run: &RunMeasure, cells: Vec<CellResult>) -> RunResult {
    RunResult {
        schema: SCHEMA,
        run_id: run.run_id.clone(),
        plan: run.plan.clone(),
        command: run.command.clone(),
        incomplete: run.incomplete,
        verdict: Verdict::default(),
        explanation: String::new(),
        environment: run.environment.clone(),
        components: run.components.clone(),
        probe_cost: run.probe_cost.clone(),
        spans_lost: run.spans_lost.clone(),
        points_missing: run.points_missing.clone(),
        contrasts: contrasts::claims(&cells),
        cells,
    }
}

/// Computes one cell. Stages and wire are those of the requests that are whole and succeeded, as the latency is.
pub(crate) fn build_cell(
    measure: &CellMeasure,
    rows: &[&RequestRow],
    samples: &[ProcessSample],
) -> CellResult {
    let rows: Vec<&RequestRow> =
        rows.iter().copied().filter(|row| row.kind == RequestKind::Request).collect();
    let succeeded: Vec<&RequestRow> = rows.iter().copied().filter(|row| row.counts()).collect();
    let unjoined = rows.iter().filter(|row| !row.error && !row.whole).count() as u64;
    let books = books::Books::of(&succeeded);
    let load = load::Load::of(measure);
    CellResult {
        id: measure.cell.id.clone(),
        factors: Factors::of(measure),
        requests: load.requests,
        load: load.result,
        errors: load.errors,
        traced: Traced {
            count: rows.len() as u64,
            weight: rounding::mean(rows.iter().map(|row| row.weight)),
            expected: measure.rounds.iter().map(|round| round.traced).sum(),
            succeeded: succeeded.len() as u64,
            mean_us: books.total.mean,
            p50_us: books.total.p50,
            p99_band_us: books.total.p99,
            p99_band_count: books.p99_count,
        },
        wire: wire::wire(&measure.cell, &succeeded),
        latency_us: load.latency,
        curve: load.curve,
        timeline: load.timeline,
        rounds: rounds::rounds(measure, &succeeded),
        send_delay_us: load.send_delay,
        families: books.families,
        stages: books.stages,
        measured_share: books.measured_share,
        inferred_share: books.inferred_share,
        residual: books.residual,
        marks: MarksResult { unjoined, ..marks(&succeeded) },
        injected: injected(&succeeded),
        resources: resources::resources(measure, samples),
        database: database(measure, &succeeded),
        k6: k6(measure),
        explanation: String::new(),
        verdict: Verdict::default(),
    }
}

/// What the database counted, beside what its client saw.
fn database(measure: &CellMeasure, rows: &[&RequestRow]) -> Option<DatabaseResult> {
    let counted: Vec<_> = measure.rounds.iter().filter_map(|round| round.statements).collect();
    let queries: u64 = counted.iter().map(|one| one.calls).sum();
    if queries == 0 {
        return None;
    }
    let exec_us: f64 = counted.iter().map(|one| one.exec_us).sum();
    let hops = rows.iter().flat_map(|row| &row.hops);
    let trips = hops.map(|hop| hop.stages.get(Stage::QueryRoundTrip).ns).filter(|&ns| ns > 0);
    let round_trip = rounding::mean(trips.map(|ns| ns as f64));
    let server = exec_us / queries as f64;
    Some(DatabaseResult {
        queries,
        server_mean_us: rounding::us(server * 1e3),
        round_trip_mean_us: rounding::us(round_trip),
        server_share: ratio(server * 1e3, round_trip),
    })
}

/// What k6 alone said, where it drove.
fn k6(measure: &CellMeasure) -> Option<K6Result> {
    let told: Vec<_> = measure.rounds.iter().filter_map(|round| round.k6).collect();
    (!told.is_empty()).then(|| K6Result {
        thresholds_failed: told.iter().filter(|round| round.thresholds_failed).count() as u64,
        joined: told.iter().map(|round| round.joined).sum(),
        not_joined: told.iter().map(|round| round.not_joined).sum(),
        lines_refused: told.iter().map(|round| round.lines_refused).sum(),
        connected: told.iter().map(|round| round.connected).sum(),
        connecting_us: rounding::us(told.iter().map(|round| round.connecting_ns as f64).sum()),
    })
}

/// Counts what the marks themselves say about how far they can be trusted.
fn marks(rows: &[&RequestRow]) -> MarksResult {
    let count = |test: fn(&RequestRow) -> bool| rows.iter().filter(|row| test(row)).count() as u64;
    let disordered = count(|row| row.out_of_order > 0);
    MarksResult {
        out_of_order: rows.iter().map(|row| u64::from(row.out_of_order)).sum(),
        out_of_order_share: ratio(disordered as f64, rows.len() as f64),
        early: count(|row| row.early),
        without_inner_hop: count(|row| row.hops.iter().all(|hop| hop.depth != 1)),
        without_stopwatch: count(|row| row.stopwatch_ns.is_none()),
        ..MarksResult::default()
    }
}

/// Mean injected delay per request, as the injectors measured it.
fn injected(rows: &[&RequestRow]) -> Vec<Injected> {
    let mut sums: BTreeMap<(&str, Stage), u64> = BTreeMap::new();
    for hop in rows.iter().flat_map(|row| &row.hops) {
        for &(stage, ns) in &hop.injected {
            *sums.entry((&hop.hop, stage)).or_default() += ns;
        }
    }
    let requests = rows.len() as f64;
    sums.into_iter()
        .map(|((hop, stage), ns)| Injected {
            hop: hop.to_owned(),
            stage: stage.name().to_owned(),
            mean_us: rounding::us(ratio(ns as f64, requests)),
        })
        .collect()
}
