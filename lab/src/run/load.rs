//! The load of a run: the certification, then every round of every cell in its order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ledger::clock;
use tokio_util::sync::CancellationToken;

use super::RunError;
use super::certify::Certifier;
use super::points::Points;
use super::rig::Rig;
use crate::driver::{Driver, Gateway, MAX_TRACES_PER_SECOND, Round, Running, Sampling};
use crate::event::{LabEvent, Reporter};
use crate::launch::PartError;
use crate::model::{Cell, RoundMeasure, RunMeasure, Statements, Workload};
use crate::plan::Plan;

/// How often those who watch are told how a round goes on.
const TICK: Duration = Duration::from_millis(250);

/// The load of one run.
pub(super) struct Load<'a> {
    pub(super) plan: &'a Plan,
    pub(super) generator: &'a Driver,
    pub(super) points: &'a Points,
    pub(super) rig: &'a mut Rig,
    pub(super) reporter: &'a mut dyn Reporter,
    /// Cancelled when the load is to stop.
    pub(super) halt: CancellationToken,
    /// For questions to services that are not load.
    pub(super) http: reqwest::Client,
}

impl Load<'_> {
    /// Runs all of it, or as much as there is time for; what was measured is in `measure`.
    pub(super) async fn run(&mut self, measure: &mut RunMeasure) -> Result<(), RunError> {
        if let Some(plan) = &self.plan.certify {
            let mut certifier = Certifier {
                driver: self.generator,
                rig: self.rig,
                reporter: self.reporter,
                halt: &self.halt,
                timeout_ns: self.plan.timeout_ns,
            };
            let certificate = certifier.certify(plan, (1, 1)).await?;
            measure.probe_cost = certificate.ok().map(|certificate| certificate.cost);
        }
        let cells = measure.cells.iter().map(|measure| &measure.cell);
        self.points.announce(cells).await.map_err(PartError::from)?;
        for round in 0..self.plan.rounds {
            for index in self.plan.order(round) {
                if self.halt.is_cancelled() {
                    return Ok(());
                }
                let cell = &mut measure.cells[index];
                if let Some(measured) = self.cell(&cell.cell, round).await? {
                    cell.rounds.push(measured);
                }
                // Told when it has been kept: what cannot be told is measured all the same.
                if let Some(measured) = cell.rounds.last().filter(|last| last.round == round) {
                    let told = self.points.load(&cell.cell, measured).await;
                    told.map_err(PartError::from)?;
                }
            }
        }
        Ok(())
    }

    /// One round of a cell; `None` if the run was halted before its measured part began.
    async fn cell(&mut self, cell: &Cell, number: u32) -> Result<Option<RoundMeasure>, RunError> {
        let halt = self.halt.clone();
        let Some(gateway) = halt.run_until_cancelled(self.serve(cell)).await.transpose()? else {
            return Ok(None);
        };
        self.reporter.on(&LabEvent::RoundBegan { cell: cell.id.clone(), round: number });
        self.points.event(cell, number, "began").await.map_err(PartError::from)?;
        let before = self.statements().await;
        let mut measured = self.drive(cell, number, gateway).await?;
        measured.statements = before.zip(self.statements().await).map(|(from, to)| to.since(from));
        // A sidecar that is gone is told of by its death.
        let _ = self.points.event(cell, number, "ended").await;
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

    /// Sees to it that what the cell asks for is there; returns where the gateway is.
    async fn serve(&mut self, cell: &Cell) -> Result<SocketAddr, RunError> {
        if cell.workload == Workload::Users {
            self.rig.seed(&cell.knobs, self.reporter).await?;
        }
        self.rig.serve(&cell.knobs, self.reporter).await
    }

    /// What the database has counted so far; `None` where there is none, or it does not count.
    async fn statements(&self) -> Option<Statements> {
        let url = format!("http://{}/statements", self.rig.users()?);
        self.http.get(url).send().await.ok()?.error_for_status().ok()?.json().await.ok()
    }

    /// Makes the load of one round.
    async fn drive(
        &mut self,
        cell: &Cell,
        number: u32,
        gateway: SocketAddr,
    ) -> Result<RoundMeasure, RunError> {
        let connections = self.rig.connect(&cell.knobs, gateway).await?;
        let round = round(cell, number, self.plan.timeout_ns);
        let target = Gateway::new(&connections, cell, &cell.id, number, round.sampling.weight());
        let running = begin(self.generator, target, round, &self.halt)?;
        Ok(self.watch(running, cell).await)
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
