//! Follows an HTTP/1.1 connection: requests and replies in turn, pipelining included.

use std::collections::VecDeque;

use ledger::Side;

use super::h1_messages::{Event, Expected, Head, Messages};
use super::listener::Listener;
use super::message::{Incoming, Outgoing, Part, Write};
use super::shared::Shared;

/// A peer that pipelines more requests than this without reading replies is not followed further.
const MOST_IN_TURN: usize = 1_024;

/// A request and its reply.
#[derive(Debug)]
struct Turn<E> {
    exchange: Option<E>,
    out: Outgoing,
    inc: Incoming,
    bodiless_reply: bool,
}

/// The follower of one connection.
#[derive(Debug)]
pub(super) struct Follower<L: Listener> {
    tx: Messages,
    rx: Messages,
    /// Those whose reply is not complete, in the order of their requests.
    turns: VecDeque<Turn<L::Exchange>>,
    /// Bytes of the current write.
    in_write: u64,
}

impl<L: Listener> Default for Follower<L> {
    fn default() -> Self {
        let (tx, rx) = (Messages::default(), Messages::default());
        Follower { tx, rx, turns: VecDeque::new(), in_write: 0 }
    }
}

/// Whether a direction carries requests, and which exchange its bytes belong to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Carries {
    Requests,
    Replies,
}

impl<L: Listener> Follower<L> {
    /// A write took `slices`.
    pub(super) fn wrote<'a>(
        &mut self,
        shared: &mut Shared<L>,
        slices: impl Iterator<Item = &'a [u8]>,
        write: Write,
    ) {
        let carries =
            if shared.side == Side::Client { Carries::Requests } else { Carries::Replies };
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
    pub(super) fn read(&mut self, shared: &mut Shared<L>, mut bytes: &[u8], exit: u64) {
        let carries =
            if shared.side == Side::Server { Carries::Requests } else { Carries::Replies };
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
    pub(super) fn abandon(&mut self, shared: &mut Shared<L>) {
        self.give_up(shared, "the connection was closed before the reply was sent");
    }

    /// The peer has closed its side: the end of a reply that nothing else delimits.
    pub(super) fn closed(&mut self, exit: u64) {
        if self.rx.until_close()
            && let Some(mut turn) = self.turns.pop_front()
        {
            turn.inc.end(exit, turn.exchange.as_ref());
        }
    }

    fn give_up(&mut self, shared: &mut Shared<L>, why: &'static str) {
        for turn in self.turns.drain(..) {
            shared.give_up(turn.exchange.as_ref(), why);
        }
    }

    #[cfg(test)]
    pub(super) fn open_turns(&self) -> usize {
        self.turns.len()
    }

    /// What head to expect in a direction that carries this.
    fn next_reply(&self, carries: Carries) -> Expected {
        match carries {
            Carries::Requests => Expected::Request,
            Carries::Replies => {
                let front = self.turns.front();
                let bodiless = front.is_some_and(|turn| turn.bodiless_reply);
                Expected::Reply { bodiless }
            }
        }
    }

    fn open(&mut self, shared: &mut Shared<L>, head: Head) {
        if self.turns.len() >= MOST_IN_TURN {
            // Leaving out one would give every later reply to the wrong request.
            self.tx.deafen();
            self.rx.deafen();
            self.give_up(shared, "too many requests in turn to follow");
            return;
        }
        self.turns.push_back(Turn {
            exchange: shared.open(head.context, head.http),
            out: Outgoing::default(),
            inc: Incoming::default(),
            bodiless_reply: head.bodiless_reply,
        });
    }

    fn turn(&mut self, carries: Carries) -> Option<&mut Turn<L::Exchange>> {
        match carries {
            Carries::Requests => self.turns.back_mut(),
            Carries::Replies => self.turns.front_mut(),
        }
    }

    fn send(&mut self, shared: &mut Shared<L>, event: Event, carries: Carries, write: Write) {
        let Some(turn) = self.turn(carries) else { return };
        let (part, bytes) = match event {
            Event::Head(head) => {
                turn.out.frames(1);
                (Part::Head, head.bytes)
            }
            Event::Chunk(bytes) => {
                turn.out.frames(1);
                (Part::Framing, bytes)
            }
            Event::Body(bytes) => (Part::Body, bytes),
            Event::Framing(bytes) => (Part::Framing, bytes),
            Event::Trailer(bytes) => (Part::Trailer, bytes),
            Event::End => return turn.out.end(),
        };
        turn.out.bytes((part, bytes), (write, shared.effort), turn.exchange.as_ref());
        self.in_write += bytes;
        if let Event::Head(head) = event
            && head.interim()
            && let Some(turn) = self.turn(carries)
        {
            // An interim reply (1xx) is not the reply.
            turn.out = Outgoing::default();
        }
    }

    /// The current write is over, for the message it carried.
    fn end_write(&mut self, shared: &mut Shared<L>, write: Write, carries: Carries) {
        let total = std::mem::take(&mut self.in_write);
        let Some(turn) = self.turn(carries) else { return };
        let exchange = turn.exchange.as_ref();
        let done = turn.out.written((write, total), shared.effort, exchange);
        if done && carries == Carries::Replies {
            shared.replied(exchange);
            self.turns.pop_front();
        }
    }

    fn receive(&mut self, shared: &mut Shared<L>, event: Event, carries: Carries, exit: u64) {
        let Some(turn) = self.turn(carries) else { return };
        let (part, bytes) = match event {
            Event::Head(head) => {
                turn.inc.frames(1);
                (Part::Head, head.bytes)
            }
            Event::Chunk(bytes) => {
                turn.inc.frames(1);
                (Part::Framing, bytes)
            }
            Event::Body(bytes) => (Part::Body, bytes),
            Event::Framing(bytes) => (Part::Framing, bytes),
            Event::Trailer(bytes) => (Part::Trailer, bytes),
            Event::End => {
                turn.inc.end(exit, turn.exchange.as_ref());
                if carries == Carries::Replies {
                    self.turns.pop_front();
                }
                return;
            }
        };
        let exchange = turn.exchange.as_ref();
        if turn.inc.bytes((part, bytes), exit, exchange) {
            shared.await_next_io(exchange);
        }
        if let Event::Head(head) = event
            && head.interim()
            && let Some(turn) = self.turn(carries)
        {
            turn.inc = Incoming::default();
        }
    }
}
