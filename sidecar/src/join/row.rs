//! From a closed trace to request rows: trees of hops, their ledgers, and what the rows add.

use std::sync::Arc;

use ledger::{Half, HopLedger, HopNode, Point, Traffic};

use super::trace::Trace;
use super::tree::{self, Hop};
use crate::runfile::{HopRow, RequestRow};
use crate::span::{Planned, Span};

/// What closing a trace made of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Closing {
    /// One row per root of the trace.
    pub(crate) rows: Vec<RequestRow>,
    /// CLIENT and SERVER spans that are a half of some hop of a row.
    pub(crate) joined: u64,
    /// Spans of other kinds: links between the halves.
    pub(crate) links: u64,
    /// CLIENT and SERVER spans of no hop: inside another call, answers not used, in a cycle, too
    /// deep.
    pub(crate) unplaced: u64,
}

/// Closes the books of every request in `trace`.
pub(crate) fn close_trace(trace: Trace) -> Closing {
    let mut spans = trace.into_spans();
    let roots = tree::roots(&mut spans);
    let halves = spans.iter().filter(|span| span.kind.is_half()).count() as u64;
    let mut closing = Closing { links: spans.len() as u64 - halves, ..Closing::default() };
    let plan = spans.iter().filter_map(|span| span.planned.as_deref());
    let plan = plan.min_by_key(|plan| plan.cell.is_none()).cloned().unwrap_or_default();
    for root in &roots {
        closing.rows.push(close_request(root, &plan, &mut spans, &mut closing.joined));
    }
    closing.unplaced = halves - closing.joined;
    closing
}

fn close_request(root: &Hop, plan: &Planned, spans: &mut [Span], joined: &mut u64) -> RequestRow {
    let edge = root.client.or(root.server);
    let trace_id = edge.map(|at| format!("{:032x}", spans[at].trace)).unwrap_or_default();
    let error = edge.is_some_and(|at| spans[at].error);
    let stopwatch = root.client.and_then(|at| spans[at].planned.as_ref()?.stopwatch);
    let node = hop_node(root, spans, joined);
    let books = ledger::close(&node);
    let latency_ns = books.total();
    let out_of_order = books.hops.iter().map(|hop| hop.out_of_order).sum();
    let early = books.hops.iter().any(|hop| hop.early);
    let start_ns = node.client.as_ref().or(node.server.as_ref()).map_or(0, |half| {
        let mark = |point| half.marks.get(point);
        mark(Point::Planned).or(mark(Point::CallStart)).unwrap_or(half.interval.0)
    });
    let mut hops = Vec::with_capacity(books.hops.len());
    hop_rows(node, &mut books.hops.into_iter(), &mut hops);
    RequestRow {
        trace_id,
        cell: plan.cell.clone().unwrap_or_default(),
        round: plan.round,
        start_ns,
        latency_ns,
        stopwatch_ns: stopwatch,
        weight: plan.weight.unwrap_or(1.0),
        out_of_order,
        early,
        error,
        hops,
    }
}

/// Moves the halves of a hop out of their spans.
fn hop_node(hop: &Hop, spans: &mut [Span], joined: &mut u64) -> HopNode {
    let name = hop_name(hop, spans);
    let mut half = |at: Option<usize>| {
        let span = &mut spans[at?];
        let mut half = *span.half.take()?;
        half.clock.clone_from(&span.source.clock);
        *joined += 1;
        Some(half)
    };
    let (client, server) = (half(hop.client), half(hop.server));
    let children = hop.children.iter().map(|child| hop_node(child, spans, joined)).collect();
    HopNode { name, client, server, children }
}

/// `client→server`; a missing server is called what its client calls it, a missing client `?`.
fn hop_name(hop: &Hop, spans: &[Span]) -> String {
    let service = |at: usize| Arc::as_ref(&spans[at].source).service.as_str();
    let client = hop.client.map_or("?", service);
    let server = match (hop.server, hop.client) {
        (Some(server), _) => service(server),
        (None, Some(client)) => {
            let span = &spans[client];
            span.peer.as_deref().or(span.database()).unwrap_or("?")
        }
        (None, None) => "?",
    };
    [client, "→", server].concat()
}

/// The rows of a hop and all below it, in the order in which [`ledger::close`] lists them.
fn hop_rows(node: HopNode, books: &mut impl Iterator<Item = HopLedger>, rows: &mut Vec<HopRow>) {
    let HopNode { client, server, children, .. } = node;
    if let Some(books) = books.next() {
        rows.push(hop_row(client, server, books));
    }
    for child in children {
        hop_rows(child, books, rows);
    }
}

fn hop_row(client: Option<Half>, server: Option<Half>, books: HopLedger) -> HopRow {
    let tapped = |half: &Option<Half>| half.as_ref().is_some_and(|half| half.http != 0);
    let both = tapped(&client) && tapped(&server);
    let client_sees = tapped(&client) || !tapped(&server);
    let connection = client.as_ref().map_or(0, |half| half.connection);
    let attempts = client.as_ref().map_or(0, |half| half.attempts);
    let http = [&client, &server].into_iter().flatten().map(|half| half.http).find(|&v| v != 0);
    let (outbound, inbound, mut injected) = parts(client);
    let (answered, asked, by_server) = parts(server);
    injected.extend(by_server);
    let wire_disagrees = both && (outbound.body != asked.body || inbound.body != answered.body);
    let (request, reply) = if client_sees { (outbound, inbound) } else { (asked, answered) };
    HopRow {
        hop: books.name,
        depth: u32::try_from(books.depth).unwrap_or(u32::MAX),
        unjoined: books.unjoined,
        stages: books.stages,
        request,
        reply,
        wire_disagrees,
        connection,
        http: http.unwrap_or(0),
        attempts,
        injected,
    }
}

/// Outbound and inbound traffic and the injected delays of one side.
fn parts(half: Option<Half>) -> (Traffic, Traffic, Vec<(ledger::Stage, u64)>) {
    half.map(|half| (half.outbound, half.inbound, half.injected)).unwrap_or_default()
}
