//! A round of cells that take turns, or of one alone: they begin, are asked in turn, and end.
//!
//! A machine is never twice the same: within a second it is a tenth faster or slower for a while. What is compared is
//! therefore asked for some tens of milliseconds each, forward and backward (A B B A), so that whatever lasts longer
//! weighs on all of them alike.

use ledger::names;

use super::RunError;
use super::load::Load;
use super::round::{Lane, Turn};
use lab_model::CellMeasure;
use lab_model::event::LabEvent;
use lab_model::plan::order;
use lab_supervise::PartError;

impl Load<'_> {
    /// Round number `number` of the cells at `places`. What was measured is kept, whatever ends it.
    pub(super) async fn together(
        &mut self,
        cells: &mut [CellMeasure],
        places: &[usize],
        number: u32,
    ) -> Result<(), RunError> {
        let lane = |&place: &usize| Lane::of(place, cells[place].cell.clone(), places.len() > 1);
        let mut lanes: Vec<Lane> = places.iter().map(lane).collect();
        let mut done = self.turns(&mut lanes, number).await;
        for lane in lanes {
            let told = self.end(lane, cells, number).await;
            done = done.and(told);
        }
        done
    }

    async fn turns(&mut self, lanes: &mut [Lane], number: u32) -> Result<(), RunError> {
        let turns = lanes.iter().map(|lane| lane.turns).max().unwrap_or(0);
        let mut until_ns = 0;
        for turn in 0..turns {
            for at in order(lanes.len(), turn) {
                if self.halt.is_cancelled() {
                    return Ok(());
                }
                let lane = &mut lanes[at];
                self.turn(lane, Turn { round: number, number: turn, until_ns }).await?;
                until_ns = lane.measured.as_ref().map_or(0, |measured| measured.end_ns);
            }
        }
        Ok(())
    }

    /// One turn of a cell, the first of which begins its round.
    async fn turn(&mut self, lane: &mut Lane, turn: Turn) -> Result<(), RunError> {
        let halt = self.halt.clone();
        if lane.entry.is_none() {
            match halt.run_until_cancelled(self.serve(&lane.cell)).await {
                None => return Ok(()),
                Some(served) => lane.entry = Some(served?),
            }
            let cell = lane.cell.id.clone();
            self.reporter.on(&LabEvent::RoundBegan { cell, round: turn.round });
            if self.counts {
                let told = self.points.event(&lane.cell, turn.round, names::BEGAN).await;
                told.map_err(|error| RunError::from(PartError::from(error)))?;
            }
        }
        let Some(entry) = lane.entry.clone() else { return Ok(()) };
        let before = self.statements().await;
        let (measured, done) = self.drive(lane, &entry, turn).await;
        // A turn in which no request is due is time in which none was.
        let goes_on = lane.measured.is_some();
        let measured = measured.filter(|measured| measured.requests.planned > 0 || goes_on);
        if let Some(mut measured) = measured {
            measured.statements =
                before.zip(self.statements().await).map(|(from, to)| to.since(from));
            match &mut lane.measured {
                Some(all) => all.go_on(measured),
                None => lane.measured = Some(measured),
            }
        }
        done
    }

    /// The round of a cell is over: what was measured goes to the cell, and to those who watch.
    async fn end(
        &mut self,
        lane: Lane,
        cells: &mut [CellMeasure],
        number: u32,
    ) -> Result<(), RunError> {
        let Lane { place, cell, measured, .. } = lane;
        if self.counts && lane.entry.is_some() {
            // A sidecar that is gone is told of by its death.
            let _ = self.points.event(&cell, number, names::ENDED).await;
        }
        let Some(measured) = measured else { return Ok(()) };
        self.reporter.on(&LabEvent::RoundEnded {
            cell: cell.id.clone(),
            round: number,
            requests: measured.requests,
            p50_ns: measured.latency.value_at_quantile(0.5),
            p99_ns: measured.latency.value_at_quantile(0.99),
            planned_ns: cell.warmup_ns + cell.duration_ns + self.settle_ns,
        });
        // Told when it has been kept: what cannot be told is measured all the same.
        let told = if self.counts { self.points.load(&cell, &measured).await } else { Ok(()) };
        cells[place].rounds.push(measured);
        told.map_err(|error| PartError::from(error).into())
    }
}
