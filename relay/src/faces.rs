//! Puts together what the taps on both faces of a connection see of a request and its reply: one span for each sampled
//! request.
//!
//! The *near* face is the connection to the client, the *far* face the one to the server. No byte is changed, so both see
//! the same requests in the same order: the n-th on one face is the n-th on the other.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use ledger::{Far, Half, Marks, Point, Sending, Side, Traffic};
use parking_lot::Mutex;
use probe::tap::{Event, Exchange, Listener, Opening, Protocol};
use probe::{RelayedExchange, Reporter, SpanContext};

/// What passed a relay.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Connections by the protocol that was spoken on them. One on which the client sent nothing is in none of these.
    pub(crate) http1: AtomicU64,
    pub(crate) http2: AtomicU64,
    pub(crate) tls: AtomicU64,
    pub(crate) unknown: AtomicU64,
    /// Requests that were seen, and those of them that were sampled.
    pub(crate) requests: AtomicU64,
    pub(crate) sampled: AtomicU64,
    /// Requests that looked different on the two faces.
    pub(crate) unmatched: AtomicU64,
}

/// How many requests of one connection the near face may be ahead of the far one: more than a tap follows in either
/// protocol. Requests beyond that are matched to nothing, and counted.
const MOST_AHEAD: usize = 32_768;

/// Where spans go; nowhere without a sidecar.
pub(crate) type Spans = Option<Arc<Reporter>>;

/// What one face saw.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    marks: Marks,
    sending: Sending,
    outbound: Traffic,
    inbound: Traffic,
    connection: u64,
}

/// A sampled exchange under way.
#[derive(Debug)]
struct Passing {
    context: SpanContext,
    http: u64,
    near: Seen,
    far: Seen,
    failure: Option<&'static str>,
    reported: bool,
}

impl Passing {
    /// Reports its span, once.
    fn report(&mut self, spans: &Spans) {
        let Some(reporter) = spans.as_ref().filter(|_| !self.reported) else { return };
        self.reported = true;
        let marks = self.near.marks;
        let interval = marks.ends().unwrap_or_default();
        let mut half = Half::new(Side::Wire, interval);
        half.marks = marks;
        half.sending = self.near.sending;
        (half.outbound, half.inbound) = (self.near.outbound, self.near.inbound);
        (half.connection, half.http) = (self.near.connection, self.http);
        half.far = Some(Box::new(Far {
            marks: self.far.marks,
            sending: self.far.sending,
            outbound: self.far.outbound,
            inbound: self.far.inbound,
            connection: self.far.connection,
        }));
        let failure = self.failure.map(str::to_owned);
        reporter.relayed(RelayedExchange { caller: self.context, half, failure });
    }
}

/// A sampled exchange, as one face knows it.
#[derive(Debug, Clone)]
pub(crate) struct Face {
    passing: Arc<Mutex<Passing>>,
    near: bool,
}

impl Exchange for Face {
    fn tell(&self, event: Event) {
        let passing = &mut *self.passing.lock();
        let seen = if self.near { &mut passing.near } else { &mut passing.far };
        match event {
            Event::FirstRead(at) => seen.marks.set(Point::FirstRead, at),
            Event::LastRead(at) => seen.marks.set(Point::LastRead, at),
            // What a relay does between two calls is neither framing nor deframing.
            Event::NextIo(_) => {}
            Event::Received(at, traffic) => {
                seen.marks.set(Point::EosRead, at);
                seen.inbound = traffic;
            }
            Event::Sent { begin, last, sending, traffic } => {
                seen.marks.set(Point::SendBegin, begin);
                seen.marks.set(Point::LastWrite, last);
                (seen.sending, seen.outbound) = (sending, traffic);
            }
            Event::EosWritten(at) => seen.marks.set(Point::EosWrite, at),
        }
    }

    // A relay makes no message: it can be sent as soon as it comes.
    fn ready(&self, _: u64) -> u64 {
        0
    }

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.passing, &other.passing)
    }
}

/// Requests that the near face has seen and the far face has not. Of one that is not sampled only its place is kept.
type Order = Arc<Mutex<VecDeque<Option<Face>>>>;

/// Who listens to the tap of one face.
#[derive(Debug)]
pub(crate) struct Ear {
    order: Order,
    near: bool,
    tally: Arc<Tally>,
    spans: Spans,
}

/// The listeners of the near and the far face of one connection.
pub(crate) fn ears(tally: &Arc<Tally>, spans: &Spans) -> (Ear, Ear) {
    let order = Order::default();
    let ear = |near| Ear {
        order: Arc::clone(&order),
        near,
        tally: Arc::clone(tally),
        spans: spans.clone(),
    };
    (ear(true), ear(false))
}

impl Ear {
    /// A request is read on the near face.
    fn comes(&self, request: Opening) -> Option<Face> {
        self.tally.requests.fetch_add(1, Relaxed);
        let sampled = request.context.filter(|context| context.sampled() && self.spans.is_some());
        let face = sampled.map(|context| {
            self.tally.sampled.fetch_add(1, Relaxed);
            let seen = Seen { connection: request.connection, ..Seen::default() };
            let passing = Passing {
                context,
                http: request.http,
                near: seen,
                far: Seen::default(),
                failure: None,
                reported: false,
            };
            Face { passing: Arc::new(Mutex::new(passing)), near: true }
        });
        let mut order = self.order.lock();
        if order.len() >= MOST_AHEAD {
            return None;
        }
        order.push_back(face.clone());
        face
    }

    /// A request is written on the far face.
    fn goes(&self, request: Opening) -> Option<Face> {
        let Some(face) = self.order.lock().pop_front() else {
            self.tally.unmatched.fetch_add(1, Relaxed);
            return None;
        };
        let face = face?;
        {
            let passing = &mut *face.passing.lock();
            if request.context != Some(passing.context) {
                self.tally.unmatched.fetch_add(1, Relaxed);
                return None;
            }
            passing.far.connection = request.connection;
        }
        Some(Face { near: false, ..face })
    }
}

impl Listener for Ear {
    type Exchange = Face;

    fn speaks(&mut self, protocol: Protocol) {
        // Both faces hear the same; one of them counts.
        if self.near {
            let count = match protocol {
                Protocol::Http1 => &self.tally.http1,
                Protocol::Http2 => &self.tally.http2,
                Protocol::Tls => &self.tally.tls,
                Protocol::Unknown => &self.tally.unknown,
            };
            if count.fetch_add(1, Relaxed) == 0 && protocol == Protocol::Tls {
                tracing::warn!(
                    "TLS is spoken: it passes unread, and nothing is known of its requests; \
                     put the relay where the service is spoken to in plain text"
                );
            }
        }
    }

    fn opened(&mut self, request: Opening) -> Option<Face> {
        if self.near { self.comes(request) } else { self.goes(request) }
    }

    fn replied(&mut self, face: &Face) {
        face.passing.lock().report(&self.spans);
    }

    fn given_up(&mut self, face: &Face, why: &'static str) {
        let passing = &mut *face.passing.lock();
        let why = if self.near { why } else { "the service ended it before its reply was over" };
        passing.failure.get_or_insert(why);
        // The far face may end first, and then the near one says when.
        if self.near {
            passing.near.marks.set(Point::Abandoned, ledger::clock::now());
            passing.report(&self.spans);
        }
    }
}
