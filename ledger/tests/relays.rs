//! Relays on the wire of a hop: their place, their own time, and what they tell of foreign servers.

#![expect(clippy::unwrap_used, reason = "in tests a panic is the report")]

use ledger::{Far, Half, HopNode, Kind, Point, RequestLedger, Side, Stage, close};

/// A side of ours, with these marks.
fn half(side: Side, clock: &str, marks: &[(Point, u64)]) -> Half {
    let interval = (marks.first().unwrap().1, marks.last().unwrap().1);
    let mut half = Half::new(side, interval);
    for &(point, at) in marks {
        half.marks.set(point, at);
    }
    half.clock = clock.into();
    half
}

fn client() -> Half {
    use Point::*;
    half(
        Side::Client,
        "boot",
        &[(CallStart, 1_000), (LastWrite, 1_100), (LastRead, 9_000), (CallEnd, 9_050)],
    )
}

fn server() -> Half {
    use Point::*;
    half(
        Side::Server,
        "boot",
        &[(LastRead, 2_000), (HandlerStart, 2_010), (HandlerEnd, 7_000), (LastWrite, 7_900)],
    )
}

/// A relay that read the request, passed it on, read the reply, and passed that on.
fn relay(clock: &str, [taken, passed, answered, returned]: [u64; 4]) -> Half {
    use Point::*;
    let mut relay = half(Side::Wire, clock, &[(LastRead, taken), (LastWrite, returned)]);
    let mut far = Far::default();
    far.marks.set(LastWrite, passed);
    far.marks.set(LastRead, answered);
    relay.far = Some(Box::new(far));
    relay
}

/// A span of somebody else's, by the wall.
fn foreign(side: Side, start: u64, end: u64) -> Half {
    let mut half = Half::new(side, (start, end));
    half.wall = start;
    half
}

fn hop(client: Option<Half>, relays: Vec<Half>, server: Option<Half>) -> HopNode {
    HopNode { client, server, relays, ..HopNode::default() }
}

fn stages(books: &RequestLedger) -> Vec<(Stage, i64, Kind)> {
    let all = Stage::ALL.iter().map(|&stage| (stage, books.hops[0].stages.get(stage)));
    all.filter(|(_, time)| time.ns != 0).map(|(stage, time)| (stage, time.ns, time.kind)).collect()
}

#[test]
fn a_relay_on_the_same_clock_cuts_the_wire_in_three_and_nothing_else_changes() {
    let (without, with) = (
        close(&hop(Some(client()), vec![], Some(server()))),
        close(&hop(
            Some(client()),
            vec![relay("boot", [1_300, 1_360, 8_200, 8_290])],
            Some(server()),
        )),
    );
    assert_eq!((without.total(), with.total()), (8_050, 8_050));
    let (before, after) = (&without.hops[0].stages, &with.hops[0].stages);
    for &stage in Stage::ALL {
        let moved = before.get(stage).ns - after.get(stage).ns;
        let expected = match stage {
            Stage::RequestWire => 60,
            Stage::RequestRelay => -60,
            Stage::ReplyWire => 90,
            Stage::ReplyRelay => -90,
            _ => 0,
        };
        assert_eq!(moved, expected, "{stage}");
    }
    assert_eq!(with.total_of(Kind::Inferred), 0);
}

#[test]
fn several_relays_are_nested_and_each_has_its_own_time() {
    let relays = vec![
        relay("boot", [1_300, 1_360, 8_200, 8_290]),
        relay("boot", [1_400, 1_405, 8_100, 8_110]),
    ];
    let books = close(&hop(Some(client()), relays, Some(server())));
    let get = |stage| books.hops[0].stages.get(stage).ns;
    assert_eq!((get(Stage::RequestRelay), get(Stage::ReplyRelay)), (60 + 5, 90 + 10));
    assert_eq!((get(Stage::RequestWire), get(Stage::ReplyWire)), (900 - 65, 1_100 - 100));
    assert_eq!(books.total(), 8_050);
}

#[test]
fn a_foreign_servers_span_is_placed_in_what_the_relay_saw() {
    // The wall is 50,000 ahead of the relay's clock.
    let mut relay = relay("boot", [1_300, 1_360, 8_200, 8_290]);
    relay.wall = relay.interval.0 + 50_000;
    let span = foreign(Side::Server, 50_000 + 4_360, 50_000 + 8_000);
    let caller = foreign(Side::Client, 51_000, 59_000);
    let mut root = hop(Some(caller), vec![relay], Some(span));
    let around = vec![
        (Stage::RequestRelay, 60, Kind::Measured),
        (Stage::Handler, 3_640, Kind::Measured),
        (Stage::ReplyRelay, 90, Kind::Measured),
        (Stage::BetweenSpans, 8_000 - 6_990, Kind::Inferred),
        (Stage::AroundServerSpan, 3_200, Kind::Inferred),
    ];
    assert_eq!(stages(&close(&root)), around, "whose clocks are not known to agree");
    root.placed = true;
    let books = close(&root);
    let get = |stage| books.hops[0].stages.get(stage);
    assert_eq!(get(Stage::BeforeServerSpan).ns, 3_000, "it waited to be taken up");
    assert_eq!(get(Stage::AfterServerSpan).ns, 200);
    assert_eq!(get(Stage::BeforeServerSpan).kind, Kind::Inferred);
    assert_eq!(get(Stage::AroundServerSpan).ns, 0);
    assert_eq!(
        get(Stage::RequestWire).ns + get(Stage::ReplyWire).ns,
        0,
        "nothing of it is called network"
    );
    assert_eq!(books.total(), 8_000);
}

#[test]
fn a_request_whose_caller_says_nothing_begins_where_the_relay_has_it() {
    let relays = vec![relay("boot", [1_300, 1_360, 8_200, 8_290])];
    let books = close(&hop(None, relays.clone(), Some(server())));
    assert_eq!(books.total(), 6_990);
    assert_eq!(books.hops[0].stages.get(Stage::RequestWire).ns, 640);
    let silent = close(&hop(Some(client()), relays, None));
    assert_eq!(
        silent.hops[0].stages.get(Stage::Remote).ns,
        6_840,
        "of the server only its answer is known"
    );
    assert_eq!(silent.hops[0].stages.get(Stage::Remote).kind, Kind::Measured);
    assert_eq!(silent.total(), 8_050);
}

#[test]
fn an_exchange_that_broke_off_says_nothing_of_the_wire() {
    let mut broken = relay("boot", [1_300, 1_360, 8_200, 8_290]);
    broken.far.as_mut().unwrap().marks.set(Point::LastRead, 0);
    let without = close(&hop(Some(client()), vec![], Some(server())));
    assert_eq!(close(&hop(Some(client()), vec![broken], Some(server()))), without);
}

#[test]
fn both_faces_survive_the_journey() {
    let mut sent = relay("", [1_300, 1_360, 8_200, 8_290]);
    sent.outbound.body = 7;
    let far = sent.far.as_mut().unwrap();
    (far.inbound.body, far.outbound.frames, far.sending.window_wait, far.connection) =
        (7, 3, 11, 9);
    let mut packed = Vec::new();
    sent.pack(None, &mut packed);
    let mut read = Half::new(Side::Wire, sent.interval);
    read.unpack(&packed).unwrap();
    assert_eq!(read, sent);
}
