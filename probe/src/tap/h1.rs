//! Follows an HTTP/1.1 connection: requests and replies in turn, pipelining included.

use std::collections::VecDeque;
use std::sync::Arc;

use ledger::Side;

use super::conn::Shared;
use super::h1_messages::{Event, Head, Messages};
use super::message::{Incoming, Outgoing, Part, Write};
use crate::record::Record;

/// HTTP version as a [`ledger::Half`] gives it.
const HTTP_1_1: u64 = 11;
/// A peer that pipelines more requests than this without reading replies is not followed further.
const MOST_IN_TURN: usize = 1_024;

/// A request and its reply.
#[derive(Debug)]
struct Exchange {
    record: Option<Arc<Record>>,
    out: Outgoing,
    inc: Incoming,
    bodiless_reply: bool,
}

/// The follower of one connection.
#[derive(Debug, Default)]
pub(super) struct Follower {
    tx: Messages,
    rx: Messages,
    /// Exchanges whose reply is not complete, in the order of their requests.
    exchanges: VecDeque<Exchange>,
    /// Bytes of the current write.
    in_write: u64,
}

/// Whether a direction carries requests, and which exchange its bytes belong to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Carries {
    Requests,
    Replies,
}

impl Follower {
    /// A write took `slices`.
    pub(super) fn wrote(&mut self, shared: &mut Shared, slices: &[&[u8]], write: Write) {
        let carries =
            if shared.side() == Side::Client { Carries::Requests } else { Carries::Replies };
        let mut ended = false;
        for slice in slices {
            let mut bytes = *slice;
            while let Some(event) = self.tx_event(&mut bytes, carries) {
                if let (Event::Head(head), Carries::Requests) = (event, carries) {
                    self.open(shared, head);
                }
                ended |= event == Event::End;
                self.send(shared, event, carries, write);
                if ended && carries == Carries::Replies {
                    self.end_write(shared, write, carries);
                    ended = false;
                }
            }
        }
        self.end_write(shared, write, carries);
    }

    /// A read returned `bytes` at `exit`.
    pub(super) fn read(&mut self, shared: &mut Shared, mut bytes: &[u8], exit: u64) {
        let carries =
            if shared.side() == Side::Server { Carries::Requests } else { Carries::Replies };
        loop {
            let bodiless = self.exchanges.front().is_some_and(|exchange| exchange.bodiless_reply);
            let replies = carries == Carries::Replies;
            let Some(event) = self.rx.next(&mut bytes, replies, bodiless) else {
                break;
            };
            if let (Event::Head(head), Carries::Requests) = (event, carries) {
                self.open(shared, head);
            }
            self.receive(shared, event, carries, exit);
        }
    }

    /// The connection is gone: what is open will never end.
    pub(super) fn abandon(&mut self, shared: &Shared) {
        for exchange in self.exchanges.drain(..) {
            let record = exchange.record.as_ref();
            shared.withdraw(record);
            shared.close(record, Some("the connection was closed before the reply was sent"));
        }
    }

    fn tx_event(&mut self, bytes: &mut &[u8], carries: Carries) -> Option<Event> {
        let bodiless = self.exchanges.front().is_some_and(|exchange| exchange.bodiless_reply);
        self.tx.next(bytes, carries == Carries::Replies, bodiless)
    }

    fn open(&mut self, shared: &Shared, head: Head) {
        if self.exchanges.len() >= MOST_IN_TURN {
            self.exchanges.pop_front();
        }
        let record = shared.open(head.context, HTTP_1_1);
        self.exchanges.push_back(Exchange {
            out: Outgoing::new(record.clone()),
            inc: Incoming::new(record.clone()),
            record,
            bodiless_reply: head.bodiless_reply,
        });
    }

    fn exchange(&mut self, carries: Carries) -> Option<&mut Exchange> {
        match carries {
            Carries::Requests => self.exchanges.back_mut(),
            Carries::Replies => self.exchanges.front_mut(),
        }
    }

    fn send(&mut self, shared: &Shared, event: Event, carries: Carries, write: Write) {
        let Some(exchange) = self.exchange(carries) else {
            return;
        };
        let (part, bytes) = match event {
            Event::Head(head) => {
                exchange.out.frame();
                (Part::Head, head.bytes)
            }
            Event::Chunk(bytes) => {
                exchange.out.frame();
                (Part::Framing, bytes)
            }
            Event::Body(bytes) => (Part::Body, bytes),
            Event::Framing(bytes) => (Part::Framing, bytes),
            Event::Trailer(bytes) => (Part::Trailer, bytes),
            Event::End => return exchange.out.end(),
        };
        exchange.out.bytes(part, bytes, write, shared.effort);
        self.in_write += bytes;
        if let Event::Head(head) = event
            && head.interim()
            && let Some(exchange) = self.exchange(carries)
        {
            // An interim reply (1xx) is not the reply.
            exchange.out = Outgoing::new(exchange.record.clone());
        }
    }

    /// The current write is over, for the message it carried.
    fn end_write(&mut self, shared: &Shared, write: Write, carries: Carries) {
        let total = std::mem::take(&mut self.in_write);
        let Some(exchange) = self.exchange(carries) else {
            return;
        };
        let done = exchange.out.written(write, total, shared.effort);
        if done && carries == Carries::Replies {
            shared.close(exchange.record.as_ref(), None);
            self.exchanges.pop_front();
        }
    }

    fn receive(&mut self, shared: &mut Shared, event: Event, carries: Carries, exit: u64) {
        let Some(exchange) = self.exchange(carries) else {
            return;
        };
        let (part, bytes) = match event {
            Event::Head(head) => {
                exchange.inc.frame();
                (Part::Head, head.bytes)
            }
            Event::Chunk(bytes) => {
                exchange.inc.frame();
                (Part::Framing, bytes)
            }
            Event::Body(bytes) => (Part::Body, bytes),
            Event::Framing(bytes) => (Part::Framing, bytes),
            Event::Trailer(bytes) => (Part::Trailer, bytes),
            Event::End => {
                exchange.inc.end(exit);
                if carries == Carries::Replies {
                    self.exchanges.pop_front();
                }
                return;
            }
        };
        if exchange.inc.bytes(part, bytes, exit) {
            let record = exchange.record.clone();
            shared.await_next_io(record.as_ref());
        }
        if let Event::Head(head) = event
            && head.interim()
            && let Some(exchange) = self.exchange(carries)
        {
            exchange.inc = Incoming::new(exchange.record.clone());
        }
    }
}
