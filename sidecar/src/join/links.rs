//! How the spans of a trace hang together, by parent links alone. Times decide nothing but order.
//!
//! * A CLIENT span and the SERVER span below it are a hop. INTERNAL and PRODUCER spans between are
//!   links. A CONSUMER span ends the chain: what it does, its producer did not wait for.
//! * A CLIENT span right below a CLIENT span of the same process is a part of the same call (an HTTP
//!   span inside an RPC span): a link. In another process it is a hop made by a server that sent no
//!   span of its own.
//! * A span whose parent is not here is a *top*. What tops are is decided in [`super::tree`].
//! * Links are the senders' word: cycles and chains of any length are survived and counted.

use smallvec::SmallVec;

use super::attempts;
use super::known::Known;
use crate::span::{Source, Span, SpanKind};

/// What a call says of services: who makes it, what it calls the other side, who answers.
pub(super) type Lesson<'a> = (&'a str, &'a str, Option<&'a str>);

/// Where a chain of parents ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Unknown,
    /// On the way to one, while chains are followed.
    Open,
    Top(Place),
    Cycle,
}

/// The place of a span among those of its trace ([`super::trace::MAX_SPANS`] at most), or none. In so few bytes, for what
/// is known of a trace's links is made and thrown away with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place(u16);

impl Place {
    const NONE: Place = Place(u16::MAX);

    fn get(self) -> Option<usize> {
        (self != Place::NONE).then_some(usize::from(self.0))
    }
}

impl From<usize> for Place {
    fn from(at: usize) -> Place {
        u16::try_from(at).map_or(Place::NONE, Place)
    }
}

impl From<Option<usize>> for Place {
    fn from(at: Option<usize>) -> Place {
        at.map_or(Place::NONE, Place::from)
    }
}

/// Spans up to which looking at all of them is quicker than an index.
const FEW: usize = 16;

/// What is known of one span's links, as places in the sorted spans.
#[derive(Debug, Clone)]
struct Node {
    parent: Place,
    end: End,
    /// The nearest CLIENT or SERVER span above, else the top.
    above: Place,
    /// For a CLIENT span that is a hop: the first of the SERVER spans below it, and the one that is its answer.
    first_server: Place,
    answer: Place,
    /// For a SERVER span: the CLIENT span whose hop it may answer, and the next that may.
    client: Place,
    next_server: Place,
}

/// A relay's span, and the CLIENT span of the hop that it is on; without that one here, the id of it is all there is.
#[derive(Debug, Clone, Copy)]
struct Relay {
    at: usize,
    client: Option<usize>,
    caller: u64,
}

/// The links between the spans of a trace.
#[derive(Debug)]
pub(super) struct Links(SmallVec<[Node; 8]>, Vec<Relay>);

impl Links {
    /// Sorts `spans`, so that the result does not depend on the order of arrival, and follows their links.
    pub(super) fn of(spans: &mut [Span]) -> Links {
        spans.sort_unstable_by_key(|span| (span.start, span.id, span.kind));
        let mut by_id = Vec::new();
        if spans.len() > FEW {
            by_id.extend(spans.iter().enumerate().map(|(at, span)| (span.id, at)));
            by_id.sort_unstable();
        }
        let node = |at| Node {
            parent: parent(spans, &by_id, at).into(),
            end: End::Unknown,
            above: Place::NONE,
            first_server: Place::NONE,
            answer: Place::NONE,
            client: Place::NONE,
            next_server: Place::NONE,
        };
        let mut links = Links((0..spans.len()).map(node).collect(), Vec::new());
        let mut chain = SmallVec::new();
        for at in 0..spans.len() {
            links.follow(spans, at, &mut chain);
        }
        links.pair(spans);
        let relays = (0..spans.len()).filter(|&at| spans[at].kind == SpanKind::Wire);
        links.1 = relays.map(|at| links.relay(spans, at)).collect();
        links
    }

    fn relay(&self, spans: &[Span], at: usize) -> Relay {
        let above = self.above(at).filter(|&up| spans[up].kind == SpanKind::Client);
        let client = above.map(|up| self.outermost(spans, up));
        Relay { at, client, caller: spans[at].parent }
    }

    /// The relays' spans of the hop that the span at `at` is a side of: its client, or its server where that is all
    /// there is.
    pub(super) fn relays(&self, spans: &[Span], at: usize) -> impl Iterator<Item = usize> {
        let span = &spans[at];
        let of = move |relay: &&Relay| match relay.client {
            Some(client) => client == at,
            None => {
                span.kind == SpanKind::Server && relay.caller == span.parent && span.parent != 0
            }
        };
        self.1.iter().filter(of).map(|relay| relay.at)
    }

    /// Follows the chain of parents above the span at `at` until something is known of it.
    fn follow(&mut self, spans: &[Span], at: usize, chain: &mut SmallVec<[usize; 8]>) {
        let mut up = at;
        let end = loop {
            match self.0[up].end {
                End::Unknown => {}
                End::Open => break End::Cycle,
                known => break known,
            }
            chain.push(up);
            let ends_here = spans[up].kind == SpanKind::Consumer;
            match self.0[up].parent.get().filter(|_| !ends_here) {
                None => break End::Top(up.into()),
                Some(parent) => {
                    self.0[up].end = End::Open;
                    up = parent;
                }
            }
        };
        for at in chain.drain(..).rev() {
            self.0[at].end = end;
            if end == End::Cycle || end == End::Top(at.into()) {
                continue;
            }
            let parent = self.0[at].parent;
            let stops = |up: usize| spans[up].kind.is_half() || end == End::Top(up.into());
            self.0[at].above = match parent.get() {
                Some(up) if !stops(up) => self.0[up].above,
                _ => parent,
            };
        }
    }

    /// The top of the chain above the span at `at`; `None` where it goes round in a circle.
    pub(super) fn top(&self, at: usize) -> Option<usize> {
        if let End::Top(top) = self.0[at].end { top.get() } else { None }
    }

    /// Whether the span at `at` is a top.
    pub(super) fn is_top(&self, at: usize) -> bool {
        self.0[at].end == End::Top(at.into())
    }

    /// The nearest CLIENT or SERVER span above the span at `at`, else its top; `None` of a top.
    pub(super) fn above(&self, at: usize) -> Option<usize> {
        self.0[at].above.get()
    }

    /// The CLIENT span whose hop the SERVER span at `at` may answer.
    pub(super) fn client(&self, at: usize) -> Option<usize> {
        self.0[at].client.get()
    }

    /// The SERVER span that is the answer to the call at `at`.
    pub(super) fn answer(&self, at: usize) -> Option<usize> {
        self.0[at].answer.get()
    }

    /// The SERVER spans below the call at `at`.
    pub(super) fn servers(&self, at: usize) -> impl Iterator<Item = usize> + '_ {
        std::iter::successors(self.0[at].first_server.get(), |&server| {
            self.0[server].next_server.get()
        })
    }

    /// The CLIENT span whose hop the CLIENT span at `at` belongs to: the outermost of its process.
    pub(super) fn outermost(&self, spans: &[Span], at: usize) -> usize {
        let mut client = at;
        while let Some(up) = self.above(client).filter(|&up| wraps(&spans[up], &spans[client])) {
            client = up;
        }
        client
    }

    /// Gives every SERVER span the call that it may answer, and every call its answer.
    fn pair(&mut self, spans: &[Span]) {
        // Backwards, so that each list begins with the first.
        for at in (0..spans.len()).rev().filter(|&at| spans[at].kind == SpanKind::Server) {
            let above = self.above(at).filter(|&up| spans[up].kind == SpanKind::Client);
            if let Some(up) = above {
                let client = self.outermost(spans, up);
                self.0[at].client = client.into();
                let first = std::mem::replace(&mut self.0[client].first_server, at.into());
                self.0[at].next_server = first;
            }
        }
        for at in 0..spans.len() {
            if let Some(first) = self.0[at].first_server.get() {
                self.0[at].answer = match self.0[first].next_server {
                    Place::NONE => first.into(),
                    _ => {
                        let servers: Vec<usize> = self.servers(at).collect();
                        attempts::answer(spans, Some(at), &servers).into()
                    }
                };
            }
        }
    }

    /// Tells `known` what these spans say of their services. Where what was missing had been waited for
    /// (`waited`), that it did not come says something too. What is in `said` was said before.
    pub(super) fn teach<'a>(
        &self,
        spans: &'a [Span],
        waited: bool,
        known: &mut Known,
        said: &mut Vec<Lesson<'a>>,
    ) {
        for (at, span) in spans.iter().enumerate() {
            let service = span.source.service.as_str();
            match span.kind {
                SpanKind::Client
                    if self.outermost(spans, at) == at && span.database().is_none() =>
                {
                    let server = self.0[at].first_server.get();
                    let server = server.map(|at| spans[at].source.service.as_str());
                    let lesson = (service, span.called(), server);
                    if (server.is_some() || waited) && !said.contains(&lesson) {
                        known.learn_call((service, span.called()), server);
                        if said.len() < FEW {
                            said.push(lesson);
                        }
                    }
                }
                SpanKind::Server if self.client(at).is_none() => {
                    known.learn_server(service, false);
                    if waited && self.is_top(at) && !span.inner {
                        known.learn_edge(service);
                    }
                }
                _ => {}
            }
            if span.edge.is_some() && (span.kind == SpanKind::Client || !self.is_top(at)) {
                known.learn_generator();
            }
            if span.kind == SpanKind::Server {
                self.teach_relays(spans, at, waited, known);
            }
        }
    }

    /// Tells whether the server at `at` is reached by a relay, and whether a foreign one keeps to what that saw.
    fn teach_relays(&self, spans: &[Span], at: usize, waited: bool, known: &mut Known) {
        let (server, service) = (&spans[at], spans[at].source.service.as_str());
        let side = self.client(at).unwrap_or(at);
        let mut relays = self.relays(spans, side).peekable();
        if relays.peek().is_some() {
            known.learn_relayed(service);
        } else if waited {
            known.forget_relayed(service);
        }
        if server.record.is_none() {
            relays.for_each(|relay| known.learn_place(service, lies_within(server, &spans[relay])));
        }
    }
}

/// What the wall clocks of two processes on one kernel differ by where they are written down, in nanoseconds: SDKs round.
const ROUNDING: u64 = 100_000;

/// Whether a foreign server's span lies within what a relay saw of the exchange, both by the wall.
fn lies_within(server: &Span, relay: &Span) -> bool {
    let (from, until) = (relay.wall, relay.wall.saturating_add(relay.length()));
    server.start.saturating_add(ROUNDING) >= from && server.end <= until.saturating_add(ROUNDING)
}

/// The parent of the span at `at`. Two spans may share an id (the two sides of one call, as
/// Zipkin numbers them): the parent of a server is then the client, of all others not.
fn parent(spans: &[Span], by_id: &[(u64, usize)], at: usize) -> Option<usize> {
    let span = &spans[at];
    if span.parent == 0 {
        return None;
    }
    let is_server = span.kind == SpanKind::Server;
    let mut best: Option<(bool, usize)> = None;
    let mut offer = |up: usize| {
        let rank = (spans[up].kind == SpanKind::Client) != is_server;
        if up != at && best.is_none_or(|(known, _)| known && !rank) {
            best = Some((rank, up));
        }
    };
    if by_id.is_empty() {
        let same = spans.iter().enumerate().filter(|(_, other)| other.id == span.parent);
        same.for_each(|(up, _)| offer(up));
    } else {
        let from = by_id.partition_point(|&(id, _)| id < span.parent);
        let same = by_id[from..].iter().take_while(|&&(id, _)| id == span.parent);
        same.for_each(|&(_, up)| offer(up));
    }
    let up = best.map(|(_, up)| up);
    // A span that is its own parent goes round in a circle, unless it is a server whose client has its id.
    up.or((span.parent == span.id && !is_server).then_some(at))
}

/// Whether `outer` is a CLIENT span of the same process as the CLIENT span `inner`.
fn wraps(outer: &Span, inner: &Span) -> bool {
    let (outside, inside): (&Source, &Source) = (&outer.source, &inner.source);
    outer.kind == SpanKind::Client
        && inner.kind == SpanKind::Client
        && (outside.service == inside.service && outside.pid == inside.pid)
}
