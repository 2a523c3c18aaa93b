//! From the spans of a trace to its requests: one tree of hops for each root, and what is left.
//!
//! * The *edge* of a request is known by `tracestate`. Where that says nothing, a span without a parent is a root,
//!   and a SERVER span whose caller is not here is taken for an edge (`assumed`) in a service that never answered
//!   a call that was here. Edges of one generator's span are one request.
//! * A CONSUMER span begins a request of its own kind.
//! * Everything else whose parent is not here is a *fragment*, with all that is below it.
//! * A hop's children are the CLIENT spans whose nearest ancestor among halves is the hop's server.

use smallvec::{SmallVec, smallvec};

use super::attempts;
use super::known::Known;
use super::links::Links;
use super::relays;
use crate::span::{Span, SpanKind};

/// The deepest hop that is kept; closing the books recurses once per hop.
const MAX_DEPTH: usize = 100;

/// A hop, as positions in the sorted spans.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Hop {
    /// The CLIENT span.
    pub(super) client: Option<usize>,
    /// The SERVER span that answered it; of a request that begins inside a process, the span that begins it.
    pub(super) server: Option<usize>,
    /// Other SERVER spans below the CLIENT span.
    pub(super) others: Vec<usize>,
    /// Relays between the two, from the client's on.
    pub(super) relays: Vec<usize>,
    /// Hops made by the server, in order of their start.
    pub(super) children: Vec<Hop>,
    /// It was made by another process than the one that it was made from.
    pub(super) elsewhere: bool,
}

impl Hop {
    /// Gives `to` the hop and all below it.
    pub(super) fn each(&self, to: &mut impl FnMut(&Hop)) {
        to(self);
        self.children.iter().for_each(|child| child.each(to));
    }
}

/// How the beginning of a request is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    /// By `tracestate`, or because nothing is above it.
    Known,
    /// It was taken for one.
    Assumed,
    /// It is the work that a message asked for.
    Message,
}

/// A request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Root {
    pub(super) origin: Origin,
    /// Span id that tells it from other requests of its trace, whichever of its spans are here: that of the
    /// outermost span, also where that one is not.
    pub(super) key: u64,
    /// Edge hop.
    pub(super) hop: Hop,
}

/// What the spans of a trace are.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Forest {
    pub(super) roots: SmallVec<[Root; 1]>,
    /// Spans below a top that begins no request.
    pub(super) fragments: u64,
    /// Hops were left out because they are too deep.
    pub(super) too_deep: bool,
    /// Of each span, whether it is a top that begins a request.
    begins: SmallVec<[bool; 16]>,
}

impl Forest {
    /// Whether the span at `at` is below a top that begins no request.
    pub(super) fn is_fragment(&self, links: &Links, at: usize) -> bool {
        links.top(at).is_some_and(|top| !self.begins[top])
    }
}

/// The requests among `spans`, which `links` links.
pub(super) fn forest(spans: &[Span], links: &Links, known: &Known) -> Forest {
    let mut forest = Forest::default();
    let mut begins: SmallVec<[Begin; 4]> = (0..spans.len())
        .filter(|&at| links.is_top(at))
        .filter_map(|at| origin(&spans[at], known).map(|(origin, key)| (origin, key, at)))
        .collect();
    forest.begins = smallvec![false; spans.len()];
    for &(_, _, at) in &begins {
        forest.begins[at] = true;
        // Relays on the way to a server whose caller is not here stand beside it.
        let beside = (spans[at].kind == SpanKind::Server).then(|| links.relays(spans, at));
        beside.into_iter().flatten().for_each(|relay| forest.begins[relay] = true);
    }
    forest.fragments = (0..spans.len()).filter(|&at| forest.is_fragment(links, at)).count() as u64;
    begins.sort_by_key(|&(origin, key, _)| (origin, key));
    let mut branches = Branches::new(spans, links);
    let groups = || begins.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1));
    groups().for_each(|group| branches.choose(group));
    branches.hang();
    for group in groups() {
        let (origin, key, _) = group[0];
        let hop = branches.root(group);
        let inside = hop.client.is_none() && hop.server.is_some_and(|at| !spans[at].kind.is_half());
        // Spans inside one process that call nobody are no hop, unless a message asked for them.
        if !(inside && hop.children.is_empty()) || origin == Origin::Message {
            forest.roots.push(Root { origin, key, hop });
        }
    }
    let start = |root: &Root| root.hop.client.or(root.hop.server);
    forest.roots.sort_by_key(start);
    forest.too_deep = branches.too_deep;
    forest
}

/// Whether a top begins a request, and which.
fn origin(top: &Span, known: &Known) -> Option<(Origin, u64)> {
    if top.kind == SpanKind::Consumer {
        return Some((Origin::Message, top.id));
    }
    if let Some(edge) = &top.edge {
        return Some((Origin::Known, edge.span));
    }
    if top.parent == 0 {
        return Some((Origin::Known, top.id));
    }
    let assumed = top.kind == SpanKind::Server && !top.inner;
    (assumed && !known.is_inner(&top.source.service)).then_some((Origin::Assumed, top.parent))
}

/// The hops of a trace while they are hung under each other.
struct Branches<'a> {
    spans: &'a [Span],
    links: &'a Links,
    /// Tops that begin a request with others, of which another counts; in order.
    left_out: Vec<usize>,
    /// By the hop's name (its client or, where it has none, its server): its first child, and the next of its parent.
    children: SmallVec<[(Option<usize>, Option<usize>); 8]>,
    /// Of each span, whether it is a relay of a hop already: servers that share a caller share no relay.
    relayed: SmallVec<[bool; 16]>,
    too_deep: bool,
}

/// A top that begins a request.
type Begin = (Origin, u64, usize);

impl<'a> Branches<'a> {
    fn new(spans: &'a [Span], links: &'a Links) -> Self {
        let children = smallvec![(None, None); spans.len()];
        let relayed = smallvec![false; spans.len()];
        Branches { spans, links, left_out: Vec::new(), children, relayed, too_deep: false }
    }

    /// Leaves out those of several beginnings of one request that are not its answer.
    fn choose(&mut self, group: &[Begin]) {
        if let [_, _, ..] = group {
            let tops: Vec<usize> = group.iter().map(|begin| begin.2).collect();
            let answer = attempts::answer(self.spans, None, &tops);
            self.left_out.extend(tops.into_iter().filter(|&top| Some(top) != answer));
            self.left_out.sort_unstable();
        }
    }

    fn is_left_out(&self, top: usize) -> bool {
        self.left_out.binary_search(&top).is_ok()
    }

    /// The name of the hop that the span at `at` is a side of; `None` of a server that is no answer.
    fn hop_of(&self, at: usize) -> Option<usize> {
        if self.is_left_out(at) {
            return None;
        }
        match self.spans[at].kind {
            SpanKind::Client => Some(self.links.outermost(self.spans, at)),
            _ => match self.links.client(at) {
                Some(client) => (self.links.answer(client) == Some(at)).then_some(client),
                None => Some(at),
            },
        }
    }

    /// Hangs every hop under the hop that made it.
    fn hang(&mut self) {
        // Backwards, so that each list begins with the first.
        for at in (0..self.spans.len()).rev() {
            let named = self.spans[at].kind.is_half()
                && self.links.client(at).is_none()
                && self.hop_of(at) == Some(at);
            if let Some(up) = self.links.above(at).filter(|_| named)
                && let Some(hop) = self.hop_of(up)
            {
                self.children[at].1 = self.children[hop].0.replace(at);
            }
        }
    }

    /// The edge hop of a request.
    fn root(&mut self, group: &[Begin]) -> Hop {
        let counts = |begin: &&Begin| !self.is_left_out(begin.2);
        let at = group.iter().find(counts).map(|begin| begin.2);
        let others = group.iter().map(|begin| begin.2).filter(|&top| Some(top) != at).collect();
        let hop = at.map(|at| self.build(at, 0)).unwrap_or_default();
        Hop { others: [hop.others, others].concat(), ..hop }
    }

    // A hop has one parent, so what is reached from a root is a tree; cycles are not reached.
    fn build(&mut self, at: usize, depth: usize) -> Hop {
        let mut below = self.children[at].0.take();
        let mut hop = if self.spans[at].kind == SpanKind::Client {
            let server = self.links.answer(at);
            let others = self.links.servers(at);
            let others = others.filter(|&other| Some(other) != server).collect();
            Hop { client: Some(at), server, others, ..Hop::default() }
        } else {
            Hop { server: Some(at), ..Hop::default() }
        };
        let free = self.links.relays(self.spans, at).filter(|&relay| !self.relayed[relay]);
        hop.relays = relays::nested(self.spans, free);
        hop.relays.iter().for_each(|&relay| self.relayed[relay] = true);
        if depth >= MAX_DEPTH {
            self.too_deep |= below.is_some();
            return hop;
        }
        let side = hop.server.unwrap_or(at);
        while let Some(child) = below {
            below = self.children[child].1;
            let mut child = self.build(child, depth + 1);
            child.elsewhere = child.client.is_some_and(|client| !self.one_clock(side, client));
            hop.children.push(child);
        }
        hop
    }

    /// Whether the times of two spans are of one clock: of one process, or by marks of one boot.
    fn one_clock(&self, a: usize, b: usize) -> bool {
        let (a, b) = (&self.spans[a].source, &self.spans[b].source);
        a == b || (!a.clock.is_empty() && a.clock == b.clock)
    }
}
