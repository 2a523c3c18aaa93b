//! A double of k6: takes the command line and the environment that `run-lab` gives k6, runs scripts, and answers as k6
//! does: JSON stream, summary, log (to a file or a Loki) and exit code.
//!
//! Any script of requests by HTTP/1.1 is run ([`engine`]); what k6 can do and the double cannot ends the run by its name, and
//! is never left out. What it says is held to what k6 2.2.0 said (`tests/recorded`). Of k6 itself there is no line in here.

mod arrivals;
mod call;
mod collector;
mod connection;
mod engine;
mod fault;
mod line;
mod load;
mod log;
mod loki;
mod loops;
mod metric;
mod options;
mod refused;
mod sink;
mod summary;
mod tags;
mod threshold;
mod time;
mod world;

use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::Arc;

use arrivals::Arrivals;
use call::{Call, Run};
use engine::{Outcome, Vu};
use fault::{Fault, Faults, Release};
use load::{Ended, Run as Scenario, Signals};
use log::Log;
use loops::Loops;
use options::{Executor, Options};
use refused::{Refused, code};
use threshold::Thresholds;
use world::World;

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
    let script = run.script.canonicalize().map_err(|error| {
        let path = run.script.display();
        let text =
            format!("The moduleSpecifier \"{path}\" couldn't be found on local disk: {error}");
        Refused::new(code::USAGE, text)
    })?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Refused::new(code::USAGE, error.to_string()))?;
    let world = Arc::new(World::new(script, variables, faults, log));
    runtime.block_on(carry_out(run, &world))
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

async fn carry_out(run: &Run, world: &Arc<World>) -> Result<u8, Refused> {
    // One more than those that iterate: what the script says outside of any scenario is said here.
    let (first, exports) = Vu::make(world, 0, &Default::default()).await?;
    let has = |function: &str| exports.functions.iter().any(|known| known == function);
    let (sets_up, tears_down) = (has("setup"), has("teardown"));
    let summarises = has("handleSummary");
    let options = Options::read(exports.options, &exports.functions)?;
    let thresholds = Arc::new(Thresholds::read(&options.thresholds, &world.metrics)?);
    let _api = listen(run, world.faults.release)?;
    let (collector, samples) =
        collector::start(run.json.as_deref(), Arc::clone(&thresholds), &world.faults)?;
    // Tags of the command line are in the place of the script's own.
    let told =
        if run.tags.is_empty() { options.tags.clone() } else { run.tags.iter().cloned().collect() };
    let (scenarios, trend) = (options.scenarios.clone(), options.trend.clone());
    world.begin(options, told, samples);
    let mut signals = Signals::listen();
    if sets_up {
        world.set_up(outside(&first, "setup", String::new()).await?);
    }
    let ended = load::run(world, scenarios, &mut signals, drive).await;
    let kept = !world.halt.is_cancelled();
    if tears_down && kept {
        outside(&first, "teardown", world.setup_data()).await?;
    }
    world.end();
    let collected = collector.stop();
    let ended = ended?;
    if let Some(error) = &collected.unwritten {
        world.log.error(&format!("Sample(s) couldn't be marshalled to JSON error=\"{error}\""), "");
    }
    let missed = thresholds.missed(&collected.sinks, ended.lasted);
    let new = world.faults.has(Fault::NewSummary);
    let data = summary::data(&collected.sinks, &thresholds, &trend, ended.lasted, new);
    if summarises && kept {
        summarise(&first, world, data.to_string()).await?;
    }
    if world.faults.has(Fault::Hang) {
        signals.second().await;
    }
    outcome(world, &ended, &missed)
}

/// Begins a scenario.
async fn drive(run: Arc<Scenario>, users: Vec<Vu>) {
    match run.course.scenario.executor {
        Executor::ArrivalRate { period, duration, max_vus, .. } => {
            arrivals::drive(run, users, Arrivals { period, duration, max_vus }).await;
        }
        Executor::ConstantVus { duration: most, .. } => {
            loops::drive(run, users, Loops { most, shared: None, each: None }).await;
        }
        Executor::Shared { iterations, most, .. } => {
            loops::drive(run, users, Loops { most, shared: Some(iterations), each: None }).await;
        }
        Executor::PerVu { iterations, most, .. } => {
            loops::drive(run, users, Loops { most, shared: None, each: Some(iterations) }).await;
        }
    }
}

/// Calls a function of the script outside of any scenario; what it answers, as JSON.
async fn outside(user: &Vu, function: &'static str, data: String) -> Result<String, Refused> {
    match user.call(function, data).await {
        Outcome::Over(answer) => Ok(answer),
        Outcome::Threw(text) => Err(Refused { code: code::SCRIPT, text, hint: "script exception" }),
        Outcome::Cut => Err(Refused::new(code::SCRIPT, format!("{function} was cut off"))),
    }
}

/// Has the script say how it was, and writes what it says to where it says.
async fn summarise(user: &Vu, world: &World, data: String) -> Result<(), Refused> {
    let answer = outside(user, "handleSummary", data).await?;
    let told: std::collections::BTreeMap<String, String> =
        serde_json::from_str(&answer).unwrap_or_default();
    for (place, text) in told {
        match place.as_str() {
            "stdout" => print!("{text}"),
            "stderr" => eprint!("{text}"),
            path => {
                if let Err(error) = std::fs::write(path, text) {
                    let text =
                        format!("failed to handle the end-of-test summary error=\"{error}\"");
                    world.log.error(&text, "");
                }
            }
        }
    }
    Ok(())
}

/// The exit code.
fn outcome(world: &World, ended: &Ended, missed: &[String]) -> Result<u8, Refused> {
    if let Some(stopped) = world.stopped() {
        return Err(stopped);
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
