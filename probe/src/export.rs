//! From finished records to spans on the wire: OTLP over gRPC, some time after the fact.
//!
//! The queue is bounded, and every span that does not arrive is counted. Nobody who puts a record in is
//! held up, and nobody is woken for it: the exporter looks by a timer, and earlier only where the queue is
//! half full. A process tells its counts with every request, and each second without one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tonic::Status;

use crate::otlp::{Encoder, Process, Totals};
use crate::own;
use crate::receiver::{EndpointError, Receiver};
use crate::record::Record;

/// Records waiting to be exported; past it they are lost and counted.
const QUEUE: usize = 16_384;
/// Spans in one export request.
const BATCH: usize = 512;

/// How long an exporter waits for what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// Between two looks at the queue.
    look: Duration,
    /// How long a process may have nothing to export before it tells its counts all the same.
    silence: Duration,
    /// For the answer to one request.
    answer: Duration,
    /// For everything that is still to be done when it is to stop.
    exit: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            look: Duration::from_millis(250),
            silence: Duration::from_secs(1),
            answer: Duration::from_secs(5),
            exit: Duration::from_secs(5),
        }
    }
}

/// Where finished records go. Cloning is cheap.
#[derive(Debug, Clone)]
pub(crate) enum Sink {
    /// Nowhere: a process without an endpoint.
    Nowhere,
    /// To whoever holds the other end.
    Kept(tokio::sync::mpsc::Sender<Arc<Record>>),
    /// To the exporter.
    Export(Arc<Queue>),
}

/// What waits to be exported, and the counts of a process.
#[derive(Debug)]
pub(crate) struct Queue {
    records: mpsc::SyncSender<Arc<Record>>,
    waiting: AtomicU64,
    highest: AtomicU64,
    lost: AtomicU64,
    half_full: Notify,
}

impl Sink {
    /// A sink whose records are kept for whoever holds the other end.
    pub(crate) fn kept() -> (Self, tokio::sync::mpsc::Receiver<Arc<Record>>) {
        let (kept, records) = tokio::sync::mpsc::channel(QUEUE);
        (Sink::Kept(kept), records)
    }

    /// Hands a record over, if its trace is sampled; only the first time counts.
    pub(crate) fn submit(&self, record: &Arc<Record>) {
        let sampled = record.identity().is_some_and(|identity| identity.context.sampled());
        if !sampled || matches!(self, Sink::Nowhere) || !record.take() {
            return;
        }
        match self {
            Sink::Nowhere => {}
            // A test that lets its records lie finds fewer than it asks for.
            Sink::Kept(kept) => drop(kept.try_send(Arc::clone(record))),
            Sink::Export(queue) => queue.put(record),
        }
    }

    /// Spans that were lost so far.
    pub(crate) fn lost(&self) -> u64 {
        if let Sink::Export(queue) = self { queue.lost.load(Relaxed) } else { 0 }
    }
}

impl Queue {
    fn put(&self, record: &Arc<Record>) {
        // A span that is lost here has a number all the same: the gap shows it.
        record.number(self.highest.fetch_add(1, Relaxed) + 1);
        if self.records.try_send(Arc::clone(record)).is_err() {
            self.lost.fetch_add(1, Relaxed);
            return;
        }
        if self.waiting.fetch_add(1, Relaxed) + 1 == QUEUE as u64 / 2 {
            self.half_full.notify_one();
        }
    }

    fn totals(&self) -> Totals {
        Totals { highest: self.highest.load(Relaxed), lost: self.lost.load(Relaxed) }
    }
}

/// When an exporter that was asked to stop is to be done with everything; none if it was not asked.
type End = watch::Receiver<Option<Instant>>;

/// The task that exports.
#[derive(Debug)]
pub(crate) struct Exporter {
    end: watch::Sender<Option<Instant>>,
    task: JoinHandle<()>,
    patience: Patience,
}

impl Exporter {
    /// Starts exporting the spans of process `pid` to `endpoint` in the current runtime.
    pub(crate) fn start(
        service: &str,
        pid: u32,
        endpoint: &str,
        patience: Patience,
    ) -> Result<(Exporter, Sink), EndpointError> {
        let receiver = Receiver::at(endpoint)?;
        let (records, waiting) = mpsc::sync_channel(QUEUE);
        let queue = Arc::new(Queue {
            records,
            waiting: AtomicU64::new(0),
            highest: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            half_full: Notify::new(),
        });
        let (service, said) = own::named(service);
        let process = Process { service, said, pid, instance: rand::random::<u64>() >> 1 };
        let worker = Worker {
            receiver,
            encoder: Encoder::new(process),
            request: Arc::default(),
            waiting,
            queue: Arc::clone(&queue),
            told: (Totals { highest: 0, lost: 0 }, Instant::now()),
            complained: false,
            patience,
        };
        let (end, asked) = watch::channel(None);
        let task = tokio::spawn(worker.run(asked));
        Ok((Exporter { end, task, patience }, Sink::Export(queue)))
    }

    /// Exports what is queued, then stops, within the one limit for it all.
    pub(crate) async fn shutdown(self) {
        self.end.send_replace(Some(Instant::now() + self.patience.exit));
        // A panic in the task would have been reported by the runtime; there is nothing to add.
        let _ = self.task.await;
    }
}

struct Worker {
    receiver: Receiver,
    encoder: Encoder,
    /// Shared with the request that is being sent, and used again when that is over.
    request: Arc<Vec<u8>>,
    waiting: mpsc::Receiver<Arc<Record>>,
    queue: Arc<Queue>,
    /// What the receiver knows, and since when.
    told: (Totals, Instant),
    complained: bool,
    patience: Patience,
}

impl Worker {
    async fn run(mut self, mut end: End) {
        let end = loop {
            tokio::select! {
                end = asked(&mut end) => break end,
                () = self.queue.half_full.notified() => {}
                () = tokio::time::sleep(self.patience.look) => {}
            }
            let patience = self.patience.answer;
            while end.borrow().is_none()
                && self.export(too_long(patience, end.clone()), false).await
            {}
        };
        while self.export(tokio::time::sleep_until(end), true).await {}
        let Totals { highest, lost } = self.queue.totals();
        if lost > 0 {
            tracing::warn!("{lost} of {highest} spans were not exported");
        }
    }

    /// Exports one batch, and waits for the answer until `too_long` completes. Answers whether there may
    /// be more. The `last` one tells the counts in any case.
    async fn export(&mut self, too_long: impl Future<Output = ()>, last: bool) -> bool {
        let mut count = 0;
        while count < BATCH as u64 {
            let Ok(record) = self.waiting.try_recv() else { break };
            self.encoder.add(&record);
            count += 1;
        }
        self.queue.waiting.fetch_sub(count, Relaxed);
        let totals = self.queue.totals();
        let (told, at) = self.told;
        let tell = told != totals && (last || at.elapsed() >= self.patience.silence);
        if count == 0 && !tell {
            return false;
        }
        // A request that was given up may still hold its bytes; then others are made.
        self.encoder.finish(totals, Arc::make_mut(&mut self.request));
        let request = Arc::clone(&self.request);
        let answer = tokio::select! {
            answer = self.receiver.send(request) => answer,
            () = too_long => Err(Status::deadline_exceeded("no answer in time")),
        };
        self.told.1 = Instant::now();
        match answer {
            Ok(refused) => {
                self.told.0 = totals;
                self.lose(refused.spans.min(count), &refused.why);
            }
            Err(status) => {
                self.lose(count, &format!("{:?}: {}", status.code(), status.message()));
            }
        }
        count == BATCH as u64
    }

    fn lose(&mut self, count: u64, why: &str) {
        self.queue.lost.fetch_add(count, Relaxed);
        if count > 0 && !std::mem::replace(&mut self.complained, true) {
            tracing::warn!("spans could not be exported, and are counted as lost: {why}");
        }
    }
}

/// Completes when the exporter is asked to stop: by when it is to be done.
async fn asked(end: &mut End) -> Instant {
    // Nobody who could ask is left: the process is ending.
    end.wait_for(Option::is_some).await.ok().and_then(|end| *end).unwrap_or_else(Instant::now)
}

/// Completes when an answer has taken `patience`, or everything is to be done.
async fn too_long(patience: Duration, mut end: End) {
    tokio::select! {
        () = tokio::time::sleep(patience) => {}
        end = asked(&mut end) => tokio::time::sleep_until(end).await,
    }
}

#[cfg(test)]
mod tests;
