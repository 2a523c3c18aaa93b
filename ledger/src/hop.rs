//! A hop before and after its books are closed, and the request that hops make.

use std::borrow::Borrow;

use crate::half::Half;
use crate::marks::Point;
use crate::stage::{Kind, StageSet};

/// A hop as joined from spans, with the hops that its server made while answering. Its sides are its own, or
/// somebody's who lends them (`H` is `&Half`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HopNode<H = Half> {
    /// Display name, `client→server`.
    pub name: String,
    /// The calling side, if its span arrived.
    pub client: Option<H>,
    /// The answering side, if its span arrived.
    pub server: Option<H>,
    /// Relays between the two, from the client's on.
    pub relays: Vec<H>,
    /// The server's spans come from a foreign SDK, and by the wall clock nearly all of them lay within what the relays
    /// before it saw: so this span, too, may be placed by the wall clock.
    pub placed: bool,
    /// Calls made by the server of this hop.
    pub children: Vec<HopNode<H>>,
}

impl<H> Default for HopNode<H> {
    fn default() -> Self {
        HopNode {
            name: String::new(),
            client: None,
            server: None,
            relays: Vec::new(),
            placed: false,
            children: Vec::new(),
        }
    }
}

impl<H: Borrow<Half>> HopNode<H> {
    /// How many hops there are, with this one.
    pub(crate) fn hops(&self) -> usize {
        1 + self.children.iter().map(HopNode::hops).sum::<usize>()
    }

    /// Its calling side.
    pub(crate) fn client(&self) -> Option<&Half> {
        self.client.as_ref().map(Borrow::borrow)
    }

    /// Its answering side.
    pub(crate) fn server(&self) -> Option<&Half> {
        self.server.as_ref().map(Borrow::borrow)
    }

    /// The relays between them.
    pub(crate) fn relays(&self) -> impl Iterator<Item = &Half> {
        self.relays.iter().map(Borrow::borrow)
    }

    /// How much room the client's call leaves around the server's work, in nanoseconds: from the begin of the call to the
    /// server's first read, or from the server's last write to the end of the call, whichever is less. Below 0 the times
    /// of one side are wrong: nothing can be read before it is asked for. `None` unless both sides read the same clock
    /// and the server's connection was tapped.
    #[must_use]
    pub fn margin(&self) -> Option<i64> {
        let (client, server) = (self.client()?, self.server()?);
        if client.clock.is_empty() || client.clock != server.clock {
            return None;
        }
        let (start, end) = client.call();
        let (read, write) =
            (server.marks.get(Point::FirstRead)?, server.marks.get(Point::LastWrite)?);
        let after = |late: u64, early: u64| late.wrapping_sub(early).cast_signed();
        Some(after(read, start).min(after(end, write)))
    }
}

/// The closed books of one hop.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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
    /// One of the two sides is missing. A call to a database has only one side, and so has a request that begins at
    /// its server: of these nothing is missing.
    pub unjoined: bool,
    /// When what counts of this call began, after its caller had the request, in nanoseconds on the caller's clock.
    /// Unknown of the edge, which nobody called for, and of calls that have no place there.
    pub at_ns: Option<i64>,
    /// Time of this call beside another that was waited for longer, or beside its parent, which did not wait for it;
    /// in nanoseconds, in no sum.
    pub concurrent_ns: i64,
    /// Time of this call before its parent had the request or after it had replied, in nanoseconds, in no sum.
    pub detached_ns: i64,
    /// Time by which foreign spans of this hop did not fit the one around them, in nanoseconds, in no sum.
    pub clipped_ns: i64,
}

/// The closed books of one request: its hops, from the edge inwards.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestLedger {
    /// Every hop, parents before children.
    pub hops: Vec<HopLedger>,
}

impl RequestLedger {
    /// The latency the stages add up to, in nanoseconds.
    #[must_use]
    pub fn total(&self) -> i64 {
        self.hops.iter().map(|hop| hop.stages.total()).fold(0, i64::wrapping_add)
    }

    /// The part of [`Self::total`] of one kind, in nanoseconds.
    #[must_use]
    pub fn total_of(&self, kind: Kind) -> i64 {
        self.hops.iter().map(|hop| hop.stages.total_of(kind)).fold(0, i64::wrapping_add)
    }

    /// What an independent stopwatch saw and no stage explains, in nanoseconds.
    #[must_use]
    pub fn residual(&self, stopwatch: u64) -> i64 {
        stopwatch.cast_signed().wrapping_sub(self.total())
    }
}
