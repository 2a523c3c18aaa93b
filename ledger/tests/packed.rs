//! The packed form of a record says what its text form says.

use ledger::{Bounds, Half, HopNode, Origin, Point, Sending, Side, Stage, Traffic, Value, close};
use proptest::prelude::*;

/// Thirteen days in nanoseconds: sums of a few such times have room in 64 bits.
const LARGEST: u64 = 1 << 50;

fn any_traffic() -> impl Strategy<Value = Traffic> {
    proptest::array::uniform6(0..LARGEST).prop_map(
        |[payload, body, wire, frames, framing, headers]| Traffic {
            payload,
            body,
            wire,
            frames,
            framing,
            headers,
        },
    )
}

/// Any record.
fn any_half(side: Side) -> impl Strategy<Value = Half> {
    let number = 0..LARGEST;
    let marks = proptest::collection::vec(proptest::option::of(number.clone()), Point::COUNT);
    let sending = proptest::array::uniform4(number.clone());
    let connection = proptest::array::uniform3(number.clone());
    let stage = proptest::sample::select(Stage::ALL);
    let injected = proptest::collection::vec((stage, number), 0..4);
    let traffic = [any_traffic(), any_traffic()];
    (marks, sending, connection, injected, traffic).prop_map(
        move |(marks, sending, connection, injected, traffic)| {
            let mut half = Half::new(side, (0, 0));
            for (&point, at) in Point::ALL.iter().zip(marks) {
                half.marks.set(point, at.unwrap_or(0));
            }
            let [window_wait, socket_wait, socket_write, framing] = sending;
            half.sending = Sending { window_wait, socket_wait, socket_write, framing };
            [half.connection, half.http, half.attempts] = connection;
            [half.outbound, half.inbound] = traffic;
            half.streaming = half.connection % 2 == 1;
            half.injected = injected;
            half
        },
    )
}

fn by_text(half: &Half) -> Half {
    let mut read = Half::new(half.side, half.interval);
    for attribute in half.attributes() {
        let Value::Text(text) = attribute.value else { panic!("{attribute:?}") };
        read.read(attribute.key, &text).expect("our own text");
    }
    read
}

fn by_bytes(half: &Half, origin: Option<Origin>) -> Half {
    let mut bytes = Vec::new();
    half.pack(origin, &mut bytes);
    let mut read = Half::new(half.side, half.interval);
    assert_eq!(read.unpack(&bytes), Ok(origin));
    read
}

/// A record may say a thing twice: then its bounds know both, and the half the later.
fn assert_within(half: &Half, bounds: &Bounds) {
    let (own, told) = (Bounds::of(half), bounds);
    assert!(own.longest <= told.longest && own.most <= told.most, "{own:?} {told:?}");
    assert_eq!(own.far.is_some(), told.far.is_some());
    let far = own.far.zip(told.far);
    assert!(far.is_none_or(|(own, told)| own.most <= told.most), "{own:?} {told:?}");
    let marks =
        [(own.marks, told.marks), (own.far.and_then(|f| f.marks), told.far.and_then(|f| f.marks))];
    for (own, told) in marks {
        let Some((first, last)) = own else { continue };
        assert!(
            told.is_some_and(|(from, until)| from <= first && last <= until),
            "{own:?} {told:?}"
        );
    }
}

#[test]
fn no_input_of_the_corpus_or_made_of_it_makes_a_reader_panic() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/packed");
    test_parts::fuzz("packed", std::path::Path::new(corpus), |bytes| {
        let mut half = Half::new(Side::Server, (0, 0));
        let (unpacked, bounds) = (half.unpack(bytes), Bounds::of_packed(bytes));
        // What is taken in by its bounds alone can be read when somebody looks at it, and is no larger.
        assert_eq!(unpacked, bounds.map(|(_, origin)| origin));
        if let Ok((bounds, _)) = bounds {
            assert_within(&half, &bounds);
            // What was read can be written, and is read as the same again.
            assert_eq!(by_bytes(&half, None), half);
        }
    });
}

proptest! {
    #[test]
    fn packed_and_plain_spans_are_the_same_record(
        client in any_half(Side::Client),
        server in any_half(Side::Server),
        origin in proptest::option::of((any::<u64>(), 1..=u64::MAX)),
    ) {
        let origin = origin.map(|(instance, sequence)| Origin { instance, sequence });
        prop_assert_eq!(by_bytes(&client, origin), by_text(&client));
        let mut bytes = Vec::new();
        client.pack(origin, &mut bytes);
        prop_assert_eq!(Bounds::of_packed(&bytes), Ok((Bounds::of(&client), origin)));
        let hop = |client, server| HopNode {
            client: Some(client),
            server: Some(server),
            ..HopNode::default()
        };
        let plain = close(&hop(by_text(&client), by_text(&server)));
        let packed = close(&hop(by_bytes(&client, None), by_bytes(&server, None)));
        prop_assert_eq!(packed, plain);
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut half = Half::new(Side::Client, (0, 0));
        let _ = half.unpack(&bytes);
        let versioned: Vec<u8> = std::iter::once(1).chain(bytes).collect();
        let _ = half.unpack(&versioned);
    }
}
