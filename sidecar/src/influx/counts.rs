//! What becomes of points, counted.
//!
//! Every point is in one place:
//! `points_taken + points_found = points_written + points_dropped + points_waiting + points_spooled`.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::windows::Missed;

/// Most kinds of errors that are told apart.
const MAX_KINDS: usize = 64;

/// What an error has in common with others of its kind: its words, without numbers and what is quoted.
fn kind_of(error: &str) -> String {
    let unquoted = error.split(['"', '\'', '`']).step_by(2);
    unquoted.flat_map(str::chars).filter(|c| !c.is_ascii_digit()).collect()
}

/// Why points were dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    /// InfluxDB said that it will never take them.
    Refused,
    /// The spool was at its limit.
    SpoolFull,
    /// The spool could not be written.
    SpoolError,
    /// A file of the spool could not be read, or its last line was cut off.
    SpoolUnreadable,
}

impl Reason {
    const fn name(self) -> &'static str {
        match self {
            Reason::Refused => "refused",
            Reason::SpoolFull => "spool_full",
            Reason::SpoolError => "spool_error",
            Reason::SpoolUnreadable => "spool_unreadable",
        }
    }
}

/// The counters, shared by those who count.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(super) taken: AtomicU64,
    pub(super) found: AtomicU64,
    pub(super) written: AtomicU64,
    pub(super) replayed: AtomicU64,
    pub(super) retries: AtomicU64,
    pub(super) waiting: AtomicU64,
    pub(super) spooled: AtomicU64,
    pub(super) spool_bytes: AtomicU64,
    pub(super) away: AtomicBool,
    dropped: Mutex<BTreeMap<Reason, u64>>,
    last_error: Mutex<String>,
    /// The kinds of errors that were said.
    said: Mutex<HashSet<String>>,
}

impl Counts {
    /// Counts points that will not be written.
    pub(super) fn drop_points(&self, reason: Reason, points: u64) {
        if points > 0 {
            *self.dropped.lock().entry(reason).or_default() += points;
        }
    }

    /// Keeps `error` for those who ask, and says it if none of its kind was said.
    pub(super) fn say(&self, error: &str) {
        self.say_as(error, error);
    }

    /// The same of an error that is of the kind of another text.
    pub(super) fn say_as(&self, kind: &str, error: &str) {
        let mut said = self.said.lock();
        if said.len() < MAX_KINDS && said.insert(kind_of(kind)) {
            tracing::warn!("{error} (said once)");
        }
        error.clone_into(&mut self.last_error.lock());
    }

    /// Says errors anew: what was wrong is over.
    pub(super) fn recovered(&self) {
        self.said.lock().clear();
    }

    /// Points that were taken or found.
    pub(super) fn accepted(&self) -> u64 {
        self.taken.load(Relaxed) + self.found.load(Relaxed)
    }

    /// Points that are written or dropped for good.
    pub(super) fn settled(&self) -> u64 {
        self.written.load(Relaxed) + self.dropped.lock().values().sum::<u64>()
    }

    /// All counters as they stand.
    pub(super) fn stats(&self, missed: Missed) -> InfluxStats {
        let dropped = self.dropped.lock();
        InfluxStats {
            points_taken: self.taken.load(Relaxed),
            points_found: self.found.load(Relaxed),
            points_written: self.written.load(Relaxed),
            points_replayed: self.replayed.load(Relaxed),
            points_dropped: dropped.iter().map(|(why, n)| (why.name().to_owned(), *n)).collect(),
            points_waiting: self.waiting.load(Relaxed),
            points_spooled: self.spooled.load(Relaxed),
            spool_bytes: self.spool_bytes.load(Relaxed),
            retries: self.retries.load(Relaxed),
            requests_late: missed.late,
            requests_misdated: missed.misdated,
            away: self.away.load(Relaxed),
            last_error: self.last_error.lock().clone(),
        }
    }
}

/// What became of points for InfluxDB, as `GET /stats` answers it under `influxdb`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct InfluxStats {
    /// Points of windows and of `POST /points`. A window that is written again counts again.
    pub points_taken: u64,
    /// Points that an earlier sidecar left in the spool.
    pub points_found: u64,
    /// Points that InfluxDB took.
    pub points_written: u64,
    /// Of these, points that came out of the spool.
    pub points_replayed: u64,
    /// Points that will not be written, by reason.
    pub points_dropped: BTreeMap<String, u64>,
    /// Points in memory.
    pub points_waiting: u64,
    /// Points in the spool.
    pub points_spooled: u64,
    /// Size of the spool, in bytes.
    pub spool_bytes: u64,
    /// Writes that failed and were tried again.
    pub retries: u64,
    /// Traced requests that came too late for their window.
    pub requests_late: u64,
    /// Traced requests whose start is on no known clock: counted in the second in which they came.
    pub requests_misdated: u64,
    /// The latest write failed in a way that may pass.
    pub away: bool,
    /// The latest error in words; empty if there was none.
    pub last_error: String,
}
