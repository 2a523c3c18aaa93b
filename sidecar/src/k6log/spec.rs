//! Lines become spans by the lengths that they have and the time that the log gives them; whatever else comes is
//! refused by its reason and stops nothing.

use ledger::{Half, Point, Side};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use proptest::prelude::*;
use serde_json::json;

use super::{line, push};

const AT: u64 = 1_795_627_035_186_086_476;

fn http() -> serde_json::Value {
    json!({
        "v": 1, "trace": "5b8efff798038103d269b633813fc60c", "span": "eee19b7ec3c1b174", "edge": ":0:", "weight": 1,
        "scenario": "load", "kind": "http", "method": "POST", "name": "POST /rest/ping", "named": false,
        "peer": "127.0.0.1:8080", "status": 200, "blocked": 0.25, "duration": 1.25, "since": 0.0625
    })
}

fn with(key: &str, value: serde_json::Value) -> serde_json::Value {
    let mut line = http();
    line[key] = value;
    line
}

#[test]
fn a_line_is_a_span_that_ended_before_it_was_written() {
    let span = line::read(&http().to_string(), AT).unwrap();
    let end = AT - 62_500;
    assert_eq!((span.start_time_unix_nano, span.end_time_unix_nano), (end - 1_500_000, end));
    assert_eq!(span.trace_state, "hoplab=eee19b7ec3c1b174::0:");
    assert_eq!(span.span_id, 0xeee1_9b7e_c3c1_b174_u64.to_be_bytes());
    let Some(Value::BytesValue(packed)) = span.attributes[0].value.clone().unwrap().value else {
        panic!("{span:?}")
    };
    let mut half = Half::new(Side::Client, (0, 0));
    half.unpack(&packed).unwrap();
    let connected = half.marks.get(Point::SendBegin);
    assert_eq!((half.marks.first(), connected), (Some(end - 1_500_000), Some(end - 1_250_000)));
    // gRPC's has no connection: nothing is said of it.
    let mut grpc = http();
    grpc.as_object_mut().unwrap().remove("blocked");
    let span = line::read(&grpc.to_string(), AT).unwrap();
    assert_eq!(span.start_time_unix_nano, end - 1_250_000);
}

#[test]
fn a_line_that_cannot_be_is_refused_by_its_reason() {
    for (line, reason) in [
        (json!({}), "json"),
        (json!(null), "json"),
        (with("v", json!(2)), "version"),
        (with("trace", json!("5b8e")), "id"),
        (with("span", json!("+ee19b7ec3c1b174")), "id"),
        (with("span", json!(7)), "json"),
        (with("duration", json!(-1)), "length"),
        (with("duration", json!(1e12)), "length"),
        (with("blocked", json!(1e300)), "length"),
        (with("duration", json!("2")), "json"),
        (with("name", json!("x".repeat(9_000))), "long"),
    ] {
        assert_eq!(line::read(&line.to_string(), AT).unwrap_err().name(), reason, "{line}");
    }
    // It would have begun before 1970.
    assert_eq!(line::read(&http().to_string(), 1_000).unwrap_err().name(), "time");
}

#[test]
fn other_lines_are_counted_and_what_k6_says_of_itself_is_read() {
    let dropped =
        "k6 dropped 7 log messages because they were above the limit of 100 messages / 1s";
    let body = json!({ "streams": [
        { "stream": { "level": "info", "source": "console" },
          "values": [[AT.to_string(), format!("hoplab {}", http())], ["soon", format!("hoplab {}", http())],
                     [AT.to_string(), "hello"], [AT.to_string(), dropped]] },
        { "stream": { "level": "warning" }, "values": [[AT.to_string(), dropped]] },
        { "stream": { "level": "odd" }, "values": [[AT.to_string(), "?"]] },
        { "stream": {}, "values": [] },
    ] });
    let (spans, brought) = push::read(body.to_string().as_bytes()).unwrap();
    assert_eq!((spans.len(), brought.refused.get("time")), (1, Some(&1)));
    // What a script prints is not taken for k6's own.
    assert_eq!((brought.dropped_by_k6, brought.latest.as_deref()), (7, Some(dropped)));
    let others: Vec<_> = brought.others.into_iter().collect();
    assert_eq!(others, [("info", 2), ("unknown", 1), ("warning", 1)]);
}

proptest! {
    #[test]
    fn nothing_that_is_pushed_makes_reading_panic(
        text in any::<String>(), at in any::<u64>(), ms in any::<f64>(), bytes in any::<Vec<u8>>(),
    ) {
        let _ = line::read(&text, at);
        let _ = line::read(&with("duration", json!(ms)).to_string(), at);
        let _ = push::read(&bytes);
        let pushed = json!({ "streams": [{ "stream": { "level": text }, "values": [[text, text]] }] });
        let _ = push::read(pushed.to_string().as_bytes());
    }
}
