//! `run-lab run`: from arguments to an order, and from its outcome to reports and an exit code.

use std::io;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use ledger::{date, wall};
use toml::{Table, Value};

use super::{Exit, Failure, terminal};
use crate::progress;
use crate::run::{Interrupt, Order, Outcome, boards, carry_out};
use lab_drive::k6::{self, Release};
use lab_launch::{Inventory, Tool};
use lab_model::plan::{self, BUILT_IN, Overrides, Payload, Plan, Rate, Span};
use lab_model::{Component, Protocol, Service, Status};
use lab_report::REPORT_HTML;
use lab_supervise::Absolute;

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
    /// What k6 is to hold each round to, as JSON in its own words, e.g. '{"http_req_duration": ["p(99)<100"]}'
    #[arg(long, value_name = "JSON", value_parser = parse_thresholds)]
    thresholds: Option<String>,
    /// Have k6 write its own points to InfluxDB too: some 17 for each request, and no board reads them
    #[arg(long)]
    k6_influxdb: bool,
    #[command(flatten)]
    real: RealParts,
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

/// Which real parts are to be used. Those that are found are, unless something else is said.
#[derive(Debug, Args)]
pub(super) struct RealParts {
    /// Real parts to insist on, instead of what stands in for them
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LIST")]
    require: Vec<Tool>,
    /// Real parts to leave out even where they are found
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LIST")]
    without: Vec<Tool>,
}

impl RealParts {
    /// Whether `tool` is insisted on.
    pub(super) fn requires(&self, tool: Tool) -> bool {
        self.require.contains(&tool)
    }

    /// Looks for the parts; `more` are required too, and `less` left out.
    pub(super) async fn look(self, more: &[Tool], less: &[Tool]) -> Result<Inventory, Failure> {
        let required = [self.require.as_slice(), more].concat();
        if let Some(both) = required.iter().find(|tool| self.without.contains(tool)) {
            let name = both.name();
            return Err(Failure::usage(format!("{name} is both required and left out")));
        }
        let without = [self.without.as_slice(), less].concat();
        let inventory = Inventory::take(&without, &required).await.map_err(Failure::usage)?;
        match (inventory.missing(), inventory.refused()) {
            (Some(missing), _) => Err(Failure::missing(missing)),
            (None, Some(refused)) => Err(Failure::usage(refused)),
            (None, None) => Ok(inventory),
        }
    }
}

/// Load generators to choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DriverChoice {
    /// k6 if it is found and can do what the cells ask for, the built-in one otherwise
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

/// Whether a metric has these thresholds is for k6 to say.
fn parse_thresholds(text: &str) -> Result<String, String> {
    let example = r#"{"http_req_duration": ["p(99)<100"]}"#;
    match serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("not a JSON object such as {example}: {error}")),
    }
}

/// Carries out a plan and reports on it.
pub(super) async fn run(arguments: RunArgs) -> Result<Exit, Failure> {
    let mut plan = plan::load(&arguments.plan, &overrides(&arguments)?)?;
    let unable = plan.cells.iter().find_map(|cell| k6::check(cell).err());
    let (more, less): (&[Tool], &[Tool]) = match (arguments.driver, &unable) {
        (DriverChoice::K6, Some(error)) => return Err(Failure::usage(error)),
        (_, Some(error)) if arguments.real.requires(Tool::K6) => return Err(Failure::usage(error)),
        (DriverChoice::K6, None) => (&[Tool::K6], &[]),
        (DriverChoice::Builtin, _) => (&[], &[Tool::K6]),
        (DriverChoice::Auto, _) => (&[], &[]),
    };
    let mut inventory = arguments.real.look(more, less).await?;
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
    let left_out = leave_out_database(&mut plan, &inventory)?;
    let executable = std::env::current_exe().map_err(|error| Failure::other(error.into()))?;
    let run_id = format!("{}-{}", plan.name, date::compact(wall::now()));
    let (run_id, out) = match arguments.out {
        Some(out) => (distinct(&run_id), new_folder(out)?),
        None => own_folder(&run_id)?,
    };
    let interrupt = Interrupt::listen().map_err(|error| Failure::other(error.into()))?;
    let order = Order {
        components: components(&plan, &inventory, left_out),
        inventory,
        plan,
        thresholds: arguments.thresholds,
        k6_influxdb: arguments.k6_influxdb,
        out: out.clone(),
        run_id,
        command: std::env::args().collect::<Vec<_>>().join(" "),
        executable,
    };
    let grafana = order.inventory.of(Tool::Grafana).is_some();
    let kept = order.inventory.of(Tool::Influxdb).is_some_and(|found| !found.is_elsewhere());
    let outcome = carry_out(order, progress::reporter().as_mut(), &interrupt).await?;
    let shown = grafana.then(|| boards_of(&out, &outcome, kept));
    publish(&out, outcome, shown)
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
fn publish(out: &Absolute, outcome: Outcome, boards: Option<String>) -> Result<Exit, Failure> {
    let result = outcome.result;
    let written = lab_report::write_all(out, &result).map_err(|error| Failure::other(error.into()));
    // Shown even if it could not be written: it is all that is left of the run then.
    let shown =
        terminal::print(lab_report::terminal(&result, terminal::width(), terminal::colour()));
    if written.is_ok() {
        let _ = terminal::print(format_args!("\nreport: {}\n", out.join(REPORT_HTML).display()));
    }
    if let Some(boards) = boards {
        let _ = terminal::print(boards);
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

/// Without a database, cells that ask it are left out; returns how many.
fn leave_out_database(plan: &mut Plan, inventory: &Inventory) -> Result<usize, Failure> {
    if inventory.of(Tool::Postgres).is_some() {
        return Ok(0);
    }
    let before = plan.cells.len();
    plan.cells.retain(|cell| !cell.workload.asks_database());
    if plan.cells.is_empty() {
        let missing = inventory.without(Tool::Postgres).unwrap_or_default();
        return Err(Failure::missing(format!("the plan {} asks a database: {missing}", plan.name)));
    }
    Ok(before - plan.cells.len())
}

/// A name of a run that no other process on this machine gives in this second: runs may share an InfluxDB.
pub(super) fn distinct(run_id: &str) -> String {
    format!("{run_id}-{}", std::process::id())
}

/// Makes a folder for a run that names none. Two of one plan may start in the same second: the later
/// one adds a number to its name.
pub(super) fn own_folder(run_id: &str) -> Result<(String, Absolute), Failure> {
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

/// Makes the folder of a run, which must not exist. From here on it is known by its absolute path: programs that
/// are told of it are in folders of their own.
pub(super) fn new_folder(given: PathBuf) -> Result<Absolute, Failure> {
    let cannot = |error: io::Error| {
        Failure::usage(format!("--out {}: cannot make the folder: {error}", given.display()))
    };
    let out = Absolute::new(&given).map_err(cannot)?;
    let made = match out.parent() {
        Some(parent) => std::fs::create_dir_all(parent).and_then(|()| std::fs::create_dir(&out)),
        None => Err(io::Error::from(io::ErrorKind::AlreadyExists)),
    };
    match made {
        Ok(()) => Ok(out),
        // A parent that is a file answers so too.
        Err(_) if out.symlink_metadata().is_ok() => Err(Failure::usage(format!(
            "--out {}: it exists already; a run never writes over another, so name a new folder",
            given.display()
        ))),
        Err(error) => Err(cannot(error)),
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
    if !delays.is_empty() && settings.insert("inject".to_owned(), Value::Table(delays)).is_some() {
        return Err(Failure::usage("delays are set by --set inject and by --inject: use one"));
    }
    // Refused now, the error names the option; refused with the plan, it would name the plan's file.
    plan::read_knobs(&settings)
        .map_err(|error| Failure::usage(format!("--set or --inject: {error}")))?;
    Ok(settings)
}

/// The parts of a run: the real ones, what stands in for others, and the lab's own.
fn components(plan: &Plan, inventory: &Inventory, left_out: usize) -> Vec<Component> {
    let reached = plan.reaches();
    let mut services = Service::started(&reached, true);
    // As requests come to them.
    services.reverse();
    let own = services.iter().map(|service| service.name).chain(["sidecar"]);
    let own = own.map(|name| Component {
        role: name.to_owned(),
        name: format!("run-lab {name}"),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        address: None,
        real: true,
        note: String::new(),
    });
    let mut components: Vec<Component> =
        Tool::ALL.iter().map(|&tool| inventory.component(tool)).collect();
    components.extend(own);
    let found = inventory.of(Tool::K6).map(|found| Release::of(&found.version));
    if let Some(warning) = found.as_ref().and_then(Release::warning)
        && let Some(driver) = components.iter_mut().find(|part| part.role == Tool::K6.role())
    {
        driver.note = format!("{}; {warning}", driver.note);
    }
    let note = |components: &mut [Component], role: &str, text: String| {
        if let Some(component) = components.iter_mut().find(|part| part.role == role) {
            component.note = text;
        }
    };
    if inventory.of(Tool::Postgres).is_some() && !reached.iter().any(|service| service.database) {
        note(&mut components, Tool::Postgres.role(), "no cell of this plan asks it".to_owned());
    }
    if left_out > 0 {
        let why = format!(
            "{left_out} cells that ask it are left out; to get PostgreSQL: {}",
            Tool::Postgres.how_to_get()
        );
        note(&mut components, Tool::Postgres.role(), why);
    }
    let double = plan.cells.iter().filter(|cell| cell.knobs.rest_size_bug.is_some()).count();
    if double > 0 {
        let what = format!("in {double} cells a double that sends a wrong size by REST");
        note(&mut components, Service::entry().name, what);
    }
    components
}
