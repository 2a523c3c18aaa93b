//! `run-lab up`: everything there is, for somebody else's load and for exploring what earlier runs left.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use ledger::{date, wall};

use super::factors::overlay_settings;
use super::order::{RealParts, folder};
use super::{Exit, Failure, terminal};
use crate::progress;
use crate::run::{
    GRAFANA_FOLDER, INFLUXDB_FOLDER, Interrupt, LOGS, NAME, RUN_FILE, RunError, Setup, TestBed,
    only_boards, opening,
};
use lab_launch::{ADMIN_SECRET, Found, Inventory, Opening, Store, Tool};
use lab_model::event::{LabEvent, Reporter};
use lab_model::{Knobs, Protocol, SERVICES, workload};
use lab_supervise::{Absolute, PartError};
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;

/// Has a request traced, each under a trace of its own: whether it is, is for the caller to say.
const TRACED: &str =
    r#"-H "traceparent: 00-$(tr -d - </proc/sys/kernel/random/uuid)-0000000000000001-01""#;
/// Where k6 is to push its log, behind the sidecar's address: what it says of a request there is the edge of it.
const PUSHES: &str = "/loki/api/v1/push,limit=2000,pushPeriod=500ms,level=info";
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
    #[command(flatten)]
    real: RealParts,
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

/// Starts everything, prints addresses, and stops everything on Ctrl-C.
pub(super) async fn up(arguments: UpArgs) -> Result<Exit, Failure> {
    let knobs = lab_model::plan::read_knobs(&overlay_settings(&arguments.set, &arguments.inject)?)
        .map_err(Failure::usage)?;
    if knobs.inject.keys().any(|place| place.starts_with("driver:")) {
        return Err(Failure::usage("--inject driver:…: `up` makes no load, so there is no driver"));
    }
    if arguments.real.requires(Tool::K6) {
        return Err(Failure::usage("--require k6: `up` makes no load; run k6 by hand against it"));
    }
    let show = arguments.show.as_deref().map(has_data).transpose()?;
    let more: &[Tool] = if show.is_some() { &[Tool::Influxdb] } else { &[] };
    let inventory = arguments.real.look(more, &[Tool::K6]).await?;
    if show.is_some() && inventory.of(Tool::Influxdb).is_some_and(Found::is_elsewhere) {
        // Points that wait in the run's folder would go there, and be gone from here.
        return Err(Failure::usage(
            "--show: LAB_INFLUXDB_URL names another InfluxDB than the one of that run; unset it",
        ));
    }
    hold_effect(&knobs, &inventory)?;
    let interrupt = Interrupt::listen().map_err(|error| Failure::other(error.into()))?;
    let run = format!("up-{}", date::compact(wall::now()));
    let (run, out) = folder(&run, arguments.out)?;
    let mut addresses = Addresses { json: arguments.json, ..Addresses::default() };
    for tool in Tool::ALL.into_iter().filter(|tool| *tool != Tool::K6) {
        addresses.on(&LabEvent::Uses(inventory.component(tool)));
    }
    let executable = std::env::current_exe().map_err(|error| Failure::other(error.into()))?;
    let setup = Setup {
        out: &out,
        executable: &executable,
        run: &run,
        inventory: &inventory,
        // Whoever asks by hand may ask any of them.
        reached: &SERVICES.iter().collect::<Vec<_>>(),
        show: show.as_ref(),
        by_hand: true,
        listen: arguments.gateway,
        grafana: arguments.grafana,
    };
    std::fs::write(out.join(NAME), &run).map_err(|error| Failure::other(error.into()))?;
    let (mut testbed, mut deaths) = TestBed::set_up(setup, &interrupt, &mut addresses).await?;
    let died = tokio::select! {
        served = serve(&mut testbed, &knobs, &setup, &mut addresses) => match served {
            Err(error) => Some(error),
            Ok(()) => tokio::select! {
                () = interrupt.stop.cancelled() => None,
                death = deadly(&mut deaths, inventory.requires(Tool::Grafana), &mut addresses) => death.map(RunError::Part),
            },
        },
        () = interrupt.stop.cancelled() => None,
    };
    let closed = testbed.close().await;
    match died {
        Some(error) => Err(error.into()),
        None => closed.map(|_| Exit::Done).map_err(Failure::from),
    }
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
    addresses: &mut Addresses,
) -> Result<(), RunError> {
    let out = setup.out;
    testbed.seed(knobs, addresses).await?;
    let entry = testbed.serve(None, knobs, addresses).await?;
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
            "gateway": entry.url.as_str(),
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
    how_to(testbed, (entry.url.as_str(), otlp), &scripts, &mut text);
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

/// How to make load. Writing to a string cannot fail.
fn how_to(
    testbed: &TestBed,
    (gateway, otlp): (&str, SocketAddr),
    scripts: &Path,
    text: &mut String,
) {
    let _ = writeln!(
        text,
        "\nask      curl -d '{{\"size\": 10}}' -H 'Content-Type: application/json' {TRACED} {gateway}/grpc/ping"
    );
    if testbed.users().is_some() {
        let ask = format!("{gateway}/rest/users/count?email=common0@example.com");
        let _ = writeln!(text, "         curl {TRACED} {ask}");
    }
    let _ = writeln!(
        text,
        "load     K6_LOG_OUTPUT=loki=http://{otlp}{PUSHES} k6 run -e GATEWAY={gateway} -e PROTOCOL=grpc -e SIZE=1000 -e RATE=100 {}",
        scripts.join("ping.js").display()
    );
    if let Some(Store { url, database, .. }) = testbed.store() {
        let own = testbed.addresses().iter().any(|(tool, _)| *tool == Tool::Influxdb);
        let secret = if own {
            ", user lab with the secret in the folder of its data (secret-of-reader: one that only reads)"
        } else {
            ""
        };
        let _ = writeln!(text, "points   {url}, database {database}{secret}");
    }
}
