//! What decoding promises. Messages are made by opentelemetry-proto's generated code.

mod records;

use ledger::{Attribute, Half, Point, Side, Stage, names};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1 as otlp;
use proptest::prelude::*;
use prost::Message;

use super::{Batch, DecodeError, LARGE, Queries, export_request};
use crate::budget::{Budget, Spent};
use crate::losses::Told;
use crate::runs::Runs;
use crate::span::SpanKind;

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.into()))
}

/// A plain client span of some other SDK, with everything that the sidecar ignores.
fn plain() -> otlp::Span {
    otlp::Span {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        parent_span_id: vec![3; 8],
        trace_state: "a=b".into(),
        name: "GET /".into(),
        kind: otlp::span::SpanKind::Client as i32,
        start_time_unix_nano: 1_000,
        end_time_unix_nano: 3_000,
        attributes: vec![
            text("http.request.method", "GET"),
            text(names::SERVER_ADDRESS, "10.0.0.1"),
            text(names::PEER_SERVICE, "db"),
        ],
        events: vec![otlp::span::Event { name: "e".into(), ..Default::default() }],
        links: vec![otlp::span::Link { trace_id: vec![9; 16], ..Default::default() }],
        status: Some(otlp::Status { message: "bad".into(), code: 2 }),
        flags: 0x101,
        ..Default::default()
    }
}

#[test]
fn no_export_of_the_corpus_or_made_of_it_makes_the_decoder_panic() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/otlp");
    test_parts::fuzz("otlp", std::path::Path::new(corpus), |bytes| {
        let _ = read(bytes);
        if let Ok(protobuf) = super::json::to_protobuf(bytes) {
            assert!(read(&protobuf).is_ok(), "what was made here is well-formed");
        }
    });
}

fn with(change: impl FnOnce(&mut otlp::Span)) -> otlp::Span {
    let mut span = plain();
    change(&mut span);
    span
}

fn request(spans: Vec<otlp::Span>) -> ExportTraceServiceRequest {
    let resource = Resource {
        attributes: vec![
            text(names::SERVICE_NAME, "app"),
            text(names::CLOCK, "boot"),
            attribute(names::PROCESS_PID, Value::IntValue(42)),
            text(names::PID_NAMESPACE, "pid:[1]"),
        ],
        ..Default::default()
    };
    let scope_spans = vec![otlp::ScopeSpans { spans, ..Default::default() }];
    let resource_spans =
        vec![otlp::ResourceSpans { resource: Some(resource), scope_spans, ..Default::default() }];
    ExportTraceServiceRequest { resource_spans }
}

/// All that is taken in of a message that is not large.
fn read_in(runs: &Runs, message: &[u8]) -> Result<Batch, DecodeError> {
    let mut taken = Batch::default();
    let budget = Budget::new(usize::MAX);
    export_request(message, &budget, Queries::Dropped, runs, &mut |batch| taken = batch)?;
    Ok(taken)
}

fn read(message: &[u8]) -> Result<Batch, DecodeError> {
    read_in(&Runs::default(), message)
}

fn decode(spans: Vec<otlp::Span>) -> Batch {
    read(&request(spans).encode_to_vec()).unwrap()
}

#[test]
fn a_span_made_by_generated_code_is_read() {
    let batch = decode(vec![plain()]);
    let span = &batch.spans[0];
    assert_eq!(span.trace, u128::from_be_bytes([1; 16]));
    assert_eq!((span.id, span.parent), (u64::from_be_bytes([2; 8]), u64::from_be_bytes([3; 8])));
    assert_eq!((span.kind, span.error), (SpanKind::Client, true));
    assert_eq!(span.peer(), Some("db"));
    assert_eq!((span.start, span.end), (1_000, 3_000));
    let source = &span.source;
    assert_eq!((source.service.as_str(), source.clock.as_str(), source.pid), ("app", "boot", 42));
    assert_eq!(source.pid_namespace, "pid:[1]");
    assert_eq!(batch.rejected.total(), 0);
}

#[test]
fn a_call_to_a_database_is_known_by_either_name_of_its_attribute() {
    let calls = |key: &str, value: Value| {
        let span = with(|span| span.attributes.push(attribute(key, value)));
        decode(vec![span]).spans[0].database().map(str::to_owned)
    };
    let of = |name: &str| Value::StringValue(name.into());
    assert_eq!(calls(names::DB_SYSTEM_NAME, of("postgresql")).as_deref(), Some("postgresql"));
    assert_eq!(calls(names::DB_SYSTEM, of("redis")).as_deref(), Some("redis"));
    assert_eq!(calls(names::DB_SYSTEM, of(&"x".repeat(9_999))).map(|name| name.len()), Some(256));
    for not_a_name in [of(""), Value::IntValue(1)] {
        assert_eq!(calls(names::DB_SYSTEM_NAME, not_a_name), None);
    }
    let server = with(|span| {
        span.kind = otlp::span::SpanKind::Server as i32;
        span.attributes.push(text(names::DB_SYSTEM_NAME, "postgresql"));
    });
    assert_eq!(decode(vec![server]).spans[0].database(), None);
}

#[test]
fn sizes_of_bodies_are_kept_by_either_name_as_claims() {
    let claims = |sizes: &[(&str, Value)]| {
        let attributes = sizes.iter().map(|(key, value)| attribute(key, value.clone()));
        let batch = decode(vec![with(|span| span.attributes.extend(attributes))]);
        assert_eq!(batch.rejected.total(), 0, "no size costs a span");
        let claimed = batch.spans[0].claimed.as_deref().copied().unwrap_or_default();
        (claimed.request, claimed.reply, batch.sizes_ignored)
    };
    let (int, text) = (Value::IntValue, |size: &str| Value::StringValue(size.into()));
    let [request, reply] = ["http.request.body.size", "http.response.body.size"];
    let older = ["http.request_content_length", "http.response_content_length"];
    assert_eq!(claims(&[(request, int(14)), (reply, int(0))]), (Some(14), Some(0), 0));
    let both = [(older[0], text("14")), (older[1], text("100237"))];
    assert_eq!(claims(&both), (Some(14), Some(100_237), 0));
    // Of both names the one of now counts, whichever comes first.
    let twice = [(older[1], int(2)), (reply, int(1)), (request, int(3)), (older[0], int(4))];
    assert_eq!(claims(&twice), (Some(3), Some(1), 0));
    // What is no size is no claim, and the older name still is one.
    for nonsense in [
        int(-1),
        int(i64::MAX),
        int((1 << 40) + 1),
        text("-7"),
        text("99999999999999999999"),
        text("1.5 kB"),
        text(""),
        Value::DoubleValue(0.5),
        Value::BoolValue(true),
    ] {
        let sizes = [(request, nonsense.clone()), (older[0], int(9)), (reply, nonsense)];
        assert_eq!(claims(&sizes), (Some(9), None, 2), "{sizes:?}");
    }
    assert_eq!(claims(&[(request, int(1 << 40))]), (Some(1 << 40), None, 0));
    assert_eq!(claims(&[("messaging.message.body.size", int(5))]), (None, None, 0));
    let queue = with(|span| {
        span.kind = otlp::span::SpanKind::Producer as i32;
        span.attributes.push(attribute(request, int(5)));
    });
    assert_eq!(decode(vec![queue]).spans[0].claimed, None, "it is no side of a hop");
}

#[test]
fn kinds_are_those_of_otlp() {
    let kinds: Vec<_> = (0..7).map(|kind| with(|span| span.kind = kind)).collect();
    let kinds: Vec<_> = decode(kinds).spans.iter().map(|span| span.kind.name()).collect();
    let expected = ["internal", "internal", "server", "client", "producer", "consumer", "internal"];
    assert_eq!(kinds, expected);
}

#[test]
fn a_record_arrives_with_its_marks_as_interval() {
    let mut sent = Half::new(Side::Server, (5_000, 6_000));
    sent.marks.set(Point::LastRead, 5_000);
    sent.marks.set(Point::LastWrite, 6_000);
    sent.sending.framing = 11;
    sent.outbound.payload = 10;
    sent.http = 20;
    sent.injected = vec![(Stage::Handler, 77)];
    let span = with(|span| {
        span.kind = otlp::span::SpanKind::Server as i32;
        // Wall time may step back during a span: marks are the truth.
        span.end_time_unix_nano = 1;
        for Attribute { key, value } in sent.attributes() {
            let ledger::Value::Text(value) = value else {
                continue;
            };
            span.attributes.push(text(key, &value));
        }
    });
    sent.clock = "boot".to_owned();
    sent.wall = span.start_time_unix_nano;
    assert_eq!(decode(vec![span]).spans[0].half(), sent);
}

#[test]
fn what_the_load_generator_wrote_is_read_in_any_type() {
    let runs = Runs::default();
    let span = with(|span| {
        let edge = ledger::Edge {
            span: u64::from_be_bytes([2; 8]),
            cell: "rest-10B".into(),
            round: 3,
            nonce: runs.open().unwrap().1.into(),
        };
        span.trace_state = edge.member();
        span.attributes.extend([
            text(names::CELL, "rest-10B"),
            attribute(names::ROUND, Value::IntValue(3)),
            attribute(names::WEIGHT, Value::IntValue(5)),
            text(names::STOPWATCH, "123456"),
            attribute(names::LOST, Value::DoubleValue(4.0)),
        ]);
    });
    let unbelieved = otlp::Span { trace_state: String::new(), ..span.clone() };
    let message = request(vec![span, plain(), unbelieved]).encode_to_vec();
    let batch = read_in(&runs, &message).unwrap();
    let planned = batch.spans[0].planned.as_ref().unwrap();
    assert_eq!((planned.cell.as_deref(), planned.round), (Some("rest-10B"), 3));
    assert_eq!((planned.weight, planned.stopwatch), (Some(5.0), Some(123_456)));
    assert_eq!(batch.told[0].1.lost, 4);
    let edge = batch.spans[0].edge.as_ref().unwrap();
    assert_eq!((&*edge.said.cell, edge.said.round), ("rest-10B", 3));
    // Without the nonce of the run nobody's word is taken.
    assert!(batch.spans[2].planned.is_none() && batch.spans[2].edge.is_none());
    assert_eq!(batch.ignored, 1);
}

#[test]
fn a_large_message_is_taken_in_by_parts_and_whole_or_not_at_all() {
    let spans = |count: u64| {
        (1..=count).map(|id| with(|span| span.span_id = id.to_be_bytes().to_vec())).collect()
    };
    let message = request(spans(9_000)).encode_to_vec();
    assert!(message.len() > LARGE);
    let take_all = |budget, message: &[u8]| {
        let mut parts = Vec::new();
        let mut take = |batch: Batch| parts.push((batch.spans.len(), batch.sources.len()));
        let runs = Runs::default();
        let taken = export_request(message, &budget, Queries::Dropped, &runs, &mut take);
        (taken, parts)
    };
    let (taken, parts) = take_all(Budget::new(usize::MAX), &message);
    assert_eq!((taken, parts), (Ok(()), vec![(4_096, 0), (4_096, 0), (808, 1)]));
    // What breaks at its end was not taken at its beginning.
    let (taken, parts) = take_all(Budget::new(usize::MAX), &[&message, &[0x0a][..]].concat());
    assert!(matches!(taken, Err(DecodeError::Wire(_))) && parts.is_empty(), "{parts:?}");
    // Where nobody makes room its sender may come again.
    let (taken, parts) = take_all(Budget::new(1), &message);
    assert_eq!((taken, parts), (Err(DecodeError::Spent(Spent)), vec![]));
}

#[test]
fn spans_of_a_large_message_for_which_no_room_is_made_are_refused_by_number() {
    let spans = (1..=9_000_u64).map(|id| with(|span| span.span_id = id.to_be_bytes().to_vec()));
    let message = request(spans.collect()).encode_to_vec();
    let (budget, mut kept) = (Budget::new(4 << 20), Vec::new());
    let mut take = |batch: Batch| kept.push(batch);
    let runs = Runs::default();
    export_request(&message, &budget, Queries::Dropped, &runs, &mut take).unwrap();
    let taken: usize = kept.iter().map(|batch| batch.spans.len()).sum();
    let refused: u64 = kept.iter().map(|batch| batch.rejected.by_name()["memory"]).sum();
    assert!(taken > 0 && refused > 0 && taken as u64 + refused == 9_000, "{taken} {refused}");
    assert!(budget.used() <= 4 << 20);
}

#[test]
fn which_of_a_processs_spans_came_is_told_by_their_numbers() {
    let numbered = |sequence: u64| {
        let mut packed = Vec::new();
        let origin = ledger::Origin { instance: 7, sequence };
        Half::new(Side::Client, (0, 0)).pack(Some(origin), &mut packed);
        with(|span| span.attributes.push(attribute(names::PACKED, Value::BytesValue(packed))))
    };
    let mut message = request([1, 2, 5].map(numbered).into());
    let resource = message.resource_spans[0].resource.as_mut().unwrap();
    resource.attributes.push(attribute(names::INSTANCE, Value::IntValue(7)));
    resource.attributes.push(attribute(names::HIGHEST, Value::IntValue(9)));
    let batch = read(&message.encode_to_vec()).unwrap();
    let expected = Told { instance: 7, highest: 9, lost: 0, came: vec![(1, 2), (5, 5)] };
    assert_eq!(batch.told[0].1, expected);
}

#[test]
fn broken_spans_are_refused_one_by_one_and_the_others_kept() {
    const DAY: u64 = 86_400_000_000_000;
    let bad = |key: &str, value: &str| with(|span| span.attributes.push(text(key, value)));
    let spans = vec![
        with(|span| span.trace_id = vec![1; 15]),
        with(|span| span.trace_id = vec![0; 16]),
        with(|span| span.span_id = vec![0; 8]),
        with(|span| span.span_id.clear()),
        with(|span| span.parent_span_id = vec![1; 7]),
        with(|span| span.end_time_unix_nano = 999),
        with(|span| span.start_time_unix_nano = 0),
        with(|span| span.end_time_unix_nano = u64::MAX),
        with(|span| span.end_time_unix_nano = 1_001 + DAY),
        bad(names::MARKS, "base=ten"),
        bad(names::MARKS, "base=9223372036854775807 cs=5"),
        bad(names::MARKS, &format!("base=1 cs=0 ce={}", DAY + 1)),
        bad(names::MARKS, "base=1 cs=0 win=9223372036854775807"),
        bad(names::WIRE, "ob=9223372036854775807"),
        bad(names::WEIGHT, "NaN"),
        bad(names::ROUND, "-1"),
        bad(names::STOPWATCH, "1e99"),
        bad(names::INJECTED, &"x=1 ".repeat(2_000)),
        plain(),
    ];
    let batch = decode(spans);
    assert_eq!(batch.spans.len(), 1);
    let expected = [
        ("attribute", 7),
        ("malformed", 0),
        ("memory", 0),
        ("parent_id", 1),
        ("span_id", 2),
        ("times", 3),
        ("too_long", 3),
        ("trace_id", 2),
    ];
    assert_eq!(batch.rejected.by_name().into_iter().collect::<Vec<_>>(), expected);
    let message = batch.rejected.message();
    assert!(message.contains("the trace id is not 16 bytes") && message.contains("trace_id=2"));
}

#[test]
fn a_span_whose_bytes_are_broken_is_refused_alone() {
    // The second span of the scope is the single byte of an unfinished field.
    let span = plain().encode_to_vec();
    let field = |number: u8, bytes: &[u8]| {
        let mut field = vec![number << 3 | 2];
        prost::encoding::encode_varint(bytes.len() as u64, &mut field);
        field.extend(bytes);
        field
    };
    let scope = [field(2, &span), field(2, &[0x0a]), field(2, &span)].concat();
    let batch = read(&field(1, &field(2, &scope))).unwrap();
    assert_eq!((batch.spans.len(), batch.rejected.by_name()["malformed"]), (2, 1));
    assert_eq!(batch.spans[0].source.service, "unknown_service");
    assert!(read(&[0x0a, 9]).is_err());
}

proptest! {
    #[test]
    fn no_bytes_make_decoding_panic(
        noise in proptest::collection::vec(any::<u8>(), 0..64),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let _ = read(&noise);
        let mut message = request(vec![plain(), plain()]).encode_to_vec();
        *at.get_mut(&mut message) = byte;
        let _ = read(&message);
    }
}
