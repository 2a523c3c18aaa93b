//! What a relay costs beside socat: requests of 1 kB by HTTP/1.1 on connections that are kept, direct, through socat and
//! through our relay, in turn (A B B A). Printed are the latency that each adds at p50 and the CPU that it takes for a
//! request, as /proc tells it, each with a 95 % interval.
//!
//! `cargo run --release -p relay --example beside_socat -- [--pairs 8] [--seconds 2] [--connections 1,8] [--bytes 1000]`
//!
//! Without socat (`apt-get install socat`) ours is measured alone. Client and server are threads of this program, which
//! do as little as can be done; each forwarder is a process of its own, started anew for each round.

mod forwarder;
mod load;
mod spans;
mod table;

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, Subcommand};
use forwarder::{Forwarder, Path, Used};
use load::{Load, Server};
use relay::RelayConfig;
use spans::Sink;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Debug, Parser)]
struct Arguments {
    /// Pairs of rounds: half of them run the paths forward, half backward
    #[arg(long, default_value_t = 8)]
    pairs: u32,
    /// Measured time of a round, in seconds
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Connections, each with one request after another
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8])]
    connections: Vec<usize>,
    /// Bytes of the body, of request and reply
    #[arg(long, default_value_t = 1_000)]
    bytes: usize,
    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// Be the relay (this program starts itself so)
    #[command(hide = true)]
    Relay(RelayConfig),
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    match arguments.part {
        Some(Part::Relay(config)) => be_the_relay(config),
        None => bench(&arguments),
    }
}

/// As `run-lab relay` does; what it did is told on standard output.
fn be_the_relay(config: RelayConfig) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let did = runtime.block_on(async {
        let mut asked = signal(SignalKind::terminate())?;
        let stop = async { _ = asked.recv().await };
        Ok::<_, anyhow::Error>(relay::run(config, stop).await?)
    })?;
    println!("{} {} {} {}", did.requests, did.sampled, did.unmatched, did.lost);
    Ok(())
}

/// A round by one path.
#[derive(Debug, Clone, Copy)]
struct Round {
    requests: u64,
    /// Requests a second.
    rate: f64,
    p50_ns: u64,
    /// What the forwarder used.
    used: Used,
}

fn bench(arguments: &Arguments) -> Result<()> {
    ensure!(arguments.pairs >= 2, "an interval takes two pairs");
    let server = Server::start(arguments.bytes)?;
    let sink = Sink::start()?;
    let socat = forwarder::socat();
    let paths: Vec<Path> =
        Path::ALL.into_iter().filter(|path| socat || *path != Path::Socat).collect();
    if !socat {
        println!("socat is not on PATH (apt-get install socat): ours alone\n");
    }
    for &connections in &arguments.connections {
        let mut rounds: Vec<Vec<Round>> = vec![Vec::new(); paths.len()];
        for pair in 0..arguments.pairs {
            let mut order: Vec<usize> = (0..paths.len()).collect();
            if pair % 2 == 1 {
                order.reverse();
            }
            for index in order {
                let path = paths[index];
                let measured = round(path, &server, &sink, connections, arguments)
                    .with_context(|| format!("{path}, {connections} connections"))?;
                rounds[index].push(measured);
            }
        }
        table::print(&paths, &rounds, connections, arguments.bytes);
    }
    println!("spans taken by their receiver: {} bytes in {} exports", sink.bytes(), sink.exports());
    Ok(())
}

/// One round, by a forwarder that is started for it.
fn round(
    path: Path,
    server: &Server,
    sink: &Sink,
    connections: usize,
    arguments: &Arguments,
) -> Result<Round> {
    let forwarder = Forwarder::start(path, server.address, sink.address)?;
    let address: SocketAddr = forwarder.address;
    let load =
        Load { address, connections, bytes: arguments.bytes, sampled: path == Path::Sampled };
    let mut before = None;
    let mut used = None;
    let measured = load.run(arguments.seconds, |end| {
        let now = forwarder.used()?;
        if end {
            used = Some(now)
        } else {
            before = Some(now)
        }
        Ok(())
    })?;
    forwarder.stop(measured.requests)?;
    let (before, used) = (before.context("no beginning")?, used.context("no end")?);
    Ok(Round {
        requests: measured.requests_in_time,
        rate: measured.requests_in_time as f64 / measured.seconds,
        p50_ns: measured.p50_ns,
        used: used.since(before),
    })
}
