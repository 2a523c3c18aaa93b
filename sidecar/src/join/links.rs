//! How the spans of a trace hang together, by parent links alone. Times decide nothing but order.
//!
//! * A CLIENT span and the SERVER span below it are a hop. INTERNAL and PRODUCER spans between are
//!   links. A CONSUMER span ends the chain: what it does, its producer did not wait for.
//! * A CLIENT span right below a CLIENT span of the same process is a part of the same call (an HTTP
//!   span inside an RPC span): a link. In another process it is a hop made by a server that sent no
//!   span of its own.
//! * A span whose parent is not here is a *top*. What tops are is decided in [`super::tree`].
//! * Links are the senders' word: cycles and chains of any length are survived and counted.

use super::attempts;
use super::known::Known;
use crate::span::{Source, Span, SpanKind};

/// Where a chain of parents ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Unknown,
    /// On the way to one, while chains are followed.
    Open,
    Top(usize),
    Cycle,
}

/// The links between the spans of a trace, as places in the sorted spans.
#[derive(Debug)]
pub(super) struct Links {
    ends: Vec<End>,
    /// The nearest CLIENT or SERVER span above, else the top.
    above: Vec<Option<usize>>,
    /// For a CLIENT span that is a hop: the SERVER spans below it.
    servers: Vec<Vec<usize>>,
    /// For a CLIENT span that is a hop: the one of them that is its answer.
    pub(super) answer: Vec<Option<usize>>,
    /// For a SERVER span: the CLIENT span whose hop it may answer.
    pub(super) client: Vec<Option<usize>>,
}

impl Links {
    /// Sorts `spans`, so that the result does not depend on the order of arrival, and follows their links.
    pub(super) fn of(spans: &mut [Span]) -> Links {
        spans.sort_unstable_by_key(|span| (span.start, span.id, span.kind));
        let mut by_id: Vec<_> = spans.iter().enumerate().map(|(at, span)| (span.id, at)).collect();
        by_id.sort_unstable();
        let parents: Vec<_> = (0..spans.len()).map(|at| parent(spans, &by_id, at)).collect();
        let mut links = Links {
            ends: vec![End::Unknown; spans.len()],
            above: vec![None; spans.len()],
            servers: vec![Vec::new(); spans.len()],
            answer: vec![None; spans.len()],
            client: vec![None; spans.len()],
        };
        let mut chain = Vec::new();
        for at in 0..spans.len() {
            links.follow(spans, &parents, at, &mut chain);
        }
        links.pair(spans);
        links
    }

    /// Follows the chain of parents above the span at `at` until something is known of it.
    fn follow(
        &mut self,
        spans: &[Span],
        parents: &[Option<usize>],
        at: usize,
        chain: &mut Vec<usize>,
    ) {
        let mut up = at;
        let end = loop {
            match self.ends[up] {
                End::Unknown => {}
                End::Open => break End::Cycle,
                known => break known,
            }
            chain.push(up);
            let ends_here = spans[up].kind == SpanKind::Consumer;
            match parents[up].filter(|_| !ends_here) {
                None => break End::Top(up),
                Some(parent) => {
                    self.ends[up] = End::Open;
                    up = parent;
                }
            }
        };
        for at in chain.drain(..).rev() {
            self.ends[at] = end;
            if end == End::Cycle || end == End::Top(at) {
                continue;
            }
            self.above[at] = parents[at].and_then(|parent| {
                let stops = spans[parent].kind.is_half() || end == End::Top(parent);
                if stops { Some(parent) } else { self.above[parent] }
            });
        }
    }

    /// The top of the chain above the span at `at`; `None` where it goes round in a circle.
    pub(super) fn top(&self, at: usize) -> Option<usize> {
        if let End::Top(top) = self.ends[at] { Some(top) } else { None }
    }

    /// Whether the span at `at` is a top.
    pub(super) fn is_top(&self, at: usize) -> bool {
        self.ends[at] == End::Top(at)
    }

    /// The nearest CLIENT or SERVER span above the span at `at`, else its top; `None` of a top.
    pub(super) fn above(&self, at: usize) -> Option<usize> {
        self.above[at]
    }

    /// The CLIENT span whose hop the CLIENT span at `at` belongs to: the outermost of its process.
    pub(super) fn outermost(&self, spans: &[Span], at: usize) -> usize {
        let mut client = at;
        while let Some(up) = self.above[client].filter(|&up| wraps(&spans[up], &spans[client])) {
            client = up;
        }
        client
    }

    /// Gives every SERVER span the call that it may answer, and every call its answer.
    fn pair(&mut self, spans: &[Span]) {
        for at in 0..spans.len() {
            let above = self.above[at].filter(|&up| spans[up].kind == SpanKind::Client);
            if let Some(up) = above.filter(|_| spans[at].kind == SpanKind::Server) {
                let client = self.outermost(spans, up);
                self.client[at] = Some(client);
                self.servers[client].push(at);
            }
        }
        for (at, servers) in self.servers.iter().enumerate().filter(|(_, all)| !all.is_empty()) {
            self.answer[at] = attempts::answer(spans, Some(at), servers);
        }
    }

    /// The SERVER spans below the call at `at`.
    pub(super) fn servers(&self, at: usize) -> &[usize] {
        &self.servers[at]
    }

    /// Tells `known` what these spans say of their services. Where what was missing had been waited for
    /// (`waited`), that it did not come says something too.
    pub(super) fn teach(&self, spans: &[Span], waited: bool, known: &mut Known) {
        for (at, span) in spans.iter().enumerate() {
            let service = span.source.service.as_str();
            match span.kind {
                SpanKind::Client
                    if self.outermost(spans, at) == at && span.database().is_none() =>
                {
                    let server =
                        self.servers[at].first().map(|&at| spans[at].source.service.as_str());
                    if server.is_some() || waited {
                        known.learn_call((service, span.called()), server);
                    }
                }
                SpanKind::Server if self.client[at].is_none() => {
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
        }
    }
}

/// The parent of the span at `at`. Two spans may share an id (the two sides of one call, as
/// Zipkin numbers them): the parent of a server is then the client, of all others not.
fn parent(spans: &[Span], by_id: &[(u64, usize)], at: usize) -> Option<usize> {
    let span = &spans[at];
    if span.parent == 0 {
        return None;
    }
    let from = by_id.partition_point(|&(id, _)| id < span.parent);
    let same = by_id[from..].iter().take_while(|&&(id, _)| id == span.parent);
    let is_server = span.kind == SpanKind::Server;
    let up = same
        .map(|&(_, at)| at)
        .filter(|&up| up != at)
        .min_by_key(|&up| (spans[up].kind == SpanKind::Client) != is_server);
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
