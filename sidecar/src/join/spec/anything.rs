//! What holds for any spans, in any order, of any tree, whatever was lost.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::join::links::Links;
use crate::runfile::RequestKind;
use tally::Tally;

/// Spans with arbitrary links among a few ids: cycles, orphans, several roots, repeated ids.
fn any_spans() -> impl Strategy<Value = Vec<Span>> {
    // Beyond the kinds there is a CLIENT span that calls a database.
    let one = (0..7_usize, 1..12_u64, 0..14_u64, 0..3_usize, 1..1_000_u64, 0..1_000_u64);
    let spans = proptest::collection::vec(one, 1..24);
    spans.prop_map(|spans| {
        let service = ["a", "b", "c"];
        let make = |(kind, id, parent, at, start, length): (usize, _, _, usize, _, _)| {
            let interval = (start, start + length);
            match SpanKind::ALL.get(kind) {
                Some(&Wire) => {
                    relay((id, parent), "", [start, start, start + length, start + length])
                }
                Some(&kind) => span(kind, id, parent, service[at], interval),
                None => query(id, parent, service[at], interval),
            }
        };
        let mut seen = HashSet::new();
        spans.into_iter().map(make).filter(|span| seen.insert((span.id, span.kind))).collect()
    })
}

/// Marks, waits and start as far out as decoding lets them be (see `otlp::limits`).
fn extreme_half() -> impl Strategy<Value = (Vec<Option<u64>>, [u64; 4], u64)> {
    const DAY_NS: u64 = 86_400_000_000_000;
    let at = prop_oneof![Just(0), Just(DAY_NS), 0..DAY_NS];
    let marks = proptest::collection::vec(proptest::option::of(at), Point::COUNT);
    let waits = proptest::array::uniform4(prop_oneof![Just(DAY_NS), 0..DAY_NS]);
    let latest = (1_u64 << 61) - 1 - DAY_NS;
    (marks, waits, prop_oneof![Just(1), Just(latest), 1..latest])
}

proptest! {
    #[test]
    fn no_numbers_that_decoding_accepts_overflow(
        mut spans in any_spans(),
        halves in proptest::collection::vec(extreme_half(), 24),
    ) {
        let source = Arc::new(Source { clock: "here".into(), ..Source::default() });
        for (span, (marks, waits, base)) in spans.iter_mut().zip(halves) {
            if !span.kind.is_half() {
                continue;
            }
            measure(span, |half| {
                for (&point, at) in Point::ALL.iter().zip(marks) {
                    half.marks.set(point, at.map_or(0, |at| base + at));
                }
                let [window_wait, socket_wait, socket_write, framing] = waits;
                half.sending = ledger::Sending { window_wait, socket_wait, socket_write, framing };
            });
            let marks = span.half().marks;
            (span.start, span.end) = marks.ends().unwrap_or((base, base));
            span.source = Arc::clone(&source);
        }
        // Tests check for overflow: closing must not panic.
        for row in close(spans).rows {
            let total: i64 = row.hops.iter().map(|hop| hop.stages.total()).sum();
            prop_assert_eq!(total, row.latency_ns);
        }
    }

    #[test]
    fn the_order_of_arrival_changes_nothing(
        order in Just(ping()).prop_shuffle(),
        (spans, shuffled) in any_spans().prop_flat_map(|s| (Just(s.clone()), Just(s).prop_shuffle())),
    ) {
        prop_assert_eq!(rows(order), rows(ping()));
        prop_assert_eq!(close(shuffled), close(spans));
    }

    #[test]
    fn every_span_is_in_exactly_one_place(spans in any_spans()) {
        let offered = spans.len() as u64;
        let closing = close(spans);
        let Tally { joined, links, unplaced, fragments, .. } = &closing.tally;
        prop_assert_eq!(joined + links + unplaced + fragments, offered);
        for row in &closing.rows {
            let total: i64 = row.hops.iter().map(|hop| hop.stages.total()).sum();
            prop_assert_eq!(total, row.latency_ns);
        }
    }
}

/// One span of a tree: kind, which of the spans before it is above it, service, and its part of what is around it.
type Twig = (usize, usize, usize, u64, u64);

/// A system under load: a request of an edge service, with calls below it of any shape, all clocks wrong by up to an
/// hour. Spans lie inside what is above them or, where the last number says so, anywhere.
fn any_tree() -> impl Strategy<Value = Vec<Span>> {
    let twig = (0..5_usize, 0..40_usize, 0..4_usize, 0..130_u64, 0..130_u64);
    (proptest::collection::vec(twig, 0..40), proptest::array::uniform4(0..3_600_000_000_u64))
        .prop_map(|(twigs, skews)| tree(&twigs, skews))
}

fn tree(twigs: &[Twig], skews: [u64; 4]) -> Vec<Span> {
    let names = ["a", "b", "c", "d"];
    // Times without skew, to place what is below.
    let mut true_times = vec![(4_000_000_000, 4_001_000_000)];
    let mut spans = vec![span(Server, 1, 0xed9e, "a", (4_000_000_000, 4_001_000_000))];
    for (at, &(kind, above, service, from, to)) in twigs.iter().enumerate() {
        let up = above % spans.len();
        let (start, end): (u64, u64) = true_times[up];
        let place = |percent: u64| start + (end - start) / 100 * percent;
        let times = (place(from.min(to)), place(from.max(to)));
        let kind = [Client, Server, Internal, Client, Producer][kind];
        true_times.push(times);
        // A CLIENT span and what is inside a process are of the process above it.
        let of = if kind == Server { names[service] } else { &spans[up].source.service.clone() };
        spans.push(span(kind, at as u64 + 2, spans[up].id, of, times));
    }
    for span in &mut spans {
        let at = names.iter().position(|name| *name == span.source.service).unwrap();
        (span.start, span.end) = (span.start + skews[at], span.end + skews[at]);
        span.inner = span.id != 1;
    }
    spans[0].edge = edge(0xed9e, "c");
    spans
}

/// Removes the spans whose turn says so.
fn lose(spans: &[Span], lost: &[bool]) -> Vec<Span> {
    let kept = spans.iter().zip(lost.iter().chain(std::iter::repeat(&false)));
    kept.filter(|(_, lost)| !**lost).map(|(span, _)| span.clone()).collect()
}

fn check_books(closing: &Closed) -> Result<(), TestCaseError> {
    for row in &closing.rows {
        let total: i64 = row.hops.iter().map(|hop| hop.stages.total()).sum();
        prop_assert_eq!(total, row.latency_ns);
        for hop in &row.hops {
            prop_assert!(hop.stages.iter().all(|(_, time)| time.ns >= 0), "{:?}", hop);
            prop_assert!(hop.concurrent_ns >= 0 && hop.detached_ns >= 0 && hop.clipped_ns >= 0);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn an_edge_is_one_request_whose_stages_add_up_to_what_its_server_took(spans in any_tree()) {
        let root = spans[0].clone();
        let closing = close(spans);
        let [row] = &closing.rows[..] else { panic!("{closing:?}") };
        prop_assert_eq!((row.root_id, &*row.cell), (0xed9e, "c"));
        prop_assert_eq!(row.latency_ns, root.length() as i64);
        prop_assert_eq!(closing.tally.fragments, 0);
        check_books(&closing)?;
    }

    #[test]
    fn what_is_lost_makes_no_request_and_no_request_out_of_parts(
        spans in any_tree(),
        lost in proptest::collection::vec(proptest::bool::weighted(0.2), 41),
    ) {
        let kept = lose(&spans, &lost);
        prop_assume!(!kept.is_empty());
        let (offered, edge_here) = (kept.len() as u64, !lost[0]);
        let closing = close(kept);
        let Tally { joined, links, unplaced, fragments, .. } = &closing.tally;
        prop_assert_eq!(joined + links + unplaced + fragments, offered);
        prop_assert_eq!(closing.rows.len(), usize::from(edge_here));
        prop_assert!(closing.rows.iter().all(|row| row.latency_ns == spans[0].length() as i64));
        check_books(&closing)?;
    }

    #[test]
    fn the_order_of_arrival_of_a_tree_changes_nothing(
        (spans, shuffled) in any_tree().prop_flat_map(|s| (Just(s.clone()), Just(s).prop_shuffle())),
    ) {
        prop_assert_eq!(close(shuffled), close(spans));
    }

    /// However spans come, late, twice or not at all, each is in exactly one place at every time.
    #[test]
    fn spans_in_are_spans_out(
        arrivals in proptest::collection::vec((any_spans(), 1..5_u128, 0..9_u64), 1..12),
        max_traces in 1..5_usize,
    ) {
        let mut joiner = Joiner::new(Limits { max_traces, ..LIMITS });
        let (mut now, mut offered, mut placed) = (SECOND, 0, 0_i64);
        let mut place = |closings: Vec<Closed>| {
            let sum = |tally: &Tally| (tally.joined + tally.links + tally.unplaced + tally.fragments) as i64;
            placed += closings.iter().map(|c| sum(&c.tally) - sum(&c.earlier)).sum::<i64>();
        };
        for (spans, trace, seconds) in arrivals {
            offered += spans.len() as i64;
            spans.into_iter().for_each(|span| joiner.offer(Span { trace, ..span }, now));
            now += seconds * SECOND;
            let due = joiner.due(now, 99);
            place(closed(&joiner, due));
        }
        let rest = joiner.flush(now, 99);
        place(closed(&joiner, rest));
        let counts = joiner.counts();
        let counted =
            counts.duplicates + counts.unequal + counts.late + counts.over_limit + counts.dropped_spans;
        prop_assert_eq!(offered, placed + counted as i64);
        prop_assert_eq!(joiner.open(), 0);
    }

    #[test]
    fn means_are_of_whole_requests_only(
        spans in any_tree(),
        lost in proptest::collection::vec(proptest::bool::weighted(0.2), 41),
    ) {
        let mut joiner = Joiner::new(LIMITS);
        spans.iter().for_each(|span| joiner.offer(span.clone(), 1));
        let traces = joiner.flush(1, 9);
        let _ = closed(&joiner, traces);
        // Calls have no names here: whoever was answered once, even below an attempt that was not the answer, is
        // expected to be.
        let mut sorted = spans.clone();
        let links = Links::of(&mut sorted);
        let calls = sorted.iter().enumerate().filter(|(_, span)| span.kind == Client);
        let answered: HashSet<&str> = calls
            .filter(|(at, _)| links.servers(*at).next().is_some())
            .map(|(_, span)| span.source.service.as_str())
            .collect();
        for span in lose(&spans, &lost) {
            joiner.offer(Span { trace: 8, ..span }, 1);
        }
        let traces = joiner.flush(1, 9);
        for row in closed(&joiner, traces).iter().flat_map(|closing| &closing.rows) {
            // A call whose attempts are all here, and none of them the answer, lacks nothing: they are told of.
            let lacks = row.hops.iter().filter(|hop| hop.others.is_empty()).any(|hop| {
                hop.hop.strip_suffix("→?").is_some_and(|service| answered.contains(service))
            });
            prop_assert_eq!(row.counts(), !lacks, "{:?} {:?}", row, answered);
            prop_assert_eq!(row.kind, RequestKind::Request);
        }
    }
}
