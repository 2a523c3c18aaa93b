//! How large the numbers of a record are: all that whoever takes one in has to know of it at once. The record itself can
//! stay packed until somebody looks at it, which is when its trace is closed. What is too large is not decided here.

use crate::half::{Far, Half};
use crate::marks::{Marks, Point, Sending, Traffic};
use crate::packed::{Face, FarFace, Origin, PackedError, Record, read_record};
use crate::stage::Stage;

/// How large the numbers of a record are. Of what it says twice, both count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bounds {
    /// The first and the last of its marks, if it has any.
    pub marks: Option<(u64, u64)>,
    /// The longest wait of sending, or injected delay, in nanoseconds.
    pub longest: u64,
    /// The largest of its other numbers: bytes, frames, attempts.
    pub most: u64,
    /// The same of its far face, where it has one.
    pub far: Option<FarBounds>,
}

/// How large the numbers of a far face are. Its waits are in no sum, so they have no bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FarBounds {
    /// The first and the last of its marks, if it has any.
    pub marks: Option<(u64, u64)>,
    /// The largest number of bytes or frames.
    pub most: u64,
}

impl Bounds {
    /// Those of a packed record, with where its span stands, if it says so.
    ///
    /// # Errors
    /// [`PackedError`], as [`Half::unpack`] has it: a record of which the bounds are known can be unpacked.
    pub fn of_packed(bytes: &[u8]) -> Result<(Bounds, Option<Origin>), PackedError> {
        let mut bounds = Bounds::default();
        let origin = read_record(bytes, &mut bounds)?;
        Ok((bounds, origin))
    }

    /// Those of a record.
    #[must_use]
    pub fn of(half: &Half) -> Bounds {
        let mut bounds = Bounds::default();
        let Half { marks, sending, outbound, inbound, connection, http, attempts, .. } = half;
        tell(&mut bounds, marks, *sending, [*outbound, *inbound]);
        bounds.connection(*connection, *http, *attempts);
        half.injected.iter().for_each(|&(stage, ns)| bounds.injected(stage, ns));
        if let Some(far) = &half.far {
            let Far { marks, sending, outbound, inbound, connection } = &**far;
            tell(bounds.far(), marks, *sending, [*outbound, *inbound]);
            bounds.far().connection(*connection);
        }
        bounds
    }
}

fn tell(to: &mut impl Face, marks: &Marks, sending: Sending, [outbound, inbound]: [Traffic; 2]) {
    marks.iter().for_each(|(point, at)| to.mark(point, at));
    to.sending(sending);
    to.outbound(outbound);
    to.inbound(inbound);
}

/// Widens `marks` to one more. One that is 0 was not taken.
#[inline]
fn widen(marks: &mut Option<(u64, u64)>, at: u64) {
    if at != 0 {
        let (first, last) = marks.unwrap_or((at, at));
        *marks = Some((first.min(at), last.max(at)));
    }
}

#[inline]
fn largest(Traffic { payload, body, wire, frames, framing, headers }: Traffic) -> u64 {
    payload.max(body).max(wire).max(frames).max(framing).max(headers)
}

impl Face for Bounds {
    #[inline]
    fn mark(&mut self, _: Point, at: u64) {
        widen(&mut self.marks, at);
    }

    fn sending(&mut self, sending: Sending) {
        let Sending { window_wait, socket_wait, socket_write, framing } = sending;
        self.longest =
            self.longest.max(window_wait).max(socket_wait).max(socket_write).max(framing);
    }

    fn outbound(&mut self, traffic: Traffic) {
        self.most = self.most.max(largest(traffic));
    }

    fn inbound(&mut self, traffic: Traffic) {
        self.most = self.most.max(largest(traffic));
    }
}

impl Record for Bounds {
    type Far = FarBounds;

    fn far(&mut self) -> &mut FarBounds {
        self.far.get_or_insert_default()
    }

    fn connection(&mut self, connection: u64, http: u64, attempts: u64) {
        self.most = self.most.max(connection).max(http).max(attempts);
    }

    fn injected(&mut self, _: Stage, ns: u64) {
        self.longest = self.longest.max(ns);
    }

    fn streaming(&mut self, _: bool) {}
}

impl Face for FarBounds {
    #[inline]
    fn mark(&mut self, _: Point, at: u64) {
        widen(&mut self.marks, at);
    }

    fn sending(&mut self, _: Sending) {}

    fn outbound(&mut self, traffic: Traffic) {
        self.most = self.most.max(largest(traffic));
    }

    fn inbound(&mut self, traffic: Traffic) {
        self.most = self.most.max(largest(traffic));
    }
}

impl FarFace for FarBounds {
    fn connection(&mut self, _: u64) {}
}
