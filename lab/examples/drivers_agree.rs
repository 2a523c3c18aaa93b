//! Do k6 and the built-in driver agree on what the gateway does? The same cell, driven by both in turn
//! (A B B A …), and of each round the mean time that requests were with the gateway: from the last byte of the
//! request read to the last byte of the reply written. What the latencies differ by besides is the drivers' own.
//!
//! `cargo build --release && cargo run --release --example drivers_agree -- [--rate 100] [--seconds 5] [--pairs 4]`
//! (k6 on PATH, or `--k6 PROGRAM`)

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use ledger::Stage;
use probe::{Probe, ProbeConfig};
use run_lab::driver::{Connections, Driver, Gateway, MAX_TRACES_PER_SECOND, Round, Sampling};
use run_lab::k6::{K6, Limits, Order};
use run_lab::launch::{
    ANY_PORT, Collector, Supervisor, Target, Tool, start_services, start_sidecar,
};
use run_lab::model::{Cell, Knobs, Protocol, RoundMeasure, Workload};
use sidecar::runfile::{RequestRow, RunFile};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a request may take, in nanoseconds.
const TIMEOUT_NS: u64 = 10_000_000_000;

#[derive(Debug, Parser)]
struct Arguments {
    /// Requests per second
    #[arg(long, default_value_t = 100.0)]
    rate: f64,
    /// Length of a round, in seconds
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Pairs of rounds, one by each driver
    #[arg(long, default_value_t = 4)]
    pairs: u32,
    /// Payload, in bytes
    #[arg(long, default_value_t = 1_000)]
    payload: u64,
    /// k6, if not the one on PATH
    #[arg(long)]
    k6: Option<PathBuf>,
    /// The lab's program, if not the one that was built beside this one
    #[arg(long)]
    run_lab: Option<PathBuf>,
}

/// Both drivers, before one gateway.
struct Bench {
    supervisor: Supervisor,
    gateway: std::net::SocketAddr,
    cell: Cell,
    driver: Driver,
    connections: Connections,
    k6: K6,
}

impl Bench {
    async fn builtin(&self, number: u32) -> Result<RoundMeasure> {
        let (cell, sampling) =
            (&self.cell, Sampling::at_most(MAX_TRACES_PER_SECOND, self.cell.rate));
        let round = Round {
            number,
            rate: cell.rate,
            warmup_ns: cell.warmup_ns,
            duration_ns: cell.duration_ns,
            max_in_flight: cell.max_in_flight,
            timeout: Duration::from_nanos(TIMEOUT_NS),
            sampling,
        };
        let target = Gateway::new(&self.connections, cell, &cell.id, number, sampling.weight());
        Ok(self.driver.begin(Arc::new(target), round, CancellationToken::new())?.finish().await)
    }

    async fn k6(&self, number: u32) -> Result<RoundMeasure> {
        let limits = Limits { timeout_ns: TIMEOUT_NS, preallocated: 50 };
        let (halt, progress) = (CancellationToken::new(), &mut |_, _, _| ());
        let order = Order { gateway: self.gateway, cell: &self.cell, number, limits };
        let driven = self.k6.round(&self.supervisor, order, &halt, progress);
        Ok(driven.await?.context("k6 measured nothing")?.measure)
    }
}

/// Stages of a hop that pass in its server.
const SERVERS: [Stage; 11] = [
    Stage::RequestDeframing,
    Stage::RequestReceiverQueue,
    Stage::RequestDecode,
    Stage::Dispatch,
    Stage::Handler,
    Stage::ReplyEncode,
    Stage::ReplySendQueue,
    Stage::ReplyWindowWait,
    Stage::ReplySocketWait,
    Stage::ReplySocketWrite,
    Stage::ReplyFraming,
];

/// Time that a request was with the gateway, all that it caused there included, in nanoseconds.
fn residence(row: &RequestRow) -> i64 {
    let Some((edge, inner)) = row.hops.split_first() else { return 0 };
    SERVERS.iter().map(|&stage| edge.stages.get(stage).ns).sum::<i64>()
        + inner.iter().map(|hop| hop.stages.total()).sum::<i64>()
}

/// Mean residence and latency of one driver in one round, in microseconds.
fn means(rows: &[RequestRow], client: &str, round: u32) -> Option<(f64, f64)> {
    let own: Vec<_> = rows
        .iter()
        .filter(|row| {
            row.round == round && row.hops.first().is_some_and(|hop| hop.hop.starts_with(client))
        })
        .collect();
    let mean = |of: fn(&RequestRow) -> i64| {
        own.iter().map(|row| of(row) as f64).sum::<f64>() / own.len() as f64 / 1e3
    };
    (!own.is_empty()).then(|| (mean(residence), mean(|row| row.latency_ns)))
}

fn main() -> Result<()> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(compare(&Arguments::parse()))
}

async fn compare(arguments: &Arguments) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let rounds = drive(arguments, dir.path()).await?;
    let rows = RunFile::open(dir.path().join("run.sqlite")).await?.read_requests().await?;
    let (mut builtin, mut k6) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let own = means(&rows, "driver→", round).context("no rows of the built-in driver")?;
        let other = means(&rows, "k6→", round).context("no rows of k6")?;
        println!(
            "  pair {round}: gateway {:.1} us built-in, {:.1} us k6; latency {:.1} us built-in, {:.1} us k6",
            own.0, other.0, own.1, other.1
        );
        builtin.push(own);
        k6.push(other);
    }
    let said = |what: &str, values: Vec<f64>| {
        if let Some((mean, (low, high))) = run_lab::run::interval(&values) {
            println!("{what}: {mean:.1} us (95 % interval {low:.1} to {high:.1})");
        }
    };
    said("gateway, built-in driver", builtin.iter().map(|of| of.0).collect());
    said("gateway, k6", k6.iter().map(|of| of.0).collect());
    let pairs = || builtin.iter().zip(&k6);
    let outside = |of: &(f64, f64)| of.1 - of.0;
    let apart: Vec<f64> = pairs().map(|(own, other)| other.0 - own.0).collect();
    let mut disagree = false;
    if let Some((mean, (low, high))) = run_lab::run::crossover(&apart) {
        let agree = if low <= 0.0 && 0.0 <= high { "they agree" } else { "they do NOT agree" };
        println!("k6 less built-in: {mean:.1} us (95 % interval {low:.1} to {high:.1}): {agree}");
        disagree = low > 0.0 || high < 0.0;
    }
    said(
        "outside the gateway, k6 less built-in (the drivers' own)",
        pairs().map(|(own, other)| outside(other) - outside(own)).collect(),
    );
    anyhow::ensure!(!disagree, "the drivers do not agree on the gateway's share");
    Ok(())
}

/// Drives the cell by both in turn; returns how many rounds each made.
async fn drive(arguments: &Arguments, dir: &Path) -> Result<u32> {
    let beside = std::env::current_exe()?;
    let beside = beside.parent().and_then(Path::parent).context("a folder")?.join("run-lab");
    let program = arguments.run_lab.clone().unwrap_or(beside);
    anyhow::ensure!(program.exists(), "{} is not there: cargo build it first", program.display());
    let k6 = match &arguments.k6 {
        Some(named) => named.clone(),
        None => Tool::K6.find()?.context("k6 is not on PATH")?,
    };
    let (deaths, _died) = tokio::sync::mpsc::unbounded_channel();
    let (watchers, kill) = (TaskTracker::new(), CancellationToken::new());
    let supervisor = Supervisor::new(program, dir.to_owned(), deaths, watchers, kill);
    let (sidecar, control) = start_sidecar(
        &supervisor,
        Collector {
            run: "drivers_agree",
            run_file: &dir.join("run.sqlite"),
            store: None,
            spool: None,
        },
    )
    .await?;
    let (otlp, knobs) = (sidecar.address("otlp")?, Knobs::default());
    let services = start_services(
        &supervisor,
        &knobs,
        Target { otlp, listen: ANY_PORT, database_url: None, suffix: "" },
    )
    .await?;
    let gateway = services.gateway.address("")?;
    let probe = Probe::start(ProbeConfig {
        service: run_lab::driver::SERVICE.to_owned(),
        otlp_endpoint: Some(format!("http://{otlp}")),
        enabled: true,
        ..ProbeConfig::default()
    })?;
    let connections = Connections::new(&probe, format!("http://{gateway}").parse()?);
    let mut k6 = K6::new(k6, dir.to_owned(), "drivers-agree");
    k6.otlp = Some(otlp);
    let cell = Cell {
        id: "rest".to_owned(),
        protocol: Protocol::Rest,
        workload: Workload::Ping,
        payload_bytes: arguments.payload,
        rate: arguments.rate,
        duration_ns: arguments.seconds * 1_000_000_000,
        warmup_ns: 1_000_000_000,
        max_in_flight: 200,
        knobs,
    };
    let bench = Bench { supervisor, gateway, cell, driver: Driver::start()?, connections, k6 };
    for pair in 0..arguments.pairs {
        let (own, other) = if pair % 2 == 0 {
            let own = bench.builtin(pair).await?;
            (own, bench.k6(pair).await?)
        } else {
            let other = bench.k6(pair).await?;
            (bench.builtin(pair).await?, other)
        };
        let per_request = |of: &RoundMeasure| of.driver_cpu_ns / 1_000 / of.requests.ok.max(1);
        println!(
            "  pair {pair}: {} of {} ok built-in, {} of {} ok k6; CPU per request {} us and {} us",
            own.requests.ok,
            own.requests.planned,
            other.requests.ok,
            other.requests.planned,
            per_request(&own),
            per_request(&other)
        );
    }
    probe.shutdown().await;
    services.stop().await;
    control.flush().await?;
    sidecar.stop().await;
    Ok(arguments.pairs)
}
