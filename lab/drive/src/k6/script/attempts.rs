//! What k6's stream says of a script that is not the lab's: every request that it made, by scenario and operation.
//!
//! k6 writes some nine lines of a request, one after the other, and names no request in them: those of one end with
//! `http_req_failed`. A redirect that k6 follows is a request of its own there, and so it is here.

use std::borrow::Cow;
use std::collections::BTreeMap;

use ledger::wall::WallClock;
use ledger::{clock, date};
use serde::Deserialize;

use super::declared;
use crate::builtin::Entries;
use crate::k6::sample::{metric_of, nanoseconds};
use lab_model::Requests;

/// A second, in nanoseconds.
const SECOND: u64 = 1_000_000_000;
/// Scenarios × operations that are told apart; later ones are [`OTHER`].
const MOST: usize = 200;
/// What the others are called.
const OTHER: &str = "other";
/// Bytes of the name of an operation.
const LONGEST: usize = 120;

#[derive(Deserialize)]
struct Line<'a> {
    metric: &'a str,
    r#type: &'a str,
    #[serde(borrow)]
    data: Data<'a>,
}

#[derive(Deserialize)]
struct Data<'a> {
    time: Option<&'a str>,
    value: Option<f64>,
    #[serde(borrow)]
    tags: Option<Tags<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Tags<'a> {
    scenario: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    service: &'a str,
    method: &'a str,
    status: &'a str,
    expected_response: &'a str,
    #[serde(borrow)]
    error: Cow<'a, str>,
    /// What the request is to carry, as `hoplab.js` writes it.
    hoplab_carries: &'a str,
}

/// Metrics that are read; the first bytes of other lines are looked at, no more.
const READ: [&str; 5] = [
    "http_req_duration",
    "http_req_blocked",
    "http_req_failed",
    "grpc_req_duration",
    "dropped_iterations",
];

/// A request, as far as its lines have come.
#[derive(Debug, Default)]
struct Open {
    duration_ns: u64,
    blocked_ns: u64,
}

/// What was counted of one operation of one scenario.
#[derive(Debug)]
pub(super) struct Counted {
    /// Its requests.
    pub(super) entries: Entries,
    /// When the first of them that ended began, from where its seconds are counted, and when the last ended. Scenarios may
    /// follow each other: what was used of the CPU beside one is no matter of another.
    pub(super) span_ns: (u64, u64),
    /// When the last of them began, or was dropped.
    last_ns: u64,
    /// What all of them say that they are to carry.
    pub(super) declared: String,
}

impl Counted {
    /// How long requests were asked for, in nanoseconds: until the last of them began, and as long as from one to the next.
    /// What then waits for its answer is asked no more.
    pub(super) fn asked_ns(&self) -> u64 {
        let (first, end) = self.span_ns;
        let (asked, gaps) = (self.entries.requests.planned, self.last_ns.saturating_sub(first));
        match asked {
            0 | 1 => end - first,
            _ => (gaps as f64 * asked as f64 / (asked - 1) as f64) as u64,
        }
    }
}

/// All that is counted of a round.
#[derive(Debug)]
pub(super) struct Attempts {
    wall: WallClock,
    open: Open,
    /// When the first request of all began.
    pub(super) start_ns: Option<u64>,
    /// By cell.
    pub(super) cells: BTreeMap<String, Counted>,
    /// Iterations that no user was free for, by scenario, and when the last of them was to begin.
    dropped: BTreeMap<String, (u64, u64)>,
    /// Lines that cannot be what k6 writes.
    pub(super) refused: u64,
    /// Why what the script declares cannot be.
    pub(super) conflict: Option<String>,
}

impl Attempts {
    pub(super) fn new(wall: WallClock) -> Attempts {
        let (open, cells, dropped) = Default::default();
        Attempts { wall, open, start_ns: None, cells, dropped, refused: 0, conflict: None }
    }

    /// Takes a line of the stream.
    pub(super) fn line(&mut self, line: &[u8]) {
        if !interesting(line) {
            return;
        }
        if self.read(line).is_none() {
            self.refused += 1;
        }
    }

    fn read(&mut self, line: &[u8]) -> Option<()> {
        let Line { metric, r#type, data } = serde_json::from_slice(line).ok()?;
        if r#type != "Point" {
            return Some(());
        }
        let value = data.value?;
        let tags = data.tags.unwrap_or_default();
        let ns = || nanoseconds(value);
        match metric {
            "http_req_duration" => self.open.duration_ns = ns()?,
            "http_req_blocked" => self.open.blocked_ns = ns()?,
            "http_req_failed" => {
                let end_ns = self.wall.to_mark(data.time.and_then(date::parse)?);
                self.ended(end_ns, &tags, value != 0.0);
            }
            // k6 tells nothing else of a call by gRPC.
            "grpc_req_duration" => {
                self.open = Open { duration_ns: ns()?, blocked_ns: 0 };
                let end_ns = self.wall.to_mark(data.time.and_then(date::parse)?);
                let name = Cow::Owned(format!("{}/{}", tags.service, tags.method));
                let failed = tags.status != "0";
                self.ended(end_ns, &Tags { name, ..tags }, failed);
            }
            "dropped_iterations" => {
                let at_ns = self.wall.to_mark(data.time.and_then(date::parse)?);
                let (all, last) = self.dropped.entry(tags.scenario.into_owned()).or_default();
                *all += value.clamp(0.0, 1e9) as u64;
                *last = at_ns.max(*last);
            }
            _ => {}
        }
        Some(())
    }

    /// A request is over: what k6 waited for a connection is in its latency.
    fn ended(&mut self, end_ns: u64, tags: &Tags<'_>, failed: bool) {
        let Open { duration_ns, blocked_ns } = std::mem::take(&mut self.open);
        let latency = duration_ns + blocked_ns;
        let begin_ns = end_ns.saturating_sub(latency);
        self.start_ns.get_or_insert(begin_ns);
        let mut id = cell_id(&tags.scenario, tags.method, &tags.name);
        let mut declared = tags.hoplab_carries;
        if self.cells.len() >= MOST && !self.cells.contains_key(&id) {
            // There are operations of all kinds.
            (id, declared) = (cell_id(&tags.scenario, "", OTHER), "");
        }
        let counted = self.cells.entry(id.clone()).or_insert_with(|| Counted {
            entries: Entries::new(),
            span_ns: (begin_ns, end_ns),
            last_ns: begin_ns,
            declared: declared.to_owned(),
        });
        if self.conflict.is_none() {
            self.conflict = declared::conflict(&id, &counted.declared, declared);
        }
        counted.span_ns.1 = counted.span_ns.1.max(end_ns);
        counted.last_ns = counted.last_ns.max(begin_ns);
        let start_ns = counted.span_ns.0;
        let (began, ended) = (begin_ns.saturating_sub(start_ns), end_ns.saturating_sub(start_ns));
        counted.entries.started(began);
        let outcome = if failed { Err(why(tags).into()) } else { Ok(latency) };
        counted.entries.ended(began, ended, outcome);
    }

    /// Requests of other cells in the time of `cell`, to the second: those in a second that it was asked for a part of are
    /// counted by that part.
    pub(super) fn beside(&self, cell: &str) -> u64 {
        let Some((start, end)) = self.cells.get(cell).map(|own| own.span_ns) else { return 0 };
        let others = self.cells.iter().filter(|(id, _)| *id != cell);
        let within = others.flat_map(|(_, other)| {
            other.entries.seconds.iter().map(move |second| {
                let from = other.span_ns.0 + second.second * SECOND;
                let to = (from + SECOND).min(other.span_ns.1.max(from + 1));
                let common = to.min(end).saturating_sub(from.max(start));
                second.started as f64 * common as f64 / (to - from) as f64
            })
        });
        within.sum::<f64>().round() as u64
    }

    /// What became of all requests so far.
    pub(super) fn requests(&self) -> Requests {
        let cells = self.cells.values().map(|counted| counted.entries.requests);
        cells.fold(Requests::default(), |mut all, own| {
            all += own;
            all
        })
    }

    /// The time since the first of them began, in nanoseconds.
    pub(super) fn elapsed_ns(&self) -> u64 {
        self.start_ns.map_or(0, |start| clock::now().saturating_sub(start))
    }

    /// Enters the iterations that were dropped: with the operation of their scenario that was asked most, for nobody can
    /// tell which requests they would have made.
    pub(super) fn close(mut self) -> Attempts {
        for (scenario, (dropped, last_ns)) in std::mem::take(&mut self.dropped) {
            let own = text(&scenario).replace(' ', "-");
            let of = |id: &str| id.split(' ').next() == Some(&*own);
            let all = self.cells.iter_mut().filter(|(id, _)| of(id));
            let most = all.max_by_key(|(_, counted)| counted.entries.requests.started);
            if let Some((_, counted)) = most {
                counted.entries.requests.planned += dropped;
                counted.entries.requests.dropped += dropped;
                counted.last_ns = counted.last_ns.max(last_ns);
            }
        }
        self
    }
}

/// Whether a line may be one that is read.
fn interesting(line: &[u8]) -> bool {
    metric_of(line).is_some_and(|name| READ.iter().any(|read| read.as_bytes() == name))
}

/// What went wrong, in k6's words, else by its status.
fn why(tags: &Tags<'_>) -> String {
    match (&*tags.error, tags.status) {
        ("", "" | "0") => "no answer".to_owned(),
        ("", status) if tags.expected_response == "false" => {
            format!("status {status}, which the script does not expect")
        }
        ("", status) => format!("status {status}"),
        (error, _) => error.to_owned(),
    }
}

/// The cell of a request: its scenario and its operation, as `hoplab.js` writes it into `tracestate`. Keep both alike.
pub(super) fn cell_id(scenario: &str, method: &str, name: &str) -> String {
    let operation = match name.split_once("://") {
        None => name.to_owned(),
        // k6 calls a request that has no name by its URL; what is in a query would make operations without end.
        Some((_, rest)) => {
            let path = rest.find('/').map_or("/", |slash| &rest[slash..]);
            let path = path.split(['?', '#']).next().unwrap_or("/");
            format!("{method} {path}")
        }
    };
    let scenario = if scenario.is_empty() { "none" } else { scenario };
    format!("{} {}", text(scenario).replace(' ', "-"), text(&operation))
}

/// A text that `tracestate` takes: other characters are hyphens, and what is too long is cut.
fn text(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-{}$ ".contains(c);
    text.chars().take(LONGEST).map(|c| if plain(c) { c } else { '-' }).collect()
}

#[cfg(test)]
mod spec;
