//! The streams of one HTTP/2 connection: what is known of each while it is open.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::h2_frames::Block;
use super::message::{Incoming, Outgoing, Part};

/// Open streams by their id.
pub(super) type Streams<E> = HashMap<u32, Stream<E>, BuildHasherDefault<StreamHasher>>;

/// Spreads stream ids. They are small, distinct and limited in number, so the defences of the
/// standard hasher would only cost time, several times a frame.
#[derive(Debug, Default)]
pub(super) struct StreamHasher(u64);

impl Hasher for StreamHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u32(u32::from(byte));
        }
    }

    fn write_u32(&mut self, id: u32) {
        // Fibonacci hashing (Knuth, TAOCP 3, 6.4): 2^64 divided by the golden ratio.
        let spread = (self.0 ^ u64::from(id)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = spread ^ (spread >> 32);
    }
}

/// A stream of the connection.
#[derive(Debug)]
pub(super) struct Stream<E> {
    pub(super) exchange: Option<E>,
    pub(super) out: Outgoing,
    pub(super) inc: Incoming,
    /// What the peer's stream window leaves this side to send, in bytes.
    pub(super) window: i64,
    pub(super) head_sent: bool,
    pub(super) head_read: bool,
    pub(super) body_sent: bool,
    pub(super) body_read: bool,
    pub(super) out_done: bool,
    pub(super) inc_done: bool,
    /// Part of the current write.
    pub(super) touched: bool,
}

impl<E> Stream<E> {
    pub(super) fn new(exchange: Option<E>, window: i64) -> Self {
        Stream {
            exchange,
            out: Outgoing::default(),
            inc: Incoming::default(),
            window,
            head_sent: false,
            head_read: false,
            body_sent: false,
            body_read: false,
            out_done: false,
            inc_done: false,
            touched: false,
        }
    }

    /// A header block goes out: says what it is. A second head means that the first was an
    /// interim reply (1xx), which is not the reply.
    pub(super) fn sending_block(&mut self, block: Block) -> Part {
        if self.head_sent && !self.body_sent && !block.ends_stream {
            self.out = Outgoing::default();
            self.head_sent = false;
        }
        self.out.frames(block.frames);
        if std::mem::replace(&mut self.head_sent, true) { Part::Trailer } else { Part::Head }
    }

    /// A header block came in: the same.
    pub(super) fn receiving_block(&mut self, block: Block) -> Part {
        if self.head_read && !self.body_read && !block.ends_stream {
            self.inc = Incoming::default();
            self.head_read = false;
        }
        self.inc.frames(block.frames);
        if std::mem::replace(&mut self.head_read, true) { Part::Trailer } else { Part::Head }
    }
}
