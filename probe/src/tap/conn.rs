//! One tapped connection: what all its messages share.
//!
//! Gets every I/O call with its times, keeps the connection's effort, and hands the bytes to the
//! follower of the protocol spoken.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use ledger::{Point, Side};

use super::message::{Effort, Write};
use super::{Claims, h1, h2};
use crate::context::SpanContext;
use crate::export::Sink;
use crate::record::Record;

/// Calls that are about to be made by this process, by span id: where a client's tap finds the
/// record of a request it sees.
#[derive(Debug, Default)]
pub(crate) struct Outstanding(parking_lot::Mutex<HashMap<u64, Arc<Record>>>);

impl Outstanding {
    pub(crate) fn insert(&self, span_id: u64, record: Arc<Record>) {
        self.0.lock().insert(span_id, record);
    }

    pub(crate) fn remove(&self, span_id: u64) {
        self.0.lock().remove(&span_id);
    }

    fn get(&self, span_id: u64) -> Option<Arc<Record>> {
        self.0.lock().get(&span_id).cloned()
    }
}

/// Where a connection finds or leaves the records of its requests.
#[derive(Debug, Clone)]
pub(crate) enum Directory {
    /// A client's: requests are known before they are sent.
    Client(Arc<Outstanding>),
    /// A server's: requests become known as they are read.
    Server(Arc<Claims>),
}

/// Numbers connections within the process, from 1.
static CONNECTIONS: AtomicU64 = AtomicU64::new(0);

/// What the followers need to know of their connection.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) directory: Directory,
    pub(super) number: u64,
    pub(super) effort: Effort,
    pub(super) sink: Sink,
    /// Records whose last payload byte was read by the latest read.
    next_io: Vec<Arc<Record>>,
}

impl Shared {
    pub(super) fn side(&self) -> Side {
        match self.directory {
            Directory::Client(_) => Side::Client,
            Directory::Server(_) => Side::Server,
        }
    }

    /// The record of a request whose head was just seen on the wire, going out of a client or
    /// coming in to a server.
    pub(super) fn open(&self, context: Option<SpanContext>, http: u64) -> Option<Arc<Record>> {
        let record = match &self.directory {
            Directory::Client(outstanding) => outstanding.get(context?.span_id)?,
            Directory::Server(claims) => {
                let record = Arc::new(Record::new(Side::Server));
                claims.offer(context.map_or(0, |context| context.span_id), Arc::clone(&record));
                record
            }
        };
        record.attempt(self.number, http);
        Some(record)
    }

    /// A server's reply was written to its end, or never will be.
    pub(super) fn close(&self, record: Option<&Arc<Record>>, failure: Option<&str>) {
        let Some(record) = record.filter(|_| self.side() == Side::Server) else { return };
        if record.identity().is_none() {
            // Answered above us without a handler: nobody will claim it any more.
            self.withdraw(Some(record));
        }
        if let Some(why) = failure {
            record.failed(why);
        }
        self.sink.submit(record);
    }

    /// A request that a server's tap has read will not be handled.
    pub(super) fn withdraw(&self, record: Option<&Arc<Record>>) {
        if let (Directory::Server(claims), Some(record)) = (&self.directory, record) {
            claims.withdraw(record);
        }
    }

    pub(super) fn await_next_io(&mut self, record: Option<&Arc<Record>>) {
        // The frames of one read are mostly of one message: it need not wait more than once.
        let waits = |record: &Arc<Record>| {
            self.next_io.last().is_some_and(|last| Arc::ptr_eq(last, record))
        };
        if let Some(record) = record.filter(|record| !waits(record)) {
            self.next_io.push(Arc::clone(record));
        }
    }
}

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
        let number = CONNECTIONS.fetch_add(1, Relaxed) + 1;
        let shared =
            Shared { directory, number, effort: Effort::default(), sink, next_io: Vec::new() };
        Conn { shared, follow, opening: Vec::new(), last_exit: 0, refused: None }
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
