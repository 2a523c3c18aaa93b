//! Was the workload the declared one? Payload, protocol and connections, as taps counted them, else bodies as a relay
//! did; where nobody looked, bodies as spans claim them.

use super::rules::{self, Rule};
use super::{Circumstances, Reason};
use crate::result::units::{count, exact_bytes, http, percent};
use crate::result::{BodiesResult, CellResult, WireResult, holds_payload, ratio};
use lab_model::{Capability, Protocol};

/// Judges what the hops of `cell` put on the wire.
pub(super) fn judge(cell: &CellResult, run: &Circumstances, reasons: &mut Vec<Reason>) {
    payload(cell, reasons);
    for hop in cell.wire.iter().filter(|hop| hop.depth <= 1) {
        reasons.extend(untold(hop));
    }
    for hop in &cell.wire {
        wire(hop, reasons);
    }
    for hop in cell.wire.iter().filter(|hop| hop.depth == 1) {
        // Elsewhere a cell's protocol is a name that the plan gives it, and no plan says how connections are kept.
        if run.system.can(Capability::Shape) {
            protocol(cell, hop, reasons);
            connections(cell, hop, reasons);
        }
    }
}

/// Whether there are requests of `hop` of which nothing tells what they sent: no tap, no relay, and no span.
fn untold(hop: &WireResult) -> Option<Reason> {
    let claimed = hop.claimed.map_or(0, |claimed| claimed.checked);
    let (unseen, all) = (hop.unseen.saturating_sub(claimed), hop.seen + hop.unseen);
    if hop.seen == 0 && unseen > 0 {
        let (which, but) = if claimed > 0 {
            (format!("{} of {}", count(unseen), count(all)), ": their spans claim no sizes either")
        } else {
            (count(all), "")
        };
        return rules::PAYLOAD_UNTOLD.untold(format!(
            "{}: no tap looked at its connections, so nothing here can tell what {which} requests sent{but}",
            hop.hop
        ));
    }
    rules::PAYLOAD_UNPROVED.check(ratio(unseen as f64, all as f64), |_| {
        format!(
            "{}: no tap saw {} of {} requests, so nothing proves what they sent; use services \
             with taps on both ends",
            hop.hop,
            count(unseen),
            count(all)
        )
    })
}

/// Every message must carry exactly the declared payload; of a body that is only claimed some is envelope. One reason
/// for all that do not: it names each of them, with the payload of the first of them.
fn payload(cell: &CellResult, reasons: &mut Vec<Reason>) {
    let declared = exact_bytes(cell.factors.payload_bytes);
    let of = |rule: &Rule, wrong: Vec<Wrong>, say: fn(&str) -> String| {
        let first = wrong.first()?;
        let legs: Vec<String> = wrong.iter().map(|wrong| wrong.words(cell)).collect();
        let text = format!(
            "declared {declared}, {}; the number is that of another payload: mend the service",
            say(&legs.join(", "))
        );
        rule.declared(first.found as f64, first.declared as f64, text)
    };
    reasons.extend(of(
        &rules::PAYLOAD_BYTES,
        cell.wire.iter().flat_map(counted).collect(),
        |legs| format!("the wire carried {legs}"),
    ));
    reasons.extend(of(
        &rules::PAYLOAD_RELAYED,
        cell.wire.iter().flat_map(relayed).collect(),
        |legs| format!("the relay counted bodies of {legs}"),
    ));
    reasons.extend(of(
        &rules::PAYLOAD_CLAIMED,
        cell.wire.iter().flat_map(claimed).collect(),
        |legs| format!("the spans claimed bodies of {legs}, where nobody counted"),
    ));
}

/// Messages of one direction of a hop of which some are not as declared.
struct Wrong {
    /// `request of client→server`.
    leg: String,
    declared: u64,
    /// What was furthest from that.
    found: u64,
    often: String,
}

impl Wrong {
    fn words(&self, cell: &CellResult) -> String {
        let declared = if self.declared == cell.factors.payload_bytes {
            String::new()
        } else {
            format!(" instead of {}", exact_bytes(self.declared))
        };
        format!("{}{declared} in the {} ({})", exact_bytes(self.found), self.leg, self.often)
    }
}

/// The messages of `hop` with another payload than declared, as taps counted.
fn counted(hop: &WireResult) -> Vec<Wrong> {
    let ranges = [hop.request_payload_range, hop.response_payload_range];
    wrong(hop, ranges, (hop.payload_mismatches, hop.seen), |bytes, declared| bytes == declared)
}

/// The same of those whose ends have no taps, as a relay counted them.
fn relayed(hop: &WireResult) -> Vec<Wrong> {
    hop.relayed.map_or_else(Vec::new, |relayed| bodies(hop, relayed, relayed.checked))
}

/// The same of those that nobody counted, as their spans claim.
fn claimed(hop: &WireResult) -> Vec<Wrong> {
    hop.claimed.map_or_else(Vec::new, |claimed| bodies(hop, claimed, hop.unseen))
}

fn bodies(hop: &WireResult, known: BodiesResult, all: u64) -> Vec<Wrong> {
    let ranges = [known.request_body_range, known.response_body_range];
    wrong(hop, ranges, (known.mismatches, all), |bytes, declared| {
        holds_payload(bytes, declared, hop.envelope())
    })
}

fn wrong(
    hop: &WireResult,
    ranges: [Option<(u64, u64)>; 2],
    (mismatches, all): (u64, u64),
    is_right: impl Fn(u64, u64) -> bool,
) -> Vec<Wrong> {
    let [request, reply] = ranges;
    [
        ("request", hop.declared_request_bytes, request),
        ("reply", hop.declared_response_bytes, reply),
    ]
    .into_iter()
    .filter_map(|(direction, declared, range)| {
        let (declared, (least, most)) = (declared?, range?);
        let wrong = [least, most].into_iter().filter(|&bytes| !is_right(bytes, declared));
        let found = wrong.max_by_key(|bytes| bytes.abs_diff(declared))?;
        let often = if least == most && mismatches == all {
            "every time".to_owned()
        } else {
            let wrong = ratio(mismatches as f64, all as f64);
            format!("{} of the requests differ", percent(wrong))
        };
        Some(Wrong { leg: format!("{direction} of {}", hop.hop), declared, found, often })
    })
    .collect()
}

fn wire(hop: &WireResult, reasons: &mut Vec<Reason>) {
    reasons.extend(rules::ENDS_DISAGREE.check(hop.disagreements as f64, |_| {
        format!(
            "{}: the two ends counted different body bytes in {} requests (limit 0); look for a \
             proxy between them",
            hop.hop,
            count(hop.disagreements)
        )
    }));
    let retried = ratio(hop.retried as f64, hop.seen as f64);
    reasons.extend(rules::RETRIED.check(retried, |limit| {
        format!(
            "{}: {} of the requests were put on a connection more than once (limit {}); the failed \
             attempts are booked under send queue",
            hop.hop,
            percent(retried),
            percent(limit)
        )
    }));
}

fn protocol(cell: &CellResult, hop: &WireResult, reasons: &mut Vec<Reason>) {
    let (declared, name) = match cell.factors.protocol {
        Protocol::Rest => (11, "HTTP/1.1"),
        Protocol::Grpc => (20, "HTTP/2"),
    };
    for &spoken in &hop.http {
        reasons.extend(rules::PROTOCOL_ON_THE_WIRE.declared(
            spoken as f64,
            f64::from(declared),
            format!(
                "{} is declared, that is {name}, but {} spoke {}; check the gateway's routes",
                cell.factors.protocol.name(),
                hop.hop,
                http(spoken)
            ),
        ));
    }
}

fn connections(cell: &CellResult, hop: &WireResult, reasons: &mut Vec<Reason>) {
    if hop.on_known_connection == 0 {
        return;
    }
    if cell.factors.knobs.connection_per_request {
        let each = ratio(hop.connections_of_rounds as f64, hop.on_known_connection as f64);
        reasons.extend(rules::CONNECTION_PER_REQUEST.check(each, |_| {
            format!(
                "each request was to have a connection of its own, but {} carried {} requests over \
                 {} connections",
                hop.hop,
                count(hop.on_known_connection),
                count(hop.connections_of_rounds)
            )
        }));
        return;
    }
    // Each worker thread of the caller (`worker_threads`, or one per core) has connections of its own: by HTTP/2 one,
    // by HTTP/1.1 as many as it has requests in flight. A worker has none until it has been given a connection with
    // requests, so that all of them together still need no more than there are requests in flight.
    let (most, limit) = (hop.connections_in_a_round, cell.factors.max_in_flight as u64);
    reasons.extend(rules::CONNECTIONS_POOLED.check(ratio(most as f64, limit as f64), |_| {
        format!(
            "{} used {} connections in one round with at most {} requests in flight; the pool does \
             not keep them: raise its idle limit",
            hop.hop,
            count(most),
            count(limit)
        )
    }));
}
