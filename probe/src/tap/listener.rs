//! Who is told what passes a tap: exchanges of a request and its reply, and what happens of each, with times.
//!
//! Times are nanoseconds of [`ledger::clock`]. What is made of them is not known here: a probe makes the record of a
//! call of them, a relay its own account of the wire.

use std::fmt::Debug;

use ledger::{Sending, Traffic};

use crate::context::SpanContext;

/// A request whose head was just seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening {
    /// The caller that it names, if it names one.
    pub context: Option<SpanContext>,
    /// Number of the connection within the process, from 1.
    pub connection: u64,
    /// HTTP version as a [`ledger::Half`] gives it: 10, 11 or 20.
    pub http: u64,
}

/// What happens of an exchange. *Inbound* is what this side reads, *outbound* what it writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The read that returned the first byte of the inbound message returned.
    FirstRead(u64),
    /// The same for its last payload byte; as long as payload comes, again.
    LastRead(u64),
    /// The connection's next I/O call after that is entered.
    NextIo(u64),
    /// The inbound message has ended with the read that returned then.
    Received(u64, Traffic),
    /// The outbound message is written, payload and all.
    Sent {
        /// When the connection began to work on it.
        begin: u64,
        /// Entering the write that carried its last payload byte.
        last: u64,
        /// Where the time between the two went.
        sending: Sending,
        /// What was written.
        traffic: Traffic,
    },
    /// Entering the write that carried the end of the outbound message.
    EosWritten(u64),
}

/// One exchange, as whoever listens keeps it.
pub trait Exchange: Clone + Debug {
    /// Something happened of it.
    fn tell(&self, event: Event);

    /// The latest time up to `by` before which the outbound message cannot have been sent, for it was not there yet.
    fn ready(&self, by: u64) -> u64;

    /// Whether the two are one.
    fn is(&self, other: &Self) -> bool;
}

/// What is spoken on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1, or 1.0.
    Http1,
    /// HTTP/2 without TLS.
    Http2,
    /// TLS: bytes pass unread.
    Tls,
    /// Something else: bytes pass unread.
    Unknown,
}

/// Whoever listens to a connection.
pub trait Listener: Debug {
    /// What it keeps of an exchange.
    type Exchange: Exchange;

    /// What is spoken became known from the first bytes.
    fn speaks(&mut self, _protocol: Protocol) {}

    /// A request begins. Where nothing is answered, nothing more is told of it.
    fn opened(&mut self, request: Opening) -> Option<Self::Exchange>;

    /// The reply was written to its end (on a server's side only).
    fn replied(&mut self, exchange: &Self::Exchange);

    /// The exchange broke off before its reply was over.
    fn given_up(&mut self, exchange: &Self::Exchange, why: &'static str);
}
