//! Where a tap finds the record of a request it sees, or leaves it for the handler.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::record::Record;

/// Calls that are about to be made by this process, by span id: where a client's tap finds the
/// record of a request it sees.
#[derive(Debug, Default)]
pub(crate) struct Outstanding(Mutex<HashMap<u64, Arc<Record>>>);

impl Outstanding {
    pub(crate) fn insert(&self, span_id: u64, record: Arc<Record>) {
        self.0.lock().insert(span_id, record);
    }

    pub(crate) fn remove(&self, span_id: u64) {
        self.0.lock().remove(&span_id);
    }

    pub(super) fn get(&self, span_id: u64) -> Option<Arc<Record>> {
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

/// Requests that a server's tap has read and that no handler has claimed yet, by the span id of
/// their caller (0 without one), in order of arrival.
#[derive(Debug, Default)]
pub(crate) struct Claims(Mutex<Vec<(u64, Arc<Record>)>>);

// A list, since a request is claimed as soon as its task runs: hardly ever are there two.
impl Claims {
    pub(super) fn offer(&self, caller: u64, record: Arc<Record>) {
        self.0.lock().push((caller, record));
    }

    /// The oldest unclaimed request of `caller`.
    pub(crate) fn claim(&self, caller: u64) -> Option<Arc<Record>> {
        let mut unclaimed = self.0.lock();
        let at = unclaimed.iter().position(|(other, _)| *other == caller)?;
        Some(unclaimed.remove(at).1)
    }

    /// Takes back a request that no handler will ever see.
    pub(super) fn withdraw(&self, record: &Arc<Record>) {
        self.0.lock().retain(|(_, other)| !Arc::ptr_eq(other, record));
    }

    /// How many requests nobody has claimed yet.
    #[cfg(test)]
    pub(super) fn unclaimed(&self) -> usize {
        self.0.lock().len()
    }
}
