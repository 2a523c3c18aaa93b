//! Closing the books: from what each side of each hop measured to one ledger whose stages add up.
//!
//! A hop is a walk along marks. The client's walk has a hole where the wire is; the server's walk
//! fills it. Where both ends were tapped on one clock, what remains of the hole is two measured
//! wire stages; otherwise it is one inferred stage. A foreign span is the case with no marks at
//! all, a lost half the case with nothing to fill the hole: neither is special. A database sends no
//! spans: the hole of a call to one is the round trip of its query, which its client measures.

use crate::half::Half;
use crate::marks::Point;
use crate::stage::{Kind, Stage, StageSet};

/// A hop as joined from spans, with the hops that its server made while answering.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HopNode {
    /// Display name, `client→server`.
    pub name: String,
    /// The calling side, if its span arrived.
    pub client: Option<Half>,
    /// The answering side, if its span arrived.
    pub server: Option<Half>,
    /// Calls made by the server of this hop.
    pub children: Vec<HopNode>,
}

/// The closed books of one hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HopLedger {
    /// Display name, `client→server`.
    pub name: String,
    /// Distance from the edge: 0 is the hop the load generator made.
    pub depth: usize,
    /// The time of every stage; its total is this hop's own share of the latency.
    pub stages: StageSet,
    /// Stages whose marks were out of order (their time is negative and kept so).
    pub out_of_order: u32,
    /// The reply began before the request's last byte was written.
    pub early: bool,
    /// One of the two sides is missing. A call to a database has but one.
    pub unjoined: bool,
}

/// The closed books of one request: its hops, from the edge inwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestLedger {
    /// Every hop, parents before children.
    pub hops: Vec<HopLedger>,
}

impl RequestLedger {
    /// The latency the stages add up to, in nanoseconds.
    #[must_use]
    pub fn total(&self) -> i64 {
        self.hops.iter().map(|hop| hop.stages.total()).sum()
    }

    /// The part of [`Self::total`] of one kind, in nanoseconds.
    #[must_use]
    pub fn total_of(&self, kind: Kind) -> i64 {
        self.hops.iter().map(|hop| hop.stages.total_of(kind)).sum()
    }

    /// What an independent stopwatch saw and no stage explains, in nanoseconds.
    #[must_use]
    pub fn residual(&self, stopwatch: u64) -> i64 {
        stopwatch as i64 - self.total()
    }
}

/// Closes the books of the request whose edge hop is `root`.
///
/// The stages add up to the root's duration (from its planned start, where it has one) exactly, for
/// any missing mark and any order of marks.
#[must_use]
pub fn close(root: &HopNode) -> RequestLedger {
    let mut hops = Vec::new();
    close_hop(root, 0, &mut hops);
    RequestLedger { hops }
}

/// Closes one hop and all below it; answers the time that the hop as a whole took.
fn close_hop(node: &HopNode, depth: usize, hops: &mut Vec<HopLedger>) -> i64 {
    let at = hops.len();
    hops.push(HopLedger {
        name: node.name.clone(),
        depth,
        stages: StageSet::default(),
        out_of_order: 0,
        early: is_early(node),
        unjoined: is_unjoined(node),
    });
    let children: i64 = node.children.iter().map(|child| close_hop(child, depth + 1, hops)).sum();
    let union = union_of_children(node);

    let mut walk = Walk { stages: StageSet::default(), out_of_order: 0 };
    match (&node.client, &node.server) {
        (Some(client), server) => client_walk(client, server.as_ref(), union, &mut walk),
        (None, Some(server)) => {
            server_walk(server, residence(server), union, &mut walk);
        }
        (None, None) => {}
    }
    if union != children {
        walk.stages.add(Stage::Overlap, union - children, Kind::Inferred);
    }
    let own = walk.stages.total();
    hops[at].stages = walk.stages;
    hops[at].out_of_order = walk.out_of_order;
    own + children
}

fn is_unjoined(node: &HopNode) -> bool {
    match &node.client {
        Some(client) => node.server.is_none() && client.database.is_none(),
        None => true,
    }
}

fn is_early(node: &HopNode) -> bool {
    node.client.as_ref().is_some_and(|client| {
        let first = client.marks.get(Point::FirstRead);
        first.is_some() && first < client.marks.get(Point::LastWrite)
    })
}

/// A walk along marks that books each step under a stage.
struct Walk {
    stages: StageSet,
    out_of_order: u32,
}

impl Walk {
    fn book(&mut self, stage: Stage, ns: i64, kind: Kind) {
        if ns < 0 {
            self.out_of_order += 1;
        }
        self.stages.add(stage, ns, kind);
    }

    /// Books the step from `from` to the mark `to` and answers where the walk stands: a missing
    /// mark leaves it where it was.
    fn step(&mut self, from: u64, to: Option<u64>, stage: Stage) -> u64 {
        let Some(to) = to else { return from };
        self.book(stage, to as i64 - from as i64, Kind::Measured);
        to
    }
}

/// The outbound half of a walk: queue, encode, queue, send. Stages in the order the design names.
struct Outbound {
    queue: Stage,
    encode: Stage,
    window: Stage,
    wait: Stage,
    write: Stage,
    framing: Stage,
}

const REQUEST_OUT: Outbound = Outbound {
    queue: Stage::SendQueue,
    encode: Stage::RequestEncode,
    window: Stage::RequestWindowWait,
    wait: Stage::RequestSocketWait,
    write: Stage::RequestSocketWrite,
    framing: Stage::RequestFraming,
};

const REPLY_OUT: Outbound = Outbound {
    queue: Stage::ReplySendQueue,
    encode: Stage::ReplyEncode,
    window: Stage::ReplyWindowWait,
    wait: Stage::ReplySocketWait,
    write: Stage::ReplySocketWrite,
    framing: Stage::ReplyFraming,
};

impl Outbound {
    fn walk(&self, half: &Half, from: u64, walk: &mut Walk) -> u64 {
        let mark = |point| half.marks.get(point);
        let at = walk.step(from, mark(Point::EncodeStart), self.queue);
        let at = walk.step(at, mark(Point::EncodeEnd), self.encode);
        let at = walk.step(at, mark(Point::SendBegin), self.queue);
        let Some(end) = mark(Point::LastWrite) else {
            return at;
        };
        let sending = half.sending;
        for (stage, ns) in [
            (self.window, sending.window_wait),
            (self.wait, sending.socket_wait),
            (self.write, sending.socket_write),
            (self.framing, sending.framing),
        ] {
            walk.book(stage, ns as i64, Kind::Measured);
        }
        walk.book(self.queue, end as i64 - at as i64 - sending.total() as i64, Kind::Measured);
        end
    }
}

/// The inbound half of a walk: deframing, queue, decode.
struct Inbound {
    deframing: Stage,
    queue: Stage,
    decode: Stage,
}

const REQUEST_IN: Inbound = Inbound {
    deframing: Stage::RequestDeframing,
    queue: Stage::RequestReceiverQueue,
    decode: Stage::RequestDecode,
};

const REPLY_IN: Inbound = Inbound {
    deframing: Stage::ReplyDeframing,
    queue: Stage::ReplyReceiverQueue,
    decode: Stage::ReplyDecode,
};

impl Inbound {
    fn walk(&self, half: &Half, from: u64, walk: &mut Walk) -> u64 {
        let mark = |point| half.marks.get(point);
        let next = mark(Point::NextIo).map(|next| match mark(Point::DecodeStart) {
            Some(decode) => next.min(decode.max(from)),
            None => next,
        });
        let at = walk.step(from, next, self.deframing);
        let at = walk.step(at, mark(Point::DecodeStart), self.queue);
        walk.step(at, mark(Point::DecodeEnd), self.decode)
    }
}

/// Books the whole hop as its client saw it, with the server's walk inside.
fn client_walk(client: &Half, server: Option<&Half>, union: i64, walk: &mut Walk) {
    let mark = |point| client.marks.get(point);
    let (start, end) = client.interval;
    let end = mark(Point::CallEnd).unwrap_or(end);
    let start = match mark(Point::Planned) {
        Some(planned) => walk.step(planned, mark(Point::CallStart), Stage::DriverLag),
        None => mark(Point::CallStart).unwrap_or(start),
    };
    let out = REQUEST_OUT.walk(client, start, walk);
    let back = mark(Point::LastRead).unwrap_or(end);

    match server {
        Some(server) if measured_wire(client, server) => {
            let arrived = server.marks.get(Point::LastRead);
            let at = walk.step(out, arrived, Stage::RequestWire);
            let left = server_walk(server, (at, back), union, walk);
            walk.step(left, Some(back), Stage::ReplyWire);
        }
        Some(server) => {
            let interval = residence(server);
            server_walk(server, interval, union, walk);
            let hole = back as i64 - out as i64;
            let inside = interval.1 as i64 - interval.0 as i64;
            walk.book(Stage::NetworkInferred, hole - inside, Kind::Inferred);
        }
        None => {
            let (stage, kind) = without_server(client);
            walk.book(stage, back as i64 - out as i64 - union, kind);
        }
    }

    if mark(Point::LastRead).is_none() {
        return;
    }
    let at = REPLY_IN.walk(client, back, walk);
    let trailers = mark(Point::EosRead).filter(|&read| read > at && read <= end);
    let at = walk.step(at, trailers, Stage::EndOfStreamWait);
    walk.step(at, Some(end), Stage::WakeUp);
}

/// What the hole of a call is that no server fills, and how it is known. A database is not expected
/// to say anything. A query that was never sent waited for a connection until it was given up.
fn without_server(client: &Half) -> (Stage, Kind) {
    let marked = client.marks.first().is_some();
    let sent = [Point::SendBegin, Point::LastWrite].map(|point| client.marks.get(point).is_some());
    match &client.database {
        None => (Stage::Remote, Kind::Inferred),
        Some(_) if marked && sent == [false, false] => (Stage::SendQueue, Kind::Measured),
        Some(_) if marked => (Stage::QueryRoundTrip, Kind::Measured),
        // A foreign span: what its SDK timed by the wall, the wait for a connection included.
        Some(_) => (Stage::QueryRoundTrip, Kind::Inferred),
    }
}

/// Whether the two wire stages of a hop are differences of marks on one clock.
fn measured_wire(client: &Half, server: &Half) -> bool {
    client.tapped() && server.tapped() && !client.clock.is_empty() && client.clock == server.clock
}

/// From the last byte of the request to the last byte of the reply, as far as the server knows.
fn residence(server: &Half) -> (u64, u64) {
    let (start, end) = server.interval;
    (
        server.marks.get(Point::LastRead).unwrap_or(start),
        server.marks.get(Point::LastWrite).unwrap_or(end),
    )
}

/// Books the server's residence from `interval.0`; answers where the walk ended. Without marks the
/// residence is the handler's, and ends at `interval.1`.
fn server_walk(server: &Half, interval: (u64, u64), union: i64, walk: &mut Walk) -> u64 {
    let mark = |point| server.marks.get(point);
    let at = REQUEST_IN.walk(server, interval.0, walk);
    let at = walk.step(at, mark(Point::HandlerStart), Stage::Dispatch);
    let after_handler = mark(Point::HandlerEnd)
        .or_else(|| mark(Point::EncodeStart))
        .or_else(|| mark(Point::SendBegin))
        .or_else(|| mark(Point::LastWrite))
        .unwrap_or(interval.1);
    walk.book(Stage::Handler, after_handler as i64 - at as i64 - union, Kind::Measured);
    let at = REPLY_OUT.walk(server, after_handler, walk);
    if mark(Point::LastWrite).is_some() {
        return at;
    }
    // Nothing says when the reply was written: what is left of the span is waiting to be sent.
    walk.step(at, Some(interval.1).filter(|&end| end != at), Stage::ReplySendQueue)
}

/// The union of the children's intervals inside their parent's handler, in nanoseconds.
///
/// Children are timed by the process of their parent's server, so the intervals are on one clock.
/// A child with marks counts from its call to its return, others by their span. A child whose client
/// span was lost cannot be placed: it counts in full.
fn union_of_children(node: &HopNode) -> i64 {
    let mut calls: Vec<(u64, u64)> = node
        .children
        .iter()
        .filter_map(|child| child.client.as_ref())
        .map(|client| {
            let (start, end) = client.interval;
            (
                client.marks.get(Point::CallStart).unwrap_or(start),
                client.marks.get(Point::CallEnd).unwrap_or(end),
            )
        })
        .filter(|(start, end)| start < end)
        .collect();
    calls.sort_unstable();
    let lost = node.children.iter().filter(|child| child.client.is_none());
    let mut union: i64 = lost
        .filter_map(|child| child.server.as_ref().map(residence))
        .map(|(start, end)| end as i64 - start as i64)
        .sum();
    let mut covered = 0;
    for (start, end) in calls {
        let start = start.max(covered);
        union += end.saturating_sub(start) as i64;
        covered = covered.max(end);
    }
    union
}
