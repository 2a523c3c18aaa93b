//! Runs beside runs that were made apart: each run is one value, for much differs between two runs that no round shows.

use lab_contrast::{In, Level, Mean, NoChange, Round, change_of_runs};
use lab_model::Compared;
use serde::{Deserialize, Serialize};

use super::RunResult;
use super::cell::CellResult;
use super::contrasts::round;
use super::gate::statistic;
use super::rounding::round as round_to;

/// What is compared of each cell.
const COMPARED: [Compared; 4] = [Compared::Mean, Compared::P50, Compared::P90, Compared::Cpu];

/// A cell of some runs beside that of others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunsCompared {
    /// The cell.
    pub cell: String,
    /// Runs of both sides that have it.
    pub runs: (u64, u64),
    /// What can be said of it.
    pub changes: Vec<RunsChange>,
}

/// How much one number differs between runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunsChange {
    /// What of the cell.
    pub of: String,
    /// The second side's over the first's.
    pub ratio: f64,
    /// Its interval, so wide that those of all cells hold together with 95 %.
    pub interval: (f64, f64),
}

impl RunsChange {
    /// Whether there is a difference.
    #[must_use]
    pub fn found(&self) -> bool {
        self.interval.0 > 1.0 || self.interval.1 < 1.0
    }
}

/// What can be said of the cells that all of the runs have.
#[must_use]
pub fn compare_runs(first: &[RunResult], second: &[RunResult]) -> Vec<RunsCompared> {
    let everywhere = |id: &str| {
        let has = |run: &RunResult| run.cells.iter().any(|cell| cell.id == id);
        first.iter().chain(second).all(has)
    };
    let ids = first.first().into_iter().flat_map(|run| &run.cells).map(|cell| cell.id.as_str());
    let ids: Vec<&str> = ids.filter(|id| everywhere(id)).collect();
    let changed = |id: &str, compared: Compared| -> Result<Mean, NoChange> {
        let (first, second) = (rounds(first, id), rounds(second, id));
        change_of_runs(&first, &second, statistic(compared), In::Ratio)
    };
    let all: Vec<Vec<(Compared, Mean)>> = ids
        .iter()
        .map(|id| COMPARED.iter().filter_map(|&of| Some((of, changed(id, of).ok()?))).collect())
        .collect();
    let level = Level::together(all.iter().map(Vec::len).sum());
    std::iter::zip(ids, all)
        .map(|(id, changes)| RunsCompared {
            cell: id.to_owned(),
            runs: (first.len() as u64, second.len() as u64),
            changes: changes.iter().map(|(of, mean)| told(*of, mean, level)).collect(),
        })
        .collect()
}

fn told(of: Compared, mean: &Mean, level: Level) -> RunsChange {
    let (low, high) = mean.interval(level);
    let ratio = |log: f64| round_to(log.exp(), 1e6);
    RunsChange {
        of: of.name().to_owned(),
        ratio: ratio(mean.value),
        interval: (ratio(low), ratio(high)),
    }
}

/// The rounds of the cell `id`, run by run.
fn rounds(runs: &[RunResult], id: &str) -> Vec<Vec<Round>> {
    let of = |cell: &CellResult| {
        // Results of earlier versions have no rounds: the whole cell is one.
        let whole = || Round {
            latency: cell.latency_us.mean,
            p50: cell.latency_us.p50,
            p90: cell.latency_us.p90,
            answered: cell.latency_us.count,
            ..Round::default()
        };
        match cell.rounds.as_slice() {
            [] => vec![whole()],
            rounds => {
                let answered = rounds.iter().filter(|round| round.answered > 0);
                answered.map(|of| round(cell, of)).collect()
            }
        }
    };
    runs.iter().filter_map(|run| run.cells.iter().find(|cell| cell.id == id).map(of)).collect()
}
