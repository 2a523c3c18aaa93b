//! A call while it happens, whatever it calls: from asking for it to its return.
//!
//! What a caller waits for in between is the business of the client and of the database half.

use std::sync::Arc;

use http::{Method, Uri};
use ledger::{Point, Side, Stage, Value, names};

use crate::call::Call;
use crate::context::SpanContext;
use crate::directory::Outstanding;
use crate::own;
use crate::probe::Probe;
use crate::record::{Identity, Record};
use crate::scope::Context;
use crate::slot::Slot;
use crate::stopwatch::Stopwatch;

/// What the span of a call says of it from the beginning.
#[derive(Debug)]
pub(crate) struct Said {
    name: String,
    about: Vec<(&'static str, Value)>,
}

impl Said {
    /// Of a call by HTTP. Without a route the name is the method alone: paths may be many.
    pub(crate) fn http(method: &Method, route: Option<&str>) -> Said {
        let text = |text: &str| Value::Text(text.to_owned());
        let mut about = vec![(names::HTTP_REQUEST_METHOD, text(method.as_str()))];
        let Some(route) = route else { return Said { name: method.to_string(), about } };
        about.push((names::URL_TEMPLATE, text(route)));
        Said { name: format!("{method} {route}"), about }
    }

    /// Of a call by HTTP with a name of its own.
    pub(crate) fn named(name: String, method: &Method) -> Said {
        Said { name, ..Said::http(method, None) }
    }

    /// Of a call by gRPC, `SERVICE/METHOD`.
    pub(crate) fn grpc(name: &str) -> Said {
        let (service, method) = name.rsplit_once('/').unwrap_or(("", name));
        let text = |text: &str| Value::Text(text.to_owned());
        let about = vec![
            (names::RPC_SYSTEM, text("grpc")),
            (names::RPC_SERVICE, text(service)),
            (names::RPC_METHOD, text(method)),
        ];
        Said { name: name.to_owned(), about }
    }

    /// Of a call to a database.
    pub(crate) fn query(name: &str) -> Said {
        Said { name: name.to_owned(), about: Vec::new() }
    }
}

/// Who is called, as spans say it.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    /// Name of the called service.
    pub(crate) name: Arc<str>,
    /// Kind of database, if it is one.
    pub(crate) database: Option<Arc<str>>,
    /// Host and port, where they are known.
    pub(crate) address: Option<(Arc<str>, u16)>,
    /// Where taps of connections to it find the records of calls.
    pub(crate) outstanding: Arc<Outstanding>,
}

impl Peer {
    /// The service called `name` at `target`.
    pub(crate) fn at(name: &str, target: &Uri) -> Peer {
        let port = target.port_u16().unwrap_or(80);
        let address = target.host().map(|host| (host.into(), port));
        Peer { name: name.into(), database: None, address, outstanding: Arc::default() }
    }

    fn attributes(&self) -> impl Iterator<Item = (&'static str, Value)> {
        self.address.iter().flat_map(|(host, port)| {
            [
                (names::SERVER_ADDRESS, Value::Text(host.to_string())),
                (names::SERVER_PORT, Value::Int(i64::from(*port))),
            ]
        })
    }
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
        say: impl FnOnce() -> Said,
        call: &Call,
    ) -> Ongoing {
        let outstanding = Arc::clone(&peer.outstanding);
        if !probe.enabled() {
            return Ongoing { slot: None, probe: probe.clone(), outstanding, stopwatch: None };
        }
        let record = Arc::new(Record::new(Side::Client));
        let current = call.parent.is_none().then(Slot::above).flatten();
        let current = call.parent.as_ref().and_then(Context::slot).or(current.as_ref());
        let above = current.and_then(|slot| slot.record.identity());
        let carried = above.and_then(|above| above.carried.clone());
        let parent = above.map(|above| above.context);
        let (context, parent, carried, mut extra, stopwatch) = match (&call.root, parent) {
            (Some(root), _) => {
                let extra = if root.sampled { root.attributes() } else { Vec::new() };
                let context = SpanContext::new_root(root.sampled);
                (context, 0, root.carried(context.span_id), extra, root.stopwatch.clone())
            }
            (None, Some(parent)) => {
                let above = own::innermost(parent).unwrap_or(parent.span_id);
                (parent.child(), above, carried, Vec::new(), None)
            }
            (None, None) => (SpanContext::new_root(false), 0, None, Vec::new(), None),
        };
        let mut name = String::new();
        if context.sampled() {
            let said = say();
            name = said.name;
            extra.extend(said.about);
            extra.extend(peer.attributes());
        }
        let database = peer.database.clone();
        let peer = Some(Arc::clone(&peer.name));
        record.identify(Identity { context, parent, carried, name, peer, database, extra });
        record.set(Point::Planned, call.planned.unwrap_or(0));
        record.mark(Point::CallStart);
        let slot = Slot::new(record, probe.injector());
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
        ended: impl FnOnce(&Result<R, E>, &Slot) -> Option<String>,
    ) -> Result<R, E> {
        let Some(slot) = self.slot.clone() else {
            return work.await;
        };
        slot.delay(Stage::SendQueue).await;
        let result = slot.scope(work).await;
        self.end(result, ended).await
    }

    /// Ends the call with what it came to.
    pub(crate) async fn end<R, E>(
        mut self,
        result: Result<R, E>,
        ended: impl FnOnce(&Result<R, E>, &Slot) -> Option<String>,
    ) -> Result<R, E> {
        if let Some(slot) = &self.slot {
            slot.delay(Stage::WakeUp).await;
            if let Some(error) = ended(&result, slot) {
                slot.record.failed(error);
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
            slot.record.failed_as("cancelled");
            self.finish();
        }
    }
}
