//! The proof of the workload: what every hop of a cell really put on the wire.
//!
//! Every request is looked at, not the mean: one wrong payload among a million right ones is found.

use std::collections::{BTreeMap, BTreeSet};

use ledger::Traffic;
use serde::{Deserialize, Serialize};
use sidecar::runfile::{Claimed, HopRow, RequestRow};

use super::claims::{BodiesResult, Claims, Declared, ENVELOPE_BYTES, widen};
use super::rounding::round;
use lab_model::Cell;

/// What one hop put on the wire, in means per request unless said otherwise; absent where nobody looked.
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
    /// Bytes of a body beside the payload at most, where the cell declares it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub declared_envelope_bytes: Option<u64>,
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
    /// Requests of this hop that were counted, by a tap or a relay.
    pub seen: u64,
    /// Requests of this hop that nobody counted.
    pub unseen: u64,
    /// The bodies of those that a relay alone counted; absent where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relayed: Option<BodiesResult>,
    /// What spans claim of the bodies; absent where none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claimed: Option<BodiesResult>,
    /// Requests whose two ends counted different body bytes.
    pub disagreements: u64,
    /// Requests that were put on a connection more than once.
    pub retried: u64,
}

impl WireResult {
    /// Bytes of a body beside the payload at most.
    #[must_use]
    pub fn envelope(&self) -> u64 {
        self.declared_envelope_bytes.unwrap_or(ENVELOPE_BYTES)
    }
}

/// What the hops of a cell put on the wire, from the edge inwards, while its rows come one by one.
#[derive(Debug, Default)]
pub(super) struct Wire(BTreeMap<(u32, String), Hop>);

impl Wire {
    /// Adds a request that counts.
    pub(super) fn take(&mut self, cell: &Cell, row: &RequestRow) {
        for hop in &row.hops {
            let known = self.0.entry((hop.depth, hop.hop.to_string())).or_default();
            known.take(declared(cell, hop.depth), row.round, hop);
        }
    }

    pub(super) fn close(self, cell: &Cell) -> Vec<WireResult> {
        self.0.into_iter().map(|((depth, name), hop)| hop.close(cell, depth, name)).collect()
    }
}

/// What a hop must carry, where its workload declares it.
fn declared(cell: &Cell, depth: u32) -> Declared {
    let (request, reply) = cell.workload.declared(depth as usize, cell.payload_bytes);
    Declared { request, reply, envelope: cell.workload.envelope(depth as usize) }
}

/// What is added up of one hop.
#[derive(Debug, Default)]
struct Hop {
    /// Sums over those that were seen.
    request: Traffic,
    reply: Traffic,
    request_payload: Option<(u64, u64)>,
    reply_payload: Option<(u64, u64)>,
    payload_mismatches: u64,
    /// The connections used in each round.
    connections: BTreeMap<u32, BTreeSet<u64>>,
    on_known_connection: u64,
    http: BTreeSet<u64>,
    seen: u64,
    /// Those of them whose payload was counted.
    tapped: u64,
    unseen: u64,
    relayed: Claims,
    claims: Claims,
    disagreements: u64,
    retried: u64,
}

impl Hop {
    fn take(&mut self, declared: Declared, round: u32, hop: &HopRow) {
        if hop.connection != 0 {
            self.connections.entry(round).or_default().insert(hop.connection);
        }
        let seen = hop.request.is_some() && hop.reply.is_some();
        self.claims.take(declared, hop.claimed, !seen);
        // Only of a hop that somebody looked at is anything known.
        let (Some(request), Some(reply)) = (&hop.request, &hop.reply) else {
            self.unseen += 1;
            return;
        };
        self.seen += 1;
        self.request += *request;
        self.reply += *reply;
        if hop.by_relay {
            let counted = Claimed { request: Some(request.body), reply: Some(reply.body) };
            self.relayed.take(declared, counted, true);
        } else {
            self.payload(declared, request.payload, reply.payload);
        }
        self.on_known_connection += u64::from(hop.connection != 0);
        self.http.extend((hop.http != 0).then_some(hop.http));
        self.disagreements += u64::from(hop.wire_disagrees);
        self.retried += u64::from(hop.attempts > 1);
    }

    /// The payloads of a request, as taps counted them.
    fn payload(&mut self, declared: Declared, request: u64, reply: u64) {
        self.tapped += 1;
        widen(&mut self.request_payload, request);
        widen(&mut self.reply_payload, reply);
        let differs = |declared: Option<u64>, found| declared.is_some_and(|it| it != found);
        let mismatch = differs(declared.request, request) || differs(declared.reply, reply);
        self.payload_mismatches += u64::from(mismatch);
    }

    fn close(self, cell: &Cell, depth: u32, name: String) -> WireResult {
        let declared = declared(cell, depth);
        let mean = |sum: u64, of: u64| (of > 0).then(|| round(sum as f64 / of as f64, 1e3));
        let average = |sum| mean(sum, self.seen);
        let (request, reply) = (self.request, self.reply);
        let rounds = self.connections.values();
        WireResult {
            hop: name,
            depth,
            request_payload_bytes: mean(request.payload, self.tapped),
            response_payload_bytes: mean(reply.payload, self.tapped),
            declared_request_bytes: declared.request,
            declared_response_bytes: declared.reply,
            declared_envelope_bytes: declared.envelope,
            request_payload_range: self.request_payload,
            response_payload_range: self.reply_payload,
            payload_mismatches: self.payload_mismatches,
            request_body_bytes: average(request.body),
            response_body_bytes: average(reply.body),
            request_wire_bytes: average(request.wire),
            response_wire_bytes: average(reply.wire),
            frames: average(request.frames + reply.frames),
            framing_bytes: average(request.framing + reply.framing),
            header_bytes: average(request.headers + reply.headers),
            connections: rounds.clone().flatten().collect::<BTreeSet<_>>().len() as u64,
            connections_of_rounds: rounds.clone().map(BTreeSet::len).sum::<usize>() as u64,
            connections_in_a_round: rounds.map(BTreeSet::len).max().unwrap_or(0) as u64,
            on_known_connection: self.on_known_connection,
            http: self.http.into_iter().collect(),
            seen: self.seen,
            unseen: self.unseen,
            relayed: self.relayed.close(),
            claimed: self.claims.close(),
            disagreements: self.disagreements,
            retried: self.retried,
        }
    }
}
