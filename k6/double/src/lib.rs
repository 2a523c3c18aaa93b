//! A double of k6: takes the command line and the environment that `run-lab` gives k6, makes the requests of the
//! scripts in `k6/`, and answers as k6 does: JSON stream, summary, log (to a file or a Loki) and exit code.
//!
//! It runs no JavaScript: what the scripts do is written down here once more, and a script
//! that is not as in the repository is refused. What it says is held to what k6 2.2.0 said (`tests/recorded`).
//! Of k6 itself there is no line in here.

mod arrivals;
mod call;
mod collector;
mod connection;
mod fault;
mod iteration;
mod line;
mod log;
mod loki;
mod metric;
mod question;
mod refused;
mod requests;
mod script;
mod sink;
mod summary;
mod threshold;
mod time;

use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::Arc;

use call::{Call, Run};
use fault::{Fault, Faults, Release};
use log::Log;
use refused::{Refused, code};
use script::Options;
use threshold::Thresholds;

/// Where k6 1.x listens if nobody says otherwise.
const API: &str = "localhost:6565";

/// The program: reads its command line and environment, and runs to its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let faults = Faults::read(&std::env::var(fault::VARIABLE).unwrap_or_default());
    let arguments: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let (log, code) = match call::parse(&arguments, faults.release) {
        Ok(Call::Version) => {
            println!("k6 v{} (a double of k6 for tests, linux/amd64)", faults.release.number());
            (Arc::default(), Ok(0))
        }
        Ok(Call::Run(run)) => match Log::open(&run.log) {
            Ok(log) => {
                let log = Arc::new(log);
                let code = begin(&run, &faults, &log);
                (log, code)
            }
            Err(refused) => (Arc::default(), Err(refused)),
        },
        Err(refused) => (Arc::default(), Err(refused)),
    };
    let code = code.unwrap_or_else(|refused: Refused| {
        log.error(&refused.text, refused.hint);
        refused.code
    });
    log.drain();
    ExitCode::from(code)
}

/// Reads what the script and its options ask for, and runs it.
fn begin(run: &Run, faults: &Faults, log: &Arc<Log>) -> Result<u8, Refused> {
    let mut variables: std::collections::BTreeMap<String, String> = std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into(), value.to_string_lossy().into()))
        .collect();
    call::refuse_overrides(&variables, &run.config)?;
    variables.extend(run.env.iter().cloned());
    let options = Options::read(&run.script, &variables)?;
    let thresholds = Thresholds::read(&options.thresholds)?;
    let _api = listen(run, faults.release)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Refused::new(code::USAGE, error.to_string()))?;
    runtime.block_on(carry_out(run, options, thresholds, faults, log))
}

/// The REST API's address: always taken by 1.x, by 2.x only if it is named. Nothing is answered there.
fn listen(run: &Run, release: Release) -> Result<Option<TcpListener>, Refused> {
    let asked = run.address.as_deref();
    let Some(address) = asked.or((release == Release::One).then_some(API)) else {
        return Ok(None);
    };
    match TcpListener::bind(address) {
        Ok(listener) => Ok(Some(listener)),
        // Only who named it wants to know.
        Err(_) if asked.is_none() => Ok(None),
        Err(error) => {
            let text = format!("Error from API server error=\"listen tcp {address}: {error}\"");
            Err(Refused::new(code::NO_API, text))
        }
    }
}

async fn carry_out(
    run: &Run,
    options: Options,
    thresholds: Thresholds,
    faults: &Faults,
    log: &Arc<Log>,
) -> Result<u8, Refused> {
    let (collector, samples) = collector::start(run.json.as_deref(), &thresholds, faults)?;
    let summary = options.summary.clone();
    let load = arrivals::Load::new(options, &run.tags, samples, faults, Arc::clone(log));
    let ended = load.run(log).await;
    let collected = collector.stop();
    if let Some(error) = &collected.unwritten {
        log.error(&format!("Sample(s) couldn't be marshalled to JSON error=\"{error}\""), "");
    }
    let missed = thresholds.missed(&collected.sinks, ended.lasted);
    let data =
        summary::data(&collected.sinks, &thresholds, ended.lasted, faults.has(Fault::NewSummary));
    print!("{}", summary::said(&data));
    if let Some(path) = summary
        && let Err(error) = std::fs::write(&path, data.to_string())
    {
        log.error(&format!("failed to handle the end-of-test summary error=\"{error}\""), "");
    }
    if faults.has(Fault::Hang) {
        ended.signals.second().await;
    }
    if let Some(signal) = ended.signal {
        let text = format!("test run was aborted because k6 received a '{signal}' signal");
        return Err(Refused::new(code::ABORTED, text));
    }
    if !missed.is_empty() {
        let text = format!("thresholds on metrics '{}' have been crossed", missed.join(", "));
        return Err(Refused::new(code::THRESHOLDS, text));
    }
    Ok(0)
}
