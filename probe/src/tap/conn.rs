//! One tapped connection: what all its messages share.
//!
//! Gets every I/O call with its times, keeps the connection's effort, and hands the bytes to the
//! follower of the protocol spoken.

use ledger::Side;

use super::listener::{Event, Exchange as _, Listener, Protocol};
use super::message::Write;
use super::shared::Shared;
use super::{h1, h2};

/// The protocol spoken, once known.
#[derive(Debug)]
enum Follow<L: Listener> {
    /// Nobody has said anything yet.
    Undecided,
    Http1(h1::Follower<L>),
    Http2(Box<h2::Follower<L>>),
    /// Something else: bytes pass unread.
    Unknown,
}

/// One tapped connection.
#[derive(Debug)]
pub(super) struct Conn<L: Listener> {
    shared: Shared<L>,
    follow: Follow<L>,
    /// What its client said before the protocol was known.
    opening: Vec<u8>,
    last_exit: u64,
    refused: Option<u64>,
}

impl<L: Listener> Conn<L> {
    /// `http2` says what is spoken, where that was settled; else the client's first bytes tell.
    pub(super) fn new(side: Side, listener: L, http2: Option<bool>) -> Self {
        let follow = match http2 {
            None => Follow::Undecided,
            Some(false) => Follow::Http1(h1::Follower::default()),
            Some(true) => Follow::Http2(Box::default()),
        };
        Conn {
            shared: Shared::new(side, listener),
            follow,
            opening: Vec::new(),
            last_exit: 0,
            refused: None,
        }
    }

    /// An I/O call is entered; answers when.
    pub(super) fn enter(&mut self) -> u64 {
        let now = ledger::clock::now();
        for exchange in self.shared.next_io.drain(..) {
            exchange.tell(Event::NextIo(now));
        }
        now
    }

    /// A read call returned these bytes (none if it would block).
    pub(super) fn read(&mut self, bytes: &[u8]) {
        let exit = ledger::clock::now();
        self.last_exit = exit;
        if bytes.is_empty() {
            return;
        }
        if self.is_undecided(Side::Server) {
            let Some(opening) = self.decide(bytes) else { return };
            return self.follow_read(&opening, exit);
        }
        self.follow_read(bytes, exit);
    }

    /// Whether it is `side` that hears first what is spoken, and has not yet.
    fn is_undecided(&self, side: Side) -> bool {
        matches!(self.follow, Follow::Undecided) && self.shared.side == side
    }

    /// Learns what is spoken from the client's first bytes, which may come one by one; answers all of them.
    fn decide(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        self.opening.extend_from_slice(bytes);
        // No HTTP/1.1 method begins like the preface of HTTP/2. A handshake of TLS is a record of type 22
        // (RFC 8446, section 5.1).
        let (protocol, follow) = match self.opening.as_slice() {
            [b'P', b'R', b'I', ..] => (Protocol::Http2, Follow::Http2(Box::default())),
            [] | [b'P'] | [b'P', b'R'] | [22] => return None,
            [22, 3, ..] => (Protocol::Tls, Follow::Unknown),
            [first, ..] if first.is_ascii_uppercase() => {
                (Protocol::Http1, Follow::Http1(h1::Follower::default()))
            }
            _ => (Protocol::Unknown, Follow::Unknown),
        };
        self.follow = follow;
        self.shared.listener.speaks(protocol);
        Some(std::mem::take(&mut self.opening))
    }

    fn follow_read(&mut self, bytes: &[u8], exit: u64) {
        match &mut self.follow {
            Follow::Http1(follower) => follower.read(&mut self.shared, bytes, exit),
            Follow::Http2(follower) => follower.read(&mut self.shared, bytes, exit),
            Follow::Undecided | Follow::Unknown => {}
        }
    }

    /// A read call found that the peer has closed its side.
    pub(super) fn closed(&mut self) {
        if let Follow::Http1(follower) = &mut self.follow {
            follower.closed(self.last_exit);
        }
    }

    /// A write call that was entered at `enter` took these bytes.
    pub(super) fn wrote<'a>(&mut self, enter: u64, slices: impl Iterator<Item = &'a [u8]>) {
        let exit = ledger::clock::now();
        let began = crate::poll::began();
        // Outside a timed task nothing says what the time before the call was used for.
        let worked_since = if began == 0 { enter } else { began.max(self.last_exit).min(enter) };
        // Time since a refused attempt is socket wait already.
        let gap_start = match self.refused.take() {
            Some(refused) => {
                self.shared.effort.wait += enter - refused;
                enter
            }
            None => worked_since,
        };
        self.last_exit = exit;
        self.shared.effort.write += exit - enter;
        let write = Write { gap_start, enter, exit };
        if self.is_undecided(Side::Client) {
            let said = slices.collect::<Vec<_>>().concat();
            let Some(opening) = self.decide(&said) else { return };
            return self.follow_write(std::iter::once(opening.as_slice()), write);
        }
        self.follow_write(slices, write);
    }

    fn follow_write<'a>(&mut self, slices: impl Iterator<Item = &'a [u8]>, write: Write) {
        match &mut self.follow {
            Follow::Http1(follower) => follower.wrote(&mut self.shared, slices, write),
            Follow::Http2(follower) => follower.wrote(&mut self.shared, slices, write),
            Follow::Undecided | Follow::Unknown => {}
        }
    }

    /// Streams or exchanges that are still followed.
    #[cfg(test)]
    pub(super) fn open_streams(&self) -> usize {
        match &self.follow {
            Follow::Http1(follower) => follower.open_turns(),
            Follow::Http2(follower) => follower.open_streams(),
            Follow::Undecided | Follow::Unknown => 0,
        }
    }

    /// A write call found no room.
    pub(super) fn refused(&mut self) {
        self.last_exit = ledger::clock::now();
        self.refused.get_or_insert(self.last_exit);
    }
}

impl<L: Listener> Drop for Conn<L> {
    fn drop(&mut self) {
        match &mut self.follow {
            Follow::Http1(follower) => follower.abandon(&mut self.shared),
            Follow::Http2(follower) => follower.abandon(&mut self.shared),
            Follow::Undecided | Follow::Unknown => {}
        }
    }
}
