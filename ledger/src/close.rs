//! Closing the books: from what each side of each hop measured to one ledger whose stages add up.
//!
//! A hop is a walk along marks. The client's walk has a hole, the time between its last write and its first read of the
//! reply. Relays on the wire and the server say what happened in the hole ([`crate::wire`]).
//! Two cases need no rule of their own: a span of a foreign SDK has no marks at all, and of a lost half nothing fills
//! the hole. A database sends no spans: the hole of a call to one is the round trip of its query, which its client
//! measures.
//!
//! The time between a server's reading of the request and its reply is its *residence*. Every instant of it is booked
//! once: under the call that was being waited for ([`crate::critical`]), else under the stage it lies in. What ran
//! beside that, or outside of it, is counted apart and is in no sum.

use std::borrow::Borrow;

use crate::critical::{self, Part, Shares};
use crate::half::Half;
use crate::hop::{HopLedger, HopNode, RequestLedger};
use crate::marks::Point;
use crate::passage::{Outer, Passage};
use crate::stage::{Kind, Stage};
use crate::walk::{self, Walk};
use crate::wire::Inside;

/// Closes the books of the request whose edge hop is `root`.
///
/// The stages add up to the root's duration (from its planned start, where it has one) exactly, for
/// any missing mark, any order of marks and any place of the calls below it.
#[must_use]
pub fn close<H: Borrow<Half>>(root: &HopNode<H>) -> RequestLedger {
    let mut ledger = RequestLedger::default();
    ledger.close_anew(root);
    ledger
}

impl RequestLedger {
    /// Makes it the ledger of another request, in the memory that it has: as [`close`] does.
    pub fn close_anew<H: Borrow<Half>>(&mut self, root: &HopNode<H>) {
        self.hops.clear();
        self.hops.reserve(root.hops());
        close_hop(root, 0, Part::All, &mut self.hops);
    }
}

/// Closes one hop and all below it, as far as it is a `part` of the request.
fn close_hop<H: Borrow<Half>>(
    node: &HopNode<H>,
    depth: usize,
    part: Part,
    hops: &mut Vec<HopLedger>,
) {
    let at = hops.len();
    // Made where it is: it is large.
    hops.push(HopLedger::default());
    let own = &mut hops[at];
    own.name.push_str(&node.name);
    (own.depth, own.early, own.unjoined) = (depth, is_early(node), is_unjoined(node, depth));
    let shares = match part.window() {
        None => Shares::none(&node.children),
        Some(window) => {
            let mut walk = Walk::within(window, &mut own.stages);
            let shares = book(node, &mut walk, &mut own.clipped_ns);
            own.out_of_order = walk.out_of_order;
            shares
        }
    };
    for (child, share) in node.children.iter().zip(shares.of) {
        let place = hops.len();
        close_hop(child, depth + 1, share.part, hops);
        let below = &mut hops[place];
        below.at_ns = share.at_ns;
        below.concurrent_ns = share.concurrent_ns;
        below.detached_ns = share.detached_ns;
        below.clipped_ns = below.clipped_ns.wrapping_add(share.clipped_ns);
        below.out_of_order += u32::from(share.backwards);
    }
}

fn is_unjoined<H: Borrow<Half>>(node: &HopNode<H>, depth: usize) -> bool {
    match node.client() {
        Some(client) => node.server.is_none() && client.database.is_none(),
        None => depth > 0,
    }
}

fn is_early<H: Borrow<Half>>(node: &HopNode<H>) -> bool {
    node.client().is_some_and(|client| {
        let first = client.marks.get(Point::FirstRead);
        first.is_some() && first < client.marks.get(Point::LastWrite)
    })
}

/// Books a hop's own stages, and answers which parts of its children the request waited for.
fn book<H: Borrow<Half>>(node: &HopNode<H>, walk: &mut Walk<'_>, clipped: &mut i64) -> Shares {
    let relays: Vec<_> = node.relays().filter_map(Passage::of).collect();
    let inside = Inside {
        relays: &relays,
        server: node.server(),
        placed: node.placed,
        children: &node.children,
    };
    let (mut shares, own) = match (node.client(), node.server()) {
        (Some(client), server) if server.is_some() || !relays.is_empty() => {
            let outer = Outer::client(client);
            let carved = inside.carve(outer, client.call(), walk);
            let out = client_out(client, walk);
            let back = read(client);
            let shares = inside.fill(outer, (out, back), carved, walk, clipped);
            client_in(client, back, walk);
            let own = if server.is_some() { Stage::Handler } else { Stage::Remote };
            (shares, (own, Kind::Measured))
        }
        (Some(client), _) => {
            let hole = (sent(client), read(client));
            let mut shares = critical::share(&node.children, hole, walk.cut(client.call(), hole));
            walk.carved = std::mem::take(&mut shares.carved);
            let out = client_out(client, walk);
            let (stage, kind) = without_server(client);
            walk.book_step(out, hole.1, stage, kind);
            client_in(client, hole.1, walk);
            (shares, (stage, kind))
        }
        // Nobody tells how the call was made: the request begins where the outermost relay has it.
        (None, _) if !relays.is_empty() => {
            let relay = &relays[0];
            let inner = Inside { relays: &relays[1..], ..inside };
            let carved = inner.carve_within(relay, walk);
            let shares = inner.pass(relay, carved, walk, clipped);
            let own = if node.server().is_some() { Stage::Handler } else { Stage::Remote };
            (shares, (own, Kind::Measured))
        }
        (None, Some(server)) => {
            let span = server.residence();
            let mut shares = critical::share(&node.children, span, walk.cut(span, span));
            walk.carved = std::mem::take(&mut shares.carved);
            walk::server(server, span.0, span.1, walk);
            (shares, (Stage::Handler, Kind::Measured))
        }
        (None, None) => return Shares::none(&node.children),
    };
    shares.take_unplaced(&node.children, own, walk.stages);
    shares
}

/// Books the client's way out, and answers where it ended: as [`sent`].
fn client_out(client: &Half, walk: &mut Walk<'_>) -> u64 {
    let (start, _) = client.call();
    let start = match client.marks.get(Point::Planned) {
        Some(_) => walk.step(start, client.marks.get(Point::CallStart), Stage::DriverLag),
        None => start,
    };
    walk::REQUEST_OUT.walk(client, start, walk)
}

/// Books the client's way from reading the reply to the return of the call.
fn client_in(client: &Half, back: u64, walk: &mut Walk<'_>) {
    let mark = |point| client.marks.get(point);
    if mark(Point::LastRead).is_none() {
        return;
    }
    let (_, end) = client.call();
    let at = walk::REPLY_IN.walk(client, back, end, walk);
    walk.step(at, Some(end), Stage::WakeUp);
}

/// When the request was on its way, as far as the client knows.
fn sent(client: &Half) -> u64 {
    let marks = [
        Point::LastWrite,
        Point::SendBegin,
        Point::EncodeEnd,
        Point::EncodeStart,
        Point::CallStart,
    ];
    marks.into_iter().find_map(|point| client.marks.get(point)).unwrap_or(client.call().0)
}

/// When the reply was there, as far as the client knows.
fn read(client: &Half) -> u64 {
    client.marks.get(Point::LastRead).unwrap_or(client.call().1)
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
