//! Relays on the way of a call: beside the server below one caller, nested by their times, and waited for.

use super::*;

#[test]
fn a_relay_and_the_server_share_a_parent_and_both_are_kept() {
    let passed = relay((20, 3), "", [1_220, 1_230, 1_780, 1_790]);
    for at in 0..=5 {
        let mut spans = ping();
        spans.insert(at, passed.clone());
        let closing = close(spans);
        let row = &closing.rows[0];
        assert_eq!(names(row), [(0, "driver→gateway"), (1, "gateway→echo")]);
        assert_eq!(row.latency_ns, 1_000);
        let hop = &row.hops[1];
        assert_eq!(hop.stages.get(Stage::Handler).ns, 400);
        assert_eq!(hop.stages.get(Stage::RequestRelay).ns, 10);
        assert_eq!(hop.stages.get(Stage::ReplyRelay).ns, 10);
        assert_eq!(
            hop.stages.get(Stage::BetweenSpans).ns,
            600 - 570,
            "from the caller to the relay"
        );
        let bodies = (hop.request.map(|it| it.body), hop.reply.map(|it| it.body));
        assert_eq!(
            (bodies, hop.http),
            ((Some(14), Some(68)), 11),
            "counted, though no end was tapped"
        );
        assert!(hop.others.is_empty() && !hop.unjoined);
        let tally = &closing.tally;
        assert_eq!((tally.joined, tally.links, tally.unplaced, tally.fragments), (5, 1, 0, 0));
    }
}

#[test]
fn several_relays_nest_in_whatever_order_they_come() {
    let outer = relay((20, 3), "here", [1_220, 1_230, 1_780, 1_790]);
    let inner = relay((21, 3), "here", [1_240, 1_245, 1_760, 1_765]);
    // Of an attempt before: it does not lie in the others.
    let before = relay((22, 3), "here", [1_205, 1_206, 1_210, 1_211]);
    let broken = Span { error: true, ..relay((23, 3), "here", [1_201, 1_202, 1_798, 1_799]) };
    let all = [outer, inner, before, broken];
    for turn in 0..4 {
        let mut all = all.to_vec();
        all.rotate_left(turn);
        let closing = close(ping().into_iter().chain(all));
        let stages = &closing.rows[0].hops[1].stages;
        assert_eq!(stages.get(Stage::RequestRelay).ns, 10 + 5, "{turn}");
        assert_eq!(stages.get(Stage::ReplyRelay).ns, 10 + 5);
        assert_eq!(stages.get(Stage::RequestWire).ns, 10, "between the two");
        assert_eq!(closing.rows[0].latency_ns, 1_000);
        assert_eq!((closing.tally.joined, closing.tally.links), (4 + 2, 1 + 2));
    }
}

#[test]
fn a_request_whose_caller_tells_nothing_begins_at_the_relay() {
    let server =
        |id| Span { edge: edge(0xa, "x"), ..span(Server, id, 0xa, "shop", (1_300, 1_700)) };
    let passed = || relay((20, 0xa), "", [1_220, 1_230, 1_780, 1_790]);
    let closing = close([server(2), passed()]);
    let [row] = &closing.rows[..] else { panic!("{closing:?}") };
    assert_eq!((row.latency_ns, row.root_id, &*row.cell), (570, 0xa, "x"));
    assert_eq!((closing.tally.joined, closing.tally.fragments), (2, 0));
    let alone = close([passed()]);
    assert_eq!(
        (alone.rows.len(), alone.tally.fragments),
        (0, 1),
        "of what nobody asked for nobody knows"
    );
}

#[test]
fn of_a_server_that_sends_nothing_a_relay_knows_how_long_it_took() {
    let spans = ping().into_iter().filter(|span| span.id != 4);
    let row = rows(spans.chain([relay((20, 3), "", [1_220, 1_230, 1_780, 1_790])])).pop().unwrap();
    let remote = row.hops[1].stages.get(Stage::Remote);
    assert_eq!((remote.ns, remote.kind), (550, Kind::Measured));
}

#[test]
fn a_relay_is_on_one_hop_though_servers_share_a_caller() {
    // One knows the edge by its own `tracestate`, the other is taken for one: two requests.
    let known = Span { edge: edge(0xa, "x"), ..span(Server, 2, 0xb, "shop", (1_300, 1_700)) };
    let assumed = span(Server, 3, 0xb, "other", (1_310, 1_690));
    let closing = close([known, assumed, relay((20, 0xb), "", [1_220, 1_230, 1_780, 1_790])]);
    let tally = &closing.tally;
    assert_eq!(closing.rows.len(), 2);
    assert_eq!(tally.joined + tally.links + tally.unplaced + tally.fragments, 3);
    assert_eq!(tally.joined, 3);
}

/// A ping of trace `trace`, whose echo is reached by a relay and begins at `start`.
fn relayed(trace: u128, start: u64) -> Vec<Span> {
    let mut spans = ping();
    spans[4].start = start;
    spans.push(relay((20, 3), "", [1_220, 1_230, 1_780, 1_790]));
    spans.into_iter().map(|span| Span { trace, ..span }).collect()
}

#[test]
fn a_foreign_span_is_placed_only_where_nearly_all_of_its_kind_lie_within_what_the_relay_saw() {
    for (others, start, placed) in [(0, 1_300, true), (150, 1_300, true), (50, 1_300, false)] {
        let mut joiner = Joiner::new(Limits { max_traces: 1_000, ..LIMITS });
        let all = (1..=others).map(|trace| relayed(trace, start));
        all.flatten().for_each(|span| joiner.offer(span, 1));
        if others > 0 {
            // One ends when the relay had long passed the reply on: by another clock.
            let mut wrong = relayed(500, 1_300);
            (wrong[4].start, wrong[4].end) = (1_300 + 2_000_000, 1_700 + 2_000_000);
            wrong.into_iter().for_each(|span| joiner.offer(span, 1));
        }
        relayed(900, start).into_iter().for_each(|span| joiner.offer(span, 1));
        let traces = joiner.flush(1, 1_000);
        let closings = closed(&joiner, traces);
        let closing = closings.iter().find(|closing| closing.trace == 900).unwrap();
        let stages = &closing.rows[0].hops[1].stages;
        let told = [Stage::BeforeServerSpan, Stage::AfterServerSpan, Stage::AroundServerSpan];
        let expected = if placed { [70, 80, 0] } else { [0, 0, 150] };
        assert_eq!(told.map(|stage| stages.get(stage).ns), expected, "of {others}");
        assert_eq!(closing.rows[0].latency_ns, 1_000);
    }
}

#[test]
fn a_relay_that_has_told_of_a_service_is_waited_for_and_not_for_ever() {
    let mut joiner = Joiner::new(LIMITS);
    relayed(1, 1_300).into_iter().for_each(|span| joiner.offer(span, 1));
    let traces = joiner.flush(1, 9);
    closed(&joiner, traces);
    let without = |trace| relayed(trace, 1_300).into_iter().filter(|span| span.kind != Wire);
    without(2).for_each(|span| joiner.offer(span, 1));
    let grace = 1 + LIMITS.grace_ns;
    assert!(joiner.due(grace, 9).is_empty(), "its span may be on its way");
    let waited = joiner.due(1 + LIMITS.window_ns, 9);
    assert_eq!(closed(&joiner, waited).len(), 1);
    // It did not come: it may be gone, and nobody waits for the next one.
    let now = 2 + LIMITS.window_ns;
    without(3).for_each(|span| joiner.offer(span, now));
    assert_eq!(joiner.due(now + LIMITS.grace_ns, 9).len(), 1);
}
