//! From what was measured to what may be believed: the result of a run, and its verdicts.
//!
//! A result is computed first and judged then: [`result`] does not know [`verdict`].

pub mod result;
mod rows;
pub mod verdict;

use lab_model::RunMeasure;
use result::{CellResult, CellRows, Halves, Latencies, Rounds, RunResult};
use sidecar::runfile::{ProcessSample, RequestRow};

pub use rows::Rows;

/// Computes and judges the result of a run whose rows are at hand.
///
/// Rows that belong to no cell of the run (warm-up, foreign traffic) are left out.
#[must_use]
pub fn build(run: &RunMeasure, rows: &[RequestRow], samples: &[ProcessSample]) -> RunResult {
    let cells = run.cells.iter().map(|measure| {
        let own = || rows.iter().filter(|row| *row.cell == *measure.cell.id);
        let mut latencies = Latencies::default();
        own().for_each(|row| latencies.take(row));
        let mut cell = CellRows::new(measure, latencies);
        own().for_each(|row| cell.take(row));
        cell.close(samples)
    });
    assemble(run, cells.collect())
}

/// Computes the cells of `run` from its `rows`, one after the other and row by row: of a run of an hour no more is
/// held than of one of a minute, but for the latency of each request. They are not judged yet ([`assemble`]).
///
/// # Errors
/// If the rows cannot be read.
pub async fn read<R: Rows>(rows: &mut R, run: &RunMeasure) -> Result<Vec<CellResult>, R::Error> {
    let samples = rows.samples().await?;
    let mut cells = Vec::with_capacity(run.cells.len());
    for measure in &run.cells {
        let (id, mut latencies) = (&measure.cell.id, Latencies::default());
        rows.each_alone(id, &mut |row| latencies.take(row)).await?;
        let mut cell = CellRows::new(measure, latencies);
        rows.each(id, &mut |row| cell.take(row)).await?;
        cells.push(cell.close(&samples));
    }
    Ok(cells)
}

/// Computes the parts of the rounds of `cells` anew from their `rows`, as those of runs that an earlier version made. In
/// which halves of a round requests were planned only the run itself knows.
///
/// # Errors
/// If the rows cannot be read.
pub async fn retell<R: Rows>(rows: &mut R, cells: &mut [CellResult]) -> Result<(), R::Error> {
    for cell in cells {
        let mut latencies = Latencies::default();
        rows.each_alone(&cell.id, &mut |row| latencies.take(row)).await?;
        let mut rounds = Rounds::new(&latencies);
        let take = &mut |row: &RequestRow| {
            if row.counts() {
                rounds.take(row, Halves::default());
            }
        };
        rows.each(&cell.id, take).await?;
        rounds.retell(&mut cell.rounds);
    }
    Ok(())
}

/// Judges the result of a run that has these `cells`.
#[must_use]
pub fn assemble(run: &RunMeasure, cells: Vec<CellResult>) -> RunResult {
    let mut result = result::assemble(run, cells);
    verdict::judge(&mut result);
    result
}
