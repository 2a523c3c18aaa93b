//! The middle of the sidecar: batches of spans in, closed requests out to every sink.
//!
//! Receivers insert under one short lock; closing the books happens outside it. Owns when traces are
//! closed, not how ([`crate::join`]).

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::budget::Budget;
use crate::join::{Closing, Due, Joiner, Known, Late, Limits, close_traces};
use crate::otlp;
use crate::process::Watched;
use crate::runfile::{Aside, TraceId};
use crate::runs::{Run, Runs};
use crate::sink::{Batch, Sink};
use crate::span::SpanKind;
use crate::stats::{Counters, Stats};

/// How often to look for traces to close.
const TICK: Duration = Duration::from_millis(50);
/// Traces closed before other tasks get their turn.
const CHUNK: usize = 256;
/// Spans whose traces are closed at once, at most but for one trace: their rows are held beside the budget.
const CLOSED: usize = 4_096;
/// Spans that are joined before others get their turn.
const SPANS: usize = 1_024;

/// Shared by the receiver, the closing task and the control endpoint.
pub(crate) struct Pipeline {
    joiner: Mutex<Joiner>,
    known: Arc<RwLock<Known>>,
    counters: Arc<Counters>,
    budget: Arc<Budget>,
    watched: Arc<Watched>,
    runs: Runs,
    sinks: Vec<Arc<dyn Sink>>,
    /// Held while traces are on their way to the sinks, so that a flush waits for them.
    closing: tokio::sync::Mutex<()>,
    /// Rings where traces are closed because memory is short: who closes them is not to wait for its next look.
    short: Notify,
}

impl Pipeline {
    pub(crate) fn new(
        limits: Limits,
        counters: Arc<Counters>,
        budget: Arc<Budget>,
        watched: Arc<Watched>,
        sinks: Vec<Arc<dyn Sink>>,
    ) -> Self {
        let joiner = Joiner::new(limits);
        let (known, joiner) = (joiner.known(), Mutex::new(joiner));
        let (runs, closing, short) =
            (Runs::default(), tokio::sync::Mutex::default(), Notify::new());
        Pipeline { joiner, known, counters, budget, watched, runs, sinks, closing, short }
    }

    /// Takes in what one export request brought.
    pub(crate) fn accept(&self, mut batch: otlp::Batch) {
        self.runs.ignore(batch.ignored);
        self.counters.sizes_ignored.fetch_add(batch.sizes_ignored, Relaxed);
        let mut kinds = [0_u64; SpanKind::ALL.len()];
        for span in &batch.spans {
            kinds[span.kind as usize] += 1;
        }
        self.counters.received(kinds, &batch.rejected);
        for (source, told) in &batch.told {
            self.counters.losses.add(source, told);
        }
        for source in &batch.sources {
            self.watched.offer(source);
        }
        let mut spans = batch.spans.into_iter();
        while !spans.as_slice().is_empty() {
            let now = ledger::clock::now();
            let mut joiner = self.joiner.lock();
            joiner.expect(&spans.as_slice()[..spans.len().min(SPANS)]);
            let mut came = 0_usize;
            for span in spans.by_ref().take(SPANS) {
                joiner.insert(span, &mut batch.share, now);
                came += 1;
            }
            // Where memory is short, as many go as come, the oldest first.
            while self.budget.is_short() && came > 0 {
                self.short.notify_one();
                match joiner.evict_oldest() {
                    0 => break,
                    went => came = came.saturating_sub(went),
                }
            }
        }
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(crate) fn runs(&self) -> &Runs {
        &self.runs
    }

    /// Says which services are asked by callers that send no spans.
    pub(crate) fn edges(&self, services: &[String]) {
        let mut known = self.known.write();
        services.iter().for_each(|service| known.learn_edge(service));
    }

    pub(crate) fn watched(&self) -> &Watched {
        &self.watched
    }

    pub(crate) fn stats(&self) -> Stats {
        let (counts, open) = {
            let joiner = self.joiner.lock();
            (joiner.counts(), joiner.open())
        };
        let processes_not_sampled = self.watched.doubted();
        let (cells_ignored, runs_opened) = (self.runs.ignored(), u64::from(self.runs.latest()));
        Stats {
            processes_not_sampled,
            cells_ignored,
            runs_opened,
            ..self.counters.stats(counts, open, &self.budget)
        }
    }

    /// Gives process samples to every sink.
    pub(crate) async fn samples(&self, batch: Batch) {
        for sink in &self.sinks {
            sink.take(batch.clone()).await;
        }
    }

    /// Closes traces as their time comes, until `stop`.
    pub(crate) async fn close_as_due(&self, stop: &CancellationToken) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut next = async || {
            tokio::select! { _ = tick.tick() => {}, () = self.short.notified() => {} }
        };
        while stop.run_until_cancelled(next()).await.is_some() {
            self.close_all(|joiner| joiner.due(ledger::clock::now(), CHUNK)).await;
        }
    }

    /// Closes every open trace of `run` and waits until all sinks have stored what they have.
    pub(crate) async fn flush_run(&self, run: Run) {
        self.close_all(|joiner| joiner.flush_run(run, ledger::clock::now(), CHUNK)).await;
        for sink in &self.sinks {
            sink.flush().await;
        }
    }

    /// Closes every open trace and waits until all sinks have stored everything.
    pub(crate) async fn flush(&self) {
        self.close_all(|joiner| joiner.flush(ledger::clock::now(), CHUNK)).await;
        for sink in &self.sinks {
            sink.flush().await;
        }
    }

    async fn close_all(&self, next: impl Fn(&mut Joiner) -> Vec<Due>) {
        let _closing = self.closing.lock().await;
        loop {
            let (traces, late) = {
                let mut joiner = self.joiner.lock();
                (next(&mut joiner), joiner.take_late())
            };
            if traces.is_empty() && late.is_empty() {
                return;
            }
            let mut late = late;
            let mut traces = traces.into_iter().peekable();
            loop {
                let mut spans = 0;
                let group = std::iter::from_fn(|| {
                    let trace = traces.next_if(|_| spans < CLOSED)?;
                    spans += trace.spans().len();
                    Some(trace)
                });
                self.close(group.collect(), std::mem::take(&mut late)).await;
                tokio::task::yield_now().await;
                if traces.peek().is_none() {
                    break;
                }
            }
        }
    }

    /// Closes the books of these traces, and gives their rows, and what came `late`, to every sink.
    async fn close(&self, traces: Vec<Due>, late: Vec<Late>) {
        let mut rows = Vec::new();
        let closings = close_traces(traces, &self.known, &mut rows);
        closings.iter().for_each(|closing| self.counters.closed(closing));
        let asides = asides(&closings, late);
        // What is said of a trace goes before its rows: they may take its place.
        let batches = [
            (!asides.is_empty()).then(|| Batch::Asides(asides.into())),
            (!rows.is_empty()).then(|| Batch::Requests(rows.into())),
        ];
        for batch in batches.into_iter().flatten() {
            for sink in &self.sinks {
                sink.take(batch.clone()).await;
            }
        }
    }
}

/// What is to be said of traces beside their rows.
fn asides(closings: &[Closing], late: Vec<Late>) -> Vec<Aside> {
    let closed = closings.iter().filter(|closing| closing.says_more()).map(|closing| {
        let (now, before) = (closing.tally.fragments, closing.earlier.fragments);
        Aside {
            trace_id: TraceId(closing.trace),
            fragments: Some(now),
            new_fragments: now.saturating_sub(before),
            again: closing.again,
            ..Aside::default()
        }
    });
    let late = late.into_iter().map(|late| Aside {
        trace_id: TraceId(late.trace),
        cell: late.cell.as_deref().unwrap_or_default().to_owned(),
        late: u64::from(late.spans),
        ..Aside::default()
    });
    closed.chain(late).collect()
}
