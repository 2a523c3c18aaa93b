//! `run-lab run`: from arguments to an order, and from its outcome to reports and an exit code.

use std::path::PathBuf;

use clap::{Args, ValueEnum as _, ValueHint};

use super::attach::{self, AttachArgs, NOT_STARTED};
use super::bundle::Bundle;
use super::factors::{FactorArgs, RESULTS};
use super::order::{DriverChoice, Ground, RealParts, components, leave_out_database};
use super::{Exit, Failure, terminal};
use crate::progress;
use crate::run::{Attachment, Interrupt, Order, Outcome, Pins, boards, carry_out};
use lab_drive::k6;
use lab_launch::{Inventory, Tool};
use lab_model::plan::{BUILT_IN, Overrides, Plan};
use lab_model::{Capability, Status, System};
use lab_report::REPORT_HTML;
use lab_supervise::Absolute;

/// What to run, and what to change in it.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// A built-in plan (see `run-lab plans`) or a TOML file
    #[arg(long, value_name = "NAME|FILE", default_value = BUILT_IN[0].0, value_hint = ValueHint::FilePath)]
    plan: String,
    /// Folder for the results; it must not exist [default: lab-runs/PLAN-TIME]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, help_heading = RESULTS)]
    out: Option<PathBuf>,
    /// Repeat the run in this folder, from the bundle in it: plan, factors, load generator; says what differs here
    #[arg(long, value_name = "RUN_DIR", value_hint = ValueHint::DirPath,
          conflicts_with_all = ["plan", "driver", "thresholds", "no_certify"])]
    like: Option<PathBuf>,
    /// Run this script of your own by k6 instead of a plan: one process of k6 is one round (--rounds repeats it), and the
    /// script decides what it asks, how often, and against which thresholds. Requests are in the ledger if the script
    /// imports hoplab.js. The variable TARGET tells the script where the system is
    #[arg(long, value_name = "FILE", conflicts_with_all = ["plan", "like", "thresholds", "no_certify", "protocol", "size",
          "rate", "duration", "warmup", "until", "inject", "set", "arrivals", "concurrency", "traces_per_second"])]
    script: Option<PathBuf>,
    /// What makes the load
    #[arg(long, value_enum, default_value = "auto")]
    driver: DriverChoice,
    /// Thresholds that k6 holds each round to, as JSON in the form that k6 has for them, e.g. '{"http_req_duration": ["p(99)<100"]}'
    #[arg(long, value_name = "JSON", value_parser = parse_thresholds)]
    thresholds: Option<String>,
    /// Have k6 write its own points to InfluxDB too: some 17 for each request, and no board reads them
    #[arg(long)]
    k6_influxdb: bool,
    #[command(flatten)]
    attach: AttachArgs,
    #[command(flatten)]
    real: RealParts,
    #[command(flatten)]
    factors: FactorArgs,
    /// Leave out the certification of the probe's cost
    #[arg(long, help_heading = RESULTS)]
    no_certify: bool,
    /// Print the result as JSON instead: what result.json holds
    #[arg(long, help_heading = RESULTS)]
    json: bool,
}

/// Whether a metric has these thresholds is for k6 to say.
fn parse_thresholds(text: &str) -> Result<String, String> {
    let example = r#"{"http_req_duration": ["p(99)<100"]}"#;
    match serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("not a JSON object such as {example}: {error}")),
    }
}

/// What the arguments ask for, or the run that they name.
fn asked(mut arguments: RunArgs) -> Result<(Bundle, RunArgs), Failure> {
    let Some(like) = arguments.like.take() else {
        let overrides =
            Overrides { no_certify: arguments.no_certify, ..arguments.factors.overrides()? };
        let mut bundle = Bundle::new(&arguments.plan, overrides)?;
        bundle.driver = arguments.driver;
        bundle.thresholds.clone_from(&arguments.thresholds);
        bundle.pins = arguments.factors.pinned();
        bundle.target = arguments.attach.target();
        return Ok((bundle, arguments));
    };
    if !arguments.factors.overrides()?.eq(&Overrides::default()) {
        return Err(Failure::usage(
            "--like repeats a run as it was: leave out what would change it",
        ));
    }
    let (bundle, others) = Bundle::read(&like)?;
    if bundle.target != arguments.attach.target() {
        let there = bundle.target.as_deref().unwrap_or("the lab's own services");
        return Err(Failure::usage(format!(
            "--like {}: that run was of {there}: another system is another run (--target, --sidecar)",
            like.display()
        )));
    }
    for other in others {
        terminal::warn(&format!("not as in {}: {other}", like.display()));
    }
    arguments.driver = bundle.driver;
    arguments.thresholds.clone_from(&bundle.thresholds);
    if arguments.factors.pinned().is_empty() {
        arguments.factors.pin(&bundle.pins)?;
    }
    Ok((bundle, arguments))
}

/// Where the script is, if it is there.
fn script_at(path: PathBuf) -> Result<Absolute, Failure> {
    let found = std::fs::metadata(&path).and_then(|_| Absolute::new(&path));
    found.map_err(|error| Failure::usage(format!("--script {}: {error}", path.display())))
}

/// The real parts that the run uses: none but a load generator where the system runs already.
async fn parts(
    arguments: &mut RunArgs,
    plan: &Plan,
    system: &System,
) -> Result<Inventory, Failure> {
    let by_k6 = k6::plan(plan.clone());
    let unable = by_k6.cells.iter().find_map(|cell| k6::check(cell).err());
    let real = std::mem::take(&mut arguments.real);
    let (more, less): (&[Tool], &[Tool]) = match (arguments.driver, &unable) {
        (DriverChoice::K6, Some(error)) => return Err(Failure::usage(error)),
        (_, Some(error)) if real.requires(Tool::K6) => return Err(Failure::usage(error)),
        (DriverChoice::Builtin, None) if plan.cells.is_empty() => {
            return Err(Failure::usage("--script is k6's: leave --driver builtin out"));
        }
        (DriverChoice::Auto, None) if plan.cells.is_empty() => (&[Tool::K6], &[]),
        (DriverChoice::K6, None) => (&[Tool::K6], &[]),
        (DriverChoice::Builtin, _) => (&[], &[Tool::K6]),
        (DriverChoice::Auto, _) => (&[], &[]),
    };
    let mut less = less.to_vec();
    if let System::Attached { target, .. } = system {
        if let Some(tool) = NOT_STARTED.into_iter().find(|tool| real.requires(*tool)) {
            let name = tool.to_possible_value();
            let name = name.as_ref().map_or("", |name| name.get_name());
            return Err(Failure::usage(format!(
                "--require {name}: {target} runs already, and the lab starts nothing beside it"
            )));
        }
        less.extend(NOT_STARTED);
    }
    let mut inventory = real.look(more, &less).await?;
    if let Some(error) = unable {
        inventory.no_use(Tool::K6, &error.to_string());
    }
    if arguments.thresholds.is_some() && inventory.of(Tool::K6).is_none() {
        let note = inventory.component(Tool::K6).note;
        return Err(Failure::usage(format!(
            "--thresholds are k6's, and it does not drive: {note}"
        )));
    }
    if arguments.k6_influxdb {
        let missing =
            [Tool::K6, Tool::Influxdb].into_iter().find_map(|tool| inventory.without(tool));
        missing
            .map_or(Ok(()), |missing| Err(Failure::usage(format!("--k6-influxdb: {missing}"))))?;
    }
    Ok(inventory)
}

/// The CPUs of services that run already are not chosen here.
fn refuse_pins(system: &System, pins: &Pins) -> Result<(), Failure> {
    match (system, &pins.services) {
        (System::Attached { target, .. }, Some(_)) => Err(Failure::usage(format!(
            "--pin services: {target} runs already, and its CPUs are not the lab's to choose"
        ))),
        _ => Ok(()),
    }
}

/// That of the bundle; of a script of the user's own there is none but how often it is run.
fn plan(bundle: Option<&Bundle>, arguments: &RunArgs) -> Result<Plan, Failure> {
    let of_script = || arguments.factors.plan_of_script(arguments.script.as_deref());
    bundle.map_or_else(|| Ok(of_script()), Bundle::plan)
}

/// Carries out a plan and reports on it.
pub(super) async fn run(arguments: RunArgs) -> Result<Exit, Failure> {
    let (bundle, mut arguments) = match arguments.script {
        None => {
            let (bundle, arguments) = asked(arguments)?;
            (Some(bundle), arguments)
        }
        Some(_) => (None, arguments),
    };
    let mut plan = plan(bundle.as_ref(), &arguments)?;
    let script = arguments.script.take().map(script_at).transpose()?;
    let attached = arguments.attach.attachment()?;
    let system = attached.as_ref().map(Attachment::system).unwrap_or_default();
    plan.fits(&system)?;
    if !system.can(Capability::Certify) {
        plan.certify = None;
    }
    let pins = arguments.factors.pins();
    refuse_pins(&system, &pins)?;
    let inventory = parts(&mut arguments, &plan, &system).await?;
    if inventory.of(Tool::K6).is_some() {
        plan = k6::plan(plan);
    }
    let left_out = if system.can(Capability::Seed) && script.is_none() {
        leave_out_database(&mut plan, &inventory)?
    } else {
        0
    };
    let Ground { executable, arms, run_id, out } = Ground::of(&plan, arguments.out)?;
    if let Some(bundle) = &bundle {
        bundle.write(&out)?;
    }
    let interrupt = Interrupt::listen().map_err(|error| Failure::other(error.into()))?;
    let order = Order {
        components: match system.is_owned() {
            true => components(&plan, &inventory, left_out),
            false => attach::components(inventory.component(Tool::K6), &system),
        },
        attached,
        script,
        inventory,
        plan,
        thresholds: arguments.thresholds,
        arms,
        pins,
        k6_influxdb: arguments.k6_influxdb,
        out: out.clone(),
        run_id,
        command: crate::run::this_command(),
        executable,
    };
    let grafana = order.inventory.of(Tool::Grafana).is_some();
    let kept = order.inventory.of(Tool::Influxdb).is_some_and(|found| !found.is_elsewhere());
    let json = arguments.json;
    let outcome =
        carry_out(order, progress::reporter(terminal::verbosity()).as_mut(), &interrupt).await?;
    let shown = grafana.then(|| boards_of(&out, &outcome, kept));
    publish(&out, outcome, shown, json)
}

/// Where the boards of the run in `out` are, whose points are `kept` in it, or why there are none.
fn boards_of(out: &Absolute, outcome: &Outcome, kept: bool) -> String {
    let (files, run) = (boards(out), out.display());
    match &outcome.no_boards {
        Some(why) => {
            format!("warning: there were no boards, Grafana {}\n", why.trim_start_matches("it "))
        }
        None if kept => format!(
            "boards: {}; to open them over this run: run-lab up --show {run}\n",
            files.display()
        ),
        None => format!("boards: {}\n", files.display()),
    }
}

/// Writes and prints the reports, and settles the exit code.
fn publish(
    out: &Absolute,
    outcome: Outcome,
    boards: Option<String>,
    json: bool,
) -> Result<Exit, Failure> {
    let result = outcome.result;
    let written = lab_report::write_all(out, &result).map_err(|error| Failure::other(error.into()));
    // Shown even if it could not be written: it is all that is left of the run then.
    let shown = terminal::print(if json {
        lab_report::json(&result)
    } else {
        lab_report::terminal(&result, terminal::width(), terminal::colour())
    });
    if written.is_ok() && !json {
        terminal::hint(format_args!("\nreport: {}\n", out.join(REPORT_HTML).display()));
    }
    if let Some(boards) = boards.filter(|_| !json) {
        terminal::hint(boards);
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
    let missed = result.objectives.iter().any(|objective| !objective.met);
    Ok(match (invalid, missed) {
        (true, _) => Exit::Invalid,
        (false, true) => Exit::Missed,
        (false, false) => Exit::Done,
    })
}
