//! What the followers of both protocols need to know of their connection.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use ledger::Side;

use super::listener::{Exchange as _, Listener, Opening};
use super::message::Effort;
use crate::context::SpanContext;

/// Numbers connections within the process, from 1.
static CONNECTIONS: AtomicU64 = AtomicU64::new(0);

/// What the followers need to know of their connection.
#[derive(Debug)]
pub(super) struct Shared<L: Listener> {
    pub(super) listener: L,
    pub(super) side: Side,
    pub(super) effort: Effort,
    number: u64,
    /// Exchanges whose last payload byte so far was read by the latest read.
    pub(super) next_io: Vec<L::Exchange>,
}

impl<L: Listener> Shared<L> {
    pub(super) fn new(side: Side, listener: L) -> Self {
        let number = CONNECTIONS.fetch_add(1, Relaxed) + 1;
        Shared { listener, side, effort: Effort::default(), number, next_io: Vec::new() }
    }

    /// The exchange of a request whose head was just seen on the wire, going out of a client or
    /// coming in to a server.
    pub(super) fn open(&mut self, context: Option<SpanContext>, http: u64) -> Option<L::Exchange> {
        self.listener.opened(Opening { context, connection: self.number, http })
    }

    /// A server's reply was written to its end.
    pub(super) fn replied(&mut self, exchange: Option<&L::Exchange>) {
        if let Some(exchange) = exchange.filter(|_| self.side == Side::Server) {
            self.listener.replied(exchange);
        }
    }

    /// Its reply will never be over.
    pub(super) fn give_up(&mut self, exchange: Option<&L::Exchange>, why: &'static str) {
        if let Some(exchange) = exchange {
            self.listener.given_up(exchange, why);
        }
    }

    pub(super) fn await_next_io(&mut self, exchange: Option<&L::Exchange>) {
        // The frames of one read are mostly of one message: it need not wait more than once.
        let waits = |it: &L::Exchange| self.next_io.last().is_some_and(|last| last.is(it));
        if let Some(exchange) = exchange.filter(|it| !waits(it)) {
            self.next_io.push(exchange.clone());
        }
    }
}
