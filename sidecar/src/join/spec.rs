//! What joining promises, as examples and properties: here which spans make which hops, in
//! [`relays`] which relays are on them, in
//! [`requests`] which requests there are, in [`holding`] how long and how much is held, in [`anything`] what holds
//! for any spans.

mod anything;
mod holding;
mod relays;
mod requests;

use std::sync::Arc;

use ledger::{AtRest, Half, Kind, Point, Stage};

use super::*;
use crate::runfile::{Claimed, RequestRow};
use crate::span::{Edge, Planned, Said, Source, SpanKind};

const SECOND: u64 = 1_000_000_000;
const LIMITS: Limits = Limits { window_ns: 5 * SECOND, grace_ns: SECOND, max_traces: 100 };

impl Joiner {
    /// Takes in a span where memory has no bound.
    fn offer(&mut self, span: Span, now: u64) {
        self.insert(span, &mut Share::default(), now);
    }
}

/// Has a span measure what `change` makes of nothing.
fn measure(span: &mut Span, change: impl FnOnce(&mut Half)) {
    let mut half = span.half();
    change(&mut half);
    span.record = Some(Box::new(AtRest::of(&half)));
}

/// A relay's span: when it read the last byte of the request, passed it on, read that of the reply and passed that on.
fn relay((id, parent): (u64, u64), clock: &str, times: [u64; 4]) -> Span {
    let [taken, passed, answered, returned] = times;
    let mut relay = span(Wire, id, parent, "relay", (taken, returned));
    relay.source = Arc::new(Source { clock: clock.into(), ..(*relay.source).clone() });
    measure(&mut relay, |half| {
        half.http = 11;
        half.marks.set(Point::LastRead, taken);
        half.marks.set(Point::LastWrite, returned);
        half.inbound.body = 14;
        half.outbound.body = 68;
        let far = half.far.get_or_insert_default();
        far.marks.set(Point::LastWrite, passed);
        far.marks.set(Point::LastRead, answered);
    });
    relay
}

/// The edge of a request that the span `of` a generator asks for.
fn edge(of: u64, cell: &str) -> Option<Edge> {
    let said = Arc::new(Said { cell: cell.into(), round: 3, ..Said::default() });
    Some(Edge { span: of, said })
}

/// A foreign span of `service` with the given interval.
fn span(kind: SpanKind, id: u64, parent: u64, service: &str, (start, end): (u64, u64)) -> Span {
    Span {
        trace: 7,
        id,
        parent,
        kind,
        start,
        end,
        wall: start,
        source: Arc::new(Source { service: service.to_owned(), ..Source::default() }),
        ..Span::default()
    }
}

use SpanKind::{Client, Consumer, Internal, Producer, Server, Wire};

/// The four spans of a ping: driver → gateway → echo, with an INTERNAL span in the gateway.
fn ping() -> Vec<Span> {
    let mut spans = vec![
        span(Client, 1, 0, "driver", (1_000, 2_000)),
        span(Server, 2, 1, "gateway", (1_100, 1_900)),
        span(Internal, 9, 2, "gateway", (1_150, 1_850)),
        span(Client, 3, 9, "gateway", (1_200, 1_800)),
        span(Server, 4, 3, "echo", (1_300, 1_700)),
    ];
    spans[0].planned = Some(Box::new(Planned {
        cell: Some("rest-10B".into()),
        round: 2,
        weight: Some(5.0),
        stopwatch: Some(1_010),
    }));
    spans
}

/// What closing a trace made of it, with its rows.
#[derive(Debug, PartialEq)]
struct Closed {
    closing: Closing,
    rows: Vec<RequestRow>,
}

impl std::ops::Deref for Closed {
    type Target = Closing;

    fn deref(&self) -> &Closing {
        &self.closing
    }
}

/// Closes what a joiner hands out.
fn closed(joiner: &Joiner, traces: Vec<Due>) -> Vec<Closed> {
    let mut all = Vec::new();
    let closings = close_traces(traces, &joiner.known(), &mut all);
    let mut all = all.into_iter();
    let of = |closing: Closing| {
        let rows = all.by_ref().take(closing.tally.requests() as usize).collect();
        Closed { closing, rows }
    };
    closings.into_iter().map(of).collect()
}

/// Closes the one trace that `spans` are of, as if they were all that will ever come.
fn close(spans: impl IntoIterator<Item = Span>) -> Closed {
    let mut joiner = Joiner::new(LIMITS);
    spans.into_iter().for_each(|span| joiner.offer(span, 1));
    let traces = joiner.flush(1, 1);
    closed(&joiner, traces).pop().unwrap()
}

fn rows(spans: impl IntoIterator<Item = Span>) -> Vec<RequestRow> {
    close(spans).rows
}

fn names(row: &RequestRow) -> Vec<(u32, &str)> {
    row.hops.iter().map(|hop| (hop.depth, &*hop.hop)).collect()
}

#[test]
fn a_ping_becomes_one_request_of_two_hops() {
    let closing = close(ping());
    let row = &closing.rows[0];
    assert_eq!(names(row), [(0, "driver→gateway"), (1, "gateway→echo")]);
    assert_eq!((&*row.cell, row.round, row.weight), ("rest-10B", 2, 5.0));
    assert_eq!((row.latency_ns, row.stopwatch_ns, row.start_ns), (1_000, Some(1_010), 1_000));
    let stage = |hop: usize, stage| row.hops[hop].stages.get(stage).ns;
    assert_eq!(stage(0, Stage::BetweenSpans), 200);
    assert_eq!(stage(0, Stage::Handler), 800 - 600);
    assert_eq!(stage(1, Stage::BetweenSpans), 200);
    assert_eq!(stage(1, Stage::Handler), 400);
    assert_eq!(row.trace_id.to_string(), "00000000000000000000000000000007");
    assert_eq!((closing.tally.joined, closing.tally.links, closing.tally.unplaced), (4, 1, 0));
}

#[test]
fn a_hop_claims_what_its_server_says_of_its_bodies_else_what_its_client_says() {
    let claim = |request, reply| Some(Box::new(Claimed { request, reply }));
    let mut spans = ping();
    spans[0].claimed = claim(Some(14), Some(99));
    spans[1].claimed = claim(None, Some(68));
    spans[3].claimed = claim(Some(24), None);
    let row = close(spans).rows.pop().unwrap();
    assert_eq!(row.hops[0].claimed, Claimed { request: Some(14), reply: Some(68) });
    assert_eq!(row.hops[1].claimed, Claimed { request: Some(24), reply: None });
    // Claims are no counts.
    assert!(row.hops.iter().all(|hop| hop.request.is_none() && hop.reply.is_none()));
}

#[test]
fn marks_on_one_clock_give_measured_wire_stages() {
    let mut spans = ping();
    for (at, marks) in [
        (0, [(Point::LastWrite, 1_010), (Point::LastRead, 1_990)]),
        (1, [(Point::LastRead, 1_110), (Point::LastWrite, 1_890)]),
    ] {
        let span = &mut spans[at];
        span.source = Arc::new(Source { clock: "here".into(), ..(*span.source).clone() });
        measure(span, |half| {
            marks.into_iter().for_each(|(point, at)| half.marks.set(point, at));
            half.http = 11;
            half.outbound.body = 3;
        });
    }
    let row = &rows(spans)[0];
    let wire = row.hops[0].stages.get(Stage::RequestWire);
    assert_eq!((wire.ns, wire.kind), (100, Kind::Measured));
    // Each side sent three bytes, and neither saw any come in.
    assert!(row.hops[0].wire_disagrees && row.hops[0].request.unwrap().body == 3);
    assert_eq!(row.hops[0].http, 11);
}

#[test]
fn a_lost_server_half_leaves_the_call_to_the_peer() {
    let mut spans = ping();
    spans.remove(4);
    spans[3].named().peer = Some("echo.local".into());
    let row = &rows(spans)[0];
    assert_eq!(names(row), [(0, "driver→gateway"), (1, "gateway→echo.local")]);
    assert!(row.hops[1].unjoined && row.latency_ns == 1_000);
    assert_eq!(row.hops[1].stages.get(Stage::Remote).ns, 600);
}

/// A span of a call to a database, as an instrumentation of any SDK makes it.
fn query(id: u64, parent: u64, service: &str, interval: (u64, u64)) -> Span {
    let mut span = span(Client, id, parent, service, interval);
    span.named().database = Some("postgresql".into());
    span
}

#[test]
fn a_call_to_a_database_needs_no_server_span() {
    let mut spans = ping();
    spans.push(query(5, 4, "echo", (1_400, 1_650)));
    let closing = close(spans);
    let row = &closing.rows[0];
    assert_eq!(names(row)[2], (2, "echo→postgresql"));
    assert!(row.hops.iter().all(|hop| !hop.unjoined));
    let round_trip = row.hops[2].stages.get(Stage::QueryRoundTrip);
    assert_eq!((round_trip.ns, round_trip.kind), (250, Kind::Inferred));
    assert_eq!(row.hops[1].stages.get(Stage::Handler).ns, 400 - 250);
    assert_eq!((row.latency_ns, closing.tally.joined, closing.tally.unplaced), (1_000, 5, 0));
}

#[test]
fn a_database_call_round_another_of_the_same_process_is_one_call() {
    // An object mapper's span round its driver's.
    let mut outer = query(5, 4, "echo", (1_400, 1_650));
    outer.named().peer = Some("postgres".into());
    let closing = close(ping().into_iter().chain([outer, query(6, 5, "echo", (1_410, 1_640))]));
    assert_eq!(names(&closing.rows[0])[2..], [(2, "echo→postgres")]);
    assert_eq!(closing.tally.unplaced, 1);
}

#[test]
fn without_its_root_client_the_topmost_server_is_taken_for_the_edge() {
    let row = &rows(ping().split_off(1))[0];
    assert_eq!(names(row), [(0, "?→gateway"), (1, "gateway→echo")]);
    assert!(row.edge_assumed && !row.hops[0].unjoined && row.latency_ns == 800);
}

#[test]
fn a_client_without_its_parent_is_a_fragment_and_no_request() {
    let mut spans = ping();
    spans.remove(2);
    let closing = close(spans);
    let [row] = &closing.rows[..] else { panic!("{closing:?}") };
    assert_eq!(names(row), [(0, "driver→gateway")]);
    assert_eq!((closing.tally.joined, closing.tally.fragments), (2, 2));
}

#[test]
fn a_client_inside_a_client_of_one_process_is_the_same_call() {
    let rows = rows([
        span(Client, 1, 0, "app", (0, 100)),
        span(Client, 2, 1, "app", (10, 90)),
        span(Server, 3, 2, "db", (20, 80)),
    ]);
    assert_eq!(names(&rows[0]), [(0, "app→db")]);
    assert_eq!((rows.len(), rows[0].latency_ns), (1, 100));
}

#[test]
fn a_server_that_sent_no_span_still_has_its_calls_below_it() {
    let row = &rows([
        span(Client, 1, 0, "app", (0, 100)),
        span(Client, 2, 1, "proxy", (10, 90)),
        span(Server, 3, 2, "db", (20, 80)),
    ])[0];
    assert_eq!(names(row), [(0, "app→?"), (1, "proxy→db")]);
    assert_eq!(row.latency_ns, 100);
}

#[test]
fn of_a_retried_call_the_answer_without_an_error_counts() {
    let mut spans = ping();
    spans.push(Span { error: true, ..span(Server, 5, 3, "echo", (1_210, 1_250)) });
    let closing = close(spans);
    assert_eq!(closing.rows[0].hops[1].stages.get(Stage::Handler).ns, 400);
    assert_eq!((closing.tally.joined, closing.tally.unplaced), (4, 1));
}

#[test]
fn both_sides_may_share_one_span_id() {
    let row = &rows([
        span(Client, 1, 0, "a", (0, 100)),
        span(Server, 1, 1, "b", (10, 90)),
        span(Client, 2, 1, "b", (20, 80)),
    ])[0];
    assert_eq!(names(row), [(0, "a→b"), (1, "b→?")]);
}

#[test]
fn cycles_are_survived_and_counted() {
    let mut spans = vec![
        span(Client, 1, 2, "a", (0, 9)),
        span(Server, 2, 1, "b", (0, 9)),
        span(Internal, 3, 4, "c", (0, 9)),
        span(Internal, 4, 3, "c", (0, 9)),
        span(Client, 5, 3, "d", (0, 9)),
        span(Client, 6, 6, "e", (0, 9)),
        span(Client, 7, 8, "f", (0, 9)),
        span(Client, 8, 7, "f", (0, 9)),
    ];
    spans.push(span(Client, 10, 0, "root", (0, 9)));
    let closing = close(spans);
    let halves = closing.rows.iter().map(|row| row.hops.len()).sum::<usize>() as u64;
    assert!(closing.rows.iter().any(|row| &*row.hops[0].hop == "root→?"));
    assert_eq!(closing.tally.joined + closing.tally.unplaced, 7);
    assert_eq!(closing.tally.joined, halves);
}

#[test]
fn chains_of_any_depth_are_cut_and_counted() {
    let chain = (1..=1_024_u64).map(|id| {
        let kind = if id % 2 == 1 { Client } else { Server };
        span(kind, id, id - 1, "s", (id, 5_000 - id))
    });
    let closing = close(chain);
    assert_eq!(closing.rows[0].hops.len(), 101);
    assert_eq!(closing.rows[0].latency_ns, 4_998);
    assert!(closing.rows[0].cut > 0 && !closing.rows[0].whole, "and it says so");
    assert_eq!((closing.tally.joined, closing.tally.unplaced), (202, 822));
    let internals = (1..1_024).map(|id| span(Internal, id, id - 1, "s", (1, 2)));
    let closing = close(internals.chain([span(Client, 1_024, 1_023, "s", (1, 2))]));
    // The first of them begins the request, inside a process.
    assert_eq!((closing.rows.len(), closing.tally.links), (1, 1_022));
    assert_eq!(names(&closing.rows[0]), [(0, "?→s"), (1, "s→?")]);
}
