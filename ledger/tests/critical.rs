//! Every instant of a residence is booked once: under the call that was waited for, else under its own stage.

use ledger::{Family, Half, HopNode, Kind, Point, RequestLedger, Side, Stage, close};
use proptest::prelude::*;

const MS: u64 = 1_000_000;

fn span(side: Side, start: u64, end: u64) -> Half {
    Half::new(side, (start, end))
}

/// A call by spans of two processes, the server's on a clock of its own.
fn hop(client: (u64, u64), server: Option<(u64, u64)>, children: Vec<HopNode>) -> HopNode {
    HopNode {
        name: "a→b".into(),
        client: Some(span(Side::Client, client.0, client.1)),
        server: server.map(|(start, end)| span(Side::Server, start, end)),
        children,
        ..HopNode::default()
    }
}

fn call(start: u64, end: u64) -> HopNode {
    hop((start, end), None, vec![])
}

/// A request that begins at its server.
fn served(start: u64, end: u64, children: Vec<HopNode>) -> HopNode {
    let server = Some(span(Side::Server, start, end));
    HopNode { name: "?→b".into(), server, children, ..HopNode::default() }
}

fn totals(books: &RequestLedger) -> Vec<i64> {
    books.hops.iter().map(|hop| hop.stages.total()).collect()
}

fn stage(books: &RequestLedger, hop: usize, stage: Stage) -> i64 {
    books.hops[hop].stages.get(stage).ns
}

#[test]
fn a_call_that_nobody_waited_for_costs_the_request_nothing() {
    // A request of 46 ms whose fire-and-forget call goes on for 332 ms after the reply.
    let books = close(&served(0, 46 * MS, vec![call(10 * MS, 378 * MS)]));
    assert_eq!(stage(&books, 0, Stage::Handler), 46 * MS as i64);
    assert_eq!(totals(&books), [46 * MS as i64, 0]);
    assert_eq!(books.hops[1].concurrent_ns, 36 * MS as i64);
    assert_eq!(books.hops[1].detached_ns, 332 * MS as i64);
}

#[test]
fn a_server_that_outlives_its_client_is_cut_where_its_client_ended() {
    let books = close(&hop((0, 100 * MS), Some((7_000 * MS, 7_500 * MS)), vec![]));
    assert_eq!(stage(&books, 0, Stage::Handler), 100 * MS as i64);
    assert_eq!(stage(&books, 0, Stage::BetweenSpans), 0);
    assert_eq!(books.hops[0].clipped_ns, 400 * MS as i64);
    assert_eq!(books.total(), 100 * MS as i64);
}

#[test]
fn what_the_server_called_after_its_client_ended_is_cut_with_it() {
    let calls = vec![call(7_010 * MS, 7_050 * MS), call(7_080 * MS, 7_400 * MS)];
    let books = close(&hop((0, 100 * MS), Some((7_000 * MS, 7_500 * MS)), calls));
    assert_eq!(totals(&books), [40 * MS as i64, 40 * MS as i64, 20 * MS as i64]);
}

#[test]
fn a_foreign_call_that_ends_a_little_after_its_parent_was_waited_for() {
    // A proxy that streams ends both spans at once, in any order.
    let books = close(&served(0, 100_000, vec![call(10_000, 100_020)]));
    assert_eq!(totals(&books), [10_000, 90_000]);
    assert_eq!(books.hops[1].detached_ns, 20);
}

#[test]
fn where_a_call_lies_is_told_by_the_clock_of_its_caller() {
    // The server is on a clock of its own, which its calls share.
    let calls = vec![call(7_010, 7_030), call(7_020, 7_090), call(6_990, 6_995)];
    let books = close(&hop((0, 500), Some((7_000, 7_100)), calls));
    let places: Vec<_> = books.hops.iter().map(|hop| hop.at_ns).collect();
    assert_eq!(places, [None, Some(10), Some(20), Some(-10)]);
    // Of a call that began before its caller had the request, what counts begins with that.
    let books = close(&served(100, 200, vec![call(50, 150)]));
    assert_eq!((books.hops[1].at_ns, books.hops[1].stages.total()), (Some(0), 50));
    let mut elsewhere = call(10, 30);
    elsewhere.client.as_mut().unwrap().elsewhere = true;
    let books = close(&served(100, 200, vec![elsewhere]));
    assert_eq!((books.hops[1].at_ns, books.hops[1].stages.total()), (None, 20));
}

/// Marks of a server of ours from 1,000 to 2,000.
fn marked(children: Vec<HopNode>) -> HopNode {
    use Point::*;
    let mut server = span(Side::Server, 1_000, 2_000);
    server.clock = "one boot".into();
    let marks = [
        (LastRead, 1_000),
        (DecodeStart, 1_010),
        (DecodeEnd, 1_050),
        (HandlerStart, 1_200),
        (HandlerEnd, 1_700),
        (EncodeStart, 1_720),
        (EncodeEnd, 1_760),
        (SendBegin, 1_800),
        (LastWrite, 2_000),
    ];
    marks.into_iter().for_each(|(point, at)| server.marks.set(point, at));
    server.sending.framing = 120;
    server.sending.socket_write = 40;
    HopNode { server: Some(server), children, ..HopNode::default() }
}

/// Which stages of the marked server are shorter for `children`, and by how much.
fn taken(children: Vec<HopNode>) -> Vec<(Stage, i64)> {
    let (alone, with) = (close(&marked(vec![])), close(&marked(children)));
    assert_eq!((alone.total(), with.total()), (1_000, 1_000));
    let differences = Stage::ALL.iter().map(|&s| (s, stage(&alone, 0, s) - stage(&with, 0, s)));
    differences.filter(|(_, taken)| *taken != 0).collect()
}

#[test]
fn a_call_is_taken_out_of_the_stage_in_which_it_lies() {
    assert_eq!(taken(vec![call(1_060, 1_160)]), [(Stage::Dispatch, 100)], "a middleware's");
    assert_eq!(taken(vec![call(1_300, 1_400)]), [(Stage::Handler, 100)]);
    let across = taken(vec![call(1_150, 1_250)]);
    assert_eq!(across, [(Stage::Dispatch, 50), (Stage::Handler, 50)]);
    assert_eq!(taken(vec![call(1_730, 1_750)]), [(Stage::ReplyEncode, 20)]);
    // Sending has no places inside: half of the time is half of each of its amounts.
    let sending = taken(vec![call(1_900, 2_000)]);
    let expected =
        [(Stage::ReplySendQueue, 20), (Stage::ReplySocketWrite, 20), (Stage::ReplyFraming, 60)];
    assert_eq!(sending, expected);
}

#[test]
fn marks_that_are_out_of_order_stay_so_beside_a_call() {
    let mut root = marked(vec![call(1_300, 1_400)]);
    root.server.as_mut().unwrap().marks.set(Point::HandlerStart, 1_040);
    let books = close(&root);
    assert_eq!(stage(&books, 0, Stage::Dispatch), -10);
    assert_eq!(stage(&books, 0, Stage::Handler), 660 - 100);
    assert_eq!((books.hops[0].out_of_order, books.total()), (1, 1_000));
}

#[test]
fn of_calls_side_by_side_the_one_that_returned_last_was_waited_for() {
    let books = close(&served(0, 100, vec![call(10, 50), call(20, 90), call(30, 60)]));
    assert_eq!(totals(&books), [20, 10, 70, 0]);
    let beside: Vec<_> = books.hops.iter().map(|hop| hop.concurrent_ns).collect();
    assert_eq!(beside, [0, 30, 0, 30]);
}

#[test]
fn of_a_call_that_was_waited_for_in_part_its_own_stages_and_calls_count_in_part() {
    // The first call's server is 10 of 40 away from its start; half of the call lies beside the second one.
    let inner = hop((1_010, 1_020), None, vec![]);
    let first = hop((10, 50), Some((1_000, 1_020)), vec![inner]);
    let books = close(&served(0, 100, vec![first, call(30, 90)]));
    assert_eq!(totals(&books)[0], 20);
    assert_eq!(stage(&books, 1, Stage::Handler), 10);
    assert_eq!(stage(&books, 1, Stage::BetweenSpans), 10);
    assert_eq!(totals(&books), [20, 20, 0, 60]);
}

#[test]
fn a_call_by_another_clock_is_taken_out_of_the_handler_as_far_as_it_goes() {
    let mut away = call(900_000, 900_030);
    away.client.as_mut().unwrap().elsewhere = true;
    let books = close(&served(0, 100, vec![away.clone()]));
    assert_eq!(totals(&books), [70, 30]);
    let mut long = away;
    long.client.as_mut().unwrap().interval.1 = 900_500;
    let books = close(&served(0, 100, vec![long]));
    assert_eq!(totals(&books), [0, 100]);
    assert_eq!(books.hops[1].clipped_ns, 400);
}

#[test]
fn what_no_tap_saw_is_unseen_and_not_the_network() {
    let books = close(&hop((0, 100), Some((7, 37)), vec![call(10, 20)]));
    assert_eq!(books.hops[0].stages.total_in(Family::Unseen), 70);
    assert_eq!(books.hops[1].stages.total_in(Family::Unseen), 10);
    let all = |family| books.hops.iter().map(|hop| hop.stages.total_in(family)).sum::<i64>();
    assert_eq!((all(Family::Network), all(Family::Backend)), (0, 20));
}

#[test]
fn a_request_that_begins_at_its_server_lacks_nothing() {
    let books = close(&served(0, 100, vec![served(3, 4, vec![])]));
    assert!(!books.hops[0].unjoined);
    assert!(books.hops[1].unjoined, "a server below another lacks the call");
}

/// Foreign spans anywhere within an hour of each other, in trees of any shape.
fn any_tree() -> impl Strategy<Value = HopNode> {
    const HOUR: u64 = 3_600 * 1_000 * MS;
    let interval = || {
        let length = prop_oneof![0..100 * MS, Just(0), 0..HOUR];
        (1..HOUR, length).prop_map(|(start, length)| (start, start + length))
    };
    // Mostly inside what is around them, as spans are; else anywhere.
    let node = move || {
        let sides = (
            proptest::option::weighted(0.9, interval()),
            proptest::option::weighted(0.8, interval()),
        );
        (sides, any::<[bool; 2]>()).prop_map(|((client, server), [elsewhere, database])| {
            let client = client.map(|(start, end)| {
                let mut half = span(Side::Client, start, end);
                half.elsewhere = elsewhere;
                half.database = database.then(|| "redis".into());
                half
            });
            let server = server.map(|(start, end)| span(Side::Server, start, end));
            HopNode { client, server, ..HopNode::default() }
        })
    };
    let leaf = node();
    leaf.prop_recursive(4, 40, 6, move |inner| {
        (node(), proptest::collection::vec((inner, 0..200_u64, 0..200_u64), 0..6)).prop_map(
            |(mut node, children)| {
                let around = node.server.as_ref().or(node.client.as_ref()).map(|h| h.interval);
                node.children =
                    children.into_iter().map(|(c, from, to)| within(c, around, from, to)).collect();
                node
            },
        )
    })
}

/// Moves a call into the middle half of `around`, or leaves it where it is for numbers past 100.
fn within(mut call: HopNode, around: Option<(u64, u64)>, from: u64, to: u64) -> HopNode {
    if let (Some((start, end)), Some(client)) = (around, &mut call.client)
        && from <= 100
        && to <= 120
    {
        let at = |percent: u64| start + (end - start) / 100 * percent;
        client.interval = (at(from.min(to)), at(from.max(to)));
    }
    call
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_stages_of_foreign_spans_add_up_and_none_is_negative(root in any_tree()) {
        let books = close(&root);
        let latency = match (&root.client, &root.server) {
            (Some(half), _) | (None, Some(half)) => half.duration(),
            (None, None) => 0,
        };
        prop_assert_eq!(books.total(), latency);
        for hop in &books.hops {
            for (stage, time) in hop.stages.iter() {
                prop_assert!(time.ns >= 0, "{} {}", stage, time.ns);
            }
            prop_assert!(hop.concurrent_ns >= 0 && hop.detached_ns >= 0 && hop.clipped_ns >= 0);
            prop_assert_eq!(hop.out_of_order, 0);
        }
        prop_assert_eq!(books.total_of(Kind::Absent), 0);
    }
}
