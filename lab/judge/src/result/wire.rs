//! The proof of the workload: what every hop of a cell really put on the wire.
//!
//! Every request is looked at, not the mean: one wrong payload among a million right ones is found.

use std::collections::{BTreeMap, BTreeSet};

use ledger::Traffic;
use serde::{Deserialize, Serialize};
use sidecar::runfile::{HopRow, RequestRow};

use super::rounding::mean;
use lab_model::Cell;

/// What one hop put on the wire, in means per request unless said otherwise; absent where no tap looked.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct WireResult {
    /// `client→server`.
    pub hop: String,
    /// Distance from the edge.
    pub depth: u32,
    /// Payload of the request.
    pub request_payload_bytes: Option<f64>,
    /// Payload of the reply.
    pub response_payload_bytes: Option<f64>,
    /// Payload that the cell declares for the request, where it declares one.
    pub declared_request_bytes: Option<u64>,
    /// Payload that the cell declares for the reply, where it declares one.
    pub declared_response_bytes: Option<u64>,
    /// Smallest and largest request payload of any request.
    pub request_payload_range: Option<(u64, u64)>,
    /// Smallest and largest reply payload of any request.
    pub response_payload_range: Option<(u64, u64)>,
    /// Requests with a payload, in either direction, that is not the declared one.
    pub payload_mismatches: u64,
    /// Body of the request: payload and envelope.
    pub request_body_bytes: Option<f64>,
    /// Body of the reply.
    pub response_body_bytes: Option<f64>,
    /// Everything on the wire for the request.
    pub request_wire_bytes: Option<f64>,
    /// Everything on the wire for the reply.
    pub response_wire_bytes: Option<f64>,
    /// Frames, both directions.
    pub frames: Option<f64>,
    /// Frame headers and the like, both directions.
    pub framing_bytes: Option<f64>,
    /// Header blocks, both directions.
    pub header_bytes: Option<f64>,
    /// Distinct connections of the traced requests, all rounds.
    pub connections: u64,
    /// Those of each round, added up: a process that was restarted numbers its connections anew.
    pub connections_of_rounds: u64,
    /// The most in one round.
    pub connections_in_a_round: u64,
    /// Requests whose connection is known.
    pub on_known_connection: u64,
    /// HTTP versions seen: 11, 20.
    pub http: Vec<u64>,
    /// Requests of this hop that were seen by a tap.
    pub seen: u64,
    /// Requests of this hop that no tap saw.
    pub unseen: u64,
    /// Requests whose two ends counted different body bytes.
    pub disagreements: u64,
    /// Requests that were put on a connection more than once.
    pub retried: u64,
}

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

/// A hop that a tap looked at.
struct Seen<'a> {
    hop: &'a HopRow,
    request: Traffic,
    reply: Traffic,
}

fn one_hop(cell: &Cell, depth: u32, name: &str, hops: &[(u32, &HopRow)]) -> WireResult {
    let seen: Vec<Seen<'_>> = hops
        .iter()
        .filter_map(|&(_, hop)| Some(Seen { hop, request: hop.request?, reply: hop.reply? }))
        .collect();
    let (request, reply) = cell.workload.declared(depth as usize, cell.payload_bytes);
    let average = |value: fn(&Seen<'_>) -> u64| {
        (!seen.is_empty()).then(|| mean(seen.iter().map(|hop| value(hop) as f64)))
    };
    let count =
        |test: &dyn Fn(&Seen<'_>) -> bool| seen.iter().filter(|hop| test(hop)).count() as u64;
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
        on_known_connection: count(&|seen| seen.hop.connection != 0),
        http: seen
            .iter()
            .map(|seen| seen.hop.http)
            .filter(|&http| http != 0)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect(),
        seen: seen.len() as u64,
        unseen: (hops.len() - seen.len()) as u64,
        disagreements: count(&|seen| seen.hop.wire_disagrees),
        retried: count(&|seen| seen.hop.attempts > 1),
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

fn range(values: impl Iterator<Item = u64> + Clone) -> Option<(u64, u64)> {
    Some((values.clone().min()?, values.max()?))
}
