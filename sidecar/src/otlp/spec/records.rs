//! What spans measured, as they say it: packed, as texts, or as both.

use super::*;

/// A record that has something of everything that most have.
fn measured() -> Half {
    let mut half = Half::new(Side::Client, (0, 0));
    for (at, &point) in Point::ALL.iter().enumerate() {
        half.marks.set(point, 1_000_000 + 1_000 * at as u64);
    }
    half.sending.window_wait = 7;
    half.outbound =
        ledger::Traffic { payload: 10, body: 13, wire: 90, frames: 2, framing: 18, headers: 59 };
    (half.connection, half.http, half.attempts) = (3, 20, 1);
    half
}

fn packed(half: &Half) -> KeyValue {
    let mut packed = Vec::new();
    half.pack(Some(ledger::Origin { instance: 1, sequence: 2 }), &mut packed);
    attribute(names::PACKED, Value::BytesValue(packed))
}

/// The attributes that say the same as texts.
fn texts(half: &Half) -> Vec<KeyValue> {
    let of = |Attribute { key, value }| match value {
        ledger::Value::Text(value) => text(key, &value),
        _ => panic!("{key}"),
    };
    half.attributes().into_iter().map(of).collect()
}

/// The span that has these attributes, too.
fn saying(attributes: impl IntoIterator<Item = KeyValue>) -> otlp::Span {
    with(|span| span.attributes.extend(attributes))
}

#[test]
fn a_packed_record_and_a_plain_one_are_the_same_span() {
    // With a delay there is no room for it where most are put at rest as they are read.
    for delays in [vec![], vec![(Stage::Handler, 5_000_000)]] {
        let half = Half { injected: delays, ..measured() };
        let batch = decode(vec![saying([packed(&half)]), saying(texts(&half))]);
        let [packed, plain] = batch.spans.as_slice() else { panic!("{:?}", batch.rejected) };
        assert_eq!(packed, plain);
        assert_eq!(packed.half().injected, half.injected);
        assert_eq!(packed.half().marks, half.marks);
    }
    let broken = saying([attribute(names::PACKED, Value::BytesValue(vec![1, 1, 9]))]);
    assert!(decode(vec![broken]).spans.is_empty());
}

#[test]
fn what_several_attributes_say_is_one_record_in_whatever_order_they_come() {
    let half = measured();
    let delay = || text(names::INJECTED, "handler=5000000");
    let more = Half { connection: 9, ..Half::new(Side::Client, (0, 0)) };
    let spans = [
        saying([packed(&half), delay()]),
        saying([delay(), packed(&half)]),
        saying([packed(&half), packed(&more), delay()]),
    ];
    let batch = decode(spans.into());
    let halves: Vec<Half> = batch.spans.iter().map(crate::span::Span::half).collect();
    assert_eq!(halves.len(), 3, "{:?}", batch.rejected);
    for (read, connection) in halves.iter().zip([3, 3, 9]) {
        assert_eq!((read.marks, read.outbound), (half.marks, half.outbound));
        assert_eq!(read.injected, [(Stage::Handler, 5_000_000)]);
        assert_eq!(read.connection, connection);
    }
}

#[test]
fn a_packed_record_of_no_time_is_refused_and_one_without_marks_lasts_as_its_span_says() {
    let mut late = measured();
    late.marks.set(Point::CallStart, 1 << 61);
    let mut too_late = Half::new(Side::Client, (0, 0));
    too_late.marks.set(Point::CallStart, 1 << 61);
    let unmarked = Half { connection: 5, ..Half::new(Side::Client, (0, 0)) };
    let batch = decode([&late, &too_late, &unmarked].map(|half| saying([packed(half)])).into());
    assert_eq!(batch.rejected.by_name()["attribute"], 2);
    let [span] = batch.spans.as_slice() else { panic!("{:?}", batch.spans) };
    assert_eq!((span.start, span.end, span.half().connection), (1_000, 3_000, 5));
}
