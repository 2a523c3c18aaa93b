//! Where single requests are read: the run file of a folder, a sidecar that runs, or, of a run whose rows are with
//! somebody else's sidecar, the few that its result has.

use std::fmt;
use std::path::{Path, PathBuf};

use lab_judge::result::units::count;
use lab_judge::result::{RequestResult, RunResult, in_time};
use lab_launch::{Control, ControlError, Token};
use lab_model::System;
use lab_report::RESULT_JSON;
use lab_supervise::PartError;
use settings::PeerUrl;
use sidecar::runfile::{RunFile, RunFileError, Single};

use super::attached::row_of;
use super::counters::TRACES_OPEN;
use super::{RUN_FILE, RunError};

/// The folder in which runs have theirs.
const RUNS: &str = "lab-runs";
/// The counter of requests that a sidecar has closed.
const REQUESTS_CLOSED: &str = "requests_closed";

/// Where single requests are.
#[derive(Debug)]
pub enum Singles {
    /// In a run file.
    File(PathBuf),
    /// With a sidecar.
    Sidecar(String, Control),
    /// In a result, for the rows are with the sidecar of the system.
    Result(PathBuf, Box<RunResult>),
}

impl fmt::Display for Singles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Singles::File(path) | Singles::Result(path, _) => write!(f, "{}", path.display()),
            Singles::Sidecar(url, _) => f.write_str(url),
        }
    }
}

impl Singles {
    /// Those of the run whose folder, or run file, is `named`; else of the newest run here.
    ///
    /// # Errors
    /// Says what is not there.
    pub async fn of_run(named: Option<&Path>) -> Result<Singles, String> {
        let folder = match named {
            Some(path) if path.is_file() => return Ok(Singles::File(path.to_owned())),
            Some(path) => path.to_owned(),
            None => newest().ok_or_else(|| {
                format!("no run is in the folder {RUNS} here: name one with --run, or a --sidecar")
            })?,
        };
        let file = folder.join(RUN_FILE);
        if file.is_file() {
            return Ok(Singles::File(file));
        }
        let path = folder.join(RESULT_JSON);
        let missing = || format!("{} is no run: there is no {} in it", folder.display(), RUN_FILE);
        let text = tokio::fs::read_to_string(&path).await.map_err(|_| missing())?;
        let read = RunResult::from_json(&text);
        let result = read.map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Singles::Result(path, Box::new(result)))
    }

    /// Those that the sidecar at `url` has.
    ///
    /// # Errors
    /// If no HTTP client can be made.
    pub fn of_sidecar(url: &PeerUrl, token: Option<Token>) -> Result<Singles, RunError> {
        let control = Control::at(url, token).map_err(PartError::from)?;
        Ok(Singles::Sidecar(url.to_string(), control))
    }

    /// What of the command line names this place.
    #[must_use]
    pub fn flag(&self) -> String {
        match self {
            Singles::File(path) | Singles::Result(path, _) => {
                let folder = path
                    .parent()
                    .filter(|_| path.ends_with(RUN_FILE) || path.ends_with(RESULT_JSON));
                format!("--run {}", folder.unwrap_or(path).display())
            }
            Singles::Sidecar(url, _) => format!("--sidecar {url}"),
        }
    }

    /// These requests, each drawn in time.
    ///
    /// # Errors
    /// If they cannot be read.
    pub async fn read(&self, which: &Single) -> Result<Vec<RequestResult>, RunError> {
        match self {
            Singles::File(path) => {
                let read = async {
                    let mut file = RunFile::open(&*path).await?;
                    let rows = file.read_single(which, None).await?;
                    file.close().await.map(|()| rows.iter().map(in_time).collect())
                };
                read.await.map_err(broken(path))
            }
            Singles::Sidecar(_, control) => {
                let asked = asked_of(control, which).await;
                asked.map_err(|error| PartError::from(error).into())
            }
            Singles::Result(_, result) => Ok(kept(result, which)),
        }
    }

    /// What is there, in words.
    ///
    /// # Errors
    /// If that cannot be read.
    pub async fn there(&self) -> Result<String, RunError> {
        match self {
            Singles::File(path) => {
                let read = async {
                    let mut file = RunFile::open(&*path).await?;
                    let cells = file.count_by_cell().await?;
                    file.close().await.map(|()| cells)
                };
                let cells = read.await.map_err(broken(path))?;
                let cells: Vec<_> = cells
                    .iter()
                    .map(|(cell, requests)| match cell.as_str() {
                        "" => format!("{} of no cell", count(*requests)),
                        cell => format!("{cell} {}", count(*requests)),
                    })
                    .collect();
                let told =
                    if cells.is_empty() { "no request".to_owned() } else { cells.join(", ") };
                Ok(format!("{self} ({told})"))
            }
            Singles::Sidecar(_, control) => {
                let counters = control.stats().await.map_err(PartError::from)?;
                let of = |name| count(counters.get(name).copied().unwrap_or_default());
                let (closed, open) = (of(REQUESTS_CLOSED), of(TRACES_OPEN));
                Ok(format!(
                    "the sidecar at {self} ({closed} requests closed; traces open: {open}, each for some seconds after its \
                     last span)"
                ))
            }
            Singles::Result(_, result) => {
                let System::Attached { sidecar, .. } = &result.system else {
                    return Ok(format!(
                        "{self} (it has the slowest alone, and its run file is gone)"
                    ));
                };
                Ok(format!(
                    "{self} (it has the slowest alone; the others are with the sidecar: --sidecar {sidecar})"
                ))
            }
        }
    }
}

fn broken(path: &Path) -> impl FnOnce(RunFileError) -> RunError {
    move |error| RunError::RunFile { path: path.to_owned(), error }
}

/// The newest folder of a run here, by when its result or its run file was written.
fn newest() -> Option<PathBuf> {
    let written = |folder: &Path| {
        let files = [RUN_FILE, RESULT_JSON].map(|name| folder.join(name).metadata());
        files.into_iter().flatten().filter_map(|file| file.modified().ok()).max()
    };
    let folders = std::fs::read_dir(RUNS).ok()?.flatten().map(|entry| entry.path());
    let runs = folders.filter_map(|folder| Some((written(&folder)?, folder)));
    runs.max().map(|(_, folder)| folder)
}

/// Asks a sidecar for them, whatever run they belong to.
async fn asked_of(control: &Control, which: &Single) -> Result<Vec<RequestResult>, ControlError> {
    let most;
    let mut questions = vec![("run", "all")];
    match which {
        Single::Trace(id) => questions.push(("trace", id)),
        Single::Slowest { most: asked, cell } => {
            most = asked.to_string();
            questions.push(("slowest", &most));
            questions.extend(cell.iter().map(|cell| ("cell", &**cell)));
        }
    }
    let mut requests = Vec::new();
    let mut read = |line: &[u8]| {
        requests.push(in_time(&row_of(line)?));
        Ok(())
    };
    control.lines("/rows", &questions, &mut read).await?;
    Ok(requests)
}

/// Those of a result.
fn kept(result: &RunResult, which: &Single) -> Vec<RequestResult> {
    let slowest = result.slowest.iter();
    match which {
        Single::Trace(id) => slowest.filter(|one| one.trace_id.starts_with(id)).cloned().collect(),
        Single::Slowest { most, cell } => {
            let of = |one: &&RequestResult| cell.as_ref().is_none_or(|cell| one.cell == *cell);
            slowest.filter(of).take(*most as usize).cloned().collect()
        }
    }
}
