//! The books close: stages add up to the latency for any missing mark and any order of marks.

use ledger::{Family, Far, Half, HopNode, Kind, Point, Side, Stage, close};
use proptest::prelude::*;

fn half(side: Side, marks: &[(Point, u64)]) -> Half {
    let mut half = Half::new(side, (0, 0));
    for &(point, at) in marks {
        half.marks.set(point, at);
    }
    half.interval = half.marks.ends().unwrap_or_default();
    half.clock = "one boot".into();
    half
}

fn hop(client: Half, server: Half) -> HopNode {
    let (client, server) = (Some(client), Some(server));
    HopNode { name: "a→b".into(), client, server, ..HopNode::default() }
}

/// A hop with every mark in order, one step apart of its own size, so that no two stages are alike.
fn orderly() -> HopNode {
    use Point::*;
    let mut client = half(
        Side::Client,
        &[
            (Planned, 1_000),
            (CallStart, 1_001),
            (EncodeStart, 1_003),
            (EncodeEnd, 1_007),
            (SendBegin, 1_015),
            (LastWrite, 1_115),
            (EosWrite, 1_120),
            (FirstRead, 2_500),
            (LastRead, 2_600),
            (NextIo, 2_603),
            (DecodeStart, 2_608),
            (DecodeEnd, 2_621),
            (EosRead, 2_642),
            (CallEnd, 2_676),
        ],
    );
    client.sending.framing = 60;
    client.sending.socket_write = 25;
    client.sending.window_wait = 10;
    client.sending.socket_wait = 3;
    let mut server = half(
        Side::Server,
        &[
            (FirstRead, 1_200),
            (LastRead, 1_300),
            (NextIo, 1_305),
            (DecodeStart, 1_312),
            (DecodeEnd, 1_323),
            (HandlerStart, 1_340),
            (HandlerEnd, 2_040),
            (EncodeStart, 2_042),
            (EncodeEnd, 2_072),
            (SendBegin, 2_080),
            (LastWrite, 2_180),
            (EosWrite, 2_190),
        ],
    );
    server.sending.framing = 100;
    hop(client, server)
}

#[test]
fn each_step_is_booked_under_its_own_stage() {
    let books = close(&orderly());
    let stages = &books.hops[0].stages;
    let expected = [
        (Stage::DriverLag, 1),
        (Stage::SendQueue, 2 + 8 + 2),
        (Stage::RequestEncode, 4),
        (Stage::RequestWindowWait, 10),
        (Stage::RequestSocketWait, 3),
        (Stage::RequestSocketWrite, 25),
        (Stage::RequestFraming, 60),
        (Stage::RequestWire, 185),
        (Stage::RequestDeframing, 5),
        (Stage::RequestReceiverQueue, 7),
        (Stage::RequestDecode, 11),
        (Stage::Dispatch, 17),
        (Stage::Handler, 700),
        (Stage::ReplyEncode, 30),
        (Stage::ReplySendQueue, 2 + 8),
        (Stage::ReplyWindowWait, 0),
        (Stage::ReplySocketWait, 0),
        (Stage::ReplySocketWrite, 0),
        (Stage::ReplyFraming, 100),
        (Stage::ReplyWire, 420),
        (Stage::ReplyDeframing, 3),
        (Stage::ReplyReceiverQueue, 5),
        (Stage::ReplyDecode, 13),
        (Stage::ReplyDelivery, 21),
        (Stage::WakeUp, 34),
    ];
    let found: Vec<_> = stages.iter().map(|(stage, time)| (stage, time.ns)).collect();
    assert_eq!(found, expected);
    assert_eq!(books.total(), 1_676);
    assert_eq!(books.hops[0].out_of_order, 0);
    assert_eq!(books.total_of(Kind::Measured), books.total());
}

#[test]
fn waiting_for_the_end_of_a_message_is_delivery_before_decoding_or_after_it_in_both_directions() {
    // gRPC decodes the payload when it is there, JSON when the message has ended.
    for (end_of_request, queue) in [(1_330, 7), (1_309, 3)] {
        let mut hop = orderly();
        let server = hop.server.as_mut().unwrap();
        server.marks.set(Point::EosRead, end_of_request);
        let books = close(&hop);
        let stages = &books.hops[0].stages;
        let (delivery, dispatch) = if end_of_request == 1_330 { (7, 10) } else { (4, 17) };
        assert_eq!(stages.get(Stage::RequestDelivery).ns, delivery);
        assert_eq!(stages.get(Stage::Dispatch).ns, dispatch);
        assert_eq!(stages.get(Stage::RequestReceiverQueue).ns, queue);
        assert_eq!(stages.total_in(Family::Delivery), delivery + 21);
        assert_eq!(books.total(), 1_676);
    }
    let mut hop = orderly();
    hop.client.as_mut().unwrap().marks.set(Point::EosRead, 2_606);
    let books = close(&hop);
    assert_eq!(books.hops[0].stages.get(Stage::ReplyDelivery).ns, 3);
    assert_eq!(books.hops[0].stages.get(Stage::ReplyReceiverQueue).ns, 2);
    assert_eq!(books.total(), 1_676);
}

#[test]
fn a_server_that_was_left_is_in_its_handler_until_then() {
    let mut hop = hop(
        half(
            Side::Client,
            &[(Point::CallStart, 1_000), (Point::SendBegin, 1_010), (Point::CallEnd, 301_000)],
        ),
        half(
            Side::Server,
            &[
                (Point::FirstRead, 1_050),
                (Point::LastRead, 1_050),
                (Point::HandlerStart, 1_060),
                (Point::Abandoned, 300_900),
            ],
        ),
    );
    hop.client.as_mut().unwrap().interval = (1_000, 301_000);
    hop.server.as_mut().unwrap().interval = (1_050, 300_900);
    let books = close(&hop);
    assert_eq!(books.hops[0].stages.get(Stage::Handler).ns, 299_840);
    assert!(books.hops[0].stages.iter().all(|(_, time)| time.ns >= 0));
    assert_eq!(books.total(), 300_000);
}

#[test]
fn without_a_common_clock_the_network_is_inferred_and_the_books_still_close() {
    let mut hop = orderly();
    hop.server.as_mut().unwrap().clock = "another boot".into();
    let books = close(&hop);
    let stages = &books.hops[0].stages;
    assert_eq!(stages.get(Stage::NetworkInferred).ns, 185 + 420);
    assert_eq!(stages.total_in(Family::Network), 185 + 420);
    assert_eq!(stages.get(Stage::NetworkInferred).kind, Kind::Inferred);
    assert_eq!(stages.get(Stage::RequestWire).kind, Kind::Absent);
    assert_eq!(stages.get(Stage::Handler).ns, 700);
    assert_eq!(books.total(), 1_676);
}

#[test]
fn foreign_spans_give_the_coarse_ledger() {
    let foreign = hop(Half::new(Side::Client, (50, 950)), Half::new(Side::Server, (7_000, 7_600)));
    let books = close(&foreign);
    let found: Vec<_> = books.hops[0].stages.iter().map(|(stage, time)| (stage, time.ns)).collect();
    assert_eq!(found, [(Stage::Handler, 600), (Stage::BetweenSpans, 300)]);
    assert_eq!(books.total(), 900);
}

#[test]
fn a_lost_server_half_leaves_the_call_to_the_peer() {
    let mut hop = orderly();
    hop.server = None;
    let books = close(&hop);
    assert_eq!(books.hops[0].stages.get(Stage::Remote).ns, 2_600 - 1_115);
    assert!(books.hops[0].unjoined);
    assert_eq!(books.total(), 1_676);
}

/// A call to a database: pool wait, query, a row, its decoding, one step apart of its own size.
fn query() -> Half {
    use Point::*;
    let marks = [
        (CallStart, 1_400),
        (SendBegin, 1_440),
        (FirstRead, 1_700),
        (LastRead, 1_740),
        (DecodeStart, 1_741),
        (DecodeEnd, 1_744),
        (CallEnd, 1_752),
    ];
    Half { database: Some("postgresql".into()), ..half(Side::Client, &marks) }
}

fn call_to_database(client: Half) -> HopNode {
    HopNode { name: "b→postgres".into(), client: Some(client), ..HopNode::default() }
}

#[test]
fn a_database_call_has_one_side_and_is_measured() {
    let mut root = orderly();
    root.children = vec![call_to_database(query())];
    let books = close(&root);
    let found: Vec<_> = books.hops[1].stages.iter().map(|(stage, time)| (stage, time.ns)).collect();
    let expected = [
        (Stage::SendQueue, 40),
        (Stage::QueryRoundTrip, 300),
        (Stage::ReplyReceiverQueue, 1),
        (Stage::ReplyDecode, 3),
        (Stage::WakeUp, 8),
    ];
    assert_eq!(found, expected);
    assert!(!books.hops[1].unjoined);
    assert_eq!(books.hops[0].stages.get(Stage::Handler).ns, 700 - 352);
    assert_eq!((books.total(), books.total_of(Kind::Measured)), (1_676, 1_676));
}

#[test]
fn a_foreign_database_span_is_one_round_trip() {
    let mut span = Half::new(Side::Client, (50, 950));
    span.database = Some("redis".into());
    let books = close(&call_to_database(span.clone()));
    let found: Vec<_> = books.hops[0].stages.iter().collect();
    let whole = ledger::StageTime { ns: 900, kind: Kind::Inferred };
    assert_eq!(found, [(Stage::QueryRoundTrip, whole)]);
    assert!(!books.hops[0].unjoined);
    // One that does send spans is a server like any other.
    let answered =
        HopNode { server: Some(Half::new(Side::Server, (7_000, 7_600))), ..call_to_database(span) };
    let books = close(&answered);
    assert_eq!(books.hops[0].stages.get(Stage::QueryRoundTrip).kind, Kind::Absent);
    assert_eq!(books.hops[0].stages.get(Stage::Handler).ns, 600);
}

#[test]
fn a_query_that_was_never_sent_waited_in_the_queue() {
    use Point::*;
    let mut client = query();
    for point in [SendBegin, FirstRead, LastRead, DecodeStart, DecodeEnd] {
        client.marks.set(point, 0);
    }
    let books = close(&call_to_database(client));
    let found: Vec<_> = books.hops[0].stages.iter().map(|(stage, time)| (stage, time.ns)).collect();
    assert_eq!(found, [(Stage::SendQueue, 352)]);
}

#[test]
fn calls_side_by_side_count_once_in_the_handler() {
    let mut root = orderly();
    let call = |start, end| HopNode {
        client: Some(half(Side::Client, &[(Point::CallStart, start), (Point::CallEnd, end)])),
        ..HopNode::default()
    };
    root.children = vec![call(1_400, 1_600), call(1_500, 1_800)];
    let books = close(&root);
    assert_eq!(books.hops[0].stages.get(Stage::Handler).ns, 700 - 400);
    // From 1,500 to 1,600 the call that returned later was waited for.
    let booked: Vec<_> = books.hops.iter().map(|hop| hop.stages.total()).collect();
    assert_eq!(booked, [1_676 - 400, 100, 300]);
    let beside: Vec<_> = books.hops.iter().map(|hop| hop.concurrent_ns).collect();
    assert_eq!(beside, [0, 100, 0]);
    assert_eq!(books.total(), 1_676);
}

#[test]
fn marks_out_of_order_are_counted_and_not_clamped() {
    let mut hop = orderly();
    hop.server.as_mut().unwrap().marks.set(Point::HandlerStart, 1_320);
    let books = close(&hop);
    assert_eq!(books.hops[0].stages.get(Stage::Dispatch).ns, -3);
    assert_eq!(books.hops[0].out_of_order, 1);
    assert_eq!(books.total(), 1_676);
}

#[test]
fn what_a_server_read_and_wrote_lies_inside_of_its_clients_call_or_does_not() {
    let told = |start, end, clock: &str| {
        let marks = [(Point::CallStart, start), (Point::CallEnd, end)];
        let client = Half { clock: clock.to_owned(), ..half(Side::Client, &marks) };
        let marks = [(Point::FirstRead, 200), (Point::LastWrite, 900)];
        hop(client, Half { clock: "a".to_owned(), ..half(Side::Server, &marks) }).margin()
    };
    assert_eq!(told(150, 1_000, "a"), Some(50));
    assert_eq!(told(100, 900, "a"), Some(0));
    assert_eq!(told(201, 1_000, "a"), Some(-1), "read before it was asked for");
    assert_eq!(told(100, 700, "a"), Some(-200), "written after the answer was there");
    assert_eq!(told(150, 1_000, "b"), None, "other clocks tell nothing");
    assert_eq!(told(150, 1_000, ""), None);
}

fn any_half(side: Side) -> impl Strategy<Value = Half> {
    let marks =
        proptest::collection::vec(proptest::option::of(1_u64..1_000_000_000_000), Point::COUNT);
    let sending = proptest::array::uniform4(0_u64..1_000_000);
    let length = 0_u64..1_000_000_000;
    (marks, sending, length.clone(), length, any::<[bool; 2]>()).prop_map(
        move |(marks, waits, start, length, [ours, database])| {
            let [window_wait, socket_wait, socket_write, framing] = waits;
            let mut half = Half::new(side, (start, start + length));
            for (&point, at) in Point::ALL.iter().zip(marks) {
                half.marks.set(point, at.unwrap_or(0));
            }
            half.sending = ledger::Sending { window_wait, socket_wait, socket_write, framing };
            half.clock = if ours { "one boot".into() } else { String::new() };
            half.database = (side == Side::Client && database).then(|| "postgresql".into());
            half
        },
    )
}

fn any_hop() -> impl Strategy<Value = HopNode> {
    let halves = || {
        (proptest::option::of(any_half(Side::Client)), proptest::option::of(any_half(Side::Server)))
    };
    let leaf =
        halves().prop_map(|(client, server)| HopNode { client, server, ..HopNode::default() });
    leaf.prop_recursive(3, 12, 3, move |inner| {
        let relays = proptest::collection::vec(any_relay(), 0..3);
        (halves(), relays, any::<bool>(), proptest::collection::vec(inner, 0..3)).prop_map(
            |((client, server), relays, placed, children)| HopNode {
                client,
                server,
                relays,
                placed,
                children,
                ..HopNode::default()
            },
        )
    })
}

/// A relay, nearly always of an exchange that passed it whole.
fn any_relay() -> impl Strategy<Value = Half> {
    let marks = proptest::array::uniform4(1_u64..1_000_000_000_000);
    (any_half(Side::Wire), marks, 0_u64..10, any::<u32>()).prop_map(
        |(mut half, marks, broken, wall)| {
            let mut far = Far::default();
            for (index, at) in marks.into_iter().enumerate() {
                let at = if broken == index as u64 { 0 } else { at };
                let face = if index < 2 { &mut half.marks } else { &mut far.marks };
                face.set(if index % 2 == 0 { Point::LastRead } else { Point::LastWrite }, at);
            }
            half.wall = wall.into();
            half.far = Some(Box::new(far));
            half
        },
    )
}

/// Every half of a hop.
fn halves_of(hop: &mut HopNode) -> impl Iterator<Item = &mut Half> {
    hop.client.iter_mut().chain(&mut hop.server).chain(&mut hop.relays)
}

/// What the caller waited, read straight off the edge hop.
fn latency(root: &HopNode) -> Option<i64> {
    let client = root.client.as_ref()?;
    let mark = |point| client.marks.get(point);
    let start = mark(Point::Planned).or(mark(Point::CallStart)).unwrap_or(client.interval.0);
    let end = mark(Point::CallEnd).unwrap_or(client.interval.1);
    Some(end as i64 - start as i64)
}

proptest! {
    #[test]
    fn a_database_call_is_never_inferred_nor_unjoined(half in any_half(Side::Client)) {
        let half = Half { database: Some("postgresql".into()), ..half };
        let books = close(&call_to_database(half));
        prop_assert_eq!(books.total_of(Kind::Inferred), 0);
        prop_assert!(!books.hops[0].unjoined);
        prop_assert_eq!(books.hops[0].stages.get(Stage::Remote).kind, Kind::Absent);
    }

    #[test]
    fn stages_add_up_to_the_latency_for_any_marks(root in any_hop(), late in 0_u64..1_000) {
        let books = close(&root);
        if let Some(latency) = latency(&root) {
            prop_assert_eq!(books.total(), latency);
            let kinds = [Kind::Measured, Kind::Inferred, Kind::Absent];
            prop_assert_eq!(kinds.iter().map(|&kind| books.total_of(kind)).sum::<i64>(), latency);
            prop_assert_eq!(books.total_of(Kind::Absent), 0);
            if let Ok(stopwatch) = u64::try_from(latency + late as i64) {
                prop_assert_eq!(books.total() + books.residual(stopwatch), stopwatch as i64);
            }
        }
    }
}

/// The same hop so much later on every clock.
fn later(mut hop: HopNode, by: u64) -> HopNode {
    for half in halves_of(&mut hop) {
        half.interval = (half.interval.0 + by, half.interval.1 + by);
        half.wall = if half.wall == 0 { 0 } else { half.wall + by };
        let far = half.far.as_mut().map(|far| &mut far.marks);
        for marks in far.into_iter().chain([&mut half.marks]) {
            for &point in Point::ALL {
                if let Some(at) = marks.get(point) {
                    marks.set(point, at + by);
                }
            }
        }
    }
    hop.children = hop.children.into_iter().map(|child| later(child, by)).collect();
    hop
}

/// The same hop with numbers that nobody measured.
fn wild(mut hop: HopNode, numbers: &mut impl Iterator<Item = u64>) -> HopNode {
    let mut next = || numbers.next().expect("there is no end of them");
    for half in halves_of(&mut hop) {
        half.interval = (next(), next());
        half.wall = next();
        half.sending.framing = next();
        half.sending.socket_write = next();
        let far = half.far.as_mut().map(|far| &mut far.marks);
        for marks in far.into_iter().chain([&mut half.marks]) {
            for &point in Point::ALL {
                if marks.get(point).is_some() {
                    marks.set(point, next());
                }
            }
        }
    }
    hop.children = hop.children.into_iter().map(|child| wild(child, numbers)).collect();
    hop
}

proptest! {
    #[test]
    fn the_books_do_not_depend_on_what_the_clock_read(
        root in any_hop(),
        by in prop_oneof![
            any::<u64>(), (1 << 63) - 2_000_000_000_000_u64..(1 << 63) + 10, Just(u64::MAX),
        ],
    ) {
        let by = by.min(u64::MAX - 2_000_000_000_000);
        prop_assert_eq!(close(&later(root.clone(), by)), close(&root));
    }

    #[test]
    fn no_number_makes_closing_the_books_fail(
        root in any_hop(),
        numbers in proptest::collection::vec(
            prop_oneof![
                any::<u64>(), (1 << 63) - 3_u64..(1 << 63) + 3, Just(0), Just(u64::MAX), 0_u64..100,
            ],
            1..40,
        ),
    ) {
        let books = close(&wild(root, &mut numbers.iter().copied().cycle()));
        let _ = (books.residual(u64::MAX), books.total_of(Kind::Inferred));
        for hop in &books.hops {
            for family in Family::ALL {
                let _ = hop.stages.total_in(family);
            }
        }
    }
}
