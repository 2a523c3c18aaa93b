//! One message on the wire, outbound or inbound: from what the follower sees to what a listener is told.
//!
//! The rules are the design's (section 4): the last byte is the last payload byte, an overlap is
//! booked once with precedence socket write > socket wait > window wait, a stall counts only if
//! more payload of the message follows, and other messages' work is queueing, not framing.

use ledger::{Sending, Traffic};

use super::listener::{Event, Exchange};

/// One write call: the work that led to it, its beginning and its end.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Write {
    /// Since when the connection's task was at work without an I/O call.
    pub(super) gap_start: u64,
    /// Entering the call that succeeded.
    pub(super) enter: u64,
    /// Its return.
    pub(super) exit: u64,
}

/// What the connection as a whole has spent on its socket so far, in nanoseconds.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Effort {
    /// Inside write calls that took bytes.
    pub(super) write: u64,
    /// From a refused write to the call that succeeded.
    pub(super) wait: u64,
}

impl Effort {
    fn total(self) -> u64 {
        self.write + self.wait
    }
}

/// Part of a message: what a run of bytes on the wire is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Frame headers, padding, chunk sizes.
    Framing,
    /// The header block that opens the message.
    Head,
    /// Payload.
    Body,
    /// Trailers.
    Trailer,
}

fn count(traffic: &mut Traffic, part: Part, bytes: u64) {
    traffic.wire += bytes;
    match part {
        Part::Framing => traffic.framing += bytes,
        Part::Head | Part::Trailer => traffic.headers += bytes,
        Part::Body => traffic.body += bytes,
    }
}

/// A message being sent.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    traffic: Traffic,
    /// Time booked so far; `socket_wait` counts from `wait_base`.
    booked: Sending,
    wait_base: u64,
    /// Since when a window is exhausted, and the connection's effort then.
    stalled: Option<(u64, u64)>,
    /// Closed stalls that no payload has followed yet.
    unconfirmed: u64,
    begin: u64,
    /// Begun again with the first payload byte, as its head had left before it was encoded.
    rebegun: bool,
    last: Option<(u64, Sending)>,
    ended: bool,
    /// Its end has been written.
    complete: bool,
    /// Bytes of this message in the current write, and whether head or payload is among them.
    in_write: u64,
    carries: bool,
    has_body: bool,
}

impl Outgoing {
    /// Counts frames.
    pub(super) fn frames(&mut self, frames: u64) {
        self.traffic.frames += frames;
    }

    /// `bytes` of `part` are in the current write, whose call is `write`.
    pub(super) fn bytes(
        &mut self,
        (part, bytes): (Part, u64),
        (write, effort): (Write, Effort),
        exchange: Option<&impl Exchange>,
    ) {
        count(&mut self.traffic, part, bytes);
        self.in_write += bytes;
        let Some(exchange) = exchange.filter(|_| bytes > 0) else { return };
        if self.begin == 0 {
            self.start(write, effort, exchange.ready(write.enter));
        }
        match part {
            Part::Body => {
                self.carries = true;
                if !self.has_body {
                    self.has_body = true;
                    self.begin_with_body(write, effort, exchange.ready(write.enter));
                }
                self.booked.window_wait += std::mem::take(&mut self.unconfirmed);
            }
            Part::Head => self.carries |= !self.has_body,
            Part::Framing | Part::Trailer => {}
        }
    }

    fn start(&mut self, write: Write, effort: Effort, ready: u64) {
        self.begin = write.gap_start.max(ready);
        self.wait_base = effort.wait;
        self.booked = Sending::default();
    }

    /// The head may have left before the message was encoded (gRPC encodes when the body is
    /// polled): then sending begins with the first payload byte, and what was booked is void.
    fn begin_with_body(&mut self, write: Write, effort: Effort, ready: u64) {
        if !self.rebegun && ready > self.begin {
            self.rebegun = true;
            self.unconfirmed = 0;
            self.start(write, effort, ready);
        }
    }

    /// The message ends in the current write.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// The current write is over; `total` is how many bytes of messages it carried. Answers
    /// whether the message is complete.
    pub(super) fn written(
        &mut self,
        (write, total): (Write, u64),
        effort: Effort,
        exchange: Option<&impl Exchange>,
    ) -> bool {
        let own = std::mem::take(&mut self.in_write);
        if self.complete {
            return false;
        }
        self.complete = self.ended;
        let Some(exchange) = exchange else { return self.ended };
        let share = |ns: u64| {
            if own == total {
                ns
            } else {
                (u128::from(ns) * u128::from(own) / u128::from(total.max(1))) as u64
            }
        };
        let gap_start = write.gap_start.max(self.begin);
        self.booked.framing += share(write.enter.saturating_sub(gap_start));
        if std::mem::take(&mut self.carries) {
            let mut booked = self.booked;
            booked.socket_wait = effort.wait - self.wait_base;
            self.last = Some((write.enter, booked));
        }
        self.booked.socket_write += share(write.exit - write.enter);
        if self.ended {
            if let Some((last, sending)) = self.last {
                let (begin, traffic) = (self.begin, self.traffic);
                exchange.tell(Event::Sent { begin, last, sending, traffic });
            }
            exchange.tell(Event::EosWritten(write.enter));
        }
        self.ended
    }

    /// Whether the message has begun and is not over.
    pub(super) fn open(&self) -> bool {
        self.begin != 0 && !self.ended
    }

    /// A window is exhausted from `at` on.
    pub(super) fn stall(&mut self, at: u64, effort: Effort) {
        if self.open() && self.stalled.is_none() {
            self.stalled = Some((at, effort.total()));
        }
    }

    /// No window is exhausted any more.
    pub(super) fn resume(&mut self, at: u64, effort: Effort) {
        if let Some((since, base)) = self.stalled.take() {
            let stalled = at.saturating_sub(since);
            self.unconfirmed += stalled.saturating_sub(effort.total() - base);
        }
    }
}

/// A message being received.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    traffic: Traffic,
    begun: bool,
    has_body: bool,
}

impl Incoming {
    /// Counts frames.
    pub(super) fn frames(&mut self, frames: u64) {
        self.traffic.frames += frames;
    }

    /// `bytes` of `part` were returned by the read that returned at `exit`. Answers whether the
    /// last byte so far is among them.
    pub(super) fn bytes(
        &mut self,
        (part, bytes): (Part, u64),
        exit: u64,
        exchange: Option<&impl Exchange>,
    ) -> bool {
        count(&mut self.traffic, part, bytes);
        let Some(exchange) = exchange.filter(|_| bytes > 0) else { return false };
        if !std::mem::replace(&mut self.begun, true) {
            exchange.tell(Event::FirstRead(exit));
        }
        self.has_body |= part == Part::Body;
        let last = match part {
            Part::Body => true,
            Part::Head => !self.has_body,
            Part::Framing | Part::Trailer => false,
        };
        if last {
            exchange.tell(Event::LastRead(exit));
        }
        last
    }

    /// The message ended in the read that returned at `exit`.
    pub(super) fn end(&mut self, exit: u64, exchange: Option<&impl Exchange>) {
        if let Some(exchange) = exchange {
            exchange.tell(Event::Received(exit, self.traffic));
        }
    }
}
