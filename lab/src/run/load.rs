//! The load of a run: the certification, then every round of every cell in its order.

use std::sync::Arc;
use std::time::Duration;

use ledger::clock;
use tokio_util::sync::CancellationToken;

use super::RunError;
use super::certify::Certifier;
use super::rig::Rig;
use crate::driver::{Driver, Gateway, MAX_TRACES_PER_SECOND, Round, Running, Sampling};
use crate::event::{LabEvent, Reporter};
use crate::model::{Cell, RoundMeasure, RunMeasure};
use crate::plan::Plan;

/// How often those who watch are told how a round goes on.
const TICK: Duration = Duration::from_millis(250);

/// The load of one run.
pub(super) struct Load<'a> {
    pub(super) plan: &'a Plan,
    pub(super) driver: &'a Driver,
    pub(super) rig: &'a mut Rig,
    pub(super) reporter: &'a mut dyn Reporter,
    /// Cancelled when the load is to stop.
    pub(super) halt: CancellationToken,
}

impl Load<'_> {
    /// Runs all of it, or as much as there is time for; what was measured is in `measure`.
    pub(super) async fn run(&mut self, measure: &mut RunMeasure) -> Result<(), RunError> {
        if let Some(plan) = &self.plan.certify {
            let mut certifier = Certifier {
                driver: self.driver,
                rig: self.rig,
                reporter: self.reporter,
                halt: &self.halt,
                timeout_ns: self.plan.timeout_ns,
            };
            let certificate = certifier.certify(plan, (1, 1)).await?;
            measure.probe_cost = certificate.ok().map(|certificate| certificate.cost);
        }
        for round in 0..self.plan.rounds {
            for index in self.plan.order(round) {
                if self.halt.is_cancelled() {
                    return Ok(());
                }
                let cell = &mut measure.cells[index];
                if let Some(measured) = self.cell(&cell.cell.clone(), round).await? {
                    cell.rounds.push(measured);
                }
            }
        }
        Ok(())
    }

    /// One round of a cell; `None` if the run was halted before its measured part began.
    async fn cell(&mut self, cell: &Cell, number: u32) -> Result<Option<RoundMeasure>, RunError> {
        let serving = tokio::select! {
            connections = self.rig.serve(&cell.knobs, self.reporter) => Some(connections?),
            () = self.halt.cancelled() => None,
        };
        let Some(connections) = serving else {
            return Ok(None);
        };
        self.reporter.on(&LabEvent::RoundBegan { cell: cell.id.clone(), round: number });
        let round = round(cell, number, self.plan.timeout_ns);
        let target = Gateway::new(&connections, cell, &cell.id, number, round.sampling.weight());
        let running = begin(self.driver, target, round, &self.halt)?;
        let measured = self.watch(running, cell).await;
        self.reporter.on(&LabEvent::RoundEnded {
            cell: cell.id.clone(),
            round: number,
            requests: measured.requests,
            p50_ns: measured.latency.value_at_quantile(0.5),
            p99_ns: measured.latency.value_at_quantile(0.99),
            planned_ns: cell.warmup_ns + cell.duration_ns,
        });
        Ok(Some(measured).filter(|measured| measured.requests.planned > 0))
    }

    /// Tells how the round goes on until it ends.
    async fn watch(&mut self, running: Running, cell: &Cell) -> RoundMeasure {
        let began = running.start_ns() - cell.warmup_ns;
        let progress = running.progress();
        let end = running.finish();
        tokio::pin!(end);
        let mut tick = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                measured = &mut end => return measured,
                _ = tick.tick() => {
                    let (requests, in_flight) = progress.requests();
                    let elapsed_ns = clock::now().saturating_sub(began).min(cell.warmup_ns + cell.duration_ns);
                    let cell = cell.id.clone();
                    self.reporter.on(&LabEvent::RoundGoesOn { cell, requests, in_flight, elapsed_ns });
                }
            }
        }
    }
}

/// The round that `cell` asks for.
pub(super) fn round(cell: &Cell, number: u32, timeout_ns: u64) -> Round {
    Round {
        number,
        rate: cell.rate,
        warmup_ns: cell.warmup_ns,
        duration_ns: cell.duration_ns,
        max_in_flight: cell.max_in_flight,
        timeout: Duration::from_nanos(timeout_ns),
        sampling: Sampling::at_most(MAX_TRACES_PER_SECOND, cell.rate),
    }
}

/// Starts `round` against the gateway.
pub(super) fn begin(
    driver: &Driver,
    target: Gateway,
    round: Round,
    halt: &CancellationToken,
) -> Result<Running, RunError> {
    driver
        .begin(Arc::new(target), round, halt.clone())
        .map_err(|error| RunError::System { attempt: "start the pacer's timer".to_owned(), error })
}
