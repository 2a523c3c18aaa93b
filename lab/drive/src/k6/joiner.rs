//! The joiner of a round that k6 drives: its samples put together by request, and every request entered once.
//!
//! k6 tells of a request in several lines: that it began, when it is over its times, then what its answer was
//! worth. A request is *joined* when all of them have come. What k6 never told the end of is counted as that.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use ledger::wall::WallClock;

use super::sample::{Metric, Request, Sample};
use crate::builtin::Entries;
use lab_model::{K6Measure, Requests};

/// Requests under way besides those the cell allows: lines of one that has ended may come behind the
/// first of the next.
const SPARE: usize = 1_024;
/// Drops that are remembered before it is known when the scenario began.
const EARLY_DROPS: usize = 4_096;

/// Joiner of one round.
#[derive(Debug)]
pub(super) struct Joiner {
    wall: WallClock,
    warmup_ns: u64,
    /// The longest that anything can come after the start of the measured part: a wrong time must not fill
    /// the memory with seconds.
    longest_ns: u64,
    limit: usize,
    /// When the scenario began, in nanoseconds since 1970, once k6 has said it.
    origin: Option<u64>,
    open: HashMap<(u128, u64), Open>,
    early_drops: Vec<(u64, u64)>,
    /// What has been counted, as the built-in driver counts it.
    pub(super) entries: Entries,
    /// When the last request ended, in nanoseconds since 1970.
    last_end: u64,
    /// What else there is to know.
    pub(super) facts: K6Measure,
}

/// What is known of a request that is not joined yet.
#[derive(Debug, Default)]
struct Open {
    sampled: bool,
    /// When it began, in nanoseconds since 1970.
    started: Option<u64>,
    blocked: Option<u64>,
    connecting: Option<u64>,
    /// When it ended, and its duration.
    ended: Option<(u64, u64)>,
    /// When the script had looked at the answer, and whether it was what was asked for.
    answered: Option<(u64, bool)>,
    failure: String,
}

/// A request of which k6 has told everything. Times are on [`ledger::clock`], in nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Joined {
    pub(super) request: Request,
    /// It wants a connection.
    pub(super) start: u64,
    /// It has one: after blocked.
    pub(super) connected: u64,
    /// Its answer is read.
    pub(super) end: u64,
    /// Why it does not count as answered.
    pub(super) failure: Option<String>,
}

impl Joiner {
    /// Empty joiner of a round with so long a warm-up, whose measured part with all that comes after it is
    /// over within `longest_ns`, and with at most so many requests in flight.
    pub(super) fn new(
        wall: WallClock,
        warmup_ns: u64,
        longest_ns: u64,
        max_in_flight: usize,
    ) -> Joiner {
        Joiner {
            wall,
            warmup_ns,
            longest_ns,
            limit: max_in_flight.saturating_add(SPARE),
            origin: None,
            open: HashMap::new(),
            early_drops: Vec::new(),
            entries: Entries::new(),
            last_end: 0,
            facts: K6Measure::default(),
        }
    }

    /// Takes a sample; the request that is joined by it, if one is.
    pub(super) fn take(&mut self, sample: Sample<'_>) -> Option<Joined> {
        match sample.metric {
            Metric::Origin => self.begins(sample.value),
            Metric::Dropped => self.dropped(sample.at, sample.value),
            _ if sample.measured == Some(true) => {
                let request = sample.request?;
                return self.tell(request, sample);
            }
            _ => {}
        }
        None
    }

    /// When the measured part begins, on [`ledger::clock`]; known once k6 has begun.
    pub(super) fn start_ns(&self) -> Option<u64> {
        Some(self.wall.to_mark(self.origin?.saturating_add(self.warmup_ns)))
    }

    /// When the last request ended, on [`ledger::clock`]; 0 if none has.
    pub(super) fn last_end_ns(&self) -> u64 {
        if self.last_end == 0 { 0 } else { self.wall.to_mark(self.last_end) }
    }

    /// What became of the requests so far, and how many are in flight.
    pub(super) fn requests(&self) -> (Requests, u64) {
        let requests = self.entries.requests;
        let ended = requests.ok + requests.error + requests.unfinished;
        (requests, requests.started.saturating_sub(ended))
    }

    /// k6 has ended. Requests without an end were cut off: they are unfinished if k6 was halted or killed, and
    /// errors if k6 let go of them by itself.
    pub(super) fn close(&mut self, halted: bool) {
        let (_, cut_off) = self.requests();
        self.facts.not_joined = cut_off;
        if halted {
            self.entries.requests.unfinished += cut_off;
            return;
        }
        let began: Vec<u64> = self.open.values().filter_map(|open| open.started).collect();
        for index in 0..cut_off {
            // Those past the table's bound are placed in the first second: nothing says when they began.
            let at = usize::try_from(index).ok().and_then(|index| began.get(index).copied());
            let since = self.since(at.unwrap_or(0));
            self.entries.failed(since, Cow::Borrowed("k6 did not tell how the request ended"));
        }
    }

    /// Nanoseconds from the start of the measured part.
    fn since(&self, at: u64) -> u64 {
        let origin = self.origin.unwrap_or(at);
        at.saturating_sub(origin.saturating_add(self.warmup_ns)).min(self.longest_ns)
    }

    fn begins(&mut self, origin: u64) {
        // Every user of k6 says it; it is the same for all.
        if self.origin.is_some() {
            return;
        }
        self.origin = Some(origin);
        for (at, count) in std::mem::take(&mut self.early_drops) {
            self.dropped(at, count);
        }
    }

    /// Arrivals for which no user was free. k6 does not say to which part they belong, but when they were.
    fn dropped(&mut self, at: u64, count: u64) {
        let Some(origin) = self.origin else {
            let full = self.early_drops.len() >= EARLY_DROPS;
            match self.early_drops.last_mut() {
                Some(last) if full => last.1 = last.1.saturating_add(count),
                _ => self.early_drops.push((at, count)),
            }
            return;
        };
        if at < origin.saturating_add(self.warmup_ns) {
            return;
        }
        self.entries.dropped(self.since(at), count);
    }

    fn started(&mut self, at: u64) {
        self.entries.started(self.since(at));
    }

    fn tell(&mut self, request: Request, sample: Sample<'_>) -> Option<Joined> {
        let key = (request.trace, request.span);
        let full = self.open.len() >= self.limit;
        let begins = sample.metric == Metric::Started;
        let open = match self.open.entry(key) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(_) if !begins => return None,
            // Its end will be missing, and be counted as such.
            Entry::Vacant(_) if full => {
                self.started(sample.at);
                return None;
            }
            Entry::Vacant(place) => place.insert(Open::default()),
        };
        open.sampled = request.sampled;
        let first = begins && open.started.is_none();
        open.take(&sample);
        let joined = open.is_joined();
        if first {
            self.started(sample.at);
        }
        if !joined {
            return None;
        }
        let open = self.open.remove(&key)?;
        self.join(request, open)
    }

    /// Enters a request of which everything is known.
    fn join(&mut self, request: Request, open: Open) -> Option<Joined> {
        let (started, blocked, connecting) = (open.started?, open.blocked?, open.connecting?);
        let ((ended, duration), (judged, answered)) = (open.ended?, open.answered?);
        // k6's `blocked` runs until there is a connection, so `connecting` is in it.
        let latency = blocked.saturating_add(duration);
        self.facts.joined += 1;
        let outside = ended.saturating_sub(latency) < started || judged < ended;
        self.facts.misplaced += u64::from(connecting == 0 && outside);
        self.facts.connected += u64::from(connecting > 0);
        self.facts.connecting_ns = self.facts.connecting_ns.saturating_add(connecting);
        self.last_end = self.last_end.max(ended);
        let outcome = if answered { Ok(latency) } else { Err(open.failure.clone().into()) };
        self.entries.ended(self.since(started), self.since(ended), outcome);
        let end = self.wall.to_mark(ended);
        let start = end.saturating_sub(latency).max(1);
        Some(Joined {
            request: Request { sampled: open.sampled, ..request },
            start,
            connected: end.saturating_sub(duration).max(start),
            end,
            failure: (!answered).then_some(open.failure),
        })
    }
}

impl Open {
    fn take(&mut self, sample: &Sample<'_>) {
        match sample.metric {
            Metric::Started => self.started = Some(sample.at),
            Metric::Blocked => self.blocked = Some(sample.value),
            Metric::Connecting => self.connecting = Some(sample.value),
            Metric::Answered => self.answered = Some((sample.at, sample.value > 0)),
            Metric::Duration => {
                self.ended = Some((sample.at, sample.value));
                self.failure = failure(sample);
            }
            Metric::Origin | Metric::Dropped => {}
        }
    }

    fn is_joined(&self) -> bool {
        let times = self.blocked.is_some() && self.connecting.is_some() && self.ended.is_some();
        times && self.started.is_some() && self.answered.is_some()
    }
}

/// What to say of a request should it not count as answered.
fn failure(sample: &Sample<'_>) -> String {
    match (sample.status, sample.error_code, sample.error.as_ref()) {
        ("0", code, error) if !error.is_empty() => format!("{error} (k6's error {code})"),
        ("0", code, _) => format!("no answer (k6's error {code})"),
        ("200", ..) => "the answer is not what was asked for".to_owned(),
        (status, ..) => format!("the answer has status {status}"),
    }
}

#[cfg(test)]
mod spec;
