//! What a run is made of before it begins: the real parts it uses, the folder it writes into, the parts it names.

use std::io;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use super::{Failure, arm};
use lab_drive::k6::Release;
use lab_launch::{Inventory, Tool};
use lab_model::plan::Plan;
use lab_model::{ArmProgram, Component, Service};
use lab_supervise::Absolute;
use ledger::{date, wall};

/// Runs of one plan that may start in one second.
const MOST_AT_ONCE: u32 = 100;

/// Which real parts are to be used. Those that are found are, unless something else is said.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Real parts")]
pub(super) struct RealParts {
    /// Real parts to insist on, instead of what stands in for them
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LIST")]
    require: Vec<Tool>,
    /// Real parts to leave out even where they are found
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LIST")]
    without: Vec<Tool>,
}

impl RealParts {
    /// Those that are insisted on, and those that are left out.
    pub(super) fn of(require: Vec<Tool>, without: Vec<Tool>) -> RealParts {
        RealParts { require, without }
    }

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum DriverChoice {
    /// k6 if it is found and can do what the cells ask for, the built-in one otherwise
    #[default]
    Auto,
    /// The built-in open-loop driver
    Builtin,
    /// k6
    K6,
}

/// Without a database, cells that ask it are left out; returns how many.
pub(super) fn leave_out_database(plan: &mut Plan, inventory: &Inventory) -> Result<usize, Failure> {
    if inventory.of(Tool::Postgres).is_some() {
        return Ok(0);
    }
    let before = plan.cells.len();
    plan.cells.retain(|cell| !cell.workload.asks_database());
    if plan.cells.is_empty() {
        let (why, how) = (inventory.why_not(Tool::Postgres), Tool::Postgres.how_to_get());
        return Err(Failure::missing(format!(
            "every cell of the plan {} asks PostgreSQL, which is {why}; to get it: {how}",
            plan.name
        )));
    }
    Ok(before - plan.cells.len())
}

/// What a run begins with, once it is known what it will do.
pub(super) struct Ground {
    pub(super) executable: PathBuf,
    /// The program of each arm.
    pub(super) arms: Vec<ArmProgram>,
    pub(super) run_id: String,
    pub(super) out: Absolute,
}

impl Ground {
    /// Looks at the arms' programs, and makes the folder: the one that was asked for, or one of its own.
    pub(super) fn of(plan: &Plan, asked: Option<PathBuf>) -> Result<Ground, Failure> {
        let executable = std::env::current_exe().map_err(|error| Failure::other(error.into()))?;
        let arms = arm::programs(plan, &executable)?;
        let run_id = format!("{}-{}", plan.name, date::compact(wall::now()));
        let (run_id, out) = folder(&run_id, asked)?;
        Ok(Ground { executable, arms, run_id, out })
    }
}

/// The name of a run and its folder: the one that was asked for, or one of its own.
pub(super) fn folder(run_id: &str, asked: Option<PathBuf>) -> Result<(String, Absolute), Failure> {
    match asked {
        Some(out) => Ok((distinct(run_id), new_folder(out)?)),
        None => own_folder(run_id),
    }
}

/// A name of a run that no other process on this machine gives in this second: runs may share an InfluxDB.
fn distinct(run_id: &str) -> String {
    format!("{run_id}-{}", std::process::id())
}

/// Makes a folder for a run that names none. Two of one plan may start in the same second: the later
/// one adds a number to its name.
fn own_folder(run_id: &str) -> Result<(String, Absolute), Failure> {
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
fn new_folder(given: PathBuf) -> Result<Absolute, Failure> {
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

/// The parts of a run: the real ones, what stands in for others, and the lab's own.
pub(super) fn components(plan: &Plan, inventory: &Inventory, left_out: usize) -> Vec<Component> {
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
