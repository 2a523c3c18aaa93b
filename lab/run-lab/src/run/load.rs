//! The load of a run: the certification, then every round of every cell in its order.

use std::time::Duration;

use ledger::{clock, names};
use tokio_util::sync::CancellationToken;

use super::RunError;
use super::points::Points;
use super::round::{begin, round};
use super::testbed::TestBed;
use lab_drive::builtin::{Driver, Gateway, Running};
use lab_drive::k6::{self, Driven, K6, Limits};
use lab_judge::result::precision;
use lab_model::event::{LabEvent, Reporter};
use lab_model::plan::{Plan, order};
use lab_model::{Cell, CellMeasure, Entry, RoundMeasure, RunMeasure, Statements};
use lab_supervise::PartError;

/// How often those who watch are told how a round goes on.
const TICK: Duration = Duration::from_millis(250);

/// The load of one run.
pub(super) struct Load<'a> {
    pub(super) plan: &'a Plan,
    pub(super) generator: &'a Driver,
    /// Drives the cells instead of the built-in driver, which certifies the probe all the same.
    pub(super) k6: Option<K6>,
    pub(super) points: &'a Points,
    pub(super) testbed: &'a mut TestBed,
    pub(super) reporter: &'a mut dyn Reporter,
    /// Rest after each round, in which its spans are sent, in nanoseconds.
    pub(super) settle_ns: u64,
    /// Requests belong to their cells. Those of a certification belong to none.
    pub(super) counts: bool,
    /// Cancelled when the load is to stop.
    pub(super) halt: CancellationToken,
    /// For questions to services that are not load.
    pub(super) http: reqwest::Client,
}

impl Load<'_> {
    /// Runs all of it, or as much as there is time for; what was measured is in `measure`.
    pub(super) async fn run(&mut self, measure: &mut RunMeasure) -> Result<(), RunError> {
        if let Some(plan) = &self.plan.certify {
            let certificate = self.certify(plan, (1, 1)).await?;
            measure.probe_cost = certificate.ok().map(|certificate| certificate.cost);
        }
        for round in 0..self.plan.until.map_or(self.plan.rounds, |until| until.rounds) {
            if round >= self.plan.rounds && self.is_known(measure) {
                return Ok(());
            }
            self.pass(&mut measure.cells, round).await?;
            if self.halt.is_cancelled() {
                return Ok(());
            }
        }
        self.is_known(measure);
        Ok(())
    }

    /// One round of each of `cells`, in the order of that round.
    pub(super) async fn pass(
        &mut self,
        cells: &mut [CellMeasure],
        round: u32,
    ) -> Result<(), RunError> {
        // What is peculiar to one start of the services is inside a round, and not the same in all of them.
        self.testbed.stop_services().await;
        for index in order(cells.len(), round) {
            if self.halt.is_cancelled() {
                return Ok(());
            }
            let cell = &mut cells[index];
            let (measured, done) = self.cell(&cell.cell, round).await;
            let Some(measured) = measured else {
                done?;
                continue;
            };
            // Told when it has been kept: what cannot be told is measured all the same.
            cell.rounds.push(measured);
            if self.counts {
                let told = self.points.load(&cell.cell, &cell.rounds[cell.rounds.len() - 1]).await;
                done.and(told.map_err(|error| PartError::from(error).into()))?;
            } else {
                done?;
            }
        }
        Ok(())
    }

    /// Whether what is claimed of `measure` is known as well as was asked; tells how well, if not.
    fn is_known(&mut self, measure: &RunMeasure) -> bool {
        let Some(until) = self.plan.until else { return true };
        let Some(share) = precision(&measure.cells) else { return false };
        if share > until.share {
            let rounds = measure.cells.iter().map(|cell| cell.rounds.len()).max().unwrap_or(0);
            let (share, wanted) = (share * 100.0, until.share * 100.0);
            self.reporter.on(&LabEvent::Preparing {
                what: format!(
                    "after {rounds} of at most {} rounds the widest interval is ±{share:.1} % of the mean, ±{wanted} % \
                     are asked for",
                    until.rounds
                ),
            });
        }
        share <= until.share
    }

    /// One round of a cell: what was measured, if its measured part began, and what ended it before its time.
    async fn cell(
        &mut self,
        cell: &Cell,
        number: u32,
    ) -> (Option<RoundMeasure>, Result<(), RunError>) {
        let halt = self.halt.clone();
        let entry = match halt.run_until_cancelled(self.serve(cell)).await {
            None => return (None, Ok(())),
            Some(Err(error)) => return (None, Err(error)),
            Some(Ok(entry)) => entry,
        };
        self.reporter.on(&LabEvent::RoundBegan { cell: cell.id.clone(), round: number });
        if self.counts
            && let Err(error) = self.points.event(cell, number, names::BEGAN).await
        {
            return (None, Err(PartError::from(error).into()));
        }
        let before = self.statements().await;
        let (measured, done) = self.drive(cell, number, &entry).await;
        if self.counts {
            // A sidecar that is gone is told of by its death.
            let _ = self.points.event(cell, number, names::ENDED).await;
        }
        let Some(mut measured) = measured.filter(|measured| measured.requests.planned > 0) else {
            return (None, done);
        };
        measured.statements = before.zip(self.statements().await).map(|(from, to)| to.since(from));
        self.reporter.on(&LabEvent::RoundEnded {
            cell: cell.id.clone(),
            round: number,
            requests: measured.requests,
            p50_ns: measured.latency.value_at_quantile(0.5),
            p99_ns: measured.latency.value_at_quantile(0.99),
            planned_ns: cell.warmup_ns + cell.duration_ns + self.settle_ns,
        });
        (Some(measured), done)
    }

    /// Sees to it that what the cell asks for is there; returns who is to be asked.
    async fn serve(&mut self, cell: &Cell) -> Result<Entry, RunError> {
        if cell.workload.asks_database() {
            self.testbed.seed(&cell.knobs, self.reporter).await?;
        }
        self.testbed.serve(cell.arm.as_ref(), &cell.knobs, self.reporter).await
    }

    /// What the database has counted so far; `None` where there is none, or it does not count.
    async fn statements(&self) -> Option<Statements> {
        let url = format!("http://{}/statements", self.testbed.users()?);
        self.http.get(url).send().await.ok()?.error_for_status().ok()?.json().await.ok()
    }

    /// Makes the load of one round.
    async fn drive(
        &mut self,
        cell: &Cell,
        number: u32,
        entry: &Entry,
    ) -> (Option<RoundMeasure>, Result<(), RunError>) {
        let driven = match &self.k6 {
            Some(k6) => self.drive_by_k6(k6.clone(), cell, number, entry).await,
            None => self.drive_built_in(cell, number, entry).await.map(Some),
        };
        match driven {
            Ok(measured) => (measured, Ok(())),
            Err(RunError::K6(mut error)) => {
                (error.take_kept().map(Driven::into_measure), Err(RunError::K6(error)))
            }
            Err(error) => (None, Err(error)),
        }
    }

    async fn drive_built_in(
        &mut self,
        cell: &Cell,
        number: u32,
        entry: &Entry,
    ) -> Result<RoundMeasure, RunError> {
        let connections = self.testbed.connect(&cell.knobs, entry).await?;
        let round = round(cell, number, self.plan.timeout_ns);
        let name = if self.counts { cell.id.as_str() } else { "" };
        let target = Gateway::new(&connections, cell, name, number, round.sampling.weight());
        let running = begin(self.generator, target, round, &self.halt)?;
        Ok(self.watch(running, cell).await)
    }

    async fn drive_by_k6(
        &mut self,
        by: K6,
        cell: &Cell,
        number: u32,
        entry: &Entry,
    ) -> Result<Option<RoundMeasure>, RunError> {
        let limits =
            Limits { timeout_ns: self.plan.timeout_ns, preallocated: self.plan.preallocated };
        let order = k6::Order { entry, cell, number, limits };
        let (supervisor, halt) = (&self.testbed.supervisor, &self.halt);
        let reporter = &mut *self.reporter;
        let mut tell = |requests, in_flight, elapsed_ns| {
            let cell = cell.id.clone();
            reporter.on(&LabEvent::RoundGoesOn { cell, requests, in_flight, elapsed_ns });
        };
        let driven = by.round(supervisor, order, halt, &mut tell).await?;
        Ok(driven.map(Driven::into_measure))
    }

    /// Tells how the round goes on until it ends.
    async fn watch(&mut self, running: Running, cell: &Cell) -> RoundMeasure {
        let began = running.start_ns() - cell.warmup_ns;
        let progress = running.progress();
        let start = Duration::from_nanos(running.start_ns().saturating_sub(clock::now()));
        let start = tokio::time::sleep(start);
        let end = running.finish();
        tokio::pin!(start, end);
        let (mut started, mut before) = (false, None);
        let mut tick = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                measured = &mut end => {
                    // What it takes to send the spans of the round is a part of its CPU time.
                    let settle = tokio::time::sleep(Duration::from_nanos(self.settle_ns));
                    let _ = self.halt.run_until_cancelled(settle).await;
                    let used = before.zip(self.testbed.services_cpu_ns());
                    let services_cpu_ns = used.map(|(before, after)| after.saturating_sub(before));
                    return RoundMeasure { services_cpu_ns, ..measured };
                }
                () = &mut start, if !started => (started, before) = (true, self.testbed.services_cpu_ns()),
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
