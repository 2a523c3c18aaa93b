//! Follows an HTTP/1.1 connection: requests and replies in turn, pipelining included.

use std::collections::VecDeque;
use std::sync::Arc;

use ledger::Side;

use super::h1_messages::{Event, Expected, Head, Messages};
use super::message::{Incoming, Outgoing, Part, Write};
use super::shared::Shared;
use crate::record::Record;

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
    pub(super) fn wrote<'a>(
        &mut self,
        shared: &mut Shared,
        slices: impl Iterator<Item = &'a [u8]>,
        write: Write,
    ) {
        let carries =
            if shared.side() == Side::Client { Carries::Requests } else { Carries::Replies };
        let mut ended = false;
        for mut bytes in slices {
            loop {
                let next = self.next_reply(carries);
                let Some(event) = self.tx.next(&mut bytes, next) else { break };
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
            let next = self.next_reply(carries);
            let Some(event) = self.rx.next(&mut bytes, next) else { break };
            if let (Event::Head(head), Carries::Requests) = (event, carries) {
                self.open(shared, head);
            }
            self.receive(shared, event, carries, exit);
        }
    }

    /// The connection is gone: what is open will never end.
    pub(super) fn abandon(&mut self, shared: &Shared) {
        self.give_up(shared, "the connection was closed before the reply was sent");
    }

    /// The peer has closed its side: the end of a reply that nothing else delimits.
    pub(super) fn closed(&mut self, exit: u64) {
        if self.rx.until_close()
            && let Some(mut exchange) = self.exchanges.pop_front()
        {
            exchange.inc.end(exit);
        }
    }

    fn give_up(&mut self, shared: &Shared, why: &str) {
        for exchange in self.exchanges.drain(..) {
            let record = exchange.record.as_ref();
            shared.withdraw(record);
            shared.close(record, Some(why));
        }
    }

    #[cfg(test)]
    pub(super) fn open_exchanges(&self) -> usize {
        self.exchanges.len()
    }

    /// What head to expect in a direction that carries this.
    fn next_reply(&self, carries: Carries) -> Expected {
        match carries {
            Carries::Requests => Expected::Request,
            Carries::Replies => {
                let front = self.exchanges.front();
                let bodiless = front.is_some_and(|exchange| exchange.bodiless_reply);
                Expected::Reply { bodiless }
            }
        }
    }

    fn open(&mut self, shared: &Shared, head: Head) {
        if self.exchanges.len() >= MOST_IN_TURN {
            // Leaving out one would give every later reply to the wrong request.
            self.tx.deafen();
            self.rx.deafen();
            self.give_up(shared, "too many requests in turn to follow");
            return;
        }
        let record = shared.open(head.context, head.http);
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
        let Some(exchange) = self.exchange(carries) else { return };
        let (part, bytes) = match event {
            Event::Head(head) => {
                exchange.out.frames(1);
                (Part::Head, head.bytes)
            }
            Event::Chunk(bytes) => {
                exchange.out.frames(1);
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
        let Some(exchange) = self.exchange(carries) else { return };
        let done = exchange.out.written(write, total, shared.effort);
        if done && carries == Carries::Replies {
            shared.close(exchange.record.as_ref(), None);
            self.exchanges.pop_front();
        }
    }

    fn receive(&mut self, shared: &mut Shared, event: Event, carries: Carries, exit: u64) {
        let Some(exchange) = self.exchange(carries) else { return };
        let (part, bytes) = match event {
            Event::Head(head) => {
                exchange.inc.frames(1);
                (Part::Head, head.bytes)
            }
            Event::Chunk(bytes) => {
                exchange.inc.frames(1);
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
