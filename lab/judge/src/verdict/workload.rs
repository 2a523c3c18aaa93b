//! Was the workload the declared one? Payload, protocol and connections, as the taps counted them.

use super::Reason;
use super::rules;
use crate::result::units::{count, exact_bytes, http, percent};
use crate::result::{CellResult, WireResult, ratio};
use lab_model::Protocol;

/// Judges what the hops of `cell` put on the wire.
pub(super) fn judge(cell: &CellResult, reasons: &mut Vec<Reason>) {
    payload(cell, reasons);
    for hop in cell.wire.iter().filter(|hop| hop.depth <= 1) {
        let (unseen, all) = (hop.unseen, hop.seen + hop.unseen);
        if hop.seen == 0 {
            reasons.extend(rules::PAYLOAD_UNTOLD.untold(format!(
                "{}: no tap looked at its connections, so nothing here can tell what {} requests sent",
                hop.hop,
                count(all)
            )));
            continue;
        }
        reasons.extend(rules::PAYLOAD_UNPROVED.check(ratio(unseen as f64, all as f64), |_| {
            format!(
                "{}: no tap saw {} of {} requests, so nothing proves what they sent; use services \
                 with taps on both ends",
                hop.hop,
                count(unseen),
                count(all)
            )
        }));
    }
    for hop in &cell.wire {
        wire(hop, reasons);
    }
    for hop in cell.wire.iter().filter(|hop| hop.depth == 1) {
        protocol(cell, hop, reasons);
        connections(cell, hop, reasons);
    }
}

/// Every message must carry exactly the declared payload. One reason for all that do not: it names each
/// of them, with the payload furthest from the declared one.
fn payload(cell: &CellResult, reasons: &mut Vec<Reason>) {
    let seen = cell.wire.iter().filter(|hop| hop.seen > 0);
    let wrong: Vec<(String, u64, u64)> = seen.flat_map(wrong_payloads).collect();
    let Some((_, declared, found)) = wrong.first() else {
        return;
    };
    let legs: Vec<String> = wrong
        .iter()
        .map(|(leg, declared, found)| {
            let declared = if *declared == cell.factors.payload_bytes {
                String::new()
            } else {
                format!(" instead of {}", exact_bytes(*declared))
            };
            format!("{}{declared} in {leg}", exact_bytes(*found))
        })
        .collect();
    reasons.extend(rules::PAYLOAD_BYTES.declared(
        *found as f64,
        *declared as f64,
        format!(
            "declared {}, the wire carried {}; the number is that of another payload: mend the service",
            exact_bytes(cell.factors.payload_bytes),
            legs.join(", ")
        ),
    ));
}

/// The messages of `hop` with a wrong payload: which, declared, found.
fn wrong_payloads(hop: &WireResult) -> Vec<(String, u64, u64)> {
    let directions = [
        ("request", hop.declared_request_bytes, hop.request_payload_range),
        ("reply", hop.declared_response_bytes, hop.response_payload_range),
    ];
    directions
        .into_iter()
        .filter_map(|(direction, declared, range)| Some((direction, declared?, range?)))
        .filter(|&(_, declared, (least, most))| least != declared || most != declared)
        .map(|(direction, declared, (least, most))| {
            let found =
                if most.abs_diff(declared) >= least.abs_diff(declared) { most } else { least };
            let often = if least == most {
                "every time".to_owned()
            } else {
                let wrong = ratio(hop.payload_mismatches as f64, hop.seen as f64);
                format!("{} of the requests differ", percent(wrong))
            };
            (format!("the {direction} of {} ({often})", hop.hop), declared, found)
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
