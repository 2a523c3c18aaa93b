//! Carrying out a plan: parts are started, the probe certified, cells driven, books closed.
//!
//! What was measured is kept whatever happens on the way: an interrupted run and one whose part died
//! end with a measurement that says so. Judging and showing it are not done here.

mod attached;
mod by_hand;
mod certify;
mod costs;
mod counters;
mod edge_client;
mod environment;
mod halt;
mod interrupt;
mod judged;
mod load;
mod opening;
mod points;
mod real_parts;
mod round;
mod script;
mod setup;
mod shown;
mod singles;
mod tags;
mod testbed;
mod turns;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sidecar::runfile::{RunFile, RunFileError};

pub use attached::Attachment;
pub use by_hand::by_hand;
pub use costs::{Certified, certify_cells};
pub use environment::capture;
pub(crate) use environment::this_command;
use halt::Halt;
pub use halt::only_boards;
pub use interrupt::Interrupt;
use points::Points;
pub use real_parts::{GRAFANA_FOLDER, INFLUXDB_FOLDER, boards};
use round::start_driver;
pub use setup::Setup;
pub use shown::{NAME, opening};
pub use singles::Singles;
pub use testbed::{TestBed, Unwritten};

use lab_drive::k6::{self, K6, K6Error, Output, Release};
use lab_judge::result::{CellResult, RunResult};
use lab_judge::verdict;
use lab_launch::{ControlError, Inventory, Place, Tool};
use lab_model::event::{LabEvent, Reporter};
use lab_model::plan::Plan;
use lab_model::{ArmProgram, Asked, CellMeasure, Component, Environment, RunMeasure};
use lab_supervise::{Absolute, Cpus, PartError};

/// Name of the run file in a run's folder.
pub const RUN_FILE: &str = "run.sqlite";
/// Name of the folder of logs in a run's folder.
pub const LOGS: &str = "logs";

/// How long a service may take to answer a question that is not load.
const ASIDE: Duration = Duration::from_secs(5);

/// What to carry out.
#[derive(Debug, Clone)]
pub struct Order {
    /// The system, if it runs already.
    pub attached: Option<Attachment>,
    /// The script of the user's own that drives instead of the plan's cells.
    pub script: Option<Absolute>,
    /// The plan.
    pub plan: Plan,
    /// The folder of the run; it exists and is empty.
    pub out: Absolute,
    /// Unique name of the run.
    pub run_id: String,
    /// The command line that made it.
    pub command: String,
    /// The parts it uses.
    pub components: Vec<Component>,
    /// The real parts that are there to be used.
    pub inventory: Inventory,
    /// The program that children are started from: this one.
    pub executable: PathBuf,
    /// Thresholds of k6 in each round, as JSON.
    pub thresholds: Option<String>,
    /// k6 is to write its own points to InfluxDB too.
    pub k6_influxdb: bool,
    /// What the arms are started from, where there are some.
    pub arms: Vec<ArmProgram>,
    /// Which CPUs are whose.
    pub pins: Pins,
}

/// Which CPUs are whose; where none are named, the kernel chooses.
#[derive(Debug, Clone, Default)]
pub struct Pins {
    /// Of the thread that makes the requests.
    pub driver: Option<Cpus>,
    /// Of every service.
    pub services: Option<Cpus>,
}

impl std::fmt::Display for Pins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let told = [("driver", &self.driver), ("services", &self.services)];
        let told =
            told.into_iter().filter_map(|(who, cpus)| Some(format!("{who}={}", cpus.as_ref()?)));
        f.write_str(&told.collect::<Vec<_>>().join(" "))
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// What was measured, and judged.
    pub result: RunResult,
    /// What ended the run before its time, if anything did.
    pub failure: Option<RunError>,
    /// Somebody asked it to stop.
    pub interrupted: bool,
    /// Why nobody could look on, where Grafana was to show it.
    pub no_boards: Option<String>,
}

/// Why a run could not be carried out to its end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A part did not start, or died.
    #[error(transparent)]
    Part(#[from] PartError),
    /// The system refused something.
    #[error("cannot {attempt}: {error}")]
    System {
        /// What was attempted.
        attempt: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// k6 did not drive a round, or not to its end.
    #[error(transparent)]
    K6(#[from] K6Error),
    /// Somebody asked it to stop before anything was measured.
    #[error("interrupted before anything was measured")]
    Interrupted,
    /// The driver's own probe did not start.
    #[error("the driver's probe: {0}")]
    Probe(#[from] probe::ProbeError),
    /// Nobody can be asked there.
    #[error("cannot ask {url}: {reason}")]
    Target {
        /// Where.
        url: String,
        /// Why not.
        reason: String,
    },
    /// Another lab has opened a run with the same sidecar.
    #[error(
        "another lab has opened a run with this sidecar: requests since then are in no cell of this one"
    )]
    Taken,
    /// Rows are missing from the run file.
    #[error(transparent)]
    Unwritten(#[from] Unwritten),
    /// The run file cannot be read.
    #[error("the run file {path}: {error}")]
    RunFile {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        error: RunFileError,
    },
}

/// Carries out `order`.
///
/// # Errors
/// If nothing could be measured at all: the sidecar or the driver did not start.
pub async fn carry_out(
    mut order: Order,
    reporter: &mut dyn Reporter,
    interrupt: &Interrupt,
) -> Result<Outcome, RunError> {
    tell_begin(&order, reporter);
    let mut measure = nothing_yet(&order);
    let driver = start_driver(order.pins.driver.as_ref())?;
    let reached = order.plan.reaches();
    let setup = Setup::of(&order, &reached);
    let (mut testbed, deaths) = match &order.attached {
        None => TestBed::set_up(setup, interrupt, reporter).await?,
        Some(attached) => TestBed::attach(setup, attached, interrupt).await?,
    };
    if let Err(error) = testbed.open(&order.plan.cells).await {
        testbed.stop().await;
        return Err(error.into());
    }
    testbed.cpus.clone_from(&order.pins.services);
    if let Some(why) = testbed.no_boards() {
        order.leave_out_boards(why, &mut measure);
    }
    let halt = Halt::new(interrupt, deaths, order.inventory.requires(Tool::Grafana));
    let points = testbed.points();
    let mut load = load::Load {
        plan: &order.plan,
        generator: &driver,
        k6: k6(&order, &testbed),
        points: &points,
        testbed: &mut testbed,
        reporter,
        settle_ns: order.plan.settle_ns,
        counts: true,
        halt: halt.token.clone(),
        http: reqwest::Client::builder().no_proxy().timeout(ASIDE).build().unwrap_or_default(),
    };
    let driven = match &order.script {
        None => load.run(&mut measure).await,
        Some(script) => load.run_script(script, &mut measure).await,
    };
    let mut failure = driven.err();
    // A death explains what went wrong after it.
    failure = halt.death().map(RunError::Part).or(failure);
    let interrupted = interrupt.stop.is_cancelled();
    if let Some(reason) = stopping_reason(failure.as_ref(), interrupted) {
        reporter.on(&LabEvent::Stopping { reason });
        measure.incomplete = true;
    }
    reporter.on(&LabEvent::Closing);
    testbed.note_addresses(&mut measure.components);
    let mut result = close(&mut testbed, &order, measure, &mut failure).await;
    if let Err(error) = tell_verdicts(&points, &testbed, &mut result).await {
        failure.get_or_insert(PartError::from(error).into());
    }
    let no_boards = testbed.no_boards().map(str::to_owned).or_else(|| halt.boards_gone());
    testbed.stop().await;
    drop(driver);
    // Whoever asks while the books are closed goes without what would have come.
    let interrupted = interrupt.stop.is_cancelled();
    Ok(Outcome { result, failure, interrupted, no_boards })
}

/// Tells those who watch what begins, and what it uses.
fn tell_begin(order: &Order, reporter: &mut dyn Reporter) {
    reporter.on(&LabEvent::Began {
        plan: order.plan.name.clone(),
        cells: order.plan.cells.len(),
        rounds: order.plan.rounds,
        expected_ns: order.plan.expected_ns(),
        out: order.out.to_path_buf(),
    });
    order.components.iter().for_each(|component| reporter.on(&LabEvent::Uses(component.clone())));
}

/// Tells InfluxDB the verdicts, and takes note if these points do not get there. Where earlier ones did not,
/// that is known already.
async fn tell_verdicts(
    points: &Points,
    testbed: &TestBed,
    result: &mut RunResult,
) -> Result<(), ControlError> {
    points.judged(result).await?;
    if result.points_missing.is_empty() {
        result.points_missing = testbed.points_missing().await?;
        if !result.points_missing.is_empty() {
            verdict::judge(result);
        }
    }
    Ok(())
}

/// Closes the books: what was measured, with the rows of the run file, becomes a result. What goes wrong
/// on the way is the run's failure, unless it has failed before.
async fn close(
    testbed: &mut TestBed,
    order: &Order,
    mut measure: RunMeasure,
    failure: &mut Option<RunError>,
) -> RunResult {
    let mut fail = |measure: &mut RunMeasure, error: RunError| {
        failure.get_or_insert(error);
        measure.incomplete = true;
    };
    match testbed.close_books().await {
        Ok(closed) => {
            measure.spans_lost = closed.lost;
            lost_by_k6(&mut measure);
            measure.points_missing = closed.points_missing;
            if closed.taken {
                fail(&mut measure, RunError::Taken);
            }
            if let Some(unwritten) = closed.unwritten {
                fail(&mut measure, unwritten.into());
            }
        }
        Err(error) => fail(&mut measure, error.into()),
    }
    let read = match testbed.elsewhere() {
        Some(mut rows) => {
            let read = lab_judge::read(&mut rows, &measure).await;
            read.map_err(|error| PartError::from(error).into())
        }
        None => read(&order.out.join(RUN_FILE), &measure).await,
    };
    match read {
        Ok(cells) => lab_judge::assemble(&measure, cells),
        Err(error) => {
            fail(&mut measure, error);
            lab_judge::build(&measure, &[], &[])
        }
    }
}

/// k6, if it is to drive.
fn k6(order: &Order, testbed: &TestBed) -> Option<K6> {
    let found = order.inventory.of(Tool::K6)?;
    let Place::Program(program) = &found.place else {
        return None;
    };
    let release = Release::of(&found.version);
    let mut k6 = K6::new(program.clone(), release, order.out.to_path_buf(), &order.run_id);
    k6.otlp = Some(testbed.otlp.clone());
    k6.nonce = testbed.nonce().map(Arc::from);
    k6.store = testbed.store().filter(|_| order.k6_influxdb).map(|store| Output {
        url: store.url.clone(),
        database: store.database.clone(),
        user: store.user.clone(),
        password: store.password.clone(),
    });
    k6.thresholds.clone_from(&order.thresholds);
    Some(k6)
}

/// Root spans of k6's requests that did not reach the sidecar.
fn lost_by_k6(measure: &mut RunMeasure) {
    let rounds = measure.cells.iter().flat_map(|cell| &cell.rounds);
    let lost: u64 = rounds.filter_map(|round| round.k6).map(|k6| k6.spans_lost).sum();
    if lost > 0 {
        measure.spans_lost.insert(format!("lost.{}", k6::SERVICE), lost);
    }
}

/// Why a run ends before its time, if it does, in one line: the whole story of a failure is told at the
/// end.
fn stopping_reason(failure: Option<&RunError>, interrupted: bool) -> Option<String> {
    let first_line =
        |error: &RunError| error.to_string().lines().next().unwrap_or_default().to_owned();
    failure.map(first_line).or_else(|| interrupted.then(|| "interrupted".to_owned()))
}

/// A measurement in which nothing has been measured.
fn nothing_yet(order: &Order) -> RunMeasure {
    let cells = order.plan.cells.iter();
    RunMeasure {
        plan: order.plan.name.clone(),
        run_id: order.run_id.clone(),
        system: order.attached.as_ref().map(Attachment::system).unwrap_or_default(),
        environment: Environment { pinned: order.pins.to_string(), ..capture() },
        components: order.components.clone(),
        cells: cells.map(|cell| CellMeasure { cell: cell.clone(), rounds: Vec::new() }).collect(),
        asked: Asked {
            arms: order.arms.clone(),
            objectives: order.plan.objectives.clone(),
            thresholds: order.thresholds.is_some(),
        },
        probe_cost: None,
        incomplete: false,
        command: order.command.clone(),
        spans_lost: BTreeMap::new(),
        points_missing: BTreeMap::new(),
    }
}

/// The cells of a run, computed from the run file at `path`.
async fn read(path: &Path, measure: &RunMeasure) -> Result<Vec<CellResult>, RunError> {
    let read = async {
        let mut file = RunFile::open(path).await?;
        let cells = lab_judge::read(&mut file, measure).await?;
        file.close().await.map(|()| cells)
    };
    read.await.map_err(|error| RunError::RunFile { path: path.to_owned(), error })
}
