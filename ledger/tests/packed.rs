//! The packed form of a record says what its text form says.

use ledger::{
    AtRest, Half, HopNode, Origin, Point, Rested, Sending, Side, Stage, Traffic, Value, close,
};
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

/// What is had again of a record that was put at rest.
fn rested(half: &Half) -> Half {
    let mut read = Half::new(half.side, half.interval);
    AtRest::of(half).restore(&mut read);
    read
}

/// What is put at rest as it is read is the record that these bytes are; answers whether it was.
fn rests_as_it_is_read(bytes: &[u8]) -> bool {
    let Some(Rested { record, ends, origin }) = AtRest::unpack(bytes) else { return false };
    let [mut read, mut restored] = [(); 2].map(|()| Half::new(Side::Server, (0, 0)));
    assert_eq!(read.unpack(bytes), Ok(origin));
    record.restore(&mut restored);
    assert_eq!(restored, read);
    assert_eq!(record, AtRest::of(&read));
    assert_eq!(ends, read.marks.ends());
    // What has room in less memory says so.
    assert_eq!(record.elsewhere(), 0);
    true
}

#[test]
fn no_input_of_the_corpus_or_made_of_it_makes_a_reader_panic() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/packed");
    test_parts::fuzz("packed", std::path::Path::new(corpus), |bytes| {
        rests_as_it_is_read(bytes);
        let mut half = Half::new(Side::Server, (0, 0));
        if half.unpack(bytes).is_ok() {
            // What was read can be written, and is read as the same again. So it can be put at rest.
            assert_eq!(by_bytes(&half, None), half);
            assert_eq!(rested(&half), half);
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
    fn a_record_is_the_same_after_a_rest(
        half in any_half(Side::Server),
        // From some size of its numbers on it has room in less memory.
        smaller in 0..50_u32,
        base in any::<u32>(),
        delayed in any::<bool>(),
    ) {
        let mut half = half;
        for &point in Point::ALL {
            let since = half.marks.get(point).map(|at| at >> smaller);
            half.marks.set(point, since.map_or(0, |since| (u64::from(base) << 20) + since));
        }
        let Half { sending, outbound, inbound, connection, http, attempts, .. } = &mut half;
        let Sending { window_wait, socket_wait, socket_write, framing } = sending;
        let mut numbers = vec![connection, http, attempts, window_wait, socket_wait, socket_write, framing];
        for Traffic { payload, body, wire, frames, framing, headers } in [outbound, inbound] {
            numbers.extend([payload, body, wire, frames, framing, headers]);
        }
        numbers.into_iter().for_each(|number| *number >>= smaller);
        half.injected.retain(|_| delayed);
        prop_assert_eq!(&rested(&half), &half);
        let mut bytes = Vec::new();
        half.pack(Some(Origin { instance: base.into(), sequence: 7 }), &mut bytes);
        // What has room is put at rest as it is read; but not where the first mark is 1 ns, from which none is told.
        let small = AtRest::of(&half).elsewhere() == 0 && half.marks.first() != Some(1);
        prop_assert_eq!(rests_as_it_is_read(&bytes), small);
    }

    #[test]
    fn entries_in_any_order_and_number_rest_as_they_are_read(
        halves in proptest::collection::vec(any_half(Side::Client), 1..4),
        smaller in 18..50_u32,
        cut in any::<proptest::sample::Index>(),
    ) {
        let mut bytes = vec![1];
        for mut half in halves {
            for &point in Point::ALL {
                half.marks.set(point, half.marks.get(point).map_or(0, |at| at >> smaller));
            }
            half.connection >>= smaller;
            (half.http, half.attempts) = (half.http % 300, half.attempts % 70_000);
            let mut packed = Vec::new();
            half.pack(None, &mut packed);
            bytes.extend(&packed[1..]);
        }
        rests_as_it_is_read(&bytes);
        rests_as_it_is_read(&bytes[..cut.index(bytes.len())]);
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut half = Half::new(Side::Client, (0, 0));
        let _ = half.unpack(&bytes);
        let versioned: Vec<u8> = std::iter::once(1).chain(bytes).collect();
        let _ = half.unpack(&versioned);
        rests_as_it_is_read(&versioned);
    }
}
