//! What the followers of both protocols need to know of their connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use ledger::{Point, Side};

use super::directory::Directory;
use super::message::Effort;
use crate::context::SpanContext;
use crate::export::Sink;
use crate::record::Record;

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
    pub(super) next_io: Vec<Arc<Record>>,
}

impl Shared {
    pub(super) fn new(directory: Directory, sink: Sink) -> Self {
        let number = CONNECTIONS.fetch_add(1, Relaxed) + 1;
        Shared { directory, number, effort: Effort::default(), sink, next_io: Vec::new() }
    }

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
            record.mark(Point::Abandoned);
            record.failed(why);
            record.failed_as("cancelled");
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
