//! Where the time went, in words: pure functions from numbers to sentences.
//!
//! The words keep apart what the blog that started this lab confused: time spent *framing* and time
//! spent *waiting for a busy process*, which looks like anything but itself.

use std::fmt::Write as _;

use ledger::{Family, Stage};

use super::{Status, rules};
use crate::model::{PayloadSource, Protocol};
use crate::result::units::{count, payload, percent, rate, time, trimmed};
use crate::result::{CellResult, RunResult, StageResult, ratio};

/// Stages that a reader thinks of as one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Generator,
    /// Until the server's handler starts.
    Before,
    /// The reply, until the call returns.
    After,
    /// Until the server reads the request.
    WireIn,
    /// Until the client reads the reply.
    WireOut,
    Of(Family),
}

impl Cause {
    fn of(stage: Stage) -> Cause {
        match stage {
            Stage::DriverLag => Cause::Generator,
            Stage::SendQueue | Stage::RequestReceiverQueue | Stage::Dispatch => Cause::Before,
            Stage::RequestWire => Cause::WireIn,
            Stage::ReplyWire => Cause::WireOut,
            stage if stage.family() == Family::Queue => Cause::After,
            stage => Cause::Of(stage.family()),
        }
    }
}

/// What one cause cost on one hop.
struct Part<'a> {
    cause: Cause,
    hop: &'a str,
    mean_us: f64,
    p99_us: f64,
    stages: Vec<&'a StageResult>,
}

/// Where the time of `cell` went, and what that means.
#[must_use]
pub fn explain(cell: &CellResult) -> String {
    if cell.requests.ok == 0 {
        return "No request succeeded, so no time can be attributed.".to_owned();
    }
    if cell.traced.succeeded == 0 || cell.traced.mean_us <= 0.0 {
        return format!(
            "The mean latency is {}; no request was traced, so nothing says where it went.",
            time(cell.latency_us.mean)
        );
    }
    let mut parts = parts(cell);
    let slowest = parts.iter().max_by(|a, b| a.p99_us.total_cmp(&b.p99_us)).map(|part| {
        (part.cause, part.hop.to_owned(), part.words(), ratio(part.p99_us, cell.traced.p99_band_us))
    });
    parts.sort_by(|a, b| b.mean_us.total_cmp(&a.mean_us));
    let mut text = largest(cell, &parts);
    if let Some(first) = parts.first()
        && let Some((cause, hop, words, share)) = slowest
        && (cause, hop.as_str()) != (first.cause, first.hop)
    {
        let _ = write!(
            text,
            " The slowest requests ({}) differ: their largest part, {}, is {words}.",
            time(cell.traced.p99_band_us),
            percent(share)
        );
    }
    if let Some(sentence) = generation(cell).or_else(|| overload(cell)).or_else(|| meaning(cell, &parts)) {
        text.push(' ');
        text.push_str(&sentence);
    }
    text
}

fn parts(cell: &CellResult) -> Vec<Part<'_>> {
    let mut parts: Vec<Part<'_>> = Vec::new();
    for result in &cell.stages {
        let Ok(stage) = Stage::from_name(&result.stage) else { continue };
        let cause = Cause::of(stage);
        let known = parts.iter().position(|part| part.cause == cause && part.hop == result.hop);
        let at = known.unwrap_or_else(|| {
            parts.push(Part { cause, hop: &result.hop, mean_us: 0.0, p99_us: 0.0, stages: Vec::new() });
            parts.len() - 1
        });
        parts[at].mean_us += result.mean_us;
        parts[at].p99_us += result.p99_band_us;
        parts[at].stages.push(result);
    }
    parts
}

impl Part<'_> {
    fn ends(&self) -> (&str, &str) {
        ends(self.hop)
    }

    /// The stages that make up most of the part, by name.
    fn named(&self, of: &str) -> String {
        let mut stages: Vec<_> =
            self.stages.iter().filter(|stage| stage.mean_us >= self.mean_us * 0.1).collect();
        stages.sort_by(|a, b| b.mean_us.total_cmp(&a.mean_us));
        let names: Vec<_> = stages.iter().map(|stage| stage.stage.replace('_', " ")).collect();
        format!("{} of {of}", names.join(", "))
    }

    fn words(&self) -> String {
        let (client, server) = self.ends();
        let hop = self.hop;
        match self.cause {
            Cause::Generator => "the load generator sending late".to_owned(),
            Cause::Before => format!("queueing before the {server}'s handler ({})", self.named(hop)),
            Cause::After => format!("queueing of the reply ({})", self.named(hop)),
            Cause::WireIn => format!("between writing a request and the {server} reading it"),
            Cause::WireOut => format!("between writing a reply and the {client} reading it"),
            Cause::Of(Family::Backend) if self.stages.iter().any(|part| part.stage == "remote") => {
                format!("the call to {server}, which reports nothing of itself")
            }
            Cause::Of(Family::Backend) => format!("the {server}'s handler"),
            Cause::Of(Family::Serialization) => format!("encoding and decoding on {hop}"),
            Cause::Of(Family::FlowControl) => format!("waiting for HTTP/2 windows on {hop}"),
            Cause::Of(Family::Socket) => format!("writing to the sockets of {hop}"),
            Cause::Of(Family::Framing) => format!("framing on {hop}"),
            Cause::Of(Family::Network) => format!("the network of {hop}, inferred"),
            Cause::Of(Family::Queue) => format!("queueing on {hop}"),
        }
    }
}

fn ends(hop: &str) -> (&str, &str) {
    hop.split_once('→').unwrap_or(("client", hop))
}

/// The largest parts until most of the mean is named, then framing and flow control in any case.
fn largest(cell: &CellResult, parts: &[Part<'_>]) -> String {
    let total = cell.traced.mean_us;
    let mut named = 0.0;
    let mut phrases: Vec<String> = Vec::new();
    let mut told = Vec::new();
    for part in parts.iter().take(4) {
        let share = ratio(part.mean_us, total);
        if named >= 0.9 || share < 0.03 {
            break;
        }
        let of_mean = if phrases.is_empty() { " of the mean is" } else { "" };
        phrases.push(format!("{}{of_mean} {}", percent(share), part.words()));
        told.push(part.cause);
        named += share;
    }
    let also: Vec<_> = [(Family::Framing, "framing"), (Family::FlowControl, "flow control")]
        .into_iter()
        .filter(|(family, _)| !told.contains(&Cause::Of(*family)))
        .map(|(family, name)| format!("{name} is {}", percent(share(cell, family))))
        .collect();
    let mut text = phrases.join(", ");
    if !also.is_empty() {
        let _ = write!(text, "; {}", also.join(" and "));
    }
    text.push('.');
    text
}

fn share(cell: &CellResult, family: Family) -> f64 {
    cell.families.iter().find(|part| part.family == family.name()).map_or(0.0, |part| part.share)
}

fn mean_of(cell: &CellResult, depth: u32, stages: &[Stage]) -> f64 {
    cell.stages
        .iter()
        .filter(|part| part.depth == depth && stages.iter().any(|stage| stage.name() == part.stage))
        .map(|part| part.mean_us)
        .sum()
}

/// Whether more was asked of the services than they can do.
fn overloaded(cell: &CellResult) -> bool {
    cell.verdict.codes().any(|code| {
        code == rules::FALLING_BEHIND.code
            || (code == rules::RATE_NOT_KEPT.code && cell.requests.dropped > cell.requests.error)
    })
}

/// The gateway makes each payload itself, one at a time: the rest of the system waits for that.
fn generation(cell: &CellResult) -> Option<String> {
    let knobs = &cell.factors.knobs;
    if knobs.payload_source != PayloadSource::PerRequest || !overloaded(cell) {
        return None;
    }
    let gateway = cell.stages.iter().find(|part| part.depth == 0).map(|part| ends(&part.hop).1)?;
    let handler = mean_of(cell, 0, &[Stage::Handler]);
    // Everything that waits for the gateway to run: what arrives at it, and what comes back to it.
    let waiting = mean_of(
        cell,
        0,
        &[Stage::SendQueue, Stage::RequestWire, Stage::RequestReceiverQueue, Stage::Dispatch, Stage::ReplySendQueue],
    ) + mean_of(
        cell,
        1,
        &[Stage::SendQueue, Stage::ReplyWire, Stage::ReplyReceiverQueue, Stage::WakeUp],
    );
    let offered = rate(cell.factors.rate_per_s);
    let capacity = if knobs.worker_threads == Some(1) {
        format!(
            "The {gateway}'s handler takes {} per request to generate its payload, one request at a \
             time, so its capacity is about {}/s against {offered}/s offered",
            time(handler),
            rate(ratio(1e6, handler)),
        )
    } else {
        format!(
            "The {gateway} generates each payload under one lock, one request at a time (its handler \
             takes {} with the wait for that lock), and served {}/s against {offered}/s offered",
            time(handler),
            rate(cell.load.completed_per_s),
        )
    };
    Some(format!(
        "{capacity}; {} of the arrivals were dropped. {} of the mean is queueing behind payload \
         generation in the {gateway}'s handler (waiting for it to read, decode, start or take a reply \
         back): not framing ({}), not flow control ({}).",
        percent(cell.load.dropped_share),
        percent(ratio(waiting, cell.traced.mean_us)),
        percent(share(cell, Family::Framing)),
        percent(share(cell, Family::FlowControl)),
    ))
}

fn overload(cell: &CellResult) -> Option<String> {
    overloaded(cell).then(|| {
        format!(
            "The system is overloaded: it served {}/s of {}/s offered and {} of the arrivals were \
             dropped, so the latency is mostly the length of its queues.",
            rate(cell.load.completed_per_s),
            rate(cell.factors.rate_per_s),
            percent(cell.load.dropped_share)
        )
    })
}

/// What it means that one part is the largest by far.
fn meaning(cell: &CellResult, parts: &[Part<'_>]) -> Option<String> {
    let first = parts.first().filter(|part| part.mean_us >= cell.traced.mean_us * 0.3)?;
    let (client, server) = first.ends();
    let reader = if first.cause == Cause::WireIn { server } else { client };
    Some(match first.cause {
        Cause::Generator => "That is the load generator's own lateness, not the services'.".to_owned(),
        Cause::Before => format!("Requests wait for the {server}, which is busy with others."),
        Cause::After => "Replies are ready and wait for a busy process or its connection.".to_owned(),
        Cause::WireIn | Cause::WireOut => format!(
            "A wire within one machine takes microseconds; the rest is the {reader} being woken, or \
             being busy."
        ),
        Cause::Of(Family::Backend) => "The service's own code is what costs, not the protocol.".to_owned(),
        Cause::Of(Family::Serialization) => "Making and reading messages is what costs.".to_owned(),
        Cause::Of(Family::FlowControl) => {
            "The windows are smaller than what is in flight: raise stream and connection window."
                .to_owned()
        }
        Cause::Of(Family::Socket) => "The kernel's send path is what costs: the bytes themselves.".to_owned(),
        Cause::Of(_) => return None,
    })
}

/// The answer of a run in one paragraph.
#[must_use]
pub fn summarise(result: &RunResult) -> String {
    let mut text = asked(result);
    let payloads: Vec<u64> = result.cells.iter().map(|cell| cell.factors.payload_bytes).collect();
    let (least, most) = (payloads.iter().min(), payloads.iter().max());
    for bytes in least.into_iter().chain(most.filter(|&most| Some(most) != least)) {
        if let Some(sentence) = duel(result, *bytes) {
            text.push(' ');
            text.push_str(&sentence);
        }
    }
    let of = |status| result.cells.iter().filter(move |cell| cell.verdict.status == status);
    let (suspect, invalid) = (of(Status::Suspect).count(), of(Status::Invalid).count());
    let ids = |status| of(status).map(|cell| cell.id.as_str()).collect::<Vec<_>>().join(", ");
    match (suspect, invalid) {
        (0, 0) => text.push_str(" Nothing speaks against these numbers."),
        (_, 0) => {}
        _ => {
            let _ = write!(
                text,
                " {invalid} {} INVALID and must not be used: {}.",
                if invalid == 1 { "cell is" } else { "cells are" },
                ids(Status::Invalid)
            );
        }
    }
    if suspect > 0 {
        let _ = write!(
            text,
            " {suspect} {} SUSPECT, to be used only with the reason in mind: {}.",
            if suspect == 1 { "cell is" } else { "cells are" },
            ids(Status::Suspect)
        );
    }
    text
}

fn asked(result: &RunResult) -> String {
    let mut payloads: Vec<u64> = result.cells.iter().map(|cell| cell.factors.payload_bytes).collect();
    payloads.sort_unstable();
    payloads.dedup();
    let sizes = match payloads.as_slice() {
        [] => return "The run has no cells.".to_owned(),
        [only] => format!("a payload of {}", payload(*only)),
        [least, .., most] => {
            format!("{} payloads from {} to {}", payloads.len(), payload(*least), payload(*most))
        }
    };
    let mut protocols: Vec<&str> = result.cells.iter().map(|cell| label(cell.factors.protocol)).collect();
    protocols.sort_unstable_by(|a, b| b.cmp(a));
    protocols.dedup();
    let mut rates: Vec<f64> = result.cells.iter().map(|cell| cell.factors.rate_per_s).collect();
    rates.sort_by(f64::total_cmp);
    let rates = match (rates.first(), rates.last()) {
        (Some(least), Some(most)) if least != most => format!("{} to {}", rate(*least), rate(*most)),
        (Some(only), _) => rate(*only),
        _ => String::new(),
    };
    let cells = result.cells.len();
    format!(
        "{} {}: {sizes} by {}, {rates} requests/s.",
        count(cells as u64),
        if cells == 1 { "cell" } else { "cells" },
        protocols.join(" and ")
    )
}

const fn label(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Rest => "REST",
        Protocol::Grpc => "gRPC",
    }
}

/// REST beside gRPC at one payload: only where there is one cell of each, and both may be compared.
fn duel(result: &RunResult, bytes: u64) -> Option<String> {
    let of = |protocol| {
        let mut cells = result.cells.iter().filter(move |cell| {
            cell.factors.payload_bytes == bytes && cell.factors.protocol == protocol
        });
        cells.next().filter(|_| cells.next().is_none())
    };
    let (rest, grpc) = (of(Protocol::Rest)?, of(Protocol::Grpc)?);
    let size = payload(bytes);
    if [rest, grpc].iter().any(|cell| cell.verdict.status == Status::Invalid) {
        return Some(format!("At {size} there is no comparison, since a cell of it is INVALID."));
    }
    let (r, g) = (rest.latency_us.mean, grpc.latency_us.mean);
    let (slower, factor) = if r >= g { ("REST", ratio(r, g)) } else { ("gRPC", ratio(g, r)) };
    let verdict = if factor < 1.05 {
        "no difference to speak of".to_owned()
    } else {
        format!("{slower} takes {}× as long", trimmed(factor))
    };
    let most = [rest, grpc].map(|cell| {
        cell.families.iter().max_by(|a, b| a.share.total_cmp(&b.share)).map_or_else(
            || "nothing".to_owned(),
            |family| format!("{} {}", percent(family.share), family.family.replace('_', " ")),
        )
    });
    Some(format!(
        "At {size} the mean is {} by REST and {} by gRPC: {verdict}; the largest part is {} there and {} here.",
        time(r),
        time(g),
        most[0],
        most[1]
    ))
}
