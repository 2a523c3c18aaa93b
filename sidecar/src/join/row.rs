//! From a closed trace to request rows: trees of hops, their ledgers, and what the rows add.

use std::sync::Arc;

use ledger::{Half, HopLedger, HopNode, Side, Traffic};

use super::known::Known;
use super::links::Links;
use super::tally::Tally;
use super::trace::Trace;
use super::tree::{self, Hop, Origin, Root};
use crate::runfile::{Attempt, HopRow, RequestKind, RequestRow};
use crate::span::{Planned, Span};

/// What closing a trace made of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Closing {
    /// The trace.
    pub(crate) trace: u128,
    /// One row per request of the trace.
    pub(crate) rows: Vec<RequestRow>,
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

/// Closes the books of every request in `traces`. What any of them teaches is known to all.
pub(crate) fn close_traces(
    traces: Vec<Arc<Trace>>,
    known: &parking_lot::RwLock<Known>,
) -> Vec<Closing> {
    let linked: Vec<_> = traces
        .into_iter()
        .map(|trace| {
            // One that may have to be closed again stays with the joiner.
            let kept = trace.retained.then(|| Arc::clone(&trace));
            let (cut, late, lacking, waited) = (trace.cut, trace.late, trace.lacking, trace.waited);
            let earlier = trace.earlier.clone();
            let mut spans = match Arc::try_unwrap(trace) {
                Ok(trace) => trace.into_spans(),
                Err(shared) => shared.spans().to_vec(),
            };
            let links = Links::of(&mut spans);
            (Closer { cut, late, lacking, earlier, spans, kept }, links, waited)
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
    linked.into_iter().map(|(closer, links, _)| closer.close(&links, &known)).collect()
}

/// A trace that is being taken apart.
struct Closer {
    cut: u32,
    late: u32,
    lacking: bool,
    earlier: Option<Tally>,
    spans: Vec<Span>,
    kept: Option<Arc<Trace>>,
}

impl Closer {
    fn close(mut self, links: &Links, known: &Known) -> Closing {
        let forest = tree::forest(&self.spans, links, known);
        let mut tally = Tally { fragments: forest.fragments, ..Tally::default() };
        let all = self.spans.len() as u64;
        let halves = (0..self.spans.len())
            .filter(|&at| self.spans[at].kind.is_half() && !forest.is_fragment(links, at))
            .count() as u64;
        let trace = self.spans.first().map_or(0, |span| span.trace);
        let plan = self.spans.iter().filter_map(|span| span.planned.as_deref());
        let plan = plan.min_by_key(|plan| plan.cell.is_none()).cloned().unwrap_or_default();
        // What the trace says is said of its only request.
        let requests = forest.roots.iter().filter(|root| root.origin != Origin::Message);
        let plan = if requests.count() == 1 { plan } else { Planned::default() };
        self.cut += u32::from(forest.too_deep && self.cut == 0);
        let mut rows = Vec::with_capacity(forest.roots.len());
        let mut joined_halves = 0;
        for root in &forest.roots {
            let row = self.close_request(root, &plan, known, &mut tally.joined, &mut joined_halves);
            rows.push(row);
            tally.requests.push(root.key);
        }
        tally.unplaced = halves - joined_halves;
        tally.links = all - tally.fragments - tally.joined - tally.unplaced;
        if let Some(kept) = self.kept {
            // Nobody else closes this trace.
            let _ = kept.tally.set(tally.clone());
        }
        let again = self.earlier.is_some();
        Closing { trace, rows, tally, earlier: self.earlier.unwrap_or_default(), again }
    }

    fn close_request(
        &mut self,
        root: &Root,
        plan: &Planned,
        known: &Known,
        joined: &mut u64,
        halves: &mut u64,
    ) -> RequestRow {
        let whole = self.cut == 0 && is_whole(&root.hop, &self.spans, known);
        let first = root.hop.client.or(root.hop.server);
        let Some(first) = first.map(|at| &self.spans[at]) else {
            return RequestRow::default();
        };
        let (trace_id, error, wall) = (format!("{:032x}", first.trace), first.error, first.wall);
        let linked = (root.origin == Origin::Message).then(|| linked(first));
        let plan = planned(root, first, plan);
        let stopwatch = root.hop.client.and_then(|at| self.spans[at].planned.as_ref()?.stopwatch);
        let operation = self.operation(&root.hop);
        let start_ns = first.half.as_ref().map_or(first.start, |half| half.call().0);
        let node = self.node(&root.hop, "?", joined, halves);
        let margin_ns = node.margin();
        let books = ledger::close(&node);
        let mut row = RequestRow {
            trace_id,
            root_id: root.key,
            kind: if linked.is_some() { RequestKind::Message } else { RequestKind::Request },
            cell: plan.cell.unwrap_or_default(),
            round: plan.round,
            operation,
            linked: linked.unwrap_or_default(),
            start_ns,
            wall_ns: wall,
            latency_ns: books.total(),
            stopwatch_ns: stopwatch,
            margin_ns,
            weight: plan.weight.unwrap_or(1.0),
            out_of_order: books.hops.iter().map(|hop| hop.out_of_order).sum(),
            early: books.hops.iter().any(|hop| hop.early),
            error,
            whole,
            edge_assumed: root.origin == Origin::Assumed,
            cut: self.cut,
            late: self.late,
            provisional: self.lacking,
            amends: self.earlier.as_ref().is_some_and(|e| e.requests.contains(&root.key)),
            hops: Vec::with_capacity(books.hops.len()),
        };
        let mut others = Vec::new();
        self.attempts(&root.hop, &mut others);
        let mut closed = books.hops.into_iter().zip(others);
        hop_rows(node, &mut closed, &mut row.hops);
        row
    }

    /// What the request does: a route or method of its first or second span, else the name of the first.
    fn operation(&self, edge: &Hop) -> Arc<str> {
        let told = |at: Option<usize>| self.spans[at?].operation.as_ref();
        let (first, second) = (told(edge.client), told(edge.server));
        let both = || first.into_iter().chain(second);
        let chosen = both().find(|operation| operation.is_route).or_else(|| both().next());
        chosen.map_or_else(|| Arc::from(""), |operation| Arc::clone(&operation.name))
    }

    /// Moves the halves of a hop out of their spans.
    fn node(&mut self, hop: &Hop, caller: &str, joined: &mut u64, halves: &mut u64) -> HopNode {
        let name = self.hop_name(hop, caller);
        let mut half = |at: Option<usize>| {
            let span = &mut self.spans[at?];
            *joined += 1;
            let mut half = match span.half.take() {
                Some(half) => {
                    *halves += 1;
                    *half
                }
                // A span inside a process that begins a request: its own code from beginning to end.
                None => Half::new(Side::Server, (span.start, span.end)),
            };
            half.clock.clone_from(&span.source.clock);
            half.elsewhere = hop.elsewhere;
            Some(half)
        };
        let (client, server) = (half(hop.client), half(hop.server));
        let caller = hop.server.or(hop.client).map(|at| Arc::clone(&self.spans[at].source));
        let caller = caller.as_ref().map_or("?", |source| source.service.as_str());
        let children = hop.children.iter();
        let children = children.map(|child| self.node(child, caller, joined, halves)).collect();
        HopNode { name, client, server, children }
    }

    /// `client→server`; a missing server is called what its client calls it, a missing client after the service
    /// that the hop was made in, `?` where nothing tells.
    fn hop_name(&self, hop: &Hop, caller: &str) -> String {
        let service = |at: usize| self.spans[at].source.service.as_str();
        let client = hop.client.map_or(caller, service);
        let server = match (hop.server, hop.client) {
            (Some(server), _) => service(server),
            (None, Some(client)) => {
                let span = &self.spans[client];
                span.peer.as_deref().or(span.database()).unwrap_or("?")
            }
            (None, None) => "?",
        };
        [client, "→", server].concat()
    }

    /// The attempts that were not the answer, of each hop in the order of the rows.
    fn attempts(&self, hop: &Hop, rows: &mut Vec<Vec<Attempt>>) {
        let attempt = |&at: &usize| {
            let span = &self.spans[at];
            let (service, error) = (span.source.service.clone(), span.error);
            Attempt { service, length_ns: span.length(), error }
        };
        rows.push(hop.others.iter().map(attempt).collect());
        hop.children.iter().for_each(|child| self.attempts(child, rows));
    }
}

/// Cell, round and weight of a request: what its own spans say, else what the trace says of its only one.
fn planned(root: &Root, first: &Span, of_trace: &Planned) -> Planned {
    if root.origin == Origin::Message {
        return Planned::default();
    }
    if let Some(edge) = &first.edge {
        let own = first.planned.as_deref().cloned().unwrap_or_default();
        let cell = own.cell.or_else(|| (!edge.cell.is_empty()).then(|| edge.cell.to_string()));
        return Planned { cell, round: edge.round, ..own };
    }
    first.planned.as_deref().unwrap_or(of_trace).clone()
}

/// The span that a message came from: the link of its CONSUMER span, else its parent.
fn linked(span: &Span) -> String {
    let (trace, parent) = span.link.as_deref().copied().unwrap_or((span.trace, span.parent));
    if parent == 0 { String::new() } else { format!("{trace:032x}/{parent:016x}") }
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

/// The rows of a hop and all below it, in the order in which [`ledger::close`] lists them.
fn hop_rows(
    node: HopNode,
    books: &mut impl Iterator<Item = (HopLedger, Vec<Attempt>)>,
    rows: &mut Vec<HopRow>,
) {
    let HopNode { client, server, children, .. } = node;
    if let Some((books, others)) = books.next() {
        rows.push(hop_row(client, server, books, others));
    }
    for child in children {
        hop_rows(child, books, rows);
    }
}

fn hop_row(
    client: Option<Half>,
    server: Option<Half>,
    books: HopLedger,
    others: Vec<Attempt>,
) -> HopRow {
    let tapped = |half: &Option<Half>| half.as_ref().is_some_and(|half| half.http != 0);
    let (client_saw, server_saw) = (tapped(&client), tapped(&server));
    let connection = client.as_ref().map_or(0, |half| half.connection);
    let counted = client.as_ref().map_or(0, |half| half.attempts);
    let http = [&client, &server].into_iter().flatten().map(|half| half.http).find(|&v| v != 0);
    let (outbound, inbound, mut injected) = parts(client);
    let (answered, asked, by_server) = parts(server);
    injected.extend(by_server);
    let both = client_saw && server_saw;
    let wire_disagrees = both && (outbound.body != asked.body || inbound.body != answered.body);
    // What nobody counted is not known, which is not nothing.
    let (request, reply) = match (client_saw, server_saw) {
        (true, _) => (Some(outbound), Some(inbound)),
        (false, true) => (Some(asked), Some(answered)),
        (false, false) => (None, None),
    };
    let tried = if others.is_empty() { 0 } else { others.len() as u64 + 1 };
    HopRow {
        hop: books.name,
        depth: u32::try_from(books.depth).unwrap_or(u32::MAX),
        unjoined: books.unjoined,
        stages: books.stages,
        concurrent_ns: books.concurrent_ns,
        detached_ns: books.detached_ns,
        clipped_ns: books.clipped_ns,
        request,
        reply,
        wire_disagrees,
        connection,
        http: http.unwrap_or(0),
        attempts: counted.max(tried),
        others,
        injected,
    }
}

/// Outbound and inbound traffic and the injected delays of one side.
fn parts(half: Option<Half>) -> (Traffic, Traffic, Vec<(ledger::Stage, u64)>) {
    half.map(|half| (half.outbound, half.inbound, half.injected)).unwrap_or_default()
}
