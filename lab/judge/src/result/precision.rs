//! How much is known of what a run will claim, while it still goes on.

use lab_contrast::{In, Level, Mean, Round, Statistic, change};
use lab_model::{CellMeasure, RoundMeasure};

use super::cell::CellResult;
use super::contrasts::places;
use super::factors::Factors;

/// Half the width of the widest interval that the run would claim by now, as a share of a mean latency: of each pair of
/// cells that are compared, or of each cell where none are. `None` as long as there is none.
#[must_use]
pub fn precision(cells: &[CellMeasure]) -> Option<f64> {
    let factors: Vec<Factors> = cells.iter().map(Factors::of).collect();
    let asked: Vec<_> = std::iter::zip(cells, &factors)
        .map(|(one, factors)| (one.cell.id.as_str(), factors))
        .collect();
    let pairs = places(&asked);
    let means: Vec<Option<Mean>> = if pairs.is_empty() {
        cells.iter().map(|cell| of_cell(&rounds(cell))).collect()
    } else {
        let pairs =
            pairs.iter().map(|&(first, second)| (rounds(&cells[first]), rounds(&cells[second])));
        pairs
            .map(|(first, second)| change(&first, &second, Statistic::Mean, In::Ratio).ok())
            .collect()
    };
    let level = Level::together(means.len());
    let halves: Option<Vec<f64>> =
        means.iter().map(|mean| Some(mean.as_ref()?.half(level))).collect();
    halves?.into_iter().reduce(f64::max)
}

/// The 95 % interval of the mean latency of a cell, by itself, in microseconds: Student's t over the means of its rounds.
/// One round has none.
#[must_use]
pub fn interval(cell: &CellResult) -> Option<(f64, f64)> {
    let rounds = cell.rounds.iter().filter(|round| round.answered > 0);
    let means: Vec<f64> = rounds.map(|round| round.mean_us).collect();
    Mean::of(&means).map(|mean| mean.interval(Level::ALONE))
}

/// The logarithm of a cell's latency: its error is a share.
fn of_cell(rounds: &[Round]) -> Option<Mean> {
    let logs: Vec<f64> = rounds.iter().map(|round| round.latency.ln()).collect();
    Mean::of(&logs).filter(|mean| mean.value.is_finite())
}

fn rounds(cell: &CellMeasure) -> Vec<Round> {
    let latency =
        |round: &RoundMeasure| if round.latency.is_empty() { 0.0 } else { round.latency.mean() };
    cell.rounds.iter().map(|round| Round { latency: latency(round), ..Round::default() }).collect()
}
