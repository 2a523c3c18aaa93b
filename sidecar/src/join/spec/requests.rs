//! Which requests the spans of a trace are: one for each edge, and none for what has lost its root.

use super::*;
use crate::runfile::RequestKind;
use crate::span::Operation;

#[test]
fn the_edge_is_known_by_tracestate_whether_or_not_the_generator_tells() {
    // A generator that sends no span of its own: 0xa is in nobody's spans.
    let mut spans = ping().split_off(1);
    spans[0].parent = 0xa;
    spans[0].edge = edge(0xa, "cell");
    spans[1..].iter_mut().for_each(|span| span.inner = true);
    let alone = close(spans.clone());
    let row = &alone.rows[0];
    assert_eq!((row.root_id, &*row.cell, row.round), (0xa, "cell", 3));
    assert!(row.whole && !row.edge_assumed && !row.hops[0].unjoined);
    // One that does: the same request, from further out.
    spans.push(span(Client, 0xa, 0, "load", (900, 2_000)));
    let told = close(spans);
    assert_eq!(told.rows.len(), 1);
    assert_eq!((told.rows[0].root_id, told.rows[0].latency_ns), (0xa, 1_100));
    assert_eq!(&*told.rows[0].hops[0].hop, "load→gateway");
}

#[test]
fn several_edges_in_a_trace_are_several_requests() {
    let one = |id: u64, of: u64, cell| Span {
        edge: edge(of, cell),
        ..span(Server, id, of, "shop", (id, 90))
    };
    let closing = close([one(2, 0xa, "x"), one(3, 0xb, "y"), span(Client, 4, 3, "shop", (10, 20))]);
    let found: Vec<_> =
        closing.rows.iter().map(|row| (row.root_id, &*row.cell, row.hops.len())).collect();
    assert_eq!(found, [(0xa, "x", 1), (0xb, "y", 2)]);
}

#[test]
fn two_answers_to_one_edge_are_one_request() {
    let one = |id: u64, error| Span {
        error,
        edge: edge(0xa, "x"),
        ..span(Server, id, 0xa, "shop", (id, 90))
    };
    let closing = close([one(2, true), one(3, false)]);
    let [row] = &closing.rows[..] else { panic!("{closing:?}") };
    assert_eq!((row.error, row.latency_ns, row.hops[0].others.len()), (false, 87, 1));
    assert_eq!((closing.tally.joined, closing.tally.unplaced), (1, 1));
}

#[test]
fn what_tracestate_says_is_inside_is_no_edge() {
    let inside = Span { inner: true, ..span(Server, 2, 0xbeef, "shop", (0, 90)) };
    let closing = close([inside]);
    assert_eq!((closing.rows.len(), closing.tally.fragments), (0, 1));
}

#[test]
fn a_service_that_has_answered_a_call_is_no_edge_when_its_caller_is_lost() {
    let mut joiner = Joiner::new(LIMITS);
    ping().into_iter().for_each(|span| joiner.offer(span, 1));
    // In the same chunk: what one trace teaches is known to all of it.
    let orphan = span(Server, 4, 3, "echo", (1_300, 1_700));
    joiner.offer(Span { trace: 8, ..orphan }, 1);
    let traces = joiner.flush(1, 9);
    let closings = closed(&joiner, traces);
    let found: Vec<_> = closings.iter().map(|c| (c.rows.len(), c.tally.fragments)).collect();
    assert_eq!(found, [(1, 0), (0, 1)]);
}

#[test]
fn a_request_that_lacks_the_answer_of_a_peer_that_answers_is_not_whole() {
    let mut joiner = Joiner::new(LIMITS);
    for (trace, spans) in [(1, ping()), (2, ping().into_iter().take(4).collect())] {
        spans.into_iter().for_each(|span| joiner.offer(Span { trace, ..span }, 1));
    }
    let mut call = span(Client, 20, 2, "gateway", (1_210, 1_220));
    call.named().peer = Some("mail".into());
    ping().into_iter().chain([call]).for_each(|span| joiner.offer(Span { trace: 3, ..span }, 1));
    let traces = joiner.flush(1, 9);
    let whole: Vec<_> = closed(&joiner, traces).iter().map(|c| c.rows[0].whole).collect();
    assert_eq!(whole, [true, false, true], "nobody ever told of the mail");
}

#[test]
fn the_work_of_a_message_is_a_request_of_its_own_kind() {
    let mut spans = ping();
    spans[0].planned.as_mut().unwrap().stopwatch = None;
    spans.push(span(Producer, 10, 4, "echo", (1_400, 1_410)));
    let consumer = span(Consumer, 11, 10, "mailer", (1_405, 9_000));
    spans.push(consumer.clone());
    spans.push(query(12, 11, "mailer", (1_500, 2_500)));
    let closing = close(spans);
    let [request, message] = &closing.rows[..] else { panic!("{closing:?}") };
    assert_eq!((request.kind, request.latency_ns), (RequestKind::Request, 1_000));
    assert_eq!((message.kind, message.latency_ns), (RequestKind::Message, 7_595));
    assert_eq!(&*message.cell, "", "in no cell");
    assert!(!message.counts());
    assert_eq!(message.linked, "00000000000000000000000000000007/000000000000000a");
    assert_eq!(names(message), [(0, "?→mailer"), (1, "mailer→postgresql")]);
    // In a trace of its own it is linked to the other.
    let link = Some(Box::new((0xabc, 0xd)));
    let row = &close([Span { parent: 0, link, ..consumer }]).rows[0];
    assert_eq!(row.linked, "00000000000000000000000000000abc/000000000000000d");
}

#[test]
fn a_request_may_begin_inside_a_process() {
    let row = &rows([
        span(Internal, 1, 0, "cron", (0, 100)),
        span(Client, 2, 1, "cron", (10, 40)),
        span(Server, 3, 2, "shop", (500, 520)),
    ])[0];
    assert_eq!(names(row), [(0, "?→cron"), (1, "cron→shop")]);
    assert_eq!((row.latency_ns, row.hops[0].stages.get(Stage::Handler).ns), (100, 70));
    // What calls nobody is no request.
    let closing =
        close([span(Internal, 1, 0, "cron", (0, 9)), span(Internal, 2, 1, "cron", (0, 9))]);
    assert_eq!((closing.rows.len(), closing.tally.links), (0, 2));
}

#[test]
fn a_request_is_called_after_its_route_else_after_its_first_span() {
    let named = |name: &str, is_route| Some(Operation { name: name.into(), is_route });
    let mut spans = ping();
    spans[0].named().operation = named("POST", false);
    assert_eq!(&*rows(spans.clone())[0].operation, "POST");
    spans[1].named().operation = named("/checkout", true);
    assert_eq!(&*rows(spans)[0].operation, "/checkout");
}

/// A call of 325 with several SERVER spans below it, each with its length and whether it failed.
fn tried(lengths: &[(u64, bool)]) -> Vec<Span> {
    let mut spans = vec![span(Client, 1, 0, "shop", (0, 325))];
    spans.extend(lengths.iter().zip(2..).map(|(&(length, error), id)| {
        // By a clock of their own.
        Span { error, ..span(Server, id, 1, "stock", (9_000, 9_000 + length)) }
    }));
    spans
}

#[test]
fn of_several_attempts_the_only_one_without_an_error_is_the_answer() {
    let row = &rows(tried(&[(300, true), (2, false)]))[0];
    let stages = &row.hops[0].stages;
    assert_eq!((stages.get(Stage::Handler).ns, stages.get(Stage::BetweenSpans).ns), (2, 323));
    assert_eq!(stages.total_in(ledger::Family::Network), 0, "waiting is not the network");
    let [other] = &row.hops[0].others[..] else { panic!("{row:?}") };
    assert_eq!((other.service.as_str(), other.length_ns, other.error), ("stock", 300, true));
    assert_eq!(row.hops[0].attempts, 2);
}

#[test]
fn of_several_attempts_the_longest_that_fits_is_the_answer_and_without_one_all_is_unseen() {
    let handler =
        |lengths: &[(u64, bool)]| rows(tried(lengths))[0].hops[0].stages.get(Stage::Handler).ns;
    assert_eq!(handler(&[(20, false), (300, false), (400, false)]), 300);
    assert_eq!(handler(&[(20, true), (30, true)]), 30);
    let row = &rows(tried(&[(400, false), (500, false)]))[0];
    assert_eq!(row.hops[0].stages.get(Stage::Remote).ns, 325);
    assert_eq!((&*row.hops[0].hop, row.hops[0].others.len()), ("shop→?", 2));
    assert!(row.whole, "it has answers, though nobody knows which it was");
}

#[test]
fn on_one_clock_the_answer_is_the_last_inside_the_call() {
    let mark = |span: &mut Span, marks: [(Point, u64); 2]| {
        span.source = Arc::new(Source { clock: "boot".into(), ..(*span.source).clone() });
        measure(span, |half| {
            marks.into_iter().for_each(|(point, at)| half.marks.set(point, at));
        });
    };
    let mut spans = tried(&[(300, false), (2, true), (50, false)]);
    mark(&mut spans[0], [(Point::CallStart, 1_000), (Point::CallEnd, 1_325)]);
    mark(&mut spans[1], [(Point::LastRead, 1_010), (Point::LastWrite, 1_100)]);
    mark(&mut spans[2], [(Point::LastRead, 1_200), (Point::LastWrite, 1_300)]);
    mark(&mut spans[3], [(Point::LastRead, 1_310), (Point::LastWrite, 1_340)]);
    let row = &rows(spans)[0];
    assert_eq!(row.hops[0].stages.get(Stage::Handler).ns, 100);
    assert_eq!(row.hops[0].others.len(), 2);
}

#[test]
fn a_call_by_another_process_has_a_length_and_no_place() {
    // The context was passed on to a worker, which sends no SERVER span and has a clock of its own.
    let row = &rows([
        span(Server, 1, 0, "shop", (0, 100)),
        span(Internal, 2, 1, "worker", (7_000, 7_050)),
        span(Client, 3, 2, "worker", (7_000, 7_030)),
    ])[0];
    assert_eq!(names(row), [(0, "?→shop"), (1, "worker→?")]);
    let totals: Vec<_> = row.hops.iter().map(|hop| hop.stages.total()).collect();
    assert_eq!(totals, [70, 30]);
}

#[test]
fn a_server_below_a_server_is_called_after_the_one_above() {
    let row =
        &rows([span(Server, 1, 0, "shop", (0, 100)), span(Server, 2, 1, "stock", (5, 25))])[0];
    assert_eq!(names(row), [(0, "?→shop"), (1, "shop→stock")]);
    assert!(row.hops[1].unjoined && row.latency_ns == 100);
    assert_eq!(row.hops[0].stages.get(Stage::Handler).ns, 80);
}
