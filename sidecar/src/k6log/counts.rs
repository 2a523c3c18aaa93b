//! What became of pushes and of their lines.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use parking_lot::Mutex;

/// Why a push was refused as a whole, or a line of one.
pub(super) type Reason = &'static str;

/// The longest text of k6's own that is kept, in characters.
const SAID: usize = 300;

/// Counters of all pushes.
#[derive(Debug, Default)]
pub(crate) struct Counts(Mutex<K6LogStats>);

/// What became of what k6 pushed of its log, as `GET /stats` answers it.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct K6LogStats {
    /// Pushes that were taken.
    pub pushes: u64,
    /// Pushes that were refused as a whole, by reason.
    pub pushes_refused: BTreeMap<String, u64>,
    /// Lines of requests that became spans.
    pub lines: u64,
    /// Lines of requests that were refused, by reason.
    pub lines_refused: BTreeMap<String, u64>,
    /// Other lines, by their level: what scripts print, and what k6 says itself. k6 prints them nowhere else.
    pub others: BTreeMap<String, u64>,
    /// The latest warning or error among those; empty if there was none.
    pub latest: String,
    /// Lines that k6 did not push, by its own word: more than its `limit` in one `pushPeriod`.
    pub dropped_by_k6: u64,
}

/// What one push brought.
#[derive(Debug, Default)]
pub(super) struct Brought {
    pub(super) refused: BTreeMap<Reason, u64>,
    /// What was wrong with the first line that was refused.
    pub(super) first: Option<String>,
    pub(super) others: BTreeMap<&'static str, u64>,
    pub(super) latest: Option<String>,
    pub(super) dropped_by_k6: u64,
}

impl Brought {
    /// Counts a line that is refused; `detail` says what exactly is wrong with it.
    pub(super) fn refuse(&mut self, reason: Reason, detail: impl FnOnce() -> String) {
        *self.refused.entry(reason).or_default() += 1;
        self.first.get_or_insert_with(detail);
    }

    /// Counts a line that is of no request.
    pub(super) fn other(&mut self, level: &str, text: &str) {
        const LEVELS: [&str; 7] = ["trace", "debug", "info", "warning", "error", "fatal", "panic"];
        let level = LEVELS.into_iter().find(|known| *known == level).unwrap_or("unknown");
        *self.others.entry(level).or_default() += 1;
        if ["warning", "error", "fatal", "panic"].contains(&level) {
            self.latest = Some(text.chars().take(SAID).collect());
        }
    }
}

impl Counts {
    /// Counts a push that was taken: so many lines became spans.
    pub(super) fn taken(&self, lines: u64, brought: &Brought, from: SocketAddr) {
        let mut stats = self.0.lock();
        stats.pushes += 1;
        stats.lines += lines;
        stats.dropped_by_k6 += brought.dropped_by_k6;
        if let Some(first) = brought.first.as_ref().filter(|_| stats.lines_refused.is_empty()) {
            tracing::warn!("a line of k6's log from {from} was refused (said once): {first}");
        }
        for (reason, count) in &brought.refused {
            *stats.lines_refused.entry((*reason).to_owned()).or_default() += count;
        }
        for (level, count) in &brought.others {
            *stats.others.entry((*level).to_owned()).or_default() += count;
        }
        if let Some(latest) = &brought.latest {
            stats.latest.clone_from(latest);
        }
    }

    /// Counts a push that was refused as a whole, and says it the first time that this happens for its reason.
    pub(super) fn refused(&self, reason: Reason, message: &str, from: SocketAddr) {
        let mut stats = self.0.lock();
        let count = stats.pushes_refused.entry(reason.to_owned()).or_default();
        *count += 1;
        if *count == 1 {
            tracing::warn!(
                "a push of k6's log from {from} was refused ({reason}; said once): {message}"
            );
        }
    }

    /// The counters as they stand.
    pub(crate) fn stats(&self) -> K6LogStats {
        self.0.lock().clone()
    }
}
