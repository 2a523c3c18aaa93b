//! The hole that the wire leaves in a client's walk, and what fills it: relays, from the one next to the client inwards,
//! then the server, as far as their clocks can be compared.
//!
//! Where both ends of a piece of wire were tapped by one clock, the way there and the way back are two measured stages.
//! Otherwise they are one inferred stage: the hole less what the inner end accounts for. It is called network only where
//! taps looked at both ends.
//! A relay that passes on to a foreign server measures all of the time between; where the server's span can be
//! placed in it by the wall clock, what is before it and after it are told apart.

use std::borrow::Borrow;

use crate::critical::{self, Shares};
use crate::half::Half;
use crate::hop::HopNode;
use crate::marks::Point;
use crate::passage::{Outer, Passage};
use crate::stage::{Kind, Stage};
use crate::walk::{self, Walk, Window};

/// What is in a hole.
pub(crate) struct Inside<'a, H> {
    pub(crate) relays: &'a [Passage<'a>],
    pub(crate) server: Option<&'a Half>,
    /// The server's span, a foreign one, may be placed by the wall clock.
    pub(crate) placed: bool,
    pub(crate) children: &'a [HopNode<H>],
}

impl<H: Borrow<Half>> Inside<'_, H> {
    /// The same without the outermost relay.
    fn within(&self) -> Inside<'_, H> {
        Inside {
            relays: self.relays.get(1..).unwrap_or_default(),
            server: self.server,
            placed: self.placed,
            children: self.children,
        }
    }

    /// Carves out of a walk what was waited for, if all that is inside is on one clock with `outer`, which sees the
    /// exchange in `path`: whatever the order of the marks, no step is booked before that.
    pub(crate) fn carve(
        &self,
        outer: Outer<'_>,
        path: Window,
        walk: &mut Walk<'_>,
    ) -> Option<Shares> {
        let server = self.server?;
        let mut end = outer;
        for relay in self.relays {
            if !end.measures(relay.outer.clock, true) {
                return None;
            }
            end = relay.outer;
        }
        if !end.measures(&server.clock, server.tapped()) {
            return None;
        }
        let span = server.residence();
        let mut shares = critical::share(self.children, span, walk.cut(path, span));
        walk.carved = std::mem::take(&mut shares.carved);
        Some(shares)
    }

    /// The same of what is inside `relay`.
    pub(crate) fn carve_within(&self, relay: &Passage<'_>, walk: &mut Walk<'_>) -> Option<Shares> {
        self.carve(relay.outer, relay.residence(), walk)
    }

    /// Books the way from `out` to `back` on the clock of `outer`. What was waited for may be carved out already.
    pub(crate) fn fill(
        &self,
        outer: Outer<'_>,
        (out, back): Window,
        carved: Option<Shares>,
        walk: &mut Walk<'_>,
        clipped: &mut i64,
    ) -> Shares {
        let Some(relay) = self.relays.first() else {
            return self.reach(outer, (out, back), carved, walk, clipped);
        };
        if outer.measures(relay.outer.clock, true) {
            walk.step(out, Some(relay.taken), Stage::RequestWire);
            let shares = self.within().pass(relay, carved, walk, clipped);
            walk.step(relay.returned, Some(back), Stage::ReplyWire);
            return shares;
        }
        let (span, exact) = (relay.residence(), outer.tapped);
        let stage = if outer.tapped { Stage::NetworkInferred } else { Stage::BetweenSpans };
        let other = OtherClock::enter((out, back), span, exact, walk, clipped);
        let carved = self.within().carve_within(relay, walk);
        let shares = self.within().pass(relay, carved, walk, clipped);
        let rest = other.leave(walk);
        walk.book(stage, rest.left, Kind::Inferred);
        shares
    }

    /// Books a relay's residence, and all that is inside.
    pub(crate) fn pass(
        &self,
        relay: &Passage<'_>,
        carved: Option<Shares>,
        walk: &mut Walk<'_>,
        clipped: &mut i64,
    ) -> Shares {
        walk.step(relay.taken, Some(relay.passed), Stage::RequestRelay);
        let hole = (relay.passed, relay.answered);
        let shares = self.fill(relay.outer, hole, carved, walk, clipped);
        walk.step(relay.answered, Some(relay.returned), Stage::ReplyRelay);
        shares
    }

    /// Books the innermost piece of wire, and the server.
    fn reach(
        &self,
        outer: Outer<'_>,
        (out, back): Window,
        carved: Option<Shares>,
        walk: &mut Walk<'_>,
        clipped: &mut i64,
    ) -> Shares {
        let Some(server) = self.server else {
            let shares =
                critical::share(self.children, (out, back), walk.cut((out, back), (out, back)));
            return self.unanswered((out, back), shares, walk);
        };
        let span = server.residence();
        if let Some(shares) = carved {
            let at = walk.step(out, server.marks.get(Point::LastRead), Stage::RequestWire);
            let left = walk::server(server, at, span.1, walk);
            walk.step(left, Some(back), Stage::ReplyWire);
            return shares;
        }
        let exact = outer.tapped && server.tapped();
        let other = OtherClock::enter((out, back), span, exact, walk, clipped);
        let mut shares = critical::share(self.children, span, walk.cut(span, span));
        walk.carved = std::mem::take(&mut shares.carved);
        walk::server(server, span.0, span.1, walk);
        let rest = other.leave(walk);
        self.around(outer, server, (out, back), rest, walk);
        shares
    }

    /// A server that said nothing of itself: a relay knows how long it took to answer, and no more.
    fn unanswered(&self, (out, back): Window, mut shares: Shares, walk: &mut Walk<'_>) -> Shares {
        walk.carved = std::mem::take(&mut shares.carved);
        walk.book_step(out, back, Stage::Remote, Kind::Measured);
        walk.carved.clear();
        shares
    }

    /// Books what a server on another clock leaves of the hole.
    fn around(
        &self,
        outer: Outer<'_>,
        server: &Half,
        (out, _): Window,
        rest: Rest,
        walk: &mut Walk<'_>,
    ) {
        let stage = match (outer.tapped && server.tapped(), outer.relay) {
            (true, _) => Stage::NetworkInferred,
            (false, true) => Stage::AroundServerSpan,
            (false, false) => Stage::BetweenSpans,
        };
        let begins = outer.ahead.filter(|_| self.placed && server.wall != 0);
        let Some(ahead) = begins.filter(|_| stage == Stage::AroundServerSpan) else {
            return walk.book(stage, rest.left, Kind::Inferred);
        };
        let begins = server.wall.wrapping_sub(ahead);
        let free = rest.hole.wrapping_sub(rest.fits).max(0);
        let before = walk::between(out, begins).clamp(0, free);
        let before = walk::in_proportion(before, rest.left.max(0), free);
        walk.book(Stage::BeforeServerSpan, before, Kind::Inferred);
        walk.book(Stage::AfterServerSpan, rest.left.wrapping_sub(before), Kind::Inferred);
    }
}

/// A walk on another clock than the hole that it is in. Of two spans by two clocks only the lengths can be compared.
///
/// A foreign one that is longer than the hole keeps its beginning: a server goes on when its client has given up, it
/// does not start before it was asked. Of a call of which only a part was waited for, that part of what is inside was.
struct OtherClock {
    window: Window,
    hole: i64,
    kept: i64,
    fits: i64,
    inside: i64,
}

/// What is left of a hole.
struct Rest {
    hole: i64,
    fits: i64,
    left: i64,
}

impl OtherClock {
    /// Lets the walk count what of `span` fits in the hole from `out` to `back`. An `exact` one counts in full, however
    /// long.
    fn enter(
        (out, back): Window,
        span: Window,
        exact: bool,
        walk: &mut Walk<'_>,
        clipped: &mut i64,
    ) -> OtherClock {
        let (hole, kept) = (walk::between(out, back), walk.kept(out, back));
        let length = walk::between(span.0, span.1);
        let fits = if exact { length } else { length.min(hole.max(0)) };
        *clipped = clipped.wrapping_add(length.wrapping_sub(fits));
        let part = |whole: i64, part| walk::in_proportion(whole.max(0), part, hole);
        let inside = if kept == hole { fits } else { part(fits, kept) };
        let outer = std::mem::replace(&mut walk.window, walk::EVER);
        if inside != length {
            let skipped = part(fits, walk::between(out, walk::clamped(out, outer)));
            let from = span.0.saturating_add_signed(skipped);
            walk.window = (from, from.saturating_add_signed(inside));
        }
        OtherClock { window: outer, hole, kept, fits, inside }
    }

    /// Goes back to the clock of the hole.
    fn leave(self, walk: &mut Walk<'_>) -> Rest {
        walk.carved.clear();
        walk.window = self.window;
        Rest { hole: self.hole, fits: self.fits, left: self.kept.wrapping_sub(self.inside) }
    }
}
