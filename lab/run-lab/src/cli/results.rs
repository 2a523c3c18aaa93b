//! `run-lab report` and `run-lab compare`: runs that have been made, shown again.

use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};

use super::{Exit, Failure, terminal};
use lab_judge::result::{RunResult, compare_runs};
use lab_report::{self, REPORT_HTML, RESULT_JSON};

/// What to show again.
#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// The folder of the run
    #[arg(value_hint = ValueHint::DirPath)]
    dir: PathBuf,
    /// Write its reports again, in the form of this version
    #[arg(long)]
    write: bool,
    /// Print the result as JSON, in the form of this version
    #[arg(long)]
    json: bool,
}

/// What the help of `compare` says after the options.
pub(super) const AFTER: &str = "\
Runs that were made apart differ by more than their rounds do: the machine was another in each. So each
run is one value, and of fewer than three a side nothing is claimed. Arms that take turns in one session
(run-lab gate, or a plan's [[arm]]) are told apart by much less.

Examples:
  run-lab compare lab-runs/A lab-runs/B                numbers beside each other: exit code 7, no claim
  run-lab compare lab-runs/a-{1,2,3} -- lab-runs/b-{1,2,3}

Exit codes:
  0  told, with intervals
  2  what is named is no run
  7  it cannot be told: fewer than three runs of a side, or no cell that all of them have";

/// What to compare.
#[derive(Debug, Args)]
pub(super) struct CompareArgs {
    /// Folders of the runs to compare with; of just two folders, the second is compared with the first
    #[arg(required = true, value_name = "A", value_hint = ValueHint::DirPath)]
    a: Vec<PathBuf>,
    /// After `--`: folders of the runs that are compared with those
    #[arg(last = true, value_name = "B", value_hint = ValueHint::DirPath)]
    b: Vec<PathBuf>,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

/// Prints a run's report; writes its files if that is asked for, or if there are none.
pub(super) fn report(arguments: &ReportArgs) -> Result<Exit, Failure> {
    let result = read(&arguments.dir)?;
    let told = if arguments.json {
        lab_report::json(&result)
    } else {
        lab_report::terminal(&result, terminal::width(), terminal::colour())
    };
    terminal::print(told)?;
    let page = arguments.dir.join(REPORT_HTML);
    if arguments.write || !page.exists() {
        // After it is shown: the folder may be somebody else's, or its disk full.
        lab_report::write_all(&arguments.dir, &result)
            .map_err(|error| Failure::other(error.into()))?;
    }
    if !arguments.json {
        terminal::hint(format_args!("\n{}\n", page.display()));
    }
    Ok(Exit::Done)
}

/// Prints runs beside runs; says whether anything could be told of them.
pub(super) fn compare(arguments: &CompareArgs) -> Result<Exit, Failure> {
    let (a, b) = match (arguments.a.as_slice(), arguments.b.as_slice()) {
        ([a, b], []) => (std::slice::from_ref(a), std::slice::from_ref(b)),
        (a, []) => {
            let text =
                format!("{} runs and nothing to compare them with: name it after --", a.len());
            return Err(Failure::usage(text));
        }
        sides => sides,
    };
    let read = |dirs: &[PathBuf]| dirs.iter().map(|dir| read(dir)).collect::<Result<Vec<_>, _>>();
    let (a, b) = (read(a)?, read(b)?);
    let compared = compare_runs(&a, &b);
    let text = match (a.as_slice(), b.as_slice()) {
        _ if arguments.json => lab_report::compare_json(&a, &b, &compared),
        ([a], [b]) => lab_report::compare(a, b),
        (a, b) => lab_report::compare_runs(a, b, &compared),
    };
    terminal::print(text)?;
    let told = compared.iter().any(|cell| !cell.changes.is_empty());
    Ok(if told { Exit::Done } else { Exit::Undecided })
}

fn read(dir: &Path) -> Result<RunResult, Failure> {
    let path = dir.join(RESULT_JSON);
    let text = std::fs::read_to_string(&path).map_err(|error| {
        Failure::usage(format!(
            "{} is no run: cannot read {}: {error}",
            dir.display(),
            path.display()
        ))
    })?;
    RunResult::from_json(&text)
        .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}
