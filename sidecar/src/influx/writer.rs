//! The task that sends the backlog to InfluxDB, again and again while it is away.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Mutex, Notify, watch};
use tokio_util::sync::CancellationToken;

use super::backlog::Backlog;
use super::client::{Client, WriteError};
use super::counts::Counts;
use super::spool::count;

/// How long to wait, and for what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// For an answer.
    pub(super) write: Duration,
    /// After the first failure; doubled with each that follows.
    pub(super) first_pause: Duration,
    /// At most.
    pub(super) longest_pause: Duration,
}

impl Patience {
    /// What a sidecar has.
    pub(super) const DEFAULT: Patience = Patience {
        write: Duration::from_secs(10),
        first_pause: Duration::from_millis(250),
        longest_pause: Duration::from_secs(5),
    };
}

/// How often to look for a batch that has become old enough.
const LOOK: Duration = Duration::from_millis(200);
/// How often to try while somebody waits for a flush.
const HASTE: Duration = Duration::from_millis(250);
/// How often a refused batch is cut in two to find the points that were meant. One of 5,000 takes 13 cuts.
const CUTS: u32 = 40;

/// What the writer shares with those who give it points.
#[derive(Debug)]
pub(super) struct Queue {
    backlog: Arc<Mutex<Backlog>>,
    pub(super) counts: Arc<Counts>,
    /// Rung when there may be something to do at once.
    pub(super) bell: Notify,
    /// Points written or dropped so far.
    pub(super) settled: watch::Sender<u64>,
    /// How many wait for a flush.
    pub(super) waiting: std::sync::atomic::AtomicUsize,
}

impl Queue {
    pub(super) fn new(backlog: Backlog, counts: Arc<Counts>) -> Queue {
        Queue {
            backlog: Arc::new(Mutex::new(backlog)),
            counts,
            bell: Notify::new(),
            settled: watch::Sender::new(0),
            waiting: std::sync::atomic::AtomicUsize::new(0),
        }
    }

    /// Does something with the backlog on a thread that may block: it writes and reads files.
    pub(super) async fn with<R: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Backlog) -> R + Send + 'static,
    ) -> Option<R> {
        let mut backlog = Arc::clone(&self.backlog).lock_owned().await;
        let acting = tokio::task::spawn_blocking(move || act(&mut backlog));
        let done = acting.await;
        let settled = self.counts.settled();
        self.settled.send_if_modified(|last| std::mem::replace(last, settled) != settled);
        done.inspect_err(|error| tracing::error!(%error, "the backlog stopped")).ok()
    }

    fn haste(&self) -> bool {
        self.waiting.load(std::sync::atomic::Ordering::Relaxed) > 0
    }

    /// Sends until `stop`.
    pub(super) async fn send(&self, client: Client, patience: Patience, stop: CancellationToken) {
        let mut failures = 0;
        while !stop.is_cancelled() {
            let haste = self.haste();
            let next = self.with(move |backlog| backlog.next(ledger::clock::now(), haste)).await;
            let Some(Some(batch)) = next else {
                self.pause(LOOK, &stop).await;
                continue;
            };
            let delivered = stop.run_until_cancelled(deliver(&client, &batch, &self.counts)).await;
            match delivered {
                None => return,
                Some(Ok(refused)) => {
                    failures = 0;
                    self.with(move |backlog| backlog.sent(refused)).await;
                }
                Some(Err(error)) => {
                    self.counts.say(&error);
                    self.with(Backlog::failed).await;
                    let pause = pause(patience, failures);
                    failures += 1;
                    self.rest(pause, &stop).await;
                }
            }
        }
    }

    /// Waits until `stop`, the bell, or for so long.
    async fn pause(&self, length: Duration, stop: &CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.bell.notified() => {}
            () = tokio::time::sleep(length) => {}
        }
    }

    /// Waits after a failure. The bell cuts it short, but not to nothing: new points are no reason to try
    /// sooner, somebody who waits for a flush is.
    async fn rest(&self, length: Duration, stop: &CancellationToken) {
        let ends = tokio::time::Instant::now() + length;
        loop {
            let left = ends.saturating_duration_since(tokio::time::Instant::now());
            let step = if self.haste() { left.min(HASTE) } else { left };
            if step.is_zero() {
                return;
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(step) => if self.haste() { return },
                () = self.bell.notified() => {}
            }
        }
    }
}

/// How long to wait after `failures` failures before: doubled each time, and of that a random part between a
/// half and all, so that several sidecars do not come back at once.
fn pause(patience: Patience, failures: u32) -> Duration {
    use std::hash::{BuildHasher as _, Hasher as _};
    let doubled = patience.first_pause.saturating_mul(2_u32.saturating_pow(failures.min(16)));
    let random = std::hash::RandomState::new().build_hasher().finish();
    doubled.min(patience.longest_pause).mul_f64(0.5 + random as f64 / u64::MAX as f64 / 2.0)
}

/// Sends a batch. Of one that is stored in part nothing is sent again; one that is refused is cut in two, again and again, so that a bad point does not take others
/// with it; answers how many points were refused. Writing the others twice changes nothing.
async fn deliver(client: &Client, batch: &Bytes, counts: &Counts) -> Result<u64, String> {
    let (mut parts, mut refused, mut cuts) = (vec![batch.clone()], 0, 0);
    while let Some(part) = parts.pop() {
        match client.write(part.clone()).await {
            Ok(()) => {}
            Err(WriteError::Away(why)) => return Err(why),
            Err(WriteError::Partial { dropped, text }) => {
                refused += dropped.min(count(&part));
                counts.say(&text);
            }
            Err(WriteError::Refused { status, text }) => {
                // 400 and 422 are about points, 413 about their number; 401, 403 and 404 about all of them.
                let cut = cut(&part).filter(|_| matches!(status, 400 | 413 | 422) && cuts < CUTS);
                if let Some(at) = cut {
                    cuts += 1;
                    parts.extend([part.slice(at..), part.slice(..at)]);
                } else {
                    refused += count(&part);
                    let first = String::from_utf8_lossy(&part);
                    let first: String =
                        first.lines().next().unwrap_or("").chars().take(200).collect();
                    let more = format!("{text} (first of {} refused: {first})", count(&part));
                    counts.say_as(&text, &more);
                }
            }
        }
    }
    Ok(refused)
}

/// Where to cut lines in two, if there are two.
fn cut(lines: &Bytes) -> Option<usize> {
    let half = lines.len() / 2;
    let after = lines[half..].iter().position(|&byte| byte == b'\n').map(|at| half + at + 1);
    let before = || lines[..half].iter().rposition(|&byte| byte == b'\n').map(|at| at + 1);
    after.filter(|&at| at < lines.len()).or_else(before)
}
