//! `run-lab certify`: what measuring costs, on a list of cells.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;

use super::factors::ProtocolChoice;
use super::{Exit, Failure, terminal};
use crate::progress;
use crate::run::{Certified, Interrupt, certify_cells};
use lab_model::plan::{Certification, DURATIONS, PAIRS, Payload, Rate, Span};
use lab_supervise::Absolute;

/// What the help says after the options.
pub(super) const AFTER: &str = "\
An experiment of two arms: gateway and echo with probes on (the tap on every connection always,
spans for some requests), and with probes off. Both get the same load in turn, in the order on off,
off on, on off, ..., and start anew for each round. What is compared is the CPU time that they used
for a request, and its latency by the load generator's stopwatch. A ratio of 1.02 says that
measuring took 2 % more. The interval is Student's t over the pairs, after what the order of the
rounds does (a machine that drifts) has been taken out; docs/reference.md says how.

The rate must be one that the machine keeps up with, or the CPU per request is that of a queue.
Defaults suit two cores: 1000/s up to 10 kB, 500/s up to 100 kB, 100/s up to 1 MB, 100 MB/s of
payload above. A pair in which a request was dropped or failed is left out; a cell of which fewer
than two pairs are left is given up with the reason.

A pair takes two rounds, each with 0.5 s to warm up and 0.75 s for spans to be sent. The default
list takes about 10 minutes.
Use a release build, and leave the machine alone meanwhile.

Examples:
  run-lab certify                                           every payload, both protocols
  run-lab certify --protocol grpc --size 1kB --pairs 20     one cell, a narrower interval
  run-lab certify --size 10 --traces-per-second 1000        with every request traced
  run-lab certify --out costs.json

Exit codes:
  0    every cell was measured
  1    a cell could not be measured, or something else went wrong
  2    the command line is wrong
  5    a part did not start, or died
  130  interrupted (once: stop and tell what was measured; twice: stop at once)";

/// The cells, and how to measure them.
#[derive(Debug, Args)]
pub(super) struct CertifyArgs {
    /// Protocols of the inner hop
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        value_name = "LIST",
        default_value = "rest,grpc"
    )]
    protocol: Vec<ProtocolChoice>,
    /// Payloads, up to 16777216 bytes
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "LIST",
        default_value = "10,100,1kB,10kB,100kB,1MB"
    )]
    size: Vec<Payload>,
    /// Requests per second, for every cell [default: by payload, see below]
    #[arg(long, value_name = "N")]
    rate: Option<Rate>,
    /// Pairs of rounds for each cell
    #[arg(long, value_name = "N", default_value_t = 10,
          value_parser = clap::value_parser!(u32).range(PAIRS.0 as i64..=PAIRS.1 as i64))]
    pairs: u32,
    /// Measured time of each round, from 100ms
    #[arg(long, value_name = "DURATION", default_value = "1s")]
    round: Span,
    /// Requests traced per second at most, chosen at random; the tap is on for all of them
    #[arg(long, value_name = "N", default_value = "200")]
    traces_per_second: Rate,
    /// Also write the numbers as JSON to this file; it must not exist
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print the numbers as JSON
    #[arg(long)]
    json: bool,
}

/// Measures, tells, and writes what was found.
pub(super) async fn certify(arguments: CertifyArgs) -> Result<Exit, Failure> {
    let (low, high) = DURATIONS;
    if !(low..=high).contains(&arguments.round.0) {
        return Err(Failure::usage(format!(
            "--round {}: outside its limits, {} to {}",
            arguments.round,
            Span(low),
            Span(high)
        )));
    }
    if let Some(out) = &arguments.out {
        writable(out)?;
    }
    let cells = Certification {
        protocols: arguments.protocol.iter().map(|&choice| choice.into()).collect(),
        payloads: arguments.size.iter().map(|size| size.0).collect(),
        rate: arguments.rate.map(|rate| rate.0),
        pairs: arguments.pairs,
        round_ns: arguments.round.0,
        traces_per_second: arguments.traces_per_second.0,
    }
    .cells();
    let other = |error: std::io::Error| Failure::other(error.into());
    let executable = std::env::current_exe().map_err(other)?;
    let dir = tempfile::Builder::new().prefix("run-lab-certify-").tempdir().map_err(other)?;
    let folder = Absolute::new(dir.path()).map_err(other)?;
    let interrupt = Interrupt::listen().map_err(other)?;
    let command = crate::run::this_command();
    let mut reporter = progress::reporter(terminal::verbosity());
    let done =
        certify_cells(&cells, command, &folder, &executable, reporter.as_mut(), &interrupt).await;
    if done.as_ref().map_or(true, |certified| certified.failure.is_some()) {
        // The error names logs in it.
        let _ = dir.keep();
    }
    publish(done?, arguments.out.as_deref(), arguments.json)
}

/// Prints and writes what was measured, and settles the exit code.
fn publish(certified: Certified, out: Option<&Path>, json: bool) -> Result<Exit, Failure> {
    let Certified { costs, failure, interrupted } = certified;
    let told = if json { lab_report::costs_json(&costs) } else { lab_report::costs(&costs) };
    terminal::print(told)?;
    if let Some(out) = out {
        write_new(out, &lab_report::costs_json(&costs)).map_err(|error| {
            Failure::other(anyhow::anyhow!("--out {}: cannot write it: {error}", out.display()))
        })?;
    }
    if let Some(error) = failure {
        return Err(error.into());
    }
    if interrupted {
        return Ok(Exit::Interrupted);
    }
    Ok(if costs.not_measured.is_empty() { Exit::Done } else { Exit::Other })
}

/// Refuses before minutes have passed what could not be written after them.
fn writable(out: &Path) -> Result<(), Failure> {
    if out.exists() {
        return Err(Failure::usage(format!(
            "--out {}: it exists already and is never written over, so name a new file",
            out.display()
        )));
    }
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        Some(folder) if !folder.is_dir() => Err(Failure::usage(format!(
            "--out {}: there is no folder {}",
            out.display(),
            folder.display()
        ))),
        _ => Ok(()),
    }
}

fn write_new(path: &Path, text: &str) -> std::io::Result<()> {
    std::fs::File::create_new(path)?.write_all(text.as_bytes())
}
