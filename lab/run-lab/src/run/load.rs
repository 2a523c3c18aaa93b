//! The load of a run: the certification, then every round of every cell in its order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ledger::clock;
use tokio_util::sync::CancellationToken;

use super::RunError;
use super::points::Points;
use super::round::{Lane, Turn, begin, round, turn_of};
use super::testbed::TestBed;
use lab_drive::builtin::{Driver, Gateway, Running};
use lab_drive::k6::{self, Driven, K6, Limits};
use lab_judge::result::precision;
use lab_model::event::{LabEvent, Reporter};
use lab_model::plan::{Plan, order, together};
use lab_model::{Cell, CellMeasure, CpuUse, Entry, RoundMeasure, RunMeasure, Statements};

/// How often those who watch are told how a round goes on.
const TICK: Duration = Duration::from_millis(250);
/// What processes have used is read so long before the measured part, so that it delays no request, in nanoseconds.
const LOOK_AHEAD_NS: u64 = 3_000_000;

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

    /// One round of each of `cells`, in the order of that round; those that take turns with each other together.
    pub(super) async fn pass(
        &mut self,
        cells: &mut [CellMeasure],
        round: u32,
    ) -> Result<(), RunError> {
        // What is peculiar to one start of the services is inside a round, and not the same in all of them.
        self.testbed.stop_services().await;
        let groups = together(cells.iter().map(|cell| &cell.cell));
        // What services do by the clock (they send their spans four times a second) is not to meet the same cells in each
        // pass. Cells that are compared but take no turns stay beside each other.
        let turned = groups.iter().all(|group| group.len() > 1);
        let shift = if turned { round as usize / 2 } else { 0 };
        for at in order(groups.len(), round) {
            let group = &groups[(at + shift) % groups.len()];
            if self.halt.is_cancelled() {
                return Ok(());
            }
            let places: Vec<usize> = order(group.len(), round).map(|at| group[at]).collect();
            self.together(cells, &places, round).await?;
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

    /// Sees to it that what the cell asks for is there; returns who is to be asked.
    pub(super) async fn serve(&mut self, cell: &Cell) -> Result<Entry, RunError> {
        if cell.workload.asks_database() {
            self.testbed.seed(&cell.knobs, self.reporter).await?;
        }
        self.testbed.serve(cell.arm.as_ref(), &cell.knobs, self.reporter).await
    }

    /// What the database has counted so far; `None` where there is none, or it does not count.
    pub(super) async fn statements(&self) -> Option<Statements> {
        let url = format!("http://{}/statements", self.testbed.users()?);
        self.http.get(url).send().await.ok()?.error_for_status().ok()?.json().await.ok()
    }

    /// Makes the load of one turn: what was measured, if its measured part began, and what ended it before its time.
    pub(super) async fn drive(
        &mut self,
        lane: &mut Lane,
        entry: &Entry,
        turn: Turn,
    ) -> (Option<RoundMeasure>, Result<(), RunError>) {
        let driven = match &self.k6 {
            Some(k6) => self.drive_by_k6(k6.clone(), &lane.cell, turn.round, entry).await,
            None => self.drive_built_in(lane, entry, turn).await.map(Some),
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
        lane: &mut Lane,
        entry: &Entry,
        turn: Turn,
    ) -> Result<RoundMeasure, RunError> {
        let cell = &lane.cell;
        let whole = round(cell, turn.round, self.plan.timeout_ns);
        let target = match &lane.target {
            Some(target) => Arc::clone(target),
            None => {
                let connections = self.testbed.connect(&cell.knobs, entry).await?;
                let name = if self.counts { cell.id.as_str() } else { "" };
                let weight = whole.sampling.weight();
                let target = Gateway::new(&connections, cell, name, turn.round, weight);
                Arc::clone(lane.target.insert(Arc::new(target)))
            }
        };
        let earlier = lane.measured.as_ref().map_or(0, |measured| measured.requests.planned);
        let round = match lane.turns {
            1 => whole,
            _ => turn_of(whole, cell, turn, earlier),
        };
        let warmup_ns = round.warmup_ns;
        let running = begin(self.generator, target, round, &self.halt)?;
        Ok(self.watch(running, lane, warmup_ns).await)
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

    /// Tells how the round goes on until its turn ends.
    async fn watch(&mut self, running: Running, lane: &Lane, warmup_ns: u64) -> RoundMeasure {
        let cell = &lane.cell;
        let began = running.start_ns() - warmup_ns;
        let earlier =
            lane.measured.as_ref().map(|measured| (measured.requests, measured.elapsed_ns()));
        let progress = running.progress();
        let start = running.start_ns().saturating_sub(LOOK_AHEAD_NS);
        let start = Duration::from_nanos(start.saturating_sub(clock::now()));
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
                    return self.with_use(measured, before);
                }
                () = &mut start, if !started => (started, before) = (true, self.testbed.services_use()),
                _ = tick.tick() => {
                    let (mut requests, in_flight) = progress.requests();
                    let mut elapsed_ns = clock::now().saturating_sub(began);
                    if let Some((earlier, ns)) = earlier {
                        requests += earlier;
                        elapsed_ns += cell.warmup_ns + ns;
                    }
                    let elapsed_ns = elapsed_ns.min(cell.warmup_ns + cell.duration_ns);
                    let cell = cell.id.clone();
                    self.reporter.on(&LabEvent::RoundGoesOn { cell, requests, in_flight, elapsed_ns });
                }
            }
        }
    }

    /// What was measured, with what the processes used since `before`.
    fn with_use(
        &self,
        mut measured: RoundMeasure,
        before: Option<BTreeMap<String, CpuUse>>,
    ) -> RoundMeasure {
        let Some((before, mut after)) = before.zip(self.testbed.services_use()) else {
            return measured;
        };
        for (name, used) in &mut after {
            *used = used.since(before.get(name).copied().unwrap_or_default());
        }
        measured.services_cpu_ns = Some(after.values().map(|used| used.cpu_ns).sum());
        measured.processes = after;
        measured
    }
}
