//! How long traces are held, what is counted, and what is thrown away.

use super::*;

/// Closes everything that is open.
fn flushed(joiner: &mut Joiner) -> Vec<Closed> {
    let traces = joiner.flush(1, 99);
    closed(joiner, traces)
}

#[test]
fn duplicates_are_counted_and_change_nothing() {
    let mut joiner = Joiner::new(LIMITS);
    ping().into_iter().chain(ping()).for_each(|span| joiner.offer(span, 1));
    assert_eq!(joiner.counts().duplicates, 5);
    assert_eq!(flushed(&mut joiner).pop().unwrap().rows, rows(ping()));
}

#[test]
fn a_trace_holds_no_more_spans_than_its_bound() {
    let mut joiner = Joiner::new(LIMITS);
    (1..=2_000).for_each(|id| joiner.offer(span(Client, id, 0, "s", (1, 2)), 1));
    assert_eq!(joiner.counts().over_limit, 2_000 - 1_024);
}

#[test]
fn a_trace_with_something_missing_is_held_for_the_window() {
    let mut joiner = Joiner::new(LIMITS);
    ping().into_iter().take(4).for_each(|span| joiner.offer(span, SECOND));
    assert!(joiner.due(6 * SECOND - 1, 9).is_empty());
    assert_eq!(joiner.due(6 * SECOND, 9).len(), 1);
    assert_eq!(joiner.open(), 0);
}

#[test]
fn a_service_that_is_known_to_be_asked_from_outside_is_not_waited_for_a_caller_of() {
    let mut joiner = Joiner::new(LIMITS);
    joiner.known().write().learn_edge("gateway");
    // A caller by hand names a parent, and sends no span.
    joiner.offer(span(Server, 1, 99, "gateway", (1, 5)), SECOND);
    joiner.offer(span(Server, 2, 99, "shop", (1, 5)), SECOND);
    assert!(joiner.due(2 * SECOND - 1, 9).is_empty());
    assert_eq!(
        joiner.due(2 * SECOND, 9).len(),
        0,
        "both are of one trace, and the other is missed"
    );
    let mut joiner = Joiner::new(LIMITS);
    joiner.known().write().learn_edge("gateway");
    joiner.offer(span(Server, 1, 99, "gateway", (1, 5)), SECOND);
    let due = joiner.due(2 * SECOND, 9);
    let [row] = &closed(&joiner, due)[0].rows[..] else { panic!("one request") };
    assert!(row.whole && row.edge_assumed && row.unasked, "{row:?}");
}

#[test]
fn a_complete_trace_is_closed_when_it_has_been_quiet() {
    let mut joiner = Joiner::new(LIMITS);
    let (last, rest) = ping().split_last().map(|(l, r)| (l.clone(), r.to_vec())).unwrap();
    rest.into_iter().for_each(|span| joiner.offer(span, 0));
    joiner.offer(last, SECOND / 2);
    assert!(joiner.due(SECOND, 9).is_empty());
    assert_eq!(joiner.due(2 * SECOND, 9).len(), 1);
    assert_eq!(joiner.open(), 0);
}

#[test]
fn a_trace_is_complete_without_the_server_of_a_database_call() {
    let mut joiner = Joiner::new(LIMITS);
    ping().into_iter().for_each(|span| joiner.offer(span, 0));
    joiner.offer(query(5, 4, "echo", (1_400, 1_650)), 0);
    assert_eq!(joiner.due(SECOND, 9).len(), 1);
    // Of any other call the server span is waited for.
    let mut joiner = Joiner::new(LIMITS);
    ping().into_iter().for_each(|span| joiner.offer(span, 0));
    joiner.offer(span(Client, 5, 4, "echo", (1_400, 1_650)), 0);
    assert_eq!(joiner.due(SECOND, 9).len(), 0);
}

#[test]
fn past_the_bound_the_oldest_trace_is_closed_early() {
    let mut joiner = Joiner::new(Limits { max_traces: 8, ..LIMITS });
    for trace in 1..=10 {
        joiner.offer(Span { trace, ..span(Client, 1, 0, "s", (1, 2)) }, trace as u64);
    }
    assert_eq!((joiner.counts().evicted, joiner.counts().dropped_traces), (2, 0));
    let mut early: Vec<_> = joiner.due(10, 9).iter().map(|trace| trace.spans()[0].trace).collect();
    early.sort_unstable();
    assert_eq!(early, [1, 2]);
    for trace in 11..=15 {
        joiner.offer(Span { trace, ..span(Client, 1, 0, "s", (1, 2)) }, trace as u64);
    }
    // Nobody took those evicted: past an eighth of the bound they are thrown away.
    let counts = joiner.counts();
    assert_eq!((counts.evicted, counts.dropped_traces, counts.dropped_spans), (7, 3, 3));
    assert_eq!(joiner.flush(10, 99).len(), 10);
}

#[test]
fn a_run_is_closed_without_those_beside_it() {
    let runs = crate::runs::Runs::default();
    let open = || {
        let (_, nonce) = runs.open().unwrap();
        runs.find(&nonce).unwrap().0
    };
    let (first, second) = (open(), open());
    let mut joiner = Joiner::new(Limits { max_traces: 20_000, ..LIMITS });
    for trace in 1..=9_000 {
        let run = [Run::NONE, first, second][trace as usize % 3];
        let inner = Span { trace, ..span(Server, 2, 1, "s", (1, 2)) };
        // Which run a trace is of may be told by any of its spans.
        joiner.offer(inner, 0);
        joiner.offer(Span { trace, run, ..span(Client, 1, 0, "c", (0, 3)) }, 0);
    }
    let mut flush = |run| {
        let mut ids = Vec::new();
        loop {
            let traces = joiner.flush_run(run, 1, 256);
            match traces.is_empty() {
                true => return ids,
                false => ids.extend(traces.iter().map(|trace| trace.spans()[0].trace % 3)),
            }
        }
    };
    assert_eq!(flush(first), vec![1; 3_000]);
    assert_eq!(flush(first), vec![]);
    assert_eq!(flush(Run::NONE), vec![0; 3_000]);
    assert_eq!(joiner.open(), 3_000);
    assert_eq!(joiner.flush(1, 9_999).len(), 3_000);
}

#[test]
fn an_id_used_again_is_not_closed_by_the_deadline_of_its_past() {
    let mut joiner = Joiner::new(Limits { max_traces: 1, ..LIMITS });
    let insert = |joiner: &mut Joiner, trace, now| {
        joiner.offer(Span { trace, ..span(Client, 1, 0, "s", (1, 2)) }, now);
    };
    insert(&mut joiner, 1, 0);
    insert(&mut joiner, 2, 1);
    insert(&mut joiner, 3, 2);
    insert(&mut joiner, 1, 3);
    joiner.due(4, 99);
    assert_eq!(joiner.open(), 1);
    assert!(joiner.due(5 * SECOND + 2, 9).is_empty());
    assert_eq!(joiner.due(5 * SECOND + 3, 9).len(), 1);
}

/// The spans of one request of 12 s, with the second in which each is exported: two inner calls of 6 s each, by
/// processes that send what has ended every second.
fn slow(trace: u128) -> Vec<(u64, Span)> {
    let of = |kind, id, parent, service, from: u64, to: u64| {
        let span = span(kind, id, parent, service, (1 + from * SECOND, 1 + to * SECOND));
        (to + 1, Span { trace, ..span })
    };
    vec![
        of(Client, 3, 2, "gateway", 0, 6),
        of(Server, 4, 3, "echo", 0, 6),
        of(Client, 5, 2, "gateway", 6, 12),
        of(Server, 6, 5, "echo", 6, 12),
        of(Server, 2, 0, "gateway", 0, 12),
    ]
}

#[test]
fn a_slow_request_is_not_replaced_by_its_fast_parts() {
    let mut joiner = Joiner::new(LIMITS);
    let spans: Vec<_> = (1..=3).flat_map(slow).collect();
    let mut rows = Vec::new();
    let mut fragments = 0_i64;
    for tick in 0..40 * 20 {
        let now = tick * SECOND / 20;
        for (_, span) in spans.iter().filter(|(at, _)| at * SECOND == now) {
            joiner.offer(span.clone(), now);
        }
        let due = joiner.due(now, 99);
        for closing in closed(&joiner, due) {
            fragments += closing.tally.fragments as i64 - closing.earlier.fragments as i64;
            rows.extend(closing.rows);
        }
    }
    let latencies: Vec<_> = rows.iter().map(|row| row.latency_ns / SECOND as i64).collect();
    assert_eq!((latencies, fragments), (vec![12, 12, 12], 0));
    assert!(rows.iter().all(|row| row.whole && row.hops.len() == 3), "{rows:?}");
    assert_eq!(joiner.counts().late, 0);
}

#[test]
fn a_span_that_comes_late_opens_its_trace_again() {
    let mut joiner = Joiner::new(LIMITS);
    // The run knows that the echo service answers.
    ping().into_iter().for_each(|span| joiner.offer(Span { trace: 1, ..span }, 0));
    let due = joiner.due(SECOND, 9);
    closed(&joiner, due);
    let (late, early) = ping().split_last().map(|(l, e)| (l.clone(), e.to_vec())).unwrap();
    early.into_iter().for_each(|span| joiner.offer(span, SECOND));
    let due = joiner.due(9 * SECOND, 9);
    let first = closed(&joiner, due).pop().unwrap();
    assert!(first.rows[0].provisional && !first.rows[0].whole && !first.again);
    joiner.offer(late, 9 * SECOND);
    let due = joiner.due(10 * SECOND, 9);
    let again = closed(&joiner, due).pop().unwrap();
    let row = &again.rows[0];
    assert!(again.again && row.amends && row.whole && !row.provisional, "{row:?}");
    assert_eq!((row.late, row.hops[1].unjoined), (1, false));
    assert_eq!((first.tally.joined, again.earlier.joined, again.tally.joined), (3, 3, 4));
    assert_eq!((joiner.counts().late, joiner.counts().late_joined), (0, 1));
    assert_eq!(joiner.take_late().iter().map(|late| late.spans).sum::<u32>(), 1);
}

#[test]
fn a_span_that_comes_after_a_whole_trace_is_counted() {
    let mut joiner = Joiner::new(LIMITS);
    ping().into_iter().for_each(|span| joiner.offer(span, 0));
    assert_eq!(joiner.due(SECOND, 9).len(), 1);
    joiner.offer(span(Internal, 99, 4, "echo", (1_300, 1_301)), 2 * SECOND);
    assert_eq!((joiner.counts().late, joiner.open()), (1, 0));
    let late = joiner.take_late();
    assert_eq!((late.len(), late[0].trace, late[0].spans), (1, 7, 1));
}

#[test]
fn what_never_comes_is_waited_for_only_until_that_is_known() {
    let mut joiner = Joiner::new(LIMITS);
    // A stock service, asked by somebody who sends no spans, calls somebody who sends none either.
    let request = |trace| {
        let served = span(Server, 2, 0xbeef, "shop", (0, 90));
        let mut call = span(Client, 3, 2, "shop", (10, 20));
        call.named().peer = Some("mail".into());
        [served, call].map(|span| Span { trace, ..span })
    };
    request(1).into_iter().for_each(|span| joiner.offer(span, 0));
    assert!(joiner.due(4 * SECOND, 9).is_empty());
    let due = joiner.due(5 * SECOND, 9);
    let first = closed(&joiner, due).pop().unwrap();
    assert!(first.rows[0].whole && first.rows[0].edge_assumed);
    request(2).into_iter().for_each(|span| joiner.offer(span, 6 * SECOND));
    assert_eq!(joiner.due(7 * SECOND, 9).len(), 1);
}

#[test]
fn of_too_many_spans_the_root_and_the_longest_are_kept_whichever_came_first() {
    let calls = (3..3_000).map(|id| span(Client, id, 2, "shop", (10, 10 + id)));
    let root = span(Server, 2, 0, "shop", (0, 9_000));
    let first = close(std::iter::once(root.clone()).chain(calls.clone()));
    let last = close(calls.rev().chain([root]));
    let cut: Vec<_> = [&first, &last].map(|closing| closing.rows[0].cut).into();
    assert_eq!(cut, [2_998 - 1_024; 2]);
    assert_eq!(first, last);
    let row = &first.rows[0];
    assert_eq!((row.latency_ns, row.hops.len(), row.whole), (9_000, 1_024, false));
}

#[test]
fn two_spans_of_one_id_are_counted_and_one_is_kept_whichever_came_first() {
    let keep = |one: Span, other: Span| {
        let mut joiner = Joiner::new(LIMITS);
        ping().into_iter().take(4).chain([one, other]).for_each(|span| joiner.offer(span, 1));
        assert_eq!((joiner.counts().duplicates, joiner.counts().unequal), (0, 1));
        flushed(&mut joiner)
    };
    let (a, b) = (ping().remove(4), span(Server, 4, 3, "echo", (1_300, 1_600)));
    let kept = keep(a.clone(), b.clone());
    assert_eq!(kept, keep(b, a));
    assert_eq!(kept[0].rows, rows(ping()));
}

#[test]
fn a_flush_of_a_run_takes_its_own_traces_whatever_became_of_them_and_of_others() {
    let runs = crate::runs::Runs::default();
    let [one, other] = [(); 2].map(|()| runs.open().unwrap().0);
    let of = |trace: u128, run: Run| Span { trace, run, ..span(Client, 1, 0, "s", (1, 2)) };
    let inner = |trace: u128| Span { id: 2, parent: 1, ..of(trace, one) };
    let ids = |traces: Vec<Due>| traces.iter().map(|trace| trace.id).collect::<Vec<_>>();
    let mut joiner = Joiner::new(LIMITS);
    // One that lacks its root is closed, and waits to be opened again.
    joiner.offer(inner(10), 0);
    assert_eq!(ids(joiner.due(5 * SECOND, 9)), [10]);
    for (trace, run) in [(1, Run::NONE), (2, Run::NONE), (3, Run::NONE), (4, other)] {
        joiner.offer(of(trace, run), 5 * SECOND);
    }
    // That it is of a run is told by a later span; and one is opened again.
    joiner.offer(inner(2), 5 * SECOND);
    joiner.offer(of(10, one), 5 * SECOND);
    // Closed before its time: handed out whoever asks first.
    assert_eq!(joiner.evict_oldest(), 1);
    assert_eq!(ids(joiner.flush_run(other, 5 * SECOND, 9)), [1, 4]);
    joiner.offer(of(5, one), 5 * SECOND);
    assert_eq!(ids(joiner.flush_run(one, 5 * SECOND, 2)), [2, 10]);
    assert_eq!(ids(joiner.flush_run(one, 5 * SECOND, 9)), [5]);
    assert_eq!(ids(joiner.flush_run(Run::NONE, 5 * SECOND, 9)), [3]);
    assert_eq!(joiner.open(), 0);
}
