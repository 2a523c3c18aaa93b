//! What the built-in driver costs: requests per CPU second against a fast server, the capacity of
//! its one thread, and its punctuality at half of it. If k6 is on PATH, k6 makes the same requests
//! of the same server in paired rounds (A B B A), and the ratio is printed.
//!
//! `cargo run --release --example driver_bench -- [--rate 2000] [--seconds 6] [--pairs 4]`

mod k6;
mod server;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use k6::K6;
use lab_contrast::{Level, Mean};
use lab_drive::builtin::{Connections, Driver, Earlier, Gateway, Round, SERVICE, Sampling};
use lab_drive::k6::Release;
use lab_launch::Tool;
use lab_model::{Cell, Knobs, MAX_TRACES_PER_SECOND, Protocol, RoundMeasure, workload};
use probe::{Probe, ProbeConfig};
use server::Server;
use tokio_util::sync::CancellationToken;

#[derive(Debug, Parser)]
struct Arguments {
    /// Rate at which CPU per request is measured, in requests per second
    #[arg(long, default_value_t = 2_000.0)]
    rate: f64,
    /// Length of a round, in seconds
    #[arg(long, default_value_t = 6)]
    seconds: u64,
    /// Pairs of rounds with k6
    #[arg(long, default_value_t = 4)]
    pairs: u32,
    /// Payload of the replies, in bytes
    #[arg(long, default_value_t = 10)]
    payload: u64,
    /// Be the server (the bench starts itself so)
    #[arg(long, hide = true)]
    serve: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    if arguments.serve {
        return runtime.block_on(server::serve(arguments.payload));
    }
    runtime.block_on(bench(&arguments))
}

/// The driver, connected as it is in a run.
struct Bench {
    driver: Driver,
    connections: Connections,
    payload: u64,
}

impl Bench {
    async fn round(&self, rate: f64, seconds: u64) -> Result<RoundMeasure> {
        let cell = Cell {
            workload: workload::first(),
            id: "bench".to_owned(),
            protocol: Protocol::Rest,
            payload_bytes: self.payload,
            rate,
            duration_ns: seconds * 1_000_000_000,
            warmup_ns: 500_000_000,
            turn_ns: None,
            max_in_flight: 200,
            knobs: Knobs::default(),
            arm: None,
            arrivals: Default::default(),
            traces_per_second: lab_model::MAX_TRACES_PER_SECOND,
        };
        let sampling = Sampling::at_most(MAX_TRACES_PER_SECOND, rate);
        let round = Round {
            number: 0,
            rate,
            warmup_ns: cell.warmup_ns,
            duration_ns: cell.duration_ns,
            earlier: Earlier::default(),
            max_in_flight: cell.max_in_flight,
            timeout: Duration::from_secs(10),
            sampling,
            arrivals: Default::default(),
        };
        let target = Gateway::new(&self.connections, &cell, &cell.id, 0, sampling.weight());
        let running = self.driver.begin(Arc::new(target), round, CancellationToken::new())?;
        Ok(running.finish().await)
    }

    /// Requests per CPU second at `rate`.
    async fn economy(&self, rate: f64, seconds: u64) -> Result<f64> {
        let measured = self.round(rate, seconds).await?;
        let ok = measured.requests.ok;
        anyhow::ensure!(ok == measured.requests.planned, "not all answered: {:?}", measured.errors);
        Ok(per_cpu_second(&measured))
    }

    /// The highest rate, in steps of a quarter, at which every request is sent and none is late.
    async fn capacity(&self) -> Result<f64> {
        let (mut best, mut rate) = (0.0, 2_000.0);
        loop {
            let measured = self.round(rate, 1).await?;
            let requests = measured.requests;
            let late = requests.late.unwrap_or_default();
            let p99 = measured.send_delay.value_at_quantile(0.99);
            println!(
                "  {rate:>7.0}/s: {} of {} ok, {} late, send delay p99 {} us, {:.0} requests per CPU second",
                requests.ok,
                requests.planned,
                late,
                p99 / 1_000,
                per_cpu_second(&measured)
            );
            if requests.ok < requests.planned || late * 100 > requests.started {
                return Ok(best);
            }
            best = rate;
            rate *= 1.25;
        }
    }
}

fn per_cpu_second(measured: &RoundMeasure) -> f64 {
    measured.requests.ok as f64 / (measured.driver_cpu_ns as f64 / 1e9)
}

async fn bench(arguments: &Arguments) -> Result<()> {
    let server = Server::start(arguments.payload)?;
    let probe = Probe::start(ProbeConfig {
        service: SERVICE.to_owned(),
        enabled: true,
        ..ProbeConfig::default()
    })?;
    let connections = Connections::new(&probe, &server.address.into())?;
    let bench = Bench { driver: Driver::start()?, connections, payload: arguments.payload };
    let (rate, seconds) = (arguments.rate, arguments.seconds);
    println!(
        "payload {} B, server in a process of its own, tap on, traces at most 200/s",
        arguments.payload
    );
    match Tool::K6.find()? {
        Some(path) => {
            let release = Release::of(&Tool::K6.version(&path).await.unwrap_or_default());
            let k6 = K6 { program: path, release, address: server.address, rate, seconds };
            compare(&bench, &k6, &server, arguments).await?;
        }
        None => {
            println!("k6 is not on PATH: the driver alone");
            for _ in 0..arguments.pairs {
                println!(
                    "  {rate}/s: {:.0} requests per CPU second",
                    bench.economy(rate, seconds).await?
                );
            }
        }
    }
    println!("capacity");
    let capacity = bench.capacity().await?;
    let half = bench.round(capacity / 2.0, seconds).await?;
    let p99 = half.send_delay.value_at_quantile(0.99);
    println!(
        "capacity {capacity:.0} requests/s; at half of it: send delay p99 {} us, {} late of {}, {:.0} requests per CPU second",
        p99 / 1_000,
        half.requests.late.unwrap_or_default(),
        half.requests.started,
        per_cpu_second(&half)
    );
    Ok(())
}

async fn compare(bench: &Bench, k6: &K6, server: &Server, arguments: &Arguments) -> Result<()> {
    let mut ratios = Vec::new();
    for pair in 0..arguments.pairs {
        let (own, other) = if pair % 2 == 0 {
            let own = bench.economy(arguments.rate, arguments.seconds).await?;
            (own, k6.economy(server).await.context("k6")?)
        } else {
            let other = k6.economy(server).await.context("k6")?;
            (bench.economy(arguments.rate, arguments.seconds).await?, other)
        };
        println!(
            "  {}/s: driver {own:.0}, k6 {other:.0} requests per CPU second: {:.2}x",
            arguments.rate,
            own / other
        );
        ratios.push(own / other);
    }
    if let Some(mean) = Mean::of(&ratios) {
        let (low, high) = mean.interval(Level::ALONE);
        let mean = mean.value;
        println!("driver over k6: {mean:.2}x (95 % interval {low:.2} to {high:.2})");
    }
    Ok(())
}
