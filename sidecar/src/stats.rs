//! Counters of the sidecar: everything received, refused, joined, lost and written.
//!
//! Every span received is in exactly one place:
//! `spans_received = spans_rejected + spans_joined + links + unplaced + fragments + duplicates + unequal + late +
//! over_limit + dropped_spans + spans of open traces`. A test holds it. A trace that is opened again for a span that
//! came late is counted anew when it is closed again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use serde::Serialize;

use crate::budget::Budget;
pub use crate::forward::ForwardStats;
pub use crate::influx::InfluxStats;
use crate::join::{self, Closing};
use crate::k6log;
pub use crate::k6log::K6LogStats;
use crate::losses::Losses;
use crate::otlp::{Dialect, Refusals, Rejections, Signal};
use crate::span::SpanKind;

/// What sinks count. Shared with those who count.
#[derive(Debug, Default)]
pub struct SinkCounts {
    /// Request rows stored.
    pub requests_written: AtomicU64,
    /// Process samples stored.
    pub samples_written: AtomicU64,
    /// Rows (requests and samples) that could not be stored.
    pub rows_failed: AtomicU64,
    /// The latest error in words; empty if there was none.
    pub last_error: Mutex<String>,
}

/// The counters that receiving and joining keep.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Exports and connections refused as a whole.
    pub(crate) refusals: Refusals,
    /// What k6 pushed of its log.
    pub(crate) k6_log: k6log::Counts,
    exports: Mutex<BTreeMap<&'static str, u64>>,
    signals_dropped: Mutex<BTreeMap<&'static str, u64>>,
    received: AtomicU64,
    kinds: [AtomicU64; SpanKind::ALL.len()],
    rejected: Mutex<Rejections>,
    joined: AtomicU64,
    links: AtomicU64,
    unplaced: AtomicU64,
    fragments: AtomicU64,
    /// Sizes of bodies that spans claimed and that cannot be sizes.
    pub(crate) sizes_ignored: AtomicU64,
    traces_reopened: AtomicU64,
    traces_closed: AtomicU64,
    requests_closed: AtomicU64,
    /// Spans that were made and never came.
    pub(crate) losses: Losses,
    pub(crate) sinks: std::sync::Arc<SinkCounts>,
}

impl Counters {
    /// Counts the spans of one export request, `accepted` by kind.
    pub(crate) fn received(&self, accepted: [u64; SpanKind::ALL.len()], rejected: &Rejections) {
        self.received.fetch_add(accepted.iter().sum::<u64>() + rejected.total(), Relaxed);
        for (count, more) in self.kinds.iter().zip(accepted) {
            count.fetch_add(more, Relaxed);
        }
        if rejected.total() > 0 {
            self.rejected.lock().add(rejected);
        }
    }

    /// Counts an export of spans that was taken.
    pub(crate) fn export(&self, dialect: Dialect) {
        *self.exports.lock().entry(dialect.name()).or_default() += 1;
    }

    /// Counts an export of something else than spans, which is thrown away.
    pub(crate) fn other_signal(&self, signal: Signal) {
        *self.signals_dropped.lock().entry(signal.name()).or_default() += 1;
    }

    /// Counts what closing one trace made of it.
    pub(crate) fn closed(&self, closing: &Closing) {
        let (now, before) = (&closing.tally, &closing.earlier);
        self.traces_closed.fetch_add(u64::from(!closing.again), Relaxed);
        self.traces_reopened.fetch_add(u64::from(closing.again), Relaxed);
        for (count, now, before) in [
            (&self.requests_closed, now.requests(), before.requests()),
            (&self.joined, now.joined, before.joined),
            (&self.links, now.links, before.links),
            (&self.unplaced, now.unplaced, before.unplaced),
            (&self.fragments, now.fragments, before.fragments),
        ] {
            // Wraps to the right sum: what is taken was added before.
            count.fetch_add(now.wrapping_sub(before), Relaxed);
        }
    }

    /// All counters as they stand, with those of the joiner.
    pub(crate) fn stats(&self, join: join::Counts, traces_open: usize, memory: &Budget) -> Stats {
        let rejected = self.rejected.lock().by_name();
        let [spans_lost, spans_lost_up_to] = self.losses.by_service();
        let kinds = SpanKind::ALL.iter().zip(&self.kinds);
        Stats {
            spans_received: self.received.load(Relaxed),
            spans_rejected: owned(rejected),
            malformed_messages: self.refusals.malformed(),
            exports: owned(self.exports.lock().iter().map(|(name, count)| (*name, *count))),
            exports_refused: owned(self.refusals.by_name()),
            signals_dropped: owned(self.signals_dropped.lock().iter().map(|(k, v)| (*k, *v))),
            spans_by_kind: kinds.map(|(k, n)| (k.name().to_owned(), n.load(Relaxed))).collect(),
            spans_joined: self.joined.load(Relaxed),
            links: self.links.load(Relaxed),
            unplaced: self.unplaced.load(Relaxed),
            fragments: self.fragments.load(Relaxed),
            duplicates: join.duplicates,
            unequal: join.unequal,
            late: join.late,
            late_joined: join.late_joined,
            over_limit: join.over_limit,
            evicted: join.evicted,
            dropped_traces: join.dropped_traces,
            dropped_spans: join.dropped_spans,
            traces_open: traces_open as u64,
            traces_closed: self.traces_closed.load(Relaxed),
            traces_reopened: self.traces_reopened.load(Relaxed),
            requests_closed: self.requests_closed.load(Relaxed),
            requests_written: self.sinks.requests_written.load(Relaxed),
            samples_written: self.sinks.samples_written.load(Relaxed),
            rows_failed: self.sinks.rows_failed.load(Relaxed),
            last_error: self.sinks.last_error.lock().clone(),
            spans_lost,
            spans_lost_up_to,
            memory_used_bytes: memory.used() as u64,
            memory_limit_bytes: memory.limit() as u64,
            rss_bytes: crate::process::own_rss_bytes(),
            processes_not_sampled: BTreeMap::new(),
            cells_ignored: 0,
            runs_opened: 0,
            sizes_ignored: self.sizes_ignored.load(Relaxed),
            control_refused: 0,
            k6_log: self.k6_log.stats(),
            influxdb: None,
            forward: None,
        }
    }
}

fn owned<'a>(counts: impl IntoIterator<Item = (&'a str, u64)>) -> BTreeMap<String, u64> {
    counts.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}

/// The counters of a sidecar, as `GET /stats` answers them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Stats {
    /// Spans in all messages that could be read.
    pub spans_received: u64,
    /// Spans refused, by reason.
    pub spans_rejected: BTreeMap<String, u64>,
    /// Messages in which spans could not be told apart; their spans are not counted anywhere. They are in
    /// `exports_refused` too.
    pub malformed_messages: u64,
    /// Exports of spans that were taken, by how they were written: `grpc`, `protobuf` and `json`.
    pub exports: BTreeMap<String, u64>,
    /// Exports that were refused as a whole, by reason; their spans are not counted anywhere.
    pub exports_refused: BTreeMap<String, u64>,
    /// Exports of `metrics` and `logs`: taken, and thrown away.
    pub signals_dropped: BTreeMap<String, u64>,
    /// Accepted spans by kind.
    pub spans_by_kind: BTreeMap<String, u64>,
    /// Spans that became a half of a hop of a request, or begin one.
    pub spans_joined: u64,
    /// Other INTERNAL, PRODUCER and CONSUMER spans of requests.
    pub links: u64,
    /// CLIENT and SERVER spans that belong to no hop: inside another call, answers not used, in a
    /// cycle, or more than 100 hops deep.
    pub unplaced: u64,
    /// Spans of requests whose beginning was lost: below a span whose parent never came and that begins no request. They
    /// are in no mean.
    #[serde(default)]
    pub fragments: u64,
    /// Spans that were received before, with the same content.
    pub duplicates: u64,
    /// Spans with trace, id and kind of another span but other content: one of the two was left out.
    #[serde(default)]
    pub unequal: u64,
    /// Spans that came after their trace was closed, too late to be joined.
    pub late: u64,
    /// Spans that came after their trace was closed and were joined: its requests were written anew.
    #[serde(default)]
    pub late_joined: u64,
    /// Spans left out because their trace has more than 1,024: the shortest that begin no request.
    pub over_limit: u64,
    /// Traces closed before their time because too many were open.
    pub evicted: u64,
    /// Of these, traces thrown away because the writer could not keep up.
    pub dropped_traces: u64,
    /// The spans of those.
    pub dropped_spans: u64,
    /// Traces being held.
    pub traces_open: u64,
    /// Traces closed.
    pub traces_closed: u64,
    /// How often one of them was closed again.
    #[serde(default)]
    pub traces_reopened: u64,
    /// Requests whose books were closed; a trace can have several.
    pub requests_closed: u64,
    /// Requests written to the run file.
    pub requests_written: u64,
    /// Process samples written to the run file.
    pub samples_written: u64,
    /// Rows that could not be written.
    pub rows_failed: u64,
    /// Why the latest of them could not be; empty if all could.
    pub last_error: String,
    /// Spans that were made and are lost, by service: processes say so, or numbers of theirs are missing.
    pub spans_lost: BTreeMap<String, u64>,
    /// Spans that were made after the last that came, by service: of a process that still runs they are on their way, of
    /// one that was killed they are lost.
    #[serde(default)]
    pub spans_lost_up_to: BTreeMap<String, u64>,
    /// Spans whose word about cells was not taken: without the nonce of the run that is open.
    pub cells_ignored: u64,
    /// Runs that were opened (`POST /plan`). Whoever opened one has the sidecar until the next is.
    #[serde(default)]
    pub runs_opened: u64,
    /// Sizes of bodies that spans claimed and that are none: negative, past 1 TiB, no whole number.
    #[serde(default)]
    pub sizes_ignored: u64,
    /// Requests and connections to the control endpoint that were refused: of web pages, without the token, or past the
    /// bound of connections.
    pub control_refused: u64,
    /// Services whose spans name a process that is not sampled, and why.
    #[serde(default)]
    pub processes_not_sampled: BTreeMap<String, String>,
    /// What exports being read and spans being held take of the memory for them, in bytes.
    pub memory_used_bytes: u64,
    /// All of that memory (`--memory-limit`).
    pub memory_limit_bytes: u64,
    /// Resident memory of the sidecar, in bytes.
    pub rss_bytes: u64,
    /// What became of what k6 pushed of its log.
    #[serde(default)]
    pub k6_log: K6LogStats,
    /// What became of points for InfluxDB; absent where none is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub influxdb: Option<InfluxStats>,
    /// What became of exports passed on; absent where none are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forward: Option<ForwardStats>,
}
