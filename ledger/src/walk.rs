//! Walking along the marks of one side of a hop, and booking each step under its stage.
//!
//! A walk may count only in a window of time, and not in what is carved out of it for calls that were waited
//! for. Steps have a sign: for any order of marks they add up to the length of the walk, in any window of it.

use crate::half::Half;
use crate::marks::Point;
use crate::stage::{Kind, Stage, StageSet};

/// From one time to another, in nanoseconds; negative backwards. Modulo 2^64, as every sum of them: so steps add up to
/// their whole wherever on the clock they are, and no time that somebody writes makes the arithmetic fail.
pub(crate) fn between(from: u64, to: u64) -> i64 {
    to.wrapping_sub(from).cast_signed()
}

/// A stretch of time on one clock, in nanoseconds.
pub(crate) type Window = (u64, u64);

/// Some of them. Most servers make few calls.
pub(crate) type Windows = smallvec::SmallVec<[Window; 1]>;

/// The window of a walk that counts in full, wherever its marks are: our own are never clamped.
pub(crate) const EVER: Window = (0, u64::MAX);

/// A walk along marks that books each step under a stage.
pub(crate) struct Walk<'s> {
    pub(crate) stages: &'s mut StageSet,
    pub(crate) out_of_order: u32,
    /// What of the walk counts.
    pub(crate) window: Window,
    /// What of the window does not count: apart from each other, and inside it.
    pub(crate) carved: Windows,
}

impl Walk<'_> {
    pub(crate) fn within(window: Window, stages: &mut StageSet) -> Walk<'_> {
        Walk { stages, out_of_order: 0, window, carved: Windows::new() }
    }

    /// What of both `path` and `span` counts; empty if nothing does.
    pub(crate) fn cut(&self, path: Window, span: Window) -> Window {
        let start = span.0.max(path.0).max(self.window.0);
        (start, span.1.min(path.1).min(self.window.1).max(start))
    }

    /// How much of a step counts; negative for a step back.
    pub(crate) fn kept(&self, from: u64, to: u64) -> i64 {
        let within = |window| between(clamped(from, window), clamped(to, window));
        let whole = if self.window == EVER { between(from, to) } else { within(self.window) };
        self.carved.iter().fold(whole, |kept, &window| kept.wrapping_sub(within(window)))
    }

    pub(crate) fn book(&mut self, stage: Stage, ns: i64, kind: Kind) {
        if ns < 0 {
            self.out_of_order += 1;
        }
        self.stages.add(stage, ns, kind);
    }

    /// Books what counts of the step from `from` to `to`. A step that is wholly outside the window did not happen
    /// in it.
    pub(crate) fn book_step(&mut self, from: u64, to: u64, stage: Stage, kind: Kind) {
        let kept = self.kept(from, to);
        if kept != 0 || self.window == EVER {
            self.book(stage, kept, kind);
        }
    }

    /// Books the step from `from` to the mark `to` and answers where the walk stands: a missing
    /// mark leaves it where it was.
    pub(crate) fn step(&mut self, from: u64, to: Option<u64>, stage: Stage) -> u64 {
        let Some(to) = to else { return from };
        self.book_step(from, to, stage, Kind::Measured);
        to
    }
}

/// The time in `window` that is nearest to `at`.
pub(crate) fn clamped(at: u64, (start, end): Window) -> u64 {
    at.max(start).min(end)
}

/// `amount` in the proportion of `part` to `whole`; all of it where they are the same, none where there is no whole.
pub(crate) fn in_proportion(amount: i64, part: i64, whole: i64) -> i64 {
    if part == whole {
        return amount;
    }
    if whole == 0 {
        return 0;
    }
    // Below `amount` in size, where `part` is below `whole`.
    (i128::from(amount) * i128::from(part) / i128::from(whole)) as i64
}

/// The outbound half of a walk: queue, encode, queue, send. Stages in the order the design names.
pub(crate) struct Outbound {
    queue: Stage,
    encode: Stage,
    window: Stage,
    wait: Stage,
    write: Stage,
    framing: Stage,
}

pub(crate) const REQUEST_OUT: Outbound = Outbound {
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
    pub(crate) fn walk(&self, half: &Half, from: u64, walk: &mut Walk<'_>) -> u64 {
        let mark = |point| half.marks.get(point);
        let at = walk.step(from, mark(Point::EncodeStart), self.queue);
        let at = walk.step(at, mark(Point::EncodeEnd), self.encode);
        let at = walk.step(at, mark(Point::SendBegin), self.queue);
        let Some(end) = mark(Point::LastWrite) else {
            return at;
        };
        // These amounts have no place in the step. Of a step that counts in part, as much of each counts.
        let (whole, kept) = (between(at, end), walk.kept(at, end));
        let sending = half.sending;
        let mut left = kept;
        for (stage, ns) in [
            (self.window, sending.window_wait),
            (self.wait, sending.socket_wait),
            (self.write, sending.socket_write),
            (self.framing, sending.framing),
        ] {
            let ns = in_proportion(ns as i64, kept, whole);
            left = left.wrapping_sub(ns);
            walk.book(stage, ns, Kind::Measured);
        }
        walk.book(self.queue, left, Kind::Measured);
        end
    }
}

/// The inbound half of a walk: deframing, queue, decode.
pub(crate) struct Inbound {
    deframing: Stage,
    delivery: Stage,
    queue: Stage,
    decode: Stage,
}

const REQUEST_IN: Inbound = Inbound {
    deframing: Stage::RequestDeframing,
    delivery: Stage::RequestDelivery,
    queue: Stage::RequestReceiverQueue,
    decode: Stage::RequestDecode,
};

pub(crate) const REPLY_IN: Inbound = Inbound {
    deframing: Stage::ReplyDeframing,
    delivery: Stage::ReplyDelivery,
    queue: Stage::ReplyReceiverQueue,
    decode: Stage::ReplyDecode,
};

impl Inbound {
    /// What the message was waited for ends `until` then.
    pub(crate) fn walk(&self, half: &Half, from: u64, until: u64, walk: &mut Walk<'_>) -> u64 {
        let mark = |point| half.marks.get(point);
        let next = mark(Point::NextIo).map(|next| match mark(Point::DecodeStart) {
            Some(decode) => next.min(decode.max(from)),
            None => next,
        });
        let at = walk.step(from, next, self.deframing);
        // JSON is decoded when the message has ended, gRPC's payload when it is there: the end is waited for on one
        // side of the decoding or on the other.
        let end = mark(Point::EosRead).filter(|&end| end > at);
        let decode = mark(Point::DecodeStart);
        let before = end.filter(|&end| decode.is_some_and(|decode| end <= decode));
        let at = walk.step(at, before, self.delivery);
        let at = walk.step(at, decode, self.queue);
        let at = walk.step(at, mark(Point::DecodeEnd), self.decode);
        let after = end.filter(|&end| before.is_none() && end > at && end <= until);
        walk.step(at, after, self.delivery)
    }
}

/// Books a server's residence from `from`; answers where the walk ended. Without marks the
/// residence is the handler's, and ends at `until`.
pub(crate) fn server(server: &Half, from: u64, until: u64, walk: &mut Walk<'_>) -> u64 {
    let mark = |point| server.marks.get(point);
    // Without a handler's mark nothing says that the service waited for the end.
    let handled = mark(Point::HandlerStart).unwrap_or(0);
    let at = REQUEST_IN.walk(server, from, handled, walk);
    let at = walk.step(at, mark(Point::HandlerStart), Stage::Dispatch);
    let after_handler = mark(Point::HandlerEnd)
        .or_else(|| mark(Point::EncodeStart))
        .or_else(|| mark(Point::SendBegin))
        .or_else(|| mark(Point::LastWrite))
        .unwrap_or(until);
    walk.book_step(at, after_handler, Stage::Handler, Kind::Measured);
    let at = REPLY_OUT.walk(server, after_handler, walk);
    if mark(Point::LastWrite).is_some() {
        return at;
    }
    // Nothing says when the reply was written: what is left of the span is waiting to be sent.
    walk.step(at, Some(until).filter(|&end| end != at), Stage::ReplySendQueue)
}
