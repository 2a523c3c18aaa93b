//! `run-lab report` and `run-lab compare`: runs that have been made, shown again.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Exit, Failure, terminal};
use lab_judge::result::RunResult;
use lab_report::{self, REPORT_HTML, RESULT_JSON};

/// What to show again.
#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// The folder of the run
    dir: PathBuf,
}

/// What to compare.
#[derive(Debug, Args)]
pub(super) struct CompareArgs {
    /// The folder of one run
    a: PathBuf,
    /// The folder of the other
    b: PathBuf,
}

/// Prints a run's report and rewrites its files.
pub(super) fn report(arguments: &ReportArgs) -> Result<Exit, Failure> {
    let result = read(&arguments.dir)?;
    terminal::print(lab_report::terminal(&result, terminal::width(), terminal::colour()))?;
    // After it is shown: the folder may be somebody else's, or its disk full.
    lab_report::write_all(&arguments.dir, &result).map_err(|error| Failure::other(error.into()))?;
    terminal::print(format_args!("\n{}\n", arguments.dir.join(REPORT_HTML).display()))?;
    Ok(Exit::Done)
}

/// Prints two runs side by side.
pub(super) fn compare(arguments: &CompareArgs) -> Result<Exit, Failure> {
    terminal::print(lab_report::compare(&read(&arguments.a)?, &read(&arguments.b)?))?;
    Ok(Exit::Done)
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
