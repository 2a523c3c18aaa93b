//! The probe's cost on a list of cells, one after the other: `run-lab certify`.

use std::path::Path;

use super::load::Load;
use super::points::Points;
use super::{Halt, Interrupt, RunError, Setup, TestBed, capture, start_driver, stopping_reason};
use lab_judge::result::{COSTS_SCHEMA, CellCost, Costs, MeanCost, NotMeasured};
use lab_launch::{ANY_PORT, Inventory};
use lab_model::event::{LabEvent, Reporter};
use lab_model::plan::{Certify, Plan, reached};
use lab_supervise::Absolute;

/// A request that is not answered for so long is an error, in nanoseconds.
const TIMEOUT_NS: u64 = 10_000_000_000;

/// What came of it.
#[derive(Debug)]
pub struct Certified {
    /// What was measured.
    pub costs: Costs,
    /// What ended it before its time, if anything did.
    pub failure: Option<RunError>,
    /// Somebody asked it to stop.
    pub interrupted: bool,
}

/// Measures the probe's cost on every one of `cells`. The run file and the logs of the parts, which are
/// started from `executable`, go into the folder `dir`; `command` is the command line that asked for it.
///
/// # Errors
/// If nothing could be measured at all: the sidecar or the driver did not start.
pub async fn certify_cells(
    cells: &[Certify],
    command: String,
    dir: &Absolute,
    executable: &Path,
    reporter: &mut dyn Reporter,
    interrupt: &Interrupt,
) -> Result<Certified, RunError> {
    let expected_ns = cells.iter().map(Certify::expected_ns).sum();
    reporter.on(&LabEvent::CertificationBegan { cells: cells.len(), expected_ns });
    let mut costs = Costs {
        schema: COSTS_SCHEMA,
        command,
        incomplete: false,
        environment: capture(),
        cells: Vec::new(),
        not_measured: Vec::new(),
        mean: None,
    };
    let driver = start_driver(None)?;
    let reached = reached(cells.iter().map(|certify| &certify.cell));
    let setup = Setup {
        out: dir,
        executable,
        run: "certify",
        inventory: &Inventory::empty(),
        reached: &reached,
        show: None,
        by_hand: false,
        join_window: None,
        listen: ANY_PORT,
        grafana: ANY_PORT,
    };
    let (mut testbed, deaths) = TestBed::set_up(setup, interrupt, reporter).await?;
    let halt = Halt::new(interrupt, deaths, false);
    let plan = Plan { timeout_ns: TIMEOUT_NS, ..Plan::default() };
    let points = Points::new(None, "certify");
    let mut load = Load {
        plan: &plan,
        generator: &driver,
        k6: None,
        points: &points,
        testbed: &mut testbed,
        reporter,
        settle_ns: 0,
        counts: true,
        halt: halt.token.clone(),
        http: reqwest::Client::new(),
    };
    let measured = measure(&mut load, cells, &mut costs).await;
    // A death explains what went wrong after it.
    let mut failure = halt.death().map(RunError::Part).or(measured.err());
    let interrupted = interrupt.stop.is_cancelled();
    costs.incomplete = costs.cells.len() + costs.not_measured.len() < cells.len();
    costs.mean = MeanCost::of(&costs.cells);
    if let Some(reason) = stopping_reason(failure.as_ref(), interrupted) {
        reporter.on(&LabEvent::Stopping { reason });
    }
    reporter.on(&LabEvent::Closing);
    if let Err(error) = testbed.close().await {
        failure.get_or_insert(error);
    }
    Ok(Certified { costs, failure, interrupted })
}

/// Fills `costs` cell by cell, until the last or until it is to stop.
async fn measure(
    load: &mut Load<'_>,
    cells: &[Certify],
    costs: &mut Costs,
) -> Result<(), RunError> {
    for (index, plan) in cells.iter().enumerate() {
        if load.halt.is_cancelled() {
            break;
        }
        match load.certify(plan, (index + 1, cells.len())).await? {
            Ok(certificate) => costs.cells.push(CellCost::of(plan, &certificate)),
            Err(_) if load.halt.is_cancelled() => break,
            Err(reason) => {
                costs.not_measured.push(NotMeasured { cell: plan.cell.id.clone(), reason });
            }
        }
    }
    Ok(())
}
