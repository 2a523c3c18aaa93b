//! From a closed trace to request rows: trees of hops, their ledgers, and what the rows add.

use std::sync::Arc;

use ledger::{Half, HopLedger, HopNode, RequestLedger};

use super::hop::hop_row;
use super::known::Known;
use super::late::{Due, Taken};
use super::links::Links;
use super::tally::Tally;
use super::trace::Trace;
use super::tree::{self, Hop, Origin, Root};
use crate::runfile::{Attempt, Claimed, HopRow, RequestKind, RequestRow, TraceId};
use crate::runs::Run;
use crate::span::{Planned, Span};

/// What closing a trace made of it, beside a row for each of its requests.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Closing {
    /// The trace.
    pub(crate) trace: u128,
    /// Where its spans went.
    pub(crate) tally: Tally,
    /// Where they went when it was closed before: that no longer counts.
    pub(crate) earlier: Tally,
    /// It was closed before.
    pub(crate) again: bool,
}

impl Closing {
    /// Whether there is something to say of the trace beside its rows.
    pub(crate) fn says_more(&self) -> bool {
        self.again || self.tally.fragments > 0
    }
}

/// Closes the books of every request in `traces`: their rows go to the end of `rows`. What any of them teaches is known
/// to all.
pub(crate) fn close_traces(
    traces: Vec<Due>,
    known: &parking_lot::RwLock<Known>,
    rows: &mut Vec<RequestRow>,
) -> Vec<Closing> {
    let linked: Vec<_> = traces
        .into_iter()
        .map(|trace| {
            let (cut, late, lacking, waited) = (trace.cut, trace.late, trace.lacking, trace.waited);
            let run = trace.run.number();
            let (mut spans, earlier, kept) = match trace {
                Due::Whole(mut trace) => {
                    let earlier = trace.earlier.take();
                    (Taken::Own(trace), earlier, None)
                }
                // One that may have to be closed again stays with the joiner.
                Due::Kept(trace) => {
                    let spans = Taken::Copies(trace.spans().to_vec());
                    (spans, trace.earlier.clone(), Some(trace))
                }
            };
            let links = Links::of(&mut spans);
            (Closer { cut, late, lacking, run, earlier, spans, kept }, links, waited)
        })
        .collect();
    {
        let mut known = known.write();
        let mut said = Vec::new();
        for (closer, links, waited) in &linked {
            links.teach(&closer.spans, *waited, &mut known, &mut said);
        }
    }
    let known = known.read();
    let mut scratch = Scratch::default();
    rows.reserve(linked.len());
    let close = |(closer, links, _): (Closer, Links, bool)| {
        closer.close(&links, &known, &mut scratch, rows)
    };
    linked.into_iter().map(close).collect()
}

/// What traces that are closed together use in turn.
#[derive(Default)]
struct Scratch {
    /// What the spans of the trace in hand measured.
    halves: Vec<Half>,
    /// Names of hops: most traces have the same.
    hops: Vec<Arc<str>>,
    /// The books of the request in hand.
    books: RequestLedger,
}

/// Names that are kept, at most.
const FEW: usize = 32;

impl Scratch {
    /// Reads what `spans` measured.
    fn measure(&mut self, spans: &[Span]) {
        for (at, span) in spans.iter().enumerate() {
            match self.halves.get_mut(at) {
                Some(half) => span.measured(half),
                None => self.halves.push(span.half()),
            }
        }
    }

    /// `client→server`.
    fn hop(&mut self, client: &str, server: &str) -> Arc<str> {
        let behind = |name: &'_ Arc<str>| -> Option<bool> {
            Some(name.strip_prefix(client)?.strip_prefix('→')? == server)
        };
        if let Some(known) = self.hops.iter().find(|name| behind(name) == Some(true)) {
            return Arc::clone(known);
        }
        let name: Arc<str> = [client, "→", server].concat().into();
        if self.hops.len() < FEW {
            self.hops.push(Arc::clone(&name));
        }
        name
    }
}

/// A trace that is being taken apart.
struct Closer {
    cut: u32,
    late: u32,
    lacking: bool,
    run: u32,
    earlier: Option<Box<Tally>>,
    spans: Taken,
    kept: Option<Arc<Trace>>,
}

impl Closer {
    /// Closes its requests.
    fn close(
        mut self,
        links: &Links,
        known: &Known,
        scratch: &mut Scratch,
        rows: &mut Vec<RequestRow>,
    ) -> Closing {
        scratch.measure(&self.spans);
        let forest = tree::forest(&self.spans, links, known);
        let mut tally = Tally { fragments: forest.fragments, ..Tally::default() };
        let all = self.spans.len() as u64;
        let sides = (0..self.spans.len())
            .filter(|&at| self.spans[at].kind.is_half() && !forest.is_fragment(links, at))
            .count() as u64;
        let trace = self.spans.first().map_or(0, |span| span.trace);
        // What the trace says is said of its only request.
        let requests = forest.roots.iter().filter(|root| root.origin != Origin::Message);
        let only = requests.count() == 1;
        let plan = self.spans.iter().filter_map(|span| span.planned.as_deref());
        let plan = plan.filter(|_| only).min_by_key(|plan| plan.cell.is_none());
        self.cut += u32::from(forest.too_deep && self.cut == 0);
        let mut joined_sides = 0;
        for root in &forest.roots {
            root.hop.each(&mut |hop| {
                for at in hop.client.into_iter().chain(hop.server) {
                    scratch.halves[at].elsewhere = hop.elsewhere;
                    tally.joined += 1;
                    joined_sides += u64::from(self.spans[at].kind.is_half());
                }
                tally.joined += hop.relays.len() as u64;
            });
            rows.push(self.close_request(root, plan, known, scratch));
            tally.requests.push(root.key);
        }
        tally.unplaced = sides - joined_sides;
        tally.links = all - tally.fragments - tally.joined - tally.unplaced;
        if let Some(kept) = self.kept {
            // Nobody else closes this trace.
            let _ = kept.tally.set(Box::new(tally.clone()));
        }
        let again = self.earlier.is_some();
        let earlier = self.earlier.map(|earlier| *earlier).unwrap_or_default();
        Closing { trace, tally, earlier, again }
    }

    fn close_request(
        &self,
        root: &Root,
        plan: Option<&Planned>,
        known: &Known,
        scratch: &mut Scratch,
    ) -> RequestRow {
        let whole = self.cut == 0 && is_whole(&root.hop, &self.spans, known);
        let Some(at) = root.hop.client.or(root.hop.server) else {
            return RequestRow::default();
        };
        let first = &self.spans[at];
        let linked = (root.origin == Origin::Message).then(|| linked(first));
        let plan = Plan::of(root, first, plan);
        let stopwatch = root.hop.client.and_then(|at| self.spans[at].planned.as_ref()?.stopwatch);
        let placed =
            |hop: &Hop| hop.server.is_some_and(|at| known.places(&self.spans[at].source.service));
        let node = node(&root.hop, &scratch.halves, &placed);
        let margin_ns = node.margin();
        let mut books = std::mem::take(&mut scratch.books);
        books.close_anew(&node);
        let mut row = RequestRow {
            trace_id: TraceId(first.trace),
            root_id: root.key,
            kind: if linked.is_some() { RequestKind::Message } else { RequestKind::Request },
            cell: plan.cell,
            round: plan.round,
            run: self.run,
            operation: self.operation(&root.hop),
            linked: linked.unwrap_or_default(),
            start_ns: scratch.halves[at].call().0,
            wall_ns: first.wall,
            latency_ns: books.total(),
            stopwatch_ns: stopwatch,
            margin_ns,
            weight: plan.weight,
            out_of_order: books.hops.iter().map(|hop| hop.out_of_order).sum(),
            early: books.hops.iter().any(|hop| hop.early),
            error: first.error,
            whole,
            edge_assumed: root.origin == Origin::Assumed,
            cut: self.cut,
            late: self.late,
            provisional: self.lacking,
            amends: self.earlier.as_ref().is_some_and(|e| e.requests.contains(&root.key)),
            unasked: self.spans.iter().all(|span| span.run == Run::NONE),
            hops: Vec::with_capacity(books.hops.len()),
        };
        self.hop_rows(&root.hop, "?", scratch, &mut books.hops.iter(), &mut row.hops);
        scratch.books = books;
        row
    }

    /// What the request does: a route or method of its first or second span, else the name of the first.
    fn operation(&self, edge: &Hop) -> Arc<str> {
        let told = |at: Option<usize>| self.spans[at?].operation();
        let (first, second) = (told(edge.client), told(edge.server));
        let both = || first.into_iter().chain(second);
        let chosen = both().find(|operation| operation.is_route).or_else(|| both().next());
        chosen.map_or_else(Arc::default, |operation| Arc::clone(&operation.name))
    }

    /// The rows of a hop and all below it, in the order in which [`ledger::close`] lists them.
    fn hop_rows<'b>(
        &self,
        hop: &Hop,
        caller: &str,
        scratch: &mut Scratch,
        books: &mut impl Iterator<Item = &'b HopLedger>,
        rows: &mut Vec<HopRow>,
    ) {
        if let Some(books) = books.next() {
            let relay = hop.relays.first().copied();
            let (client, server) = self.ends(hop, caller);
            let name = scratch.hop(client, server);
            let sides = [hop.client, hop.server, relay].map(|at| Some(&scratch.halves[at?]));
            rows.push(hop_row(name, sides, books, self.attempts(hop), self.claimed(hop)));
        }
        let caller = hop.server.or(hop.client);
        let caller = caller.map_or("?", |at| self.spans[at].source.service.as_str());
        for child in &hop.children {
            self.hop_rows(child, caller, scratch, books, rows);
        }
    }

    /// The names of both ends; a missing server is called what its client calls it, a missing client after the service
    /// that the hop was made in, `?` where nothing tells.
    fn ends<'s>(&'s self, hop: &Hop, caller: &'s str) -> (&'s str, &'s str) {
        let service = |at: usize| self.spans[at].source.service.as_str();
        let client = hop.client.map_or(caller, service);
        let server = match (hop.server, hop.client) {
            (Some(server), _) => service(server),
            (None, Some(client)) => {
                let span = &self.spans[client];
                span.peer().or(span.database()).unwrap_or("?")
            }
            (None, None) => "?",
        };
        (client, server)
    }

    /// The sizes that its spans claim: who has a message knows better than who asked for it.
    fn claimed(&self, hop: &Hop) -> Claimed {
        let sides = hop.server.into_iter().chain(hop.client);
        let claims = sides.filter_map(|at| self.spans[at].claimed.as_deref().copied());
        claims.fold(Claimed::default(), Claimed::or)
    }

    /// The attempts that were not the answer.
    fn attempts(&self, hop: &Hop) -> Vec<Attempt> {
        let attempt = |&at: &usize| {
            let span = &self.spans[at];
            let (service, error) = (span.source.service.clone(), span.error);
            Attempt { service, length_ns: span.length(), error }
        };
        hop.others.iter().map(attempt).collect()
    }
}

/// Cell, round and weight of a request.
struct Plan {
    cell: Arc<str>,
    round: u32,
    weight: f64,
}

impl Plan {
    /// What the request's own spans say, else what the trace says of its only one.
    fn of(root: &Root, first: &Span, of_trace: Option<&Planned>) -> Plan {
        let (own, message) = (first.planned.as_deref(), root.origin == Origin::Message);
        let told = if first.edge.is_some() { own } else { own.or(of_trace) };
        let told = told.filter(|_| !message);
        let edge = first.edge.as_ref().filter(|_| !message);
        let cell = told.and_then(|told| told.cell.as_ref());
        Plan {
            cell: cell.or(edge.map(|edge| &edge.said.cell)).map(Arc::clone).unwrap_or_default(),
            round: match edge {
                Some(edge) => edge.said.round,
                None => told.map_or(0, |told| told.round),
            },
            weight: told.and_then(|told| told.weight).unwrap_or(1.0),
        }
    }
}

/// A hop with its sides, and all below it. It needs no name here.
fn node<'h>(hop: &Hop, halves: &'h [Half], placed: &impl Fn(&Hop) -> bool) -> HopNode<&'h Half> {
    let side = |at: usize| &halves[at];
    let children = hop.children.iter().map(|child| node(child, halves, placed)).collect();
    HopNode {
        name: String::new(),
        client: hop.client.map(side),
        server: hop.server.map(side),
        relays: hop.relays.iter().map(|&at| side(at)).collect(),
        placed: !hop.relays.is_empty() && placed(hop),
        children,
    }
}

/// The span that a message came from: the link of its CONSUMER span, else its parent.
fn linked(span: &Span) -> String {
    let (trace, parent) = span.link.as_deref().copied().unwrap_or((span.trace, span.parent));
    if parent == 0 { String::new() } else { format!("{}/{parent:016x}", TraceId(trace)) }
}

/// Whether every call to a peer that has sent SERVER spans has one.
fn is_whole(hop: &Hop, spans: &[Span], known: &Known) -> bool {
    let lacks = hop.server.is_none()
        && hop.others.is_empty()
        && hop.client.map(|at| &spans[at]).is_some_and(|span| {
            span.database().is_none()
                && known.answers((span.source.service.as_str(), span.called()))
        });
    !lacks && hop.children.iter().all(|child| is_whole(child, spans, known))
}
