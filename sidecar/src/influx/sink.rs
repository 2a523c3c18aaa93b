//! InfluxDB as a sink: sums rows into windows, and hands the windows to the writer as their time comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use ledger::wall::WallClock;
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::backlog::Backlog;
use super::client::{Client, Target};
use super::counts::{Counts, InfluxStats};
use super::parse::{self, BadLine};
use super::spool::Spool;
use super::windows::{PlanError, Tags, Windows, check_tags};
use super::writer::{Patience, Queue};
use crate::sink::{Batch, Done, Sink};

/// How often to look for windows whose time has come.
const LOOK: Duration = Duration::from_millis(250);
/// How long a flush waits for InfluxDB.
const FLUSH: Duration = Duration::from_secs(10);
/// The same when the sidecar stops: what is not written stays in the spool.
const LAST_FLUSH: Duration = Duration::from_secs(2);

/// Sums rows up and writes them to InfluxDB. Taking rows waits for nothing but a short lock.
pub(crate) struct InfluxSink {
    windows: Mutex<Windows>,
    queue: Queue,
    stopping: AtomicBool,
    stop: CancellationToken,
}

impl InfluxSink {
    /// Starts writing to `target`, what the spool holds first. Ends after [`Self::close`].
    pub(crate) fn start(
        run: String,
        hold: Duration,
        target: Target,
        spool: Spool,
    ) -> Result<(Arc<Self>, Tasks), String> {
        Self::start_with(run, hold, target, spool, Patience::DEFAULT)
    }

    pub(super) fn start_with(
        run: String,
        hold: Duration,
        target: Target,
        spool: Spool,
        patience: Patience,
    ) -> Result<(Arc<Self>, Tasks), String> {
        let client = Client::new(target, patience.write)?;
        let windows = Windows::new(run, hold, WallClock::read(), ledger::clock::now());
        let counts = Arc::new(Counts::default());
        let queue = Queue::new(Backlog::new(spool, Arc::clone(&counts)), counts);
        let (windows, stop) = (Mutex::new(windows), CancellationToken::new());
        let sink = Arc::new(InfluxSink { windows, queue, stopping: AtomicBool::new(false), stop });
        let sending = tokio::spawn({
            let (sink, stop) = (Arc::clone(&sink), sink.stop.clone());
            async move { sink.queue.send(client, patience, stop).await }
        });
        let looking = tokio::spawn({
            let sink = Arc::clone(&sink);
            async move { sink.write_as_due().await }
        });
        Ok((sink, Tasks { sending, looking }))
    }

    /// Says which tags the points of cells get.
    pub(crate) fn plan(&self, cells: Vec<Tags>) -> Result<(), PlanError> {
        cells.iter().try_for_each(check_tags)?;
        self.windows.lock().announce(cells)
    }

    /// Takes points in line protocol, all or none.
    pub(crate) async fn points(&self, body: &str) -> Result<(), BadLine> {
        let (text, _) = parse::check(body)?;
        self.push(text).await;
        Ok(())
    }

    /// The counters.
    pub(crate) fn stats(&self) -> InfluxStats {
        self.queue.counts.stats(self.windows.lock().missed())
    }

    /// From now on a flush waits for a shorter time.
    pub(crate) fn hurry(&self) {
        self.stopping.store(true, Relaxed);
    }

    /// Stops writing. What is not written stays in the spool.
    pub(crate) async fn close(&self, tasks: Tasks) {
        self.stop.cancel();
        let _ = (tasks.sending.await, tasks.looking.await);
        self.queue.with(Backlog::close).await;
    }

    async fn write_as_due(&self) {
        let mut tick = tokio::time::interval(LOOK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while self.stop.run_until_cancelled(tick.tick()).await.is_some() {
            let lines = {
                let mut windows = self.windows.lock();
                windows.set_clock(WallClock::read());
                windows.due(ledger::clock::now(), false)
            };
            self.push(lines.into_bytes()).await;
        }
    }

    async fn push(&self, lines: Vec<u8>) {
        if !lines.is_empty() {
            self.queue.with(move |backlog| backlog.push(&lines, ledger::clock::now())).await;
            self.queue.bell.notify_one();
        }
    }

    /// Writes every window as it stands, and waits until InfluxDB has all, for a bounded time.
    async fn write_all(&self) {
        let lines = self.windows.lock().due(ledger::clock::now(), true);
        self.push(lines.into_bytes()).await;
        let wanted = self.queue.counts.accepted();
        let mut settled = self.queue.settled.subscribe();
        let limit = if self.stopping.load(Relaxed) { LAST_FLUSH } else { FLUSH };
        self.queue.waiting.fetch_add(1, Relaxed);
        self.queue.bell.notify_one();
        let _ = tokio::time::timeout(limit, settled.wait_for(|&settled| settled >= wanted)).await;
        self.queue.waiting.fetch_sub(1, Relaxed);
    }
}

/// The tasks of a sink.
pub(crate) struct Tasks {
    sending: JoinHandle<()>,
    looking: JoinHandle<()>,
}

impl Sink for InfluxSink {
    fn take(&self, batch: Batch) -> Done<'_> {
        let now = ledger::clock::now();
        match &batch {
            Batch::Requests(rows) => self.windows.lock().requests(rows, now),
            Batch::Samples(samples) => self.windows.lock().samples(samples, now),
            Batch::Asides(asides) => self.windows.lock().asides(asides, now),
        }
        Box::pin(std::future::ready(()))
    }

    fn flush(&self) -> Done<'_> {
        Box::pin(self.write_all())
    }
}
