//! From the spans of a trace to trees of hops, by parent links alone. Times decide nothing but order.
//!
//! * A CLIENT span and the SERVER span below it are a hop. INTERNAL and PRODUCER spans between are
//!   links. A CONSUMER span ends the chain: what it does, its producer did not wait for.
//! * A hop's children are the CLIENT spans whose nearest ancestor among halves is the hop's server.
//! * A CLIENT span right below a CLIENT span of the same process is a part of the same call (an HTTP
//!   span inside an RPC span): a link. In another process it is a hop made by a server that sent no
//!   span of its own.
//! * What has no ancestor is a root. A trace can have several.
//! * Links are the senders' word: cycles and chains of any length are survived and counted.

use crate::span::{Source, Span, SpanKind};

/// The deepest hop that is kept; closing the books recurses once per hop.
const MAX_DEPTH: usize = 100;

/// A hop, as positions in the sorted spans.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Hop {
    /// The CLIENT span.
    pub(super) client: Option<usize>,
    /// The SERVER span.
    pub(super) server: Option<usize>,
    /// Hops made by the server, in order of their start.
    pub(super) children: Vec<Hop>,
}

/// Sorts `spans`, so that the result does not depend on the order of arrival, and answers the roots.
pub(super) fn roots(spans: &mut [Span]) -> Vec<Hop> {
    spans.sort_unstable_by_key(|span| (span.start, span.id, span.kind));
    let mut links = Links::of(spans);
    links.pair_halves();
    links.hang_hops()
}

/// What is known of the links between the spans while the trees are being built.
struct Links<'a> {
    spans: &'a [Span],
    /// Span ids with their positions, sorted.
    by_id: Vec<(u64, usize)>,
    /// For a CLIENT span that is a hop: its server.
    server_of: Vec<Option<usize>>,
    /// For a SERVER span: the CLIENT span whose hop it answers.
    client_of: Vec<Option<usize>>,
}

impl<'a> Links<'a> {
    fn of(spans: &'a [Span]) -> Self {
        let mut by_id: Vec<_> = spans.iter().enumerate().map(|(at, span)| (span.id, at)).collect();
        by_id.sort_unstable();
        Links {
            spans,
            by_id,
            server_of: vec![None; spans.len()],
            client_of: vec![None; spans.len()],
        }
    }

    /// The parent of the span at `at`. Two spans may share an id (the two sides of one call, as
    /// Zipkin numbers them): the parent of a server is then the client, of all others not.
    fn parent(&self, at: usize) -> Option<usize> {
        let span = &self.spans[at];
        if span.parent == 0 {
            return None;
        }
        let from = self.by_id.partition_point(|&(id, _)| id < span.parent);
        let same = self.by_id[from..].iter().take_while(|&&(id, _)| id == span.parent);
        let wants_client = span.kind == SpanKind::Server;
        same.map(|&(_, at)| at)
            .filter(|&up| up != at)
            .min_by_key(|&up| (self.spans[up].kind == SpanKind::Client) != wants_client)
    }

    /// The nearest CLIENT or SERVER span above the span at `at`.
    fn ancestor(&self, at: usize) -> Option<usize> {
        let mut up = at;
        // No chain without a cycle has more links than there are spans.
        for _ in 0..self.spans.len() {
            up = self.parent(up)?;
            match self.spans[up].kind {
                SpanKind::Internal | SpanKind::Producer => {}
                SpanKind::Consumer => return None,
                SpanKind::Client | SpanKind::Server => return Some(up),
            }
        }
        None
    }

    /// The CLIENT span whose hop the CLIENT span at `at` belongs to: the outermost of its process.
    fn outermost(&self, at: usize) -> usize {
        let mut client = at;
        for _ in 0..self.spans.len() {
            match self.ancestor(client) {
                Some(up) if self.wraps(up, client) => client = up,
                _ => return client,
            }
        }
        at
    }

    /// Whether the span at `up` is a CLIENT span of the same process as the CLIENT span at `at`.
    fn wraps(&self, up: usize, at: usize) -> bool {
        let (outer, inner): (&Source, &Source) = (&self.spans[up].source, &self.spans[at].source);
        self.spans[up].kind == SpanKind::Client
            && (outer.service == inner.service && outer.pid == inner.pid)
    }

    /// Gives every server its client. Of several servers below one client (a retried call) the one
    /// with marks, else the one that ended last, is the answer; the others are left out.
    fn pair_halves(&mut self) {
        for at in 0..self.spans.len() {
            if self.spans[at].kind != SpanKind::Server {
                continue;
            }
            let Some(up) = self.ancestor(at) else {
                continue;
            };
            if self.spans[up].kind != SpanKind::Client {
                continue;
            }
            let client = self.outermost(up);
            self.client_of[at] = Some(client);
            let rank = |server: usize| {
                let half = self.spans[server].half.as_ref();
                half.map(|half| (half.marks.first().is_some(), half.interval.1))
            };
            if self.server_of[client].is_none_or(|other| rank(other) < rank(at)) {
                self.server_of[client] = Some(at);
            }
        }
    }

    /// The position that names the hop of a CLIENT or SERVER span; `None` for a server left out.
    fn hop_of(&self, at: usize) -> Option<usize> {
        match self.spans[at].kind {
            SpanKind::Client => Some(self.outermost(at)),
            _ => match self.client_of[at] {
                Some(client) => (self.server_of[client] == Some(at)).then_some(client),
                None => Some(at),
            },
        }
    }

    /// Hangs every hop under the hop that made it, and builds the trees from the roots.
    fn hang_hops(&self) -> Vec<Hop> {
        let mut roots = Vec::new();
        let mut children = vec![Vec::new(); self.spans.len()];
        for at in 0..self.spans.len() {
            // A hop is named by its client or, where it has none, by its server.
            if !self.spans[at].kind.is_half()
                || self.client_of[at].is_some()
                || self.hop_of(at) != Some(at)
            {
                continue;
            }
            match self.ancestor(at) {
                None => roots.push(at),
                Some(up) => {
                    if let Some(hop) = self.hop_of(up) {
                        children[hop].push(at);
                    }
                }
            }
        }
        // A hop has one parent, so what is reached from a root is a tree; cycles are not reached.
        roots.into_iter().map(|root| self.build(root, &children, 0)).collect()
    }

    fn build(&self, at: usize, children: &[Vec<usize>], depth: usize) -> Hop {
        let below = if depth < MAX_DEPTH { children[at].as_slice() } else { &[] };
        let children = below.iter().map(|&child| self.build(child, children, depth + 1)).collect();
        match self.spans[at].kind {
            SpanKind::Client => Hop { client: Some(at), server: self.server_of[at], children },
            _ => Hop { client: None, server: Some(at), children },
        }
    }
}
