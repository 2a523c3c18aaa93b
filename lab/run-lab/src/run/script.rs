//! The load of a run by a script of the user's own: one process of k6 is one round, and cells are what it asked.

use std::path::Path;

use super::RunError;
use super::load::Load;
use lab_drive::k6::{K6, K6Error, Measured, SCRIPT_CELL, ScriptOrder};
use lab_model::event::LabEvent;
use lab_model::{Cell, CellMeasure, Knobs, RunMeasure};
use lab_supervise::PartError;

impl Load<'_> {
    /// Runs the script as often as there are rounds; what was measured is in `measure`.
    pub(super) async fn run_script(
        &mut self,
        script: &Path,
        measure: &mut RunMeasure,
    ) -> Result<(), RunError> {
        let Some(by) = self.k6.clone() else { return Ok(()) };
        for round in 0..self.plan.rounds {
            self.testbed.stop_services().await;
            if self.halt.is_cancelled() {
                return Ok(());
            }
            for measured in self.script_round(&by, script, round).await? {
                // Whether a script has thresholds only k6 knows, until one is missed.
                let k6 = measured.round.k6;
                measure.asked.thresholds |= k6.is_some_and(|k6| k6.thresholds_failed);
                let known = measure.cells.iter().position(|known| known.cell.id == measured.cell);
                let at = known.unwrap_or_else(|| {
                    let cell = cell(&measured);
                    measure.cells.push(CellMeasure { cell, rounds: Vec::new() });
                    measure.cells.len() - 1
                });
                let cell = &measure.cells[at].cell;
                if cell.workload.carries != measured.carries {
                    return Err(K6Error::declared_anew(&measured.cell).into());
                }
                let told = self.points.load(cell, &measured.round).await;
                measure.cells[at].rounds.push(measured.round);
                told.map_err(PartError::from)?;
            }
        }
        Ok(())
    }

    async fn script_round(
        &mut self,
        by: &K6,
        script: &Path,
        number: u32,
    ) -> Result<Vec<Measured>, RunError> {
        let entry = self.testbed.serve(None, &Knobs::default(), self.reporter).await?;
        let name = || SCRIPT_CELL.to_owned();
        self.reporter.on(&LabEvent::RoundBegan { cell: name(), round: number });
        let (supervisor, halt, reporter) =
            (&self.testbed.supervisor, &self.halt, &mut *self.reporter);
        let mut tell = |requests, elapsed_ns| {
            let cell = name();
            reporter.on(&LabEvent::RoundGoesOn { cell, requests, in_flight: 0, elapsed_ns });
        };
        let order = ScriptOrder { script, number, entry: &entry };
        Ok(by.script(supervisor, order, halt, &mut tell).await?)
    }
}

/// The cell that requests of `measured` are of, which nothing had declared but the script itself.
fn cell(measured: &Measured) -> Cell {
    let (id, duration_ns) = (measured.cell.clone(), measured.asked_ns.max(1));
    let operation = id.split_once(' ').map_or(&*id, |(_, operation)| operation).to_owned();
    let asked = measured.round.requests.planned;
    Cell::of_script(id, &operation, asked, duration_ns, measured.carries.clone())
}
