//! Points that wait for InfluxDB, in order: one batch on its way, then the spool, then memory.
//!
//! Memory holds what came in last, until it is a batch or until InfluxDB is away: then it goes to the spool.
//! So memory stays within [`MEMORY`] and two batches, however long InfluxDB is away. Blocks on the disk, never
//! on the network.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;

use super::counts::{Counts, Reason};
use super::spool::{Spool, SpoolError, count};

/// A batch is sent when it has this many bytes …
const BATCH: usize = 256 << 10;
/// … or this many points (InfluxData's advice for batches is 5,000) …
const BATCH_POINTS: u64 = 5_000;
/// … or is this old.
pub(super) const BATCH_AGE: Duration = Duration::from_secs(1);
/// Most that memory holds where the spool takes nothing; past it the oldest points are dropped.
pub(super) const MEMORY: usize = 1 << 20;

/// The batch on its way.
#[derive(Debug)]
struct Head {
    body: Bytes,
    number: u64,
    points: u64,
    /// It is in the spool too, under its number.
    stored: bool,
    /// It has been said that the spool did not take it.
    said: bool,
}

/// Everything that waits.
#[derive(Debug)]
pub(super) struct Backlog {
    head: Option<Head>,
    spool: Spool,
    fresh: Vec<u8>,
    /// When the first of `fresh` came, on [`ledger::clock`].
    since: u64,
    away: bool,
    counts: Arc<Counts>,
}

impl Backlog {
    pub(super) fn new(spool: Spool, counts: Arc<Counts>) -> Backlog {
        let found: u64 = spool.segments().iter().map(|segment| segment.points).sum();
        counts.found.store(found + spool.torn(), Relaxed);
        counts.drop_points(Reason::SpoolUnreadable, spool.torn());
        let backlog =
            Backlog { head: None, spool, fresh: Vec::new(), since: 0, away: false, counts };
        backlog.show();
        backlog
    }

    /// Takes whole lines, at `now` on [`ledger::clock`].
    pub(super) fn push(&mut self, lines: &[u8], now: u64) {
        if self.fresh.is_empty() {
            self.since = now;
        }
        self.counts.taken.fetch_add(count(lines), Relaxed);
        self.fresh.extend_from_slice(lines);
        if self.away || self.fresh.len() >= 2 * BATCH {
            self.spill();
        }
        self.show();
    }

    /// The next batch to send, if there is one: that on its way, else the oldest. Less than a whole batch
    /// only if it has waited long enough, or if there is `haste`.
    pub(super) fn next(&mut self, now: u64, haste: bool) -> Option<Bytes> {
        if self.head.is_none() {
            self.head = self.spooled().or_else(|| self.batch(now, haste));
            self.show();
        }
        self.head.as_ref().map(|head| head.body.clone())
    }

    fn spooled(&mut self) -> Option<Head> {
        while let Some((segment, text)) = self.spool.read_first() {
            match text {
                Ok(text) => {
                    let (number, points) = (segment.number, segment.points);
                    return Some(Head {
                        body: text.into(),
                        number,
                        points,
                        stored: true,
                        said: false,
                    });
                }
                Err(error) => {
                    self.counts.say(&error.to_string());
                    self.counts.drop_points(Reason::SpoolUnreadable, segment.points);
                    self.spool.remove(segment.number);
                }
            }
        }
        None
    }

    fn batch(&mut self, now: u64, haste: bool) -> Option<Head> {
        let points = count(&self.fresh);
        let old = u128::from(now.saturating_sub(self.since)) >= BATCH_AGE.as_nanos();
        let whole = self.fresh.len() >= BATCH || points >= BATCH_POINTS;
        if points == 0 || !(whole || old || haste) {
            return None;
        }
        let body = std::mem::take(&mut self.fresh).into();
        Some(Head { body, number: self.spool.reserve(), points, stored: false, said: false })
    }

    /// InfluxDB has the batch on its way, but for `refused` points that it will never take.
    pub(super) fn sent(&mut self, refused: u64) {
        if std::mem::take(&mut self.away) {
            self.counts.recovered();
        }
        if let Some(head) = self.head.take() {
            let refused = refused.min(head.points);
            self.counts.written.fetch_add(head.points - refused, Relaxed);
            self.counts.drop_points(Reason::Refused, refused);
            if head.stored {
                self.counts.replayed.fetch_add(head.points - refused, Relaxed);
                self.spool.remove(head.number);
            }
        }
        self.show();
    }

    /// InfluxDB did not take the batch on its way: everything goes to the spool.
    pub(super) fn failed(&mut self) {
        self.away = true;
        self.counts.retries.fetch_add(1, Relaxed);
        self.store_head();
        self.spill();
        self.show();
    }

    /// Leaves everything that waits in the spool.
    pub(super) fn close(&mut self) {
        if let Some(why) = self.store_head() {
            let points = self.head.as_ref().map_or(0, |head| head.points);
            self.counts.drop_points(why, points);
        }
        if let Some(why) = self.spill() {
            self.counts.drop_points(why, count(&self.fresh));
            self.fresh.clear();
        }
        self.head = None;
        self.spool.close();
        self.show();
    }

    /// Stores the batch on its way; answers why it could not be. Then it stays in memory and is tried again.
    fn store_head(&mut self) -> Option<Reason> {
        let head = self.head.as_mut().filter(|head| !head.stored)?;
        match self.spool.put_first(head.number, &head.body) {
            Ok(()) => {
                head.stored = true;
                None
            }
            Err(error) => {
                if !std::mem::replace(&mut head.said, true) {
                    self.counts.say(&error.to_string());
                }
                Some(reason(&error))
            }
        }
    }

    /// Moves memory to the spool. Where that fails, it answers why, and memory is kept, within its bound.
    fn spill(&mut self) -> Option<Reason> {
        if self.fresh.is_empty() {
            return None;
        }
        let kept = self.head.as_ref().map(|head| head.number);
        let spilled = self.spool.append(&self.fresh, kept);
        self.counts.drop_points(Reason::SpoolFull, self.spool.take_overflowed());
        let Err(error) = spilled else {
            self.fresh.clear();
            return None;
        };
        self.counts.say(&error.to_string());
        let why = reason(&error);
        if self.fresh.len() > MEMORY {
            let from = self.fresh.len() - MEMORY / 2;
            let cut = self.fresh[from..].iter().position(|&byte| byte == b'\n');
            let cut = cut.map_or(self.fresh.len(), |at| from + at + 1);
            self.counts.drop_points(why, count(&self.fresh[..cut]));
            self.fresh.drain(..cut);
        }
        Some(why)
    }

    /// Brings the counters of what waits up to date.
    fn show(&self) {
        let unstored = self.head.as_ref().filter(|head| !head.stored).map_or(0, |head| head.points);
        let spooled: u64 = self.spool.segments().iter().map(|segment| segment.points).sum();
        self.counts.waiting.store(count(&self.fresh) + unstored, Relaxed);
        self.counts.spooled.store(spooled, Relaxed);
        self.counts.spool_bytes.store(self.spool.bytes(), Relaxed);
        self.counts.away.store(self.away, Relaxed);
    }
}

/// Why points are dropped that the spool did not take.
fn reason(error: &SpoolError) -> Reason {
    match error {
        SpoolError::Limit { .. } => Reason::SpoolFull,
        SpoolError::Io { .. } | SpoolError::InUse(_) => Reason::SpoolError,
    }
}
