//! Do k6 and the built-in driver agree on what the gateway does? The same cell, driven by both in turn
//! (A B B A …), and of each round the mean time that requests were with the gateway: from the first byte of the
//! request read to the last byte of the reply written. What the latencies differ by besides is the drivers' own.
//!
//! `cargo build --release && cargo run --release --example drivers_agree -- [--rate 100] [--seconds 5] [--pairs 8]`
//! (k6 on PATH, or `--k6 PROGRAM`)

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use lab_contrast::{Level, Mean};
use lab_drive::builtin::{Connections, Driver, Earlier, Gateway, Round, Sampling};
use lab_drive::k6::{K6, Limits, Order, Release};
use lab_launch::{
    ANY_PORT, Collector, Control, Services, Target, Tool, start_services, start_sidecar, withheld,
};
use lab_model::{Cell, Knobs, MAX_TRACES_PER_SECOND, Protocol, RoundMeasure, workload};
use lab_supervise::{Absolute, Part, Supervisor};
use ledger::Stage;
use probe::{Probe, ProbeConfig};
use sidecar::runfile::{RequestRow, RunFile};
use tokio_util::sync::CancellationToken;

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
    /// Pairs of rounds, one by each driver; of fewer than 4 the order is not told apart
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(4..))]
    pairs: u32,
    /// Payload, in bytes
    #[arg(long, default_value_t = 1_000)]
    payload: u64,
    /// Virtual users of k6 at the start; each has a connection of its own
    #[arg(long, default_value_t = 1)]
    vus: usize,
    /// What they may differ by on the gateway although it is more than chance, of what the built-in driver says.
    /// k6 takes four times the CPU, and the services share that with it
    #[arg(long, default_value_t = 0.25)]
    margin: f64,
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
    vus: usize,
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
            earlier: Earlier::default(),
            max_in_flight: cell.max_in_flight,
            timeout: Duration::from_nanos(TIMEOUT_NS),
            sampling,
            arrivals: Default::default(),
        };
        let target = Gateway::new(&self.connections, cell, &cell.id, number, sampling.weight());
        Ok(self.driver.begin(Arc::new(target), round, CancellationToken::new())?.finish().await)
    }

    async fn k6(&self, number: u32) -> Result<RoundMeasure> {
        let limits = Limits { timeout_ns: TIMEOUT_NS, preallocated: self.vus };
        let (halt, progress) = (CancellationToken::new(), &mut |_, _, _| ());
        let entry = self.gateway.into();
        let order = Order { entry: &entry, cell: &self.cell, number, limits };
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

/// Whether the gateway is where this part of a request's latency passes, all that it caused there included.
fn with_the_gateway(depth: usize, stage: Stage) -> bool {
    depth > 0 || SERVERS.contains(&stage)
}

/// Parts of a request's latency, by depth of the hop and stage, each the mean of a round in microseconds.
type Parts = BTreeMap<(usize, Stage), f64>;

/// Mean parts of one driver's requests in one round; `None` where it has none.
fn means(rows: &[RequestRow], client: &str, round: u32) -> Option<Parts> {
    let (mut parts, mut requests) = (Parts::new(), 0.0);
    for row in rows.iter().filter(|row| row.round == round) {
        if row.hops.first().is_none_or(|hop| !hop.hop.starts_with(client)) {
            continue;
        }
        requests += 1.0;
        for (depth, hop) in row.hops.iter().enumerate() {
            for &stage in Stage::ALL {
                let us = hop.stages.get(stage).ns as f64 / 1e3;
                *parts.entry((depth, stage)).or_default() += us;
            }
        }
    }
    parts.values_mut().for_each(|sum| *sum /= requests);
    (requests > 0.0).then_some(parts)
}

/// What of `parts` was, or was not, with the gateway, in microseconds.
fn sum(parts: &Parts, gateway: bool) -> f64 {
    let of = parts.iter().filter(|((depth, stage), _)| with_the_gateway(*depth, *stage) == gateway);
    of.map(|(_, us)| us).sum()
}

/// From a request's planned start to its call.
fn lag(parts: &Parts) -> f64 {
    parts.get(&(0, Stage::DriverLag)).copied().unwrap_or_default()
}

fn main() -> Result<()> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(compare(&Arguments::parse()))
}

async fn compare(arguments: &Arguments) -> Result<()> {
    let dir = tempfile::tempdir()?;
    drive(arguments, dir.path()).await?;
    let rows = RunFile::open(dir.path().join("run.sqlite")).await?.read_requests().await?;
    let mut pairs = Vec::new();
    for round in 0..arguments.pairs {
        let own = means(&rows, "driver→", round).context("no rows of the built-in driver")?;
        let other = means(&rows, "k6→", round).context("no rows of k6")?;
        pairs.push((own, other));
    }
    println!("Microseconds, means of {} rounds each (95 % interval):", pairs.len());
    println!("{:<30} {:>8} {:>8}   k6 less built-in", "", "built-in", "k6");
    for part in pairs[0].0.keys() {
        let row = Row::new(&pairs, |parts| parts[part]);
        if row.own.max(row.other) >= 1.0 {
            row.print(&format!("hop {} {}", part.0 + 1, part.1.name()));
        }
    }
    let gateway = Row::new(&pairs, |parts| sum(parts, true));
    gateway.print("with the gateway");
    Row::new(&pairs, |parts| sum(parts, false)).print("the drivers' own");
    // k6 does not tell how late it sent: what is of one call by both.
    let call = |parts: &Parts| sum(parts, true) + sum(parts, false) - lag(parts);
    let share = |parts: &Parts| 100.0 * sum(parts, true) / call(parts);
    Row::new(&pairs, share).print("gateway, % of the call");
    gateway.judge(arguments.margin)
}

/// What both drivers say of one thing.
struct Row {
    own: f64,
    other: f64,
    apart: f64,
    interval: (f64, f64),
}

impl Row {
    fn new(pairs: &[(Parts, Parts)], of: impl Fn(&Parts) -> f64) -> Row {
        let count = pairs.len() as f64;
        let own = pairs.iter().map(|(own, _)| of(own)).sum::<f64>() / count;
        let other = pairs.iter().map(|(_, other)| of(other)).sum::<f64>() / count;
        let apart: Vec<_> = pairs.iter().map(|(own, other)| of(other) - of(own)).collect();
        let (apart, interval) = Mean::of_alternating(&apart)
            .map_or((other - own, (f64::MIN, f64::MAX)), |mean| {
                (mean.value, mean.interval(Level::ALONE))
            });
        Row { own, other, apart, interval }
    }

    fn print(&self, name: &str) {
        let Row { own, other, apart, interval: (low, high) } = self;
        println!("{name:<30} {own:>8.1} {other:>8.1} {apart:>+8.1} ({low:+.1} to {high:+.1})");
    }

    /// Fails if the drivers surely differ by more than `margin` of what the built-in one says.
    fn judge(&self, margin: f64) -> Result<()> {
        let (low, high) = self.interval;
        let share = 100.0 * self.apart / self.own;
        if high - low > 2.0 * margin * self.own {
            println!(
                "Nothing can be said: the interval is wider than what is let pass. Take more pairs."
            );
            return Ok(());
        }
        if low <= 0.0 && 0.0 <= high {
            println!("They agree on the gateway: {share:+.1} % is within the interval.");
        } else if self.apart.abs() <= margin * self.own {
            let margin = 100.0 * margin;
            println!("They differ on the gateway by {share:+.1} %; {margin} % is let pass.");
        } else {
            anyhow::bail!("the drivers do not agree on the gateway: {share:+.1} %");
        }
        Ok(())
    }
}

/// Drives the cell by both in turn.
async fn drive(arguments: &Arguments, dir: &Path) -> Result<()> {
    let lab = Lab::start(arguments, dir).await?;
    for pair in 0..arguments.pairs {
        let (own, other) = if pair % 2 == 0 {
            let own = lab.bench.builtin(pair).await?;
            (own, lab.bench.k6(pair).await?)
        } else {
            let other = lab.bench.k6(pair).await?;
            (lab.bench.builtin(pair).await?, other)
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
    lab.stop().await
}

/// The bench and what stands behind it.
struct Lab {
    bench: Bench,
    probe: Probe,
    services: Services,
    sidecar: Part,
    control: Control,
}

impl Lab {
    async fn start(arguments: &Arguments, dir: &Path) -> Result<Lab> {
        let supervisor = supervisor(arguments, dir)?;
        let run_file = Absolute::new(dir.join("run.sqlite"))?;
        let collector = Collector {
            run: "drivers_agree",
            run_file: &run_file,
            store: None,
            spool: None,
            by_hand: false,
            join_window: None,
        };
        let (sidecar, control) = start_sidecar(&supervisor, collector).await?;
        let (otlp, knobs) = (sidecar.address("otlp")?, Knobs::default());
        let target = Target { otlp, listen: ANY_PORT, reached: &[], database_url: None };
        let services = start_services(&supervisor, &knobs, target).await?;
        let gateway = services.entry()?;
        let probe = Probe::start(ProbeConfig {
            service: lab_drive::builtin::SERVICE.to_owned(),
            otlp_endpoint: Some(format!("http://{otlp}")),
            enabled: true,
            ..ProbeConfig::default()
        })?;
        let nonce: std::sync::Arc<str> = control.open(&[]).await?.nonce.into();
        let connections = Connections::new(&probe, &gateway.into())?;
        let connections = connections.of_run(Some(nonce.clone()));
        let found =
            arguments.k6.clone().map_or_else(|| Tool::K6.find(), |named| Ok(Some(named)))?;
        let program = found.context("k6 is not on PATH")?;
        let version = Tool::K6.version(&program).await.unwrap_or_default();
        println!("k6: {}, {version}", program.display());
        let mut k6 = K6::new(program, Release::of(&version), dir.to_owned(), "drivers-agree");
        k6.otlp = Some(format!("http://{otlp}"));
        k6.nonce = Some(nonce);
        let cell = cell(arguments, knobs);
        let driver = Driver::start()?;
        let bench =
            Bench { supervisor, gateway, cell, driver, connections, k6, vus: arguments.vus };
        Ok(Lab { bench, probe, services, sidecar, control })
    }

    async fn stop(self) -> Result<()> {
        self.probe.shutdown().await;
        self.services.stop().await;
        self.control.flush(self.bench.k6.nonce.as_deref()).await?;
        self.sidecar.stop().await;
        Ok(())
    }
}

/// Starts processes of the lab's program; nobody here waits for one to die.
fn supervisor(arguments: &Arguments, dir: &Path) -> Result<Supervisor> {
    let beside = std::env::current_exe()?;
    let beside = beside.parent().and_then(Path::parent).context("a folder")?.join("run-lab");
    let program = arguments.run_lab.clone().unwrap_or(beside);
    anyhow::ensure!(program.exists(), "{} is not there: cargo build it first", program.display());
    Ok(Supervisor::new(program, dir.to_owned(), withheld))
}

fn cell(arguments: &Arguments, knobs: Knobs) -> Cell {
    Cell {
        id: "rest".to_owned(),
        protocol: Protocol::Rest,
        workload: workload::first(),
        payload_bytes: arguments.payload,
        rate: arguments.rate,
        duration_ns: arguments.seconds * 1_000_000_000,
        warmup_ns: 1_000_000_000,
        turn_ns: None,
        max_in_flight: 200,
        knobs,
        arm: None,
        arrivals: Default::default(),
        traces_per_second: lab_model::MAX_TRACES_PER_SECOND,
    }
}
