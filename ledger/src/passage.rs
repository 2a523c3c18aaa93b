//! The outer end of a piece of wire: a client, or a relay that passed a request and its reply on.

use crate::half::Half;
use crate::marks::Point;
use crate::walk::Window;

/// Whoever stands at the outer end of a piece of wire.
#[derive(Clone, Copy)]
pub(crate) struct Outer<'a> {
    pub(crate) clock: &'a str,
    pub(crate) tapped: bool,
    /// Of a relay: by how much the wall is ahead of its clock, if it said so.
    pub(crate) ahead: Option<u64>,
    /// It is a relay.
    pub(crate) relay: bool,
}

impl<'a> Outer<'a> {
    /// A client.
    pub(crate) fn client(client: &'a Half) -> Self {
        Outer { clock: &client.clock, tapped: client.tapped(), ahead: None, relay: false }
    }

    /// Whether the wire to an inner end is measured: both were tapped, by one clock.
    pub(crate) fn measures(self, clock: &str, tapped: bool) -> bool {
        self.tapped && tapped && !clock.is_empty() && clock == self.clock
    }
}

/// What a relay says of an exchange that passed it whole.
#[derive(Clone, Copy)]
pub(crate) struct Passage<'a> {
    pub(crate) outer: Outer<'a>,
    /// It read the last byte of the request, passed it on, read that of the reply, and passed that on.
    pub(crate) taken: u64,
    pub(crate) passed: u64,
    pub(crate) answered: u64,
    pub(crate) returned: u64,
}

impl<'a> Passage<'a> {
    /// What `relay` says; nothing where the exchange broke off.
    pub(crate) fn of(relay: &'a Half) -> Option<Passage<'a>> {
        let far = relay.far.as_ref()?;
        let ahead = Some(relay.wall).filter(|&wall| wall != 0);
        Some(Passage {
            outer: Outer {
                clock: &relay.clock,
                tapped: true,
                ahead: ahead.map(|wall| wall.wrapping_sub(relay.interval.0)),
                relay: true,
            },
            taken: relay.marks.get(Point::LastRead)?,
            passed: far.marks.get(Point::LastWrite)?,
            answered: far.marks.get(Point::LastRead)?,
            returned: relay.marks.get(Point::LastWrite)?,
        })
    }

    /// From the last byte of the request to that of the reply, as its caller sees it.
    pub(crate) fn residence(&self) -> Window {
        (self.taken, self.returned)
    }
}
