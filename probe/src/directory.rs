//! How the probe listens to its taps: where the record of a request is that one sees, or where it is left for the
//! handler. What a tap tells of an exchange becomes marks of its record.

use std::collections::HashMap;
use std::sync::Arc;

use ledger::{Point, Side};
use parking_lot::Mutex;

use crate::export::Sink;
use crate::record::Record;
use crate::tap::{Event, Exchange, Listener, Opening};

/// Calls that are about to be made by one client, by span id: where its taps find the record of a request they see.
#[derive(Debug, Default)]
pub(crate) struct Outstanding(Mutex<HashMap<u64, Arc<Record>>>);

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

/// Requests that a server's tap has read and that no handler has claimed yet, by the span id of
/// their caller (0 without one), in order of arrival.
#[derive(Debug, Default)]
pub(crate) struct Claims(Mutex<Vec<(u64, Arc<Record>)>>);

// A list, since a request is claimed as soon as its task runs: hardly ever are there two.
impl Claims {
    fn offer(&self, caller: u64, record: Arc<Record>) {
        self.0.lock().push((caller, record));
    }

    /// The oldest unclaimed request of `caller`.
    pub(crate) fn claim(&self, caller: u64) -> Option<Arc<Record>> {
        let mut unclaimed = self.0.lock();
        let at = unclaimed.iter().position(|(other, _)| *other == caller)?;
        Some(unclaimed.remove(at).1)
    }

    /// Takes back a request that no handler will ever see.
    fn withdraw(&self, record: &Arc<Record>) {
        self.0.lock().retain(|(_, other)| !Arc::ptr_eq(other, record));
    }

    /// How many requests nobody has claimed yet.
    #[cfg(test)]
    pub(crate) fn unclaimed(&self) -> usize {
        self.0.lock().len()
    }
}

/// Where a connection finds or leaves the records of its requests.
#[derive(Debug, Clone)]
pub(crate) enum Directory {
    /// A client's: requests are known before they are sent, and their callers know how they end.
    Client(Arc<Outstanding>),
    /// A server's: requests become known as they are read, and end with their reply.
    Server(Arc<Claims>, Sink),
}

impl Listener for Directory {
    type Exchange = Arc<Record>;

    fn opened(&mut self, request: Opening) -> Option<Arc<Record>> {
        let record = match self {
            Directory::Client(outstanding) => outstanding.get(request.context?.span_id)?,
            Directory::Server(claims, _) => {
                let record = Arc::new(Record::new(Side::Server));
                let caller = request.context.map_or(0, |context| context.span_id);
                claims.offer(caller, Arc::clone(&record));
                record
            }
        };
        record.attempt(request.connection, request.http);
        Some(record)
    }

    fn replied(&mut self, record: &Arc<Record>) {
        let Directory::Server(claims, sink) = self else { return };
        if record.identity().is_none() {
            // Answered above us without a handler: nobody will claim it any more.
            claims.withdraw(record);
        }
        sink.submit(record);
    }

    fn given_up(&mut self, record: &Arc<Record>, why: &'static str) {
        let Directory::Server(claims, sink) = self else { return };
        claims.withdraw(record);
        record.mark(Point::Abandoned);
        record.failed(why);
        record.failed_as("cancelled");
        sink.submit(record);
    }
}

impl Exchange for Arc<Record> {
    fn tell(&self, event: Event) {
        match event {
            Event::FirstRead(at) => self.set(Point::FirstRead, at),
            Event::LastRead(at) => {
                self.set(Point::LastRead, at);
                // What came after an earlier read came before this one. After the last read of a connection that is
                // closed then, nothing comes.
                self.set(Point::NextIo, 0);
            }
            Event::NextIo(at) => self.set(Point::NextIo, at),
            Event::Received(at, traffic) => {
                self.set(Point::EosRead, at);
                self.received(traffic);
            }
            Event::Sent { begin, last, sending, traffic } => {
                self.set(Point::SendBegin, begin);
                self.set(Point::LastWrite, last);
                self.sent(sending, traffic);
            }
            Event::EosWritten(at) => self.set(Point::EosWrite, at),
        }
    }

    fn ready(&self, by: u64) -> u64 {
        Record::ready(self, by)
    }

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(self, other)
    }
}
