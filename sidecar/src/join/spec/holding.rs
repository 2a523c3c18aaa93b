//! How long traces are held, what is counted, and what is thrown away.

use super::*;

#[test]
fn duplicates_are_counted_and_change_nothing() {
    let mut joiner = Joiner::new(LIMITS);
    ping().into_iter().chain(ping()).for_each(|span| joiner.insert(span, 1));
    assert_eq!(joiner.counts().duplicates, 5);
    assert_eq!(close_trace(joiner.flush(9).pop().unwrap()).rows, rows(ping()));
}

#[test]
fn a_trace_holds_no_more_spans_than_its_bound() {
    let mut joiner = Joiner::new(LIMITS);
    (1..=2_000).for_each(|id| joiner.insert(span(Client, id, 0, "s", (1, 2)), 1));
    assert_eq!(joiner.counts().over_limit, 2_000 - 1_024);
}

#[test]
fn a_trace_with_something_missing_is_held_for_the_window() {
    let mut joiner = Joiner::new(LIMITS);
    ping().into_iter().take(4).for_each(|span| joiner.insert(span, SECOND));
    assert!(joiner.due(6 * SECOND - 1, 9).is_empty());
    assert_eq!(joiner.due(6 * SECOND, 9).len(), 1);
    let late = ping().remove(4);
    joiner.insert(late, 6 * SECOND + 1);
    assert_eq!((joiner.counts().late, joiner.open()), (1, 0));
}

#[test]
fn a_complete_trace_is_closed_when_it_has_been_quiet() {
    let mut joiner = Joiner::new(LIMITS);
    let (last, rest) = ping().split_last().map(|(l, r)| (l.clone(), r.to_vec())).unwrap();
    rest.into_iter().for_each(|span| joiner.insert(span, 0));
    joiner.insert(last, SECOND / 2);
    assert!(joiner.due(SECOND, 9).is_empty());
    assert_eq!(joiner.due(2 * SECOND, 9).len(), 1);
    assert_eq!(joiner.open(), 0);
}

#[test]
fn a_trace_is_complete_without_the_server_of_a_database_call() {
    let mut joiner = Joiner::new(LIMITS);
    ping().into_iter().for_each(|span| joiner.insert(span, 0));
    joiner.insert(query(5, 4, "echo", (1_400, 1_650)), 0);
    assert_eq!(joiner.due(SECOND, 9).len(), 1);
    // Of any other call the server span is waited for.
    let mut joiner = Joiner::new(LIMITS);
    ping().into_iter().for_each(|span| joiner.insert(span, 0));
    joiner.insert(span(Client, 5, 4, "echo", (1_400, 1_650)), 0);
    assert_eq!(joiner.due(SECOND, 9).len(), 0);
}

#[test]
fn past_the_bound_the_oldest_trace_is_closed_early() {
    let mut joiner = Joiner::new(Limits { max_traces: 8, ..LIMITS });
    for trace in 1..=10 {
        joiner.insert(Span { trace, ..span(Client, 1, 0, "s", (1, 2)) }, trace as u64);
    }
    assert_eq!((joiner.counts().evicted, joiner.counts().dropped_traces), (2, 0));
    let mut early: Vec<_> = joiner.due(10, 9).iter().map(|trace| trace.spans()[0].trace).collect();
    early.sort_unstable();
    assert_eq!(early, [1, 2]);
    for trace in 11..=15 {
        joiner.insert(Span { trace, ..span(Client, 1, 0, "s", (1, 2)) }, trace as u64);
    }
    // Nobody took those evicted: past an eighth of the bound they are thrown away.
    let counts = joiner.counts();
    assert_eq!((counts.evicted, counts.dropped_traces, counts.dropped_spans), (7, 3, 3));
    assert_eq!(joiner.flush(99).len(), 10);
}

#[test]
fn an_id_used_again_is_not_closed_by_the_deadline_of_its_past() {
    let mut joiner = Joiner::new(Limits { max_traces: 1, ..LIMITS });
    let insert = |joiner: &mut Joiner, trace, now| {
        joiner.insert(Span { trace, ..span(Client, 1, 0, "s", (1, 2)) }, now);
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
