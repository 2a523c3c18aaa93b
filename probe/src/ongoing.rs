//! A call while it happens, whatever it calls: from asking for it to its return.
//!
//! What a caller waits for in between is the business of the client and of the database half.

use std::sync::Arc;

use ledger::{Point, Side, Stage};

use crate::call::Call;
use crate::context::SpanContext;
use crate::probe::Probe;
use crate::record::{Identity, Record};
use crate::slot::Slot;
use crate::stopwatch::Stopwatch;
use crate::tap::Outstanding;

/// Who is called, as spans say it.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    /// Name of the called service.
    pub(crate) name: Arc<str>,
    /// Kind of database, if it is one.
    pub(crate) database: Option<Arc<str>>,
    /// Where taps of connections to it find the records of calls.
    pub(crate) outstanding: Arc<Outstanding>,
}

/// A call that has begun. Dropping it (the caller gave up) closes its record too.
#[derive(Debug)]
pub(crate) struct Ongoing {
    slot: Option<Slot>,
    probe: Probe,
    outstanding: Arc<Outstanding>,
    stopwatch: Option<Arc<Stopwatch>>,
}

impl Ongoing {
    /// Begins a call of `peer`. With probes off nothing is recorded.
    pub(crate) fn begin(
        probe: &Probe,
        peer: &Peer,
        name: impl FnOnce() -> String,
        call: Call,
    ) -> Ongoing {
        let outstanding = Arc::clone(&peer.outstanding);
        if !probe.enabled() {
            return Ongoing { slot: None, probe: probe.clone(), outstanding, stopwatch: None };
        }
        let record = Arc::new(Record::new(Side::Client));
        let current = Slot::current();
        let above = current.as_ref().and_then(|slot| slot.record.identity());
        let carried = above.and_then(|above| above.carried.clone());
        let parent = above.map(|above| above.context);
        let (context, parent, carried, extra, stopwatch) = match (call.root, parent) {
            (Some(root), _) => {
                let extra = if root.sampled { root.attributes() } else { Vec::new() };
                let context = SpanContext::new_root(root.sampled);
                (context, 0, root.carried(context.span_id), extra, root.stopwatch)
            }
            (None, Some(parent)) => (parent.child(), parent.span_id, carried, Vec::new(), None),
            (None, None) => (SpanContext::new_root(false), 0, None, Vec::new(), None),
        };
        let name = if context.sampled() { name() } else { String::new() };
        let database = peer.database.clone();
        let peer = Some(Arc::clone(&peer.name));
        record.identify(Identity { context, parent, carried, name, peer, database, extra });
        record.set(Point::Planned, call.planned.unwrap_or(0));
        record.mark(Point::CallStart);
        let slot = Slot { record, injector: probe.injector() };
        Ongoing { slot: Some(slot), probe: probe.clone(), outstanding, stopwatch }
    }

    /// The call's record and the delays to inject into it; `None` with probes off.
    pub(crate) fn slot(&self) -> Option<&Slot> {
        self.slot.as_ref()
    }

    /// Runs the whole call with its record as the current one.
    pub(crate) async fn run<R, E>(
        self,
        work: impl Future<Output = Result<R, E>>,
        say: impl FnOnce(&E) -> String,
    ) -> Result<R, E> {
        let Some(slot) = self.slot.clone() else {
            return work.await;
        };
        slot.delay(Stage::SendQueue).await;
        let result = slot.scope(work).await;
        self.end(result, say).await
    }

    /// Ends the call with what it came to.
    pub(crate) async fn end<R, E>(
        mut self,
        result: Result<R, E>,
        say: impl FnOnce(&E) -> String,
    ) -> Result<R, E> {
        if let Some(slot) = &self.slot {
            slot.delay(Stage::WakeUp).await;
            if let Err(error) = &result {
                slot.record.failed(say(error));
            }
            self.finish();
        }
        result
    }

    fn finish(&mut self) {
        let Some(slot) = self.slot.take() else { return };
        slot.record.mark(Point::CallEnd);
        if let Some(identity) = slot.record.identity() {
            self.outstanding.remove(identity.context.span_id);
        }
        match &self.stopwatch {
            Some(stopwatch) => stopwatch.hold(self.probe.sink().clone(), slot.record),
            None => self.probe.sink().submit(&slot.record),
        }
    }
}

impl Drop for Ongoing {
    fn drop(&mut self) {
        if let Some(slot) = &self.slot {
            slot.record.failed("the caller gave up");
            self.finish();
        }
    }
}
