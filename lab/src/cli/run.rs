//! `run-lab run`: from arguments to an order, and from its outcome to reports and an exit code.

use std::io;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use toml::{Table, Value};

use super::{Exit, Failure, terminal};
use crate::launch::Tool;
use crate::model::{Component, Protocol};
use crate::plan::{self, BUILT_IN, Overrides, Payload, Plan, Rate, Span};
use crate::progress;
use crate::report::{self, REPORT_HTML};
use crate::result;
use crate::run::{Interrupt, Order, Outcome, Utc, carry_out};
use crate::verdict::Status;

/// Runs of one plan that may start in one second.
const MOST_AT_ONCE: u32 = 100;

/// What to run, and what to change in it.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// A built-in plan (see `run-lab plans`) or a TOML file
    #[arg(long, value_name = "NAME|FILE", default_value = BUILT_IN[0].0)]
    plan: String,
    /// Folder for the results; it must not exist [default: lab-runs/PLAN-TIME]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// What makes the load
    #[arg(long, value_enum, default_value = "auto")]
    driver: DriverChoice,
    /// Real parts to insist on, instead of what stands in for them
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LIST")]
    require: Vec<Tool>,
    /// Run these protocols only
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LIST")]
    protocol: Vec<ProtocolChoice>,
    /// Declare these payloads instead, up to 16777216 bytes
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    size: Vec<Payload>,
    /// Offer these rates instead, in requests per second
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    rate: Vec<Rate>,
    /// Measured time of each round instead
    #[arg(long, value_name = "DURATION")]
    duration: Option<Span>,
    /// Time before each round that is not counted, instead
    #[arg(long, value_name = "DURATION")]
    warmup: Option<Span>,
    /// Repetitions of each cell instead
    #[arg(long, value_name = "N")]
    rounds: Option<u32>,
    /// Inject delays, e.g. handler=5ms (by the gateway), echo:reply_encode=1ms, driver:request_encode=1ms
    #[arg(long, value_name = "STAGE=DURATION", value_delimiter = ',')]
    inject: Vec<String>,
    /// Set a knob of the services in every cell (repeatable), e.g. stream_window=64KiB
    #[arg(long, value_name = "KNOB=VALUE")]
    set: Vec<String>,
    /// Leave out the certification of the probe's cost
    #[arg(long)]
    no_certify: bool,
}

/// Load generators to choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DriverChoice {
    /// The best there is: in this version, the built-in one
    Auto,
    /// The built-in open-loop driver
    Builtin,
    /// k6
    K6,
}

/// Protocols to choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ProtocolChoice {
    /// JSON over HTTP/1.1
    Rest,
    /// Protobuf over HTTP/2
    Grpc,
}

impl From<ProtocolChoice> for Protocol {
    fn from(choice: ProtocolChoice) -> Protocol {
        match choice {
            ProtocolChoice::Rest => Protocol::Rest,
            ProtocolChoice::Grpc => Protocol::Grpc,
        }
    }
}

/// Carries out a plan and reports on it.
pub(super) async fn run(arguments: RunArgs) -> Result<Exit, Failure> {
    available(&arguments)?;
    let plan = plan::load(&arguments.plan, &overrides(&arguments)?)?;
    let executable = std::env::current_exe().map_err(|error| Failure::other(error.into()))?;
    let run_id = format!("{}-{}", plan.name, Utc::now().compact());
    let (run_id, out) = match arguments.out {
        Some(out) => (run_id, new_folder(out)?),
        None => own_folder(&run_id)?,
    };
    let interrupt = Interrupt::listen().map_err(|error| Failure::other(error.into()))?;
    let order = Order {
        components: components(&plan),
        plan,
        out: out.clone(),
        run_id,
        command: std::env::args().collect::<Vec<_>>().join(" "),
        executable,
    };
    let outcome = carry_out(order, progress::reporter().as_mut(), &interrupt).await?;
    publish(out, outcome)
}

/// Writes and prints the reports, and settles the exit code.
fn publish(out: PathBuf, outcome: Outcome) -> Result<Exit, Failure> {
    let result = result::build(&outcome.measure, &outcome.requests, &outcome.samples);
    let written = report::write_all(&out, &result).map_err(|error| Failure::other(error.into()));
    // Shown even if it could not be written: it is all that is left of the run then.
    let shown = terminal::print(report::terminal(&result, terminal::width(), terminal::colour()));
    if written.is_ok() {
        let _ = terminal::print(format_args!("\nreport: {}\n", out.join(REPORT_HTML).display()));
    }
    if let Some(error) = outcome.failure {
        // What ended the run settles the exit code, and comes last.
        if let Err(unwritten) = written {
            terminal::complain(&unwritten.error);
        }
        return Err(error.into());
    }
    written.and(shown)?;
    if outcome.interrupted {
        return Ok(Exit::Interrupted);
    }
    let invalid = result.cells.iter().any(|cell| cell.verdict.status == Status::Invalid);
    Ok(if invalid { Exit::Invalid } else { Exit::Done })
}

/// Refuses what this version cannot do yet.
fn available(arguments: &RunArgs) -> Result<(), Failure> {
    let mut required = arguments.require.clone();
    if arguments.driver == DriverChoice::K6 {
        required.push(Tool::K6);
    }
    let Some(tool) = required.first() else {
        return Ok(());
    };
    let (stand_in, _) = tool.stand_in();
    let found = match tool.find() {
        Some(path) => format!(
            "{} is at {}, but run-lab {}",
            tool.name(),
            path.display(),
            env!("CARGO_PKG_VERSION")
        ),
        None => {
            format!("{} is not on PATH, and run-lab {}", tool.name(), env!("CARGO_PKG_VERSION"))
        }
    };
    Err(Failure::missing(format!(
        "{found} cannot use it yet; leave the requirement out to run with what stands in for it ({stand_in})"
    )))
}

/// Makes a folder for a run that names none. Two of one plan may start in the same second: the later
/// one adds a number to its name.
pub(super) fn own_folder(run_id: &str) -> Result<(String, PathBuf), Failure> {
    let (mut name, mut number) = (run_id.to_owned(), 1);
    loop {
        let out = PathBuf::from("lab-runs").join(&name);
        match new_folder(out.clone()) {
            Err(_) if out.is_dir() && number < MOST_AT_ONCE => number += 1,
            made => return made.map(|out| (name, out)),
        }
        name = format!("{run_id}-{number}");
    }
}

/// Makes the folder of a run, which must not exist.
pub(super) fn new_folder(out: PathBuf) -> Result<PathBuf, Failure> {
    let made = match out.parent() {
        Some(parent) => std::fs::create_dir_all(parent).and_then(|()| std::fs::create_dir(&out)),
        None => Err(io::Error::from(io::ErrorKind::AlreadyExists)),
    };
    match made {
        Ok(()) => Ok(out),
        // A parent that is a file answers so too.
        Err(_) if out.symlink_metadata().is_ok() => Err(Failure::usage(format!(
            "--out {}: it exists already; a run never writes over another, so name a new folder",
            out.display()
        ))),
        Err(error) => {
            Err(Failure::usage(format!("--out {}: cannot make the folder: {error}", out.display())))
        }
    }
}

fn overrides(arguments: &RunArgs) -> Result<Overrides, Failure> {
    Ok(Overrides {
        protocols: arguments.protocol.iter().map(|&choice| choice.into()).collect(),
        payloads: arguments.size.iter().map(|size| size.0).collect(),
        rates: arguments.rate.iter().map(|rate| rate.0).collect(),
        duration_ns: arguments.duration.map(|span| span.0),
        warmup_ns: arguments.warmup.map(|span| span.0),
        rounds: arguments.rounds,
        knobs: overlay_settings(&arguments.set, &arguments.inject)?,
        no_certify: arguments.no_certify,
    })
}

/// The settings that `--set` and `--inject` spell out.
pub(super) fn overlay_settings(set: &[String], inject: &[String]) -> Result<Table, Failure> {
    let mut settings = Table::new();
    for text in set {
        let (knob, value) = plan::assignment(text)
            .map_err(|error| Failure::usage(format!("--set {text}: {error}")))?;
        if settings.insert(knob.clone(), value).is_some() {
            return Err(Failure::usage(format!("--set {text}: {knob} is set twice")));
        }
    }
    let mut delays = Table::new();
    for text in inject {
        let (place, delay) =
            plan::injection(text).map_err(|error| Failure::usage(format!("--inject: {error}")))?;
        if delays.insert(place.clone(), delay).is_some() {
            let twice = format!("--inject {text}: a delay into {place} is asked for twice");
            return Err(Failure::usage(twice));
        }
    }
    if !delays.is_empty() {
        settings.insert("inject".to_owned(), Value::Table(delays));
    }
    // Refused now, the error names the option; refused with the plan, it would name the plan's file.
    plan::read_knobs(&settings)
        .map_err(|error| Failure::usage(format!("--set or --inject: {error}")))?;
    Ok(settings)
}

/// The parts of a run: what stands in for the real ones, and the lab's own.
fn components(plan: &Plan) -> Vec<Component> {
    let own = ["gateway", "echo", "sidecar"].map(|name| Component {
        role: name.to_owned(),
        name: format!("run-lab {name}"),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        address: None,
        real: true,
        note: String::new(),
    });
    let mut components: Vec<Component> = Tool::ALL.map(Tool::component).into();
    components.extend(own);
    let double = plan.cells.iter().filter(|cell| cell.knobs.rest_size_bug.is_some()).count();
    if let Some(gateway) = components.iter_mut().find(|part| part.role == "gateway" && double > 0) {
        gateway.note = format!("in {double} cells a double that sends a wrong size by REST");
    }
    components
}
