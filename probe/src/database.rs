//! The client half of a call to a database.
//!
//! A database driver opens its own connections, which cannot be tapped, and a database sends no
//! spans. So the service says where it stands, and the hop has one side: waiting for a connection is
//! its send queue, from sending to the last row its round trip, then the decoding of the rows.

use std::sync::Arc;

use ledger::{Point, Stage};

use crate::call::Call;
use crate::ongoing::{Ongoing, Peer, Said};
use crate::probe::Probe;
use crate::slot::Slot;

/// A database that a service calls. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Database {
    probe: Probe,
    peer: Peer,
}

impl Database {
    /// The database called `peer`, of the kind that `db.system.name` has for it (`postgresql`).
    #[must_use]
    pub fn new(probe: &Probe, peer: &str, system: &str) -> Database {
        let database = Some(system.into());
        let (address, outstanding) = (None, Arc::default());
        let peer = Peer { name: peer.into(), database, address, outstanding };
        Database { probe: probe.clone(), peer }
    }

    /// The same; its spans name the address, too.
    #[must_use]
    pub fn at(mut self, host: &str, port: u16) -> Database {
        self.peer.address = Some((host.into(), port));
        self
    }

    /// Begins a call as a part of the request that is being served; `name` is the name of its span. The caller asks for
    /// a connection next.
    pub async fn begin(&self, name: &'static str) -> Query {
        let ongoing =
            Ongoing::begin(&self.probe, &self.peer, || Said::query(name), &Call::default());
        if let Some(slot) = ongoing.slot() {
            slot.delay(Stage::SendQueue).await;
        }
        Query { ongoing }
    }
}

/// A call to a database. If it is dropped before [`Query::end`], the call was given up.
#[derive(Debug)]
pub struct Query {
    ongoing: Ongoing,
}

impl Query {
    /// There is a connection, and the query is about to be sent on it. If this is called again, for another
    /// attempt, all time before counts as waiting.
    pub async fn sent(&self) {
        if let Some(slot) = self.ongoing.slot() {
            slot.record.attempt(0, 0);
            slot.record.mark(Point::SendBegin);
            slot.delay(Stage::QueryRoundTrip).await;
        }
    }

    /// A row was read. The last one ends the round trip.
    pub fn row(&self) {
        if let Some(slot) = self.ongoing.slot() {
            if slot.record.get(Point::FirstRead) == 0 {
                slot.record.mark(Point::FirstRead);
            }
            slot.record.mark(Point::LastRead);
        }
    }

    /// Times the decoding of the rows.
    ///
    /// # Errors
    /// Those of `decode`.
    pub fn decode<T, E>(&self, decode: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        match self.ongoing.slot() {
            Some(slot) => slot.decode(|| decode().map(|rows| (rows, 0)), |_| 0),
            None => decode(),
        }
    }

    /// The call returns with `result`.
    ///
    /// # Errors
    /// That of `result`, which the span will name.
    pub async fn end<R, E: std::fmt::Display>(self, result: Result<R, E>) -> Result<R, E> {
        let ended = |result: &Result<R, E>, _: &Slot| result.as_ref().err().map(E::to_string);
        self.ongoing.end(result, ended).await
    }
}
