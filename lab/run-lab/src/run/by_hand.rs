//! What came of load by hand, when it is over: a breakdown by operation of requests that no plan made.
//!
//! Nobody counted what was asked but the spans that came, so that is all that is told: nothing of arrivals, drops, or of
//! requests that were not traced.

use std::collections::BTreeMap;
use std::path::Path;

use hdrhistogram::Histogram;
use sidecar::runfile::{RequestKind, RequestRow, RunFile, RunFileError};

use super::environment::capture;
use lab_judge::result::{CellRows, Latencies, RunResult};
use lab_model::{Cell, CellMeasure, Component, Requests, RoundMeasure, RunMeasure, System};

/// Operations that are told apart; later ones are [`OTHER`].
const MOST: usize = 200;
/// What the others are called.
const OTHER: &str = "other";
/// What one is called of which nothing tells.
const UNNAMED: &str = "unnamed";
/// The longest latency that is told apart, in nanoseconds: an hour.
const LONGEST_NS: u64 = 3_600_000_000_000;

/// What is known of an operation while its rows come for the first time.
struct Asked {
    latencies: Latencies,
    latency: Histogram<u64>,
    requests: Requests,
    /// From the beginning of the first to the end of the last.
    span_ns: (u64, u64),
}

/// The requests in the run file at `path` that belong to no cell, by operation; nothing where there are none.
///
/// # Errors
/// If the file cannot be read.
pub async fn by_hand(
    path: &Path,
    run_id: &str,
    components: Vec<Component>,
) -> Result<Option<RunResult>, RunFileError> {
    let mut file = RunFile::open(path).await?;
    let mut asked: BTreeMap<String, Asked> = BTreeMap::new();
    file.each_request(Some(""), |row| take(&mut asked, &row)).await?;
    if asked.is_empty() {
        return file.close().await.map(|()| None);
    }
    let samples = file.read_samples().await?;
    let (mut measures, mut latencies) = (Vec::new(), Vec::new());
    for (operation, asked) in asked {
        latencies.push(asked.latencies);
        measures.push(measure(operation, asked.requests, asked.latency, asked.span_ns));
    }
    let mut cells: Vec<(&str, CellRows<'_>)> = measures
        .iter()
        .zip(latencies)
        .map(|(measure, latencies)| (&*measure.cell.id, CellRows::new(measure, latencies)))
        .collect();
    file.each_request(Some(""), |row| {
        let name = operation(&row);
        let at = cells.iter().position(|(id, _)| *id == name);
        let at = at.or_else(|| cells.iter().position(|(id, _)| *id == OTHER));
        if let Some(at) = at {
            cells[at].1.take(&row);
        }
    })
    .await?;
    let cells = cells.into_iter().map(|(_, cell)| cell.close(&samples)).collect();
    let run = run(run_id, components);
    file.close().await?;
    Ok(Some(lab_judge::assemble(&run, cells)))
}

fn operation(row: &RequestRow) -> &str {
    if row.operation.is_empty() { UNNAMED } else { &row.operation }
}

fn take(all: &mut BTreeMap<String, Asked>, row: &RequestRow) {
    if row.kind != RequestKind::Request {
        return;
    }
    let mut name = operation(row);
    if all.len() >= MOST && !all.contains_key(name) {
        name = OTHER;
    }
    let end_ns = row.start_ns.saturating_add(row.latency_ns.max(0).unsigned_abs());
    let asked = all.entry(name.to_owned()).or_insert_with(|| Asked {
        latencies: Latencies::default(),
        latency: empty(),
        requests: Requests::default(),
        span_ns: (row.start_ns, end_ns),
    });
    asked.latencies.take(row);
    asked.span_ns = (asked.span_ns.0.min(row.start_ns), asked.span_ns.1.max(end_ns));
    asked.requests.planned += 1;
    asked.requests.started += 1;
    if row.error {
        asked.requests.error += 1;
    } else {
        asked.requests.ok += 1;
        asked.latency.saturating_record(row.latency_ns.max(0).unsigned_abs());
    }
}

fn empty() -> Histogram<u64> {
    // A microsecond to an hour at three digits is within what it can have.
    Histogram::new_with_bounds(1_000, LONGEST_NS, 3).expect("bounds that a histogram can have")
}

fn measure(
    operation: String,
    requests: Requests,
    latency: Histogram<u64>,
    (start_ns, end_ns): (u64, u64),
) -> CellMeasure {
    let duration_ns = end_ns.saturating_sub(start_ns).max(1);
    let failed = (requests.error > 0).then(|| ("its span says so".to_owned(), requests.error));
    let round = RoundMeasure {
        round: 0,
        start_ns,
        end_ns,
        rests: Vec::new(),
        requests,
        traced: requests.started,
        weight: 1.0,
        latency,
        send_delay: empty(),
        seconds: Vec::new(),
        errors: failed.into_iter().collect(),
        statements: None,
        k6: None,
        processes: BTreeMap::new(),
        services_cpu_ns: None,
        driver_cpu_ns: 0,
        host_cpu_share: 0.0,
    };
    let cell = Cell::undeclared(operation.clone(), &operation, requests.started, duration_ns);
    CellMeasure { cell, rounds: vec![round] }
}

fn run(run_id: &str, components: Vec<Component>) -> RunMeasure {
    RunMeasure {
        plan: "load by hand".to_owned(),
        run_id: run_id.to_owned(),
        system: System::default(),
        environment: capture(),
        components,
        cells: Vec::new(),
        asked: Default::default(),
        probe_cost: None,
        incomplete: false,
        command: super::this_command(),
        spans_lost: BTreeMap::new(),
        points_missing: BTreeMap::new(),
    }
}
