//! `run-lab up`: everything there is, for somebody else's load and for exploring what earlier runs left.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use ledger::{date, wall};

use super::attach::{LeftOut, left_out, watched};
use super::by_hand::how_to;
use super::factors::overlay_settings;
use super::holder::holder;
use super::order::{RealParts, folder};
use super::{Exit, Failure, terminal};
use crate::progress;
use crate::run::{
    GRAFANA_FOLDER, INFLUXDB_FOLDER, Interrupt, LOGS, NAME, RUN_FILE, RunError, Setup, TestBed,
    by_hand, only_boards, opening,
};
use lab_launch::{ADMIN_SECRET, Found, Inventory, Opening, Tool};
use lab_model::event::{LabEvent, Reporter};
use lab_model::{Knobs, Protocol, SERVICES, workload};
use lab_report::REPORT_HTML;
use lab_supervise::{Absolute, PartError};
use serde_json::{Value, json};
use settings::Span;
use tokio::sync::mpsc::UnboundedReceiver;

/// What boards show of load that is made while one looks: the last five minutes, anew every five seconds.
const LIVE: &str = "from=now-5m&to=now&refresh=5s";

/// The version of the shape of `--json`.
const SCHEMA: u32 = 1;

/// What to start.
#[derive(Debug, Args)]
pub(super) struct UpArgs {
    /// Folder for the run file, the data and the logs; it must not exist [default: lab-runs/up-TIME]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    out: Option<PathBuf>,
    /// Folder of an earlier run: its points are shown, and new ones are added to them
    #[arg(long, value_name = "RUN_DIR", value_hint = ValueHint::DirPath)]
    show: Option<PathBuf>,
    /// Where the gateway is to listen; port 0 takes any free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    gateway: SocketAddr,
    /// Where Grafana is to listen, if there is one; port 0 takes any free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    grafana: SocketAddr,
    /// Real parts to insist on, instead of what stands in for them
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LIST")]
    require: Vec<Tool>,
    /// What to leave out: real parts even where they are found, or `services`, for services of your own
    #[arg(long, value_delimiter = ',', value_name = "LIST", value_parser = left_out)]
    without: Vec<LeftOut>,
    /// Watch the CPU and memory of the process PID under the name NAME (repeatable)
    #[arg(long, value_name = "NAME=PID", value_parser = watched)]
    watch: Vec<(String, u32)>,
    /// How long the sidecar waits for the rest of a trace [default: its own, 5s]
    #[arg(long, value_name = "DURATION")]
    join_window: Option<Span>,
    /// Set a knob of the services (repeatable), e.g. stream_window=64KiB
    #[arg(long, value_name = "KNOB=VALUE")]
    set: Vec<String>,
    /// Inject delays, e.g. gateway:handler=5ms
    #[arg(long, value_name = "STAGE=DURATION", value_delimiter = ',')]
    inject: Vec<String>,
    /// Print where everything listens as one JSON object, once it does
    #[arg(long)]
    json: bool,
}

/// Says what is being done, and where parts listen: to people as it happens, to programs at the end.
#[derive(Default)]
struct Addresses {
    json: bool,
    /// The processes that are there, for programs.
    processes: Vec<Value>,
}

impl Reporter for Addresses {
    fn on(&mut self, event: &LabEvent) {
        if self.json {
            if let LabEvent::Ready { part, address, pid } = event {
                self.processes.push(json!({ "part": part, "address": address, "pid": pid }));
            }
            return;
        }
        // Whoever does not read this may use the services all the same.
        let _ = match event {
            LabEvent::Ready { part, address, pid } => {
                terminal::print(format_args!("{part:<9} http://{address} (process {pid})\n"))
            }
            LabEvent::Preparing { what } => terminal::print(format_args!("{what} …\n")),
            LabEvent::NoBoards { reason } => {
                terminal::print(format_args!("grafana does not start: {reason}\n"))
            }
            LabEvent::Uses(component) => {
                terminal::print(format_args!("{}\n", progress::component_line(component)))
            }
            _ => Ok(()),
        };
    }
}

/// Whether something that can be asked by hand reads each setting.
fn hold_effect(knobs: &Knobs, inventory: &Inventory) -> Result<(), Failure> {
    let database = inventory.of(Tool::Postgres).is_some();
    let served = workload::all().iter().filter(|one| database || !one.asks_database());
    let asked = served.flat_map(|workload| {
        [Protocol::Rest, Protocol::Grpc].map(|protocol| (knobs, protocol, &**workload))
    });
    lab_model::plan::without_effect(asked).map_err(Failure::usage)
}

/// What the services are set to.
fn settings_of(arguments: &UpArgs, services: bool) -> Result<Knobs, Failure> {
    let knobs = lab_model::plan::read_knobs(&overlay_settings(&arguments.set, &arguments.inject)?)
        .map_err(Failure::usage)?;
    if knobs.inject.keys().any(|place| place.starts_with("driver:")) {
        return Err(Failure::usage("--inject driver:…: `up` makes no load, so there is no driver"));
    }
    if !services && knobs != Knobs::default() {
        return Err(Failure::usage("--set and --inject are of services, and these are left out"));
    }
    Ok(knobs)
}

/// The real parts that are used; `show` is whether points of an earlier run are.
async fn parts(arguments: &UpArgs, services: bool, show: bool) -> Result<Inventory, Failure> {
    let without = arguments.without.iter().filter_map(|one| match one {
        LeftOut::Part(tool) => Some(*tool),
        LeftOut::Services => None,
    });
    let real = RealParts::of(arguments.require.clone(), without.collect());
    if real.requires(Tool::K6) {
        return Err(Failure::usage("--require k6: `up` makes no load; run k6 by hand against it"));
    }
    let more: &[Tool] = if show { &[Tool::Influxdb] } else { &[] };
    // Without services nobody asks a database.
    let less: &[Tool] = if services { &[Tool::K6] } else { &[Tool::K6, Tool::Postgres] };
    let inventory = real.look(more, less).await?;
    if show && inventory.of(Tool::Influxdb).is_some_and(Found::is_elsewhere) {
        // Points that wait in the run's folder would go there, and be gone from here.
        return Err(Failure::usage(
            "--show: LAB_INFLUXDB_URL names another InfluxDB than the one of that run; unset it",
        ));
    }
    Ok(inventory)
}

/// Starts everything, prints addresses, and stops everything on Ctrl-C.
pub(super) async fn up(arguments: UpArgs) -> Result<Exit, Failure> {
    let services = !arguments.without.contains(&LeftOut::Services);
    let knobs = settings_of(&arguments, services)?;
    let show = arguments.show.as_deref().map(has_data).transpose()?;
    let inventory = parts(&arguments, services, show.is_some()).await?;
    hold_effect(&knobs, &inventory)?;
    let interrupt = Interrupt::listen().map_err(|error| Failure::other(error.into()))?;
    let run = format!("up-{}", date::compact(wall::now()));
    let (run, out) = folder(&run, arguments.out)?;
    let mut addresses = Addresses { json: arguments.json, ..Addresses::default() };
    for tool in Tool::ALL.into_iter().filter(|tool| *tool != Tool::K6) {
        addresses.on(&LabEvent::Uses(inventory.component(tool)));
    }
    let executable = std::env::current_exe().map_err(|error| Failure::other(error.into()))?;
    let all = SERVICES.iter().collect::<Vec<_>>();
    let setup = Setup {
        join_window: arguments.join_window,
        out: &out,
        executable: &executable,
        run: &run,
        inventory: &inventory,
        // Whoever asks by hand may ask any of them.
        reached: if services { &all } else { &[] },
        show: show.as_ref(),
        by_hand: true,
        listen: arguments.gateway,
        grafana: arguments.grafana,
    };
    std::fs::write(out.join(NAME), &run).map_err(|error| Failure::other(error.into()))?;
    let (mut testbed, mut deaths) = TestBed::set_up(setup, &interrupt, &mut addresses).await?;
    let died = tokio::select! {
        served = serve(&mut testbed, &knobs, &setup, (services, &arguments.watch), &mut addresses) => match served {
            Err(error) => Some(error),
            Ok(()) => tokio::select! {
                () = interrupt.stop.cancelled() => None,
                death = deadly(&mut deaths, inventory.requires(Tool::Grafana), &mut addresses) => death.map(RunError::Part),
            },
        },
        () = interrupt.stop.cancelled() => None,
    };
    let closed = testbed.close().await;
    told(&out, &run, &inventory, arguments.json).await;
    if died.is_some()
        && let Some(holder) = holder(arguments.gateway.port())
    {
        terminal::warn(&format!("{} is held by {holder}", arguments.gateway));
    }
    match died {
        Some(error) => Err(error.into()),
        None => closed.map(|_| Exit::Done).map_err(Failure::from),
    }
}

/// Prints the breakdown of what was asked meanwhile and writes the reports. What cannot be told ends nothing.
async fn told(out: &Absolute, run: &str, inventory: &Inventory, json: bool) {
    let parts = Tool::ALL.into_iter().filter(|tool| *tool != Tool::K6);
    let components = parts.map(|tool| inventory.component(tool)).collect();
    let result = match by_hand(&out.join(RUN_FILE), run, components).await {
        Ok(Some(result)) => result,
        Ok(None) => return,
        Err(error) => return terminal::warn(&error.to_string()),
    };
    if let Err(error) = lab_report::write_all(out, &result) {
        terminal::warn(&error.to_string());
    }
    // Programs have read what they wanted.
    if json {
        return;
    }
    // Whoever stopped it may read no more.
    let _ = terminal::print(lab_report::terminal(&result, terminal::width(), terminal::colour()));
    let _ = terminal::print(format_args!("\nreport: {}\n", out.join(REPORT_HTML).display()));
}

/// The first death that ends what is shown; a Grafana that goes takes its boards along, which is told.
async fn deadly(
    deaths: &mut UnboundedReceiver<PartError>,
    boards_required: bool,
    addresses: &mut Addresses,
) -> Option<PartError> {
    loop {
        match deaths.recv().await {
            Some(error) if !boards_required && only_boards(&error) => {
                addresses.on(&LabEvent::NoBoards { reason: error.to_string() });
            }
            other => return other,
        }
    }
}

/// Refuses a run whose points are not in its folder.
fn has_data(run: &Path) -> Result<Absolute, Failure> {
    if run.join(INFLUXDB_FOLDER).is_dir() {
        let found = Absolute::new(run);
        return found.map_err(|error| Failure::usage(format!("--show {}: {error}", run.display())));
    }
    Err(Failure::usage(format!(
        "--show {}: there is no folder {INFLUXDB_FOLDER} in it; the run was made without InfluxDB, or with \
         one of somebody else",
        run.display()
    )))
}

/// Starts the services and says how to use them.
async fn serve(
    testbed: &mut TestBed,
    knobs: &Knobs,
    setup: &Setup<'_>,
    (services, watch): (bool, &[(String, u32)]),
    addresses: &mut Addresses,
) -> Result<(), RunError> {
    let out = setup.out;
    testbed.watch(watch).await?;
    let mut entry = None;
    if services {
        testbed.seed(knobs, addresses).await?;
        entry = Some(testbed.serve(None, knobs, addresses).await?);
    }
    let Some((pid, otlp, control)) = testbed.sidecar() else { return Ok(()) };
    let mut text = format!(
        "sidecar   http://{otlp} takes spans, http://{control} tells counters (process {pid})\n\
         run file {}, logs in {}\n",
        out.join(RUN_FILE).display(),
        out.join(LOGS).display()
    );
    let scripts = out.join(lab_drive::k6::FOLDER);
    lab_drive::k6::write_scripts(&scripts).map_err(|error| RunError::System {
        attempt: format!("write k6's scripts to {}", scripts.display()),
        error,
    })?;
    if addresses.json {
        let of = |wanted: Tool| {
            let found = testbed.addresses().into_iter().find(|(tool, _)| *tool == wanted);
            found.map(|(_, address)| format!("http://{address}"))
        };
        let told = json!({
            "schema": SCHEMA,
            "entry": entry.as_ref().map(|entry| entry.url.as_str()),
            "otlp": format!("http://{otlp}"),
            "control": format!("http://{control}"),
            "influxdb": testbed.store().map(|store| store.url.to_string()),
            "grafana": of(Tool::Grafana),
            "run_file": out.join(RUN_FILE).display().to_string(),
            "logs": out.join(LOGS).display().to_string(),
            "scripts": scripts.display().to_string(),
            "processes": addresses.processes,
        });
        // Who does not read it may use the services all the same.
        let _ = terminal::print_json(&told);
        return Ok(());
    }
    let _ = writeln!(text, "\n{}", boards(testbed, setup));
    match &entry {
        Some(entry) => how_to(testbed, (entry.url.as_str(), otlp), &scripts, &mut text),
        None => {
            let _ = writeln!(
                text,
                "\nservices yours: OTEL_EXPORTER_OTLP_ENDPOINT=http://{otlp}\n\
                 load     run-lab run --plan FILE --target http://HOST:PORT --sidecar http://{control}"
            );
        }
    }
    text.push_str("stop with Ctrl-C\n");
    let _ = terminal::print(text);
    Ok(())
}

/// Where the boards are to be opened and who may change them, or why there are none.
fn boards(testbed: &TestBed, setup: &Setup<'_>) -> String {
    let Some((_, grafana)) =
        testbed.addresses().into_iter().find(|(tool, _)| *tool == Tool::Grafana)
    else {
        let why = setup.inventory.why_not(Tool::Grafana);
        let why = testbed.no_boards().map_or(why, |why| format!("not used: {why}"));
        return format!("boards   none: Grafana is {why}");
    };
    let query = match setup.show.and_then(|run| opening(run)) {
        Some((Opening { run, .. }, [from, to])) => {
            let run = run.map(|run| format!("&var-run={run}")).unwrap_or_default();
            format!("from={from}&to={to}{run}")
        }
        None => format!("{LIVE}&var-run={}", setup.run),
    };
    let secret = setup.out.join(GRAFANA_FOLDER).join(ADMIN_SECRET);
    format!(
        "open     http://{grafana}/d/lab-breakdown?{query}\n\
         edit     sign in at http://{grafana}/login as admin, with the password in {}",
        secret.display()
    )
}
