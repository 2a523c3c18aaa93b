//! One tapped connection: what all its messages share.
//!
//! Gets every I/O call with its times, keeps the connection's effort, and hands the bytes to the
//! follower of the protocol spoken.

use ledger::Point;

use super::directory::Directory;
use super::message::Write;
use super::shared::Shared;
use super::{h1, h2};
use crate::export::Sink;

/// The protocol spoken, once known.
#[derive(Debug)]
enum Follow {
    /// A server that has not read the first bytes yet.
    Undecided,
    Http1(h1::Follower),
    Http2(Box<h2::Follower>),
    /// Something else: bytes pass unread.
    Unknown,
}

/// One tapped connection.
#[derive(Debug)]
pub(super) struct Conn {
    shared: Shared,
    follow: Follow,
    /// What was read before the protocol was known.
    opening: Vec<u8>,
    last_exit: u64,
    refused: Option<u64>,
}

impl Conn {
    /// `http2` says what a client speaks; a server learns it from the first bytes.
    pub(super) fn new(directory: Directory, sink: Sink, http2: Option<bool>) -> Self {
        let follow = match http2 {
            None => Follow::Undecided,
            Some(false) => Follow::Http1(h1::Follower::default()),
            Some(true) => Follow::Http2(Box::default()),
        };
        Conn {
            shared: Shared::new(directory, sink),
            follow,
            opening: Vec::new(),
            last_exit: 0,
            refused: None,
        }
    }

    /// An I/O call is entered; answers when.
    pub(super) fn enter(&mut self) -> u64 {
        let now = ledger::clock::now();
        for record in self.shared.next_io.drain(..) {
            record.set(Point::NextIo, now);
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
        if let Follow::Undecided = self.follow {
            // No HTTP/1.1 method begins like the preface of HTTP/2, but its first read may be short.
            self.opening.extend_from_slice(bytes);
            self.follow = match self.opening.as_slice() {
                [b'P', b'R', b'I', ..] => Follow::Http2(Box::default()),
                [b'P'] | [b'P', b'R'] => return,
                [first, ..] if first.is_ascii_uppercase() => Follow::Http1(h1::Follower::default()),
                _ => Follow::Unknown,
            };
            let opening = std::mem::take(&mut self.opening);
            return self.follow_read(&opening, exit);
        }
        self.follow_read(bytes, exit);
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
            Follow::Http1(follower) => follower.open_exchanges(),
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

impl Drop for Conn {
    fn drop(&mut self) {
        match &mut self.follow {
            Follow::Http1(follower) => follower.abandon(&self.shared),
            Follow::Http2(follower) => follower.abandon(&self.shared),
            Follow::Undecided | Follow::Unknown => {}
        }
    }
}
