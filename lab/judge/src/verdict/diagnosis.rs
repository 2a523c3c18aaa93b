//! What is full where more is asked than is served: told from what was counted, never from what a setting says.
//!
//! A service that has no CPU left, a load generator that has none, a connection that carries as many calls as it may,
//! windows that are too small, or a plan that allows too few requests at once: all of them drop arrivals, and only of the
//! first is the latency the length of its queues.

use ledger::{Family, Stage};

use super::causes::ends;
use super::rules;
use crate::result::units::{percent, rate, time, trimmed};
use lab_model::Arrivals;

use crate::result::{CellResult, ResourceResult, StageResult, ratio};

/// How words on the share of a family begin where it is not known.
pub(super) const UNKNOWN: &str = "unknown";
/// From this share of a latency on it is mostly waiting.
const MOSTLY: f64 = 0.5;
/// From this share on one thing is worth naming.
const LARGE: f64 = 0.3;
/// A process that got this much of a core and not two has one thread that works, or one lock: sampling takes some of it.
const ONE_CORE: std::ops::Range<f64> = 0.85..1.2;
/// What the whole machine is called among processes.
const HOST: &str = "host";
/// From this share of all cores on the machine has none left to give.
const MACHINE: f64 = 0.9;
/// Calls in flight on a connection of HTTP/2 from which on its server's limit is near: 100 is what most allow, and the
/// least that RFC 9113 recommends.
const STREAMS: f64 = 80.0;

/// What is full.
#[derive(Debug, Clone, Copy)]
pub(super) enum Full<'a> {
    /// The load generator has no CPU left.
    Generator,
    /// A process that requests pass has none.
    Process(&'a ResourceResult),
    /// The plan allows fewer requests in flight than its rate needs: so many.
    Allowed(f64),
    /// Connections of this hop carry as many calls as they may: so many each.
    Streams(&'a str, f64),
    /// The windows of this hop are exhausted.
    Windows(&'a str),
    /// Requests wait, and nothing that was counted says for whom.
    Untold,
}

/// Whether more was asked of the services than they can do.
pub(super) fn overloaded(cell: &CellResult) -> bool {
    behind(cell) && !matches!(full(cell), Some(Full::Allowed(_)))
}

/// Whether users wait for their answers before they ask again, and most of that is waiting for a process that is full. Nothing
/// is dropped then, and no latency grows: a slow system is asked less.
fn held_up(cell: &CellResult) -> bool {
    if !matches!(cell.factors.arrivals, Arrivals::Closed(_) | Arrivals::Script) {
        return false;
    }
    waited_for(cell)
}

/// Whether most of a latency is waiting for the process that is full.
fn waited_for(cell: &CellResult) -> bool {
    let waits = |process| Waits::of(cell, process).all();
    matches!(full(cell), Some(Full::Process(process)) if ratio(waits(process), cell.traced.mean_us) >= MOSTLY)
}

/// Whether the latency of a system of which more was asked than it can do is mostly waiting.
pub(super) fn mostly_waits(cell: &CellResult) -> bool {
    cell.traced.succeeded > 0 && (queued(cell) || waited_for(cell))
}

/// Whether arrivals were dropped, or latency grew while they came, on a machine that was the system's.
fn behind(cell: &CellResult) -> bool {
    others(cell).is_none()
        && cell.verdict.codes().any(|code| {
            code == rules::FALLING_BEHIND.code
                || (code == rules::RATE_NOT_KEPT.code
                    && cell.requests.dropped > cell.requests.error)
        })
}

/// What is full in `cell`, of which more was asked than was served; `None` where nothing says that anything is.
fn full(cell: &CellResult) -> Option<Full<'_>> {
    if cell.verdict.codes().any(|code| code == rules::GENERATOR_CPU.code) {
        return Some(Full::Generator);
    }
    if let Some(hop) = largest(cell, |stage| stage.family == Family::FlowControl.name()) {
        return Some(Full::Windows(hop));
    }
    if let Some((hop, calls)) = streams(cell) {
        return Some(Full::Streams(hop, calls));
    }
    if let Some(process) = process(cell) {
        return Some(Full::Process(process));
    }
    if let Some(needed) = allowed(cell) {
        return Some(Full::Allowed(needed));
    }
    queued(cell).then_some(Full::Untold)
}

/// The load generator: the client of the edge.
fn generator(cell: &CellResult) -> Option<&str> {
    cell.stages.iter().find(|stage| stage.depth == 0).map(|stage| ends(&stage.hop).0)
}

/// The process on the way of requests that has no CPU left: one whole core, or most of a machine that has none left.
fn process(cell: &CellResult) -> Option<&ResourceResult> {
    let generator = generator(cell);
    let passed = |name: &str| {
        let mut all = cell.stages.iter().flat_map(|stage| <[&str; 2]>::from(ends(&stage.hop)));
        Some(name) != generator && all.any(|end| end == name)
    };
    let busy = cell.load.host_cpu_share >= MACHINE;
    let spent = cell.resources.iter().filter(|process| passed(&process.process));
    let most = spent.max_by(|a, b| wanted(a).total_cmp(&wanted(b)))?;
    (ONE_CORE.contains(&most.cores)
        || busy && (most.cores >= LARGE || wanted(most) >= ONE_CORE.start))
        .then_some(most)
}

/// The cores that others used, and all that were in use, where the machine had none left because of them: whomever
/// requests pass was looked at, none of them is full, and all that was looked at used less than half.
pub(super) fn others(cell: &CellResult) -> Option<(f64, f64)> {
    let of = |name: &str| cell.resources.iter().find(|process| process.process == name);
    let all = of(HOST).filter(|_| cell.load.host_cpu_share >= MACHINE)?.cores;
    let generator = generator(cell)?;
    let mut passed = cell.stages.iter().flat_map(|stage| <[&str; 2]>::from(ends(&stage.hop)));
    let known = passed.all(|name| name == generator || of(name).is_some());
    let looked_at =
        cell.resources.iter().filter(|process| ![HOST, generator].contains(&&*process.process));
    let own = cell.load.driver_cores + looked_at.map(|process| process.cores).sum::<f64>();
    (known && own < all / 2.0 && process(cell).is_none()).then_some((all - own, all))
}

/// The cores that a process used, and those that it was ready to use and did not get.
fn wanted(process: &ResourceResult) -> f64 {
    process.cores * ratio(process.cpu_s + process.run_queue_wait_s, process.cpu_s)
}

/// How many requests in flight the offered rate needs, where the plan allows fewer and they do not wait in queues: then
/// the system takes as long however many come.
pub(super) fn allowed(cell: &CellResult) -> Option<f64> {
    if cell.factors.arrivals == Arrivals::Script {
        return None;
    }
    let needed = cell.factors.rate_per_s * cell.latency_us.mean / 1e6;
    let told = cell.traced.succeeded > 0 && waiting_share(cell) < LARGE;
    (told && cell.requests.dropped > 0 && needed > cell.factors.max_in_flight as f64)
        .then_some(needed)
}

/// Whether the latency is mostly the length of queues.
fn queued(cell: &CellResult) -> bool {
    cell.traced.succeeded > 0 && waiting_share(cell) >= MOSTLY
}

/// The share of the latency in which a request waits for somebody who is busy: in a queue, or written and not yet read.
fn waiting_share(cell: &CellResult) -> f64 {
    ratio(sum(cell, waits), cell.traced.mean_us)
}

fn waits(stage: &StageResult) -> bool {
    // Within one machine a wire is a process that has yet to read. A relay holds back as long for one as for many.
    let relay = [Stage::RequestRelay, Stage::ReplyRelay].iter().any(|it| it.name() == stage.stage);
    !relay && [Family::Queue, Family::Network].iter().any(|family| family.name() == stage.family)
}

fn sum(cell: &CellResult, which: impl Fn(&StageResult) -> bool) -> f64 {
    cell.stages.iter().filter(|stage| which(stage)).map(|stage| stage.mean_us).sum()
}

/// The hop of the largest stage of those, if they are a large part of the latency.
fn largest(cell: &CellResult, which: impl Fn(&StageResult) -> bool) -> Option<&str> {
    let large = ratio(sum(cell, &which), cell.traced.mean_us) >= LARGE;
    let stages = cell.stages.iter().filter(|stage| which(stage));
    let most = stages.max_by(|a, b| a.mean_us.total_cmp(&b.mean_us)).filter(|_| large)?;
    Some(&most.hop)
}

/// The hop of HTTP/2 whose calls wait to be sent while each of its connections carries about as many as a server takes,
/// and how many these are, by Little's law.
fn streams(cell: &CellResult) -> Option<(&str, f64)> {
    let queue = |stage: &StageResult| stage.stage == Stage::SendQueue.name();
    let name = largest(cell, queue)?;
    let hop = cell.wire.iter().find(|hop| hop.hop == name && hop.http == [20])?;
    let below = sum(cell, |stage| stage.depth >= hop.depth && !(queue(stage) && stage.hop == name));
    let calls = ratio(cell.load.completed_per_s * below / 1e6, hop.connections_in_a_round as f64);
    (calls >= STREAMS).then_some((name, calls))
}

/// The process that is full in `cell`, where that is what is slow.
#[must_use]
pub fn full_service(cell: &CellResult) -> Option<&str> {
    if !behind(cell) && !held_up(cell) {
        return None;
    }
    match full(cell)? {
        Full::Process(process) => Some(&process.process),
        _ => None,
    }
}

/// What the overload of `cell` is, in words, if there is one.
pub(super) fn explain(cell: &CellResult, told_share: impl Fn(Family) -> String) -> Option<String> {
    if !behind(cell) && !held_up(cell) {
        return None;
    }
    let offered = rate(cell.factors.rate_per_s);
    let sentence = match full(cell)? {
        Full::Generator => format!(
            "The load generator is what is full: it used {} cores, and {} of the arrivals were dropped. Of the system that says \
             nothing: ask for less than {offered}/s, or drive from another machine.",
            trimmed(cell.load.driver_cores),
            percent(cell.load.dropped_share)
        ),
        Full::Process(process) => full_process(cell, process, told_share),
        Full::Allowed(needed) => format!(
            "The plan allows {} requests in flight, and {offered}/s of {} each need {}: what was dropped is the plan's own \
             limit (max_in_flight), and no queue of the system.",
            cell.factors.max_in_flight,
            time(cell.latency_us.mean),
            trimmed(needed.ceil())
        ),
        Full::Streams(hop, calls) => format!(
            "Each connection of {hop} carries about {} calls at once, which is what servers of HTTP/2 take: the others wait for \
             a stream. Raise the server's limit (SETTINGS_MAX_CONCURRENT_STREAMS), or use more connections.",
            trimmed(calls.round())
        ),
        Full::Windows(hop) => format!(
            "Messages of {hop} stand still until a HTTP/2 window opens: raise stream and connection window, or ask for less \
             than {}/s.",
            rate(cell.load.completed_per_s)
        ),
        Full::Untold => {
            let counted = cell.resources.iter().any(|process| process.process != HOST);
            let why = if counted {
                "no process whose CPU was counted is full"
            } else {
                "nobody counted the CPU of its services"
            };
            format!(
                "The system is overloaded: {}. {} of the mean is waiting in queues, so the latency is mostly their length; {why}.",
                served(cell),
                percent(waiting_share(cell))
            )
        }
    };
    Some(sentence)
}

/// What became of the offered rate.
fn served(cell: &CellResult) -> String {
    let offered = rate(cell.factors.rate_per_s);
    if !behind(cell) {
        let served = rate(cell.load.completed_per_s);
        return format!(
            "its users wait for it before they ask again, so that it is asked no more than the {served}/s that it served"
        );
    }
    if cell.requests.dropped == 0 {
        let growth = time(cell.load.latency_growth * 1e6);
        return format!("latency grew by {growth} in each second of {offered}/s");
    }
    format!(
        "it served {}/s of {offered}/s offered, and {} of the arrivals were dropped",
        rate(cell.load.completed_per_s),
        percent(cell.load.dropped_share)
    )
}

/// What of a latency is waiting for a process, in microseconds.
struct Waits {
    /// Before it reads, starts or takes an answer back.
    seen: f64,
    /// Before its own span begins, where a relay has told that the request was there.
    before: f64,
    /// Around its own span, where nobody looked.
    unseen: f64,
    /// In its handler.
    inside: f64,
    /// Its own time in that.
    own: f64,
}

impl Waits {
    fn of(cell: &CellResult, process: &ResourceResult) -> Waits {
        let name = &process.process;
        let of = |stage: &StageResult| <[&str; 2]>::from(ends(&stage.hop)).contains(&name.as_str());
        let handler =
            sum(cell, |stage| ends(&stage.hop).1 == name && stage.stage == Stage::Handler.name());
        let inside = (handler - process.cpu_us_per_request).max(0.0);
        let before = |stage: &StageResult| {
            stage.stage == Stage::BeforeServerSpan.name() && ends(&stage.hop).1 == name
        };
        Waits {
            seen: sum(cell, |stage| of(stage) && waits(stage)),
            before: sum(cell, |stage| of(stage) && before(stage)),
            unseen: sum(cell, |stage| {
                of(stage) && stage.family == Family::Unseen.name() && !before(stage)
            }),
            inside,
            own: handler - inside,
        }
    }

    fn all(&self) -> f64 {
        self.seen + self.before + self.unseen + self.inside
    }
}

/// A process that has no CPU left, the capacity that follows, and the waiting for it against its own time.
fn full_process(
    cell: &CellResult,
    process: &ResourceResult,
    told_share: impl Fn(Family) -> String,
) -> String {
    let name = &process.process;
    let waits = Waits::of(cell, process);
    let mean = cell.traced.mean_us;
    let mut waiting: Vec<String> = [
        (waits.seen, "before it reads, starts or takes an answer back"),
        (waits.before, "before its own span begins"),
        (waits.unseen, "before and after its own span, where nobody else is busy"),
        (waits.inside, "inside its handler"),
    ]
    .into_iter()
    .filter(|(us, _)| ratio(*us, mean) >= 0.05)
    .map(|(us, place)| format!("{} {place}", time(us)))
    .collect();
    if waiting.is_empty() {
        waiting.push("no part of it large".to_owned());
    }
    // Where nobody looked between two spans, it is the process that tells.
    let network = if ratio(waits.unseen, mean) < LARGE {
        "which is no network"
    } else {
        "which its being full is enough to explain, though no relay looked for a network there"
    };
    // CPU is counted for all that a process was asked.
    let mixed = cell.k6.is_some_and(|k6| k6.beside > 0);
    let (kind, kinds) = if mixed { (" of any kind", " of all kinds") } else { ("", "") };
    let (room, more) = room(cell, process);
    // Of what nobody looked at it is not said that it is none.
    let known = [(Family::Framing, "framing"), (Family::FlowControl, "flow control")]
        .map(|(family, name)| (name, told_share(family)))
        .into_iter()
        .filter(|(_, share)| !share.starts_with(UNKNOWN))
        .map(|(name, share)| format!("not {name} ({share})"));
    let known = known.collect::<Vec<_>>().join(", ");
    let known = if known.is_empty() { known } else { format!(": {known}") };
    format!(
        "The {name} is what is full: a request{kind} takes {} of its CPU, and it got {} cores{room}, enough for {}/s{kinds}; {}. \
         {} of the mean is waiting for it ({}), {network}, against {} of its own time{known}. To serve more it takes {more}, or a \
         request that costs less of its CPU.",
        time(process.cpu_us_per_request),
        trimmed(process.cores),
        rate(ratio(process.cores * 1e6, process.cpu_us_per_request)),
        served(cell),
        percent(ratio(waits.all(), mean)),
        waiting.join(", "),
        time(waits.own)
    )
}

/// What bounds the cores that a full process got, and what would give it more.
fn room(cell: &CellResult, process: &ResourceResult) -> (String, &'static str) {
    if cell.load.host_cpu_share >= MACHINE {
        let busy = format!(
            " of a machine that was {} busy (of the time that it wanted one it waited for {})",
            percent(cell.load.host_cpu_share),
            percent(process.run_queue_wait_share)
        );
        (busy, "a larger machine, or less beside it")
    } else if ONE_CORE.contains(&process.cores) {
        let one = ", which is what one thread or one lock can use".to_owned();
        (one, "more processes of it, or less under one lock")
    } else {
        (String::new(), "more cores for it")
    }
}
