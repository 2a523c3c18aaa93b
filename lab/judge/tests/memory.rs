//! What it takes to judge a run does not grow with it.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::path::Path;

use lab_model::{Cell, CellMeasure, Knobs, Protocol, RunMeasure};
use ledger::{Kind, Stage, StageSet, Traffic};
use procfs::process::Process;
use sidecar::runfile::{HopRow, RequestRow, RunFile, TraceId};

/// Requests of the small run, and of the large one.
const SMALL: u64 = 1_000;
const LARGE: u64 = 30_000;
/// How often each is judged.
const TRIES: u32 = 4;

fn run() -> RunMeasure {
    let cell = Cell {
        id: "rest-10B".to_owned(),
        protocol: Protocol::Rest,
        workload: lab_model::workload::first(),
        payload_bytes: 10,
        rate: 200.0,
        duration_ns: 3_600_000_000_000,
        warmup_ns: 0,
        turn_ns: None,
        max_in_flight: 100,
        knobs: Knobs::default(),
        arm: None,
        arrivals: Default::default(),
        traces_per_second: lab_model::MAX_TRACES_PER_SECOND,
    };
    RunMeasure {
        run_id: "an-hour".to_owned(),
        plan: "test".to_owned(),
        command: String::new(),
        incomplete: false,
        system: Default::default(),
        environment: Default::default(),
        components: Vec::new(),
        cells: vec![CellMeasure { cell, rounds: Vec::new() }],
        asked: Default::default(),
        probe_cost: None,
        spans_lost: Default::default(),
        points_missing: Default::default(),
    }
}

/// A request whose every stage takes a time of its own.
fn row(number: u64) -> RequestRow {
    let hop = |depth| {
        let mut stages = StageSet::default();
        for (at, &stage) in Stage::ALL.iter().enumerate() {
            stages.add(stage, (number % 100 + at as u64) as i64, Kind::Measured);
        }
        let traffic = Traffic { payload: 10, body: 24, wire: 200, ..Traffic::default() };
        let hop = ["driver→gateway", "gateway→echo"][depth as usize].to_owned();
        let (request, reply) = (Some(traffic), Some(traffic));
        HopRow {
            hop: hop.into(),
            depth,
            stages,
            request,
            reply,
            connection: 1,
            ..HopRow::default()
        }
    };
    let hops = vec![hop(0), hop(1)];
    RequestRow {
        trace_id: TraceId(u128::from(number) + 1),
        root_id: 1,
        cell: "rest-10B".into(),
        latency_ns: hops.iter().map(|hop| hop.stages.total()).sum(),
        hops,
        ..RequestRow::default()
    }
}

/// Makes a run file of so many requests.
async fn write(path: &Path, requests: u64) {
    let mut file = RunFile::create(path).await.unwrap();
    for first in (0..requests).step_by(500) {
        let rows: Vec<_> = (first..first + 500).map(row).collect();
        file.write(&rows, &[]).await.unwrap();
    }
    file.close().await.unwrap();
}

/// The most memory that was resident since this was asked before, in bytes.
fn peak() -> u64 {
    let status = Process::myself().unwrap().status().unwrap();
    // The kernel's count begins anew (proc(5), clear_refs).
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    status.vmhwm.unwrap() * 1_024
}

async fn judge(path: &Path, requests: u64) -> u64 {
    let mut file = RunFile::open(path).await.unwrap();
    peak();
    let cells = lab_judge::read(&mut file, &run()).await.unwrap();
    let peak = peak();
    let [cell] = cells.as_slice() else { panic!("{cells:?}") };
    assert_eq!((cell.traced.count, cell.traced.succeeded), (requests, requests));
    assert_eq!(cell.wire[1].seen, requests);
    let stages: f64 = cell.stages.iter().map(|stage| stage.mean_us).sum();
    assert!((stages - cell.traced.mean_us).abs() < 0.1, "{stages} {}", cell.traced.mean_us);
    peak
}

#[tokio::test]
async fn judging_a_long_run_takes_no_more_memory_than_judging_a_short_one() {
    let folder = tempfile::tempdir().unwrap();
    let (small, large) = (folder.path().join("small.db"), folder.path().join("large.db"));
    write(&small, SMALL).await;
    write(&large, LARGE).await;
    // The first one finds the program's own pages cold.
    judge(&small, SMALL).await;
    // What the allocator still holds of earlier work comes and goes: the least of several tries is what it takes.
    let (mut short, mut long) = (u64::MAX, u64::MAX);
    for _ in 0..TRIES {
        short = short.min(judge(&small, SMALL).await);
        long = long.min(judge(&large, LARGE).await);
    }
    let ratio = long as f64 / short as f64;
    println!("peak resident: {short} bytes of {SMALL} requests, {long} of {LARGE}: {ratio:.3}");
    assert!(ratio < 1.25, "{short} bytes for {SMALL} requests, {long} for {LARGE}: {ratio:.3}");
}
