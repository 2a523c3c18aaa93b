//! The proof of the workload: what every hop of a cell really put on the wire.
//!
//! Every request is looked at, not the mean: one wrong payload among a million right ones is found.

use std::collections::{BTreeMap, BTreeSet};

use sidecar::runfile::{HopRow, RequestRow};

use super::cell::WireResult;
use super::rounding::mean;
use lab_model::{Cell, Workload};

/// What the hops of `rows` put on the wire, from the edge inwards.
pub(super) fn wire(cell: &Cell, rows: &[&RequestRow]) -> Vec<WireResult> {
    let mut hops: BTreeMap<(u32, &str), Vec<(u32, &HopRow)>> = BTreeMap::new();
    for row in rows {
        for hop in &row.hops {
            hops.entry((hop.depth, &hop.hop)).or_default().push((row.round, hop));
        }
    }
    hops.into_iter().map(|((depth, name), hops)| one_hop(cell, depth, name, &hops)).collect()
}

/// The payload that a hop must carry: the edge asks for it, the inner hop echoes it. A question about
/// users declares none.
fn declared(cell: &Cell, depth: u32) -> (Option<u64>, Option<u64>) {
    match (cell.workload, depth) {
        (Workload::Ping, 0) => (Some(0), Some(cell.payload_bytes)),
        (Workload::Ping, 1) => (Some(cell.payload_bytes), Some(cell.payload_bytes)),
        _ => (None, None),
    }
}

fn one_hop(cell: &Cell, depth: u32, name: &str, hops: &[(u32, &HopRow)]) -> WireResult {
    let seen: Vec<&HopRow> = hops
        .iter()
        .map(|&(_, hop)| hop)
        .filter(|hop| hop.request.wire > 0 || hop.reply.wire > 0)
        .collect();
    let (request, reply) = declared(cell, depth);
    let average = |value: fn(&HopRow) -> u64| mean(seen.iter().map(|hop| value(hop) as f64));
    let count = |test: &dyn Fn(&HopRow) -> bool| seen.iter().filter(|hop| test(hop)).count() as u64;
    let differs = |declared: Option<u64>, found| declared.is_some_and(|declared| declared != found);
    let connections = connections(hops);
    WireResult {
        hop: name.to_owned(),
        depth,
        request_payload_bytes: average(|hop| hop.request.payload),
        response_payload_bytes: average(|hop| hop.reply.payload),
        declared_request_bytes: request,
        declared_response_bytes: reply,
        request_payload_range: range(seen.iter().map(|hop| hop.request.payload)),
        response_payload_range: range(seen.iter().map(|hop| hop.reply.payload)),
        payload_mismatches: count(&|hop| {
            differs(request, hop.request.payload) || differs(reply, hop.reply.payload)
        }),
        request_body_bytes: average(|hop| hop.request.body),
        response_body_bytes: average(|hop| hop.reply.body),
        request_wire_bytes: average(|hop| hop.request.wire),
        response_wire_bytes: average(|hop| hop.reply.wire),
        frames: average(|hop| hop.request.frames + hop.reply.frames),
        framing_bytes: average(|hop| hop.request.framing + hop.reply.framing),
        header_bytes: average(|hop| hop.request.headers + hop.reply.headers),
        connections: connections.values().flatten().collect::<BTreeSet<_>>().len() as u64,
        connections_of_rounds: connections.values().map(BTreeSet::len).sum::<usize>() as u64,
        connections_in_a_round: connections.values().map(BTreeSet::len).max().unwrap_or(0) as u64,
        on_known_connection: count(&|hop| hop.connection != 0),
        http: seen
            .iter()
            .map(|hop| hop.http)
            .filter(|&http| http != 0)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect(),
        seen: seen.len() as u64,
        unseen: (hops.len() - seen.len()) as u64,
        disagreements: count(&|hop| hop.wire_disagrees),
        retried: count(&|hop| hop.attempts > 1),
    }
}

/// The connections used in each round.
fn connections(hops: &[(u32, &HopRow)]) -> BTreeMap<u32, BTreeSet<u64>> {
    let mut rounds: BTreeMap<u32, BTreeSet<u64>> = BTreeMap::new();
    for &(round, hop) in hops.iter().filter(|(_, hop)| hop.connection != 0) {
        rounds.entry(round).or_default().insert(hop.connection);
    }
    rounds
}

fn range(values: impl Iterator<Item = u64> + Clone) -> (u64, u64) {
    (values.clone().min().unwrap_or(0), values.max().unwrap_or(0))
}
