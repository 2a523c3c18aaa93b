//! What k6 pushes of its log: every line of `hoplab.js` is the edge of a request, and what is wrong with one is said.

use http::{StatusCode, Version};
use ledger::{Edge, Kind, Stage};
use opentelemetry_proto::tonic::trace::v1 as proto;
use serde_json::{Value, json};
use sidecar::runfile::{RequestRow, RunFile};

use super::export;
use crate::fixture::Running;
use crate::fixture::http::{Answer, send};

/// A push, as `pushes/README.md` has it: a request by HTTP, a call by gRPC, and a line of the script's own.
const PUSH: &str = include_str!("../pushes/hoplab.json");
const TRACE: u128 = 0xd6c0_a172_545c_32a8_fc7a_58fd_15ff_a37b;
const SPAN: u64 = 0xf913_7c21_c77b_2c57;
const PATH: &str = "/loki/api/v1/push";

async fn push(sidecar: &Running, body: impl Into<bytes::Bytes>) -> Answer {
    let url = format!("{}{PATH}", sidecar.otlp);
    send(Version::HTTP_11, "POST", &url, &[("content-type", "application/json")], body).await
}

/// The first line of the push, changed.
fn changed(change: impl FnOnce(&mut Value)) -> String {
    let mut push: Value = serde_json::from_str(PUSH).unwrap();
    let values = push["streams"][0]["values"].as_array_mut().unwrap();
    values.truncate(1);
    let text = values[0][1].as_str().unwrap().strip_prefix("hoplab ").unwrap().to_owned();
    let mut line: Value = serde_json::from_str(&text).unwrap();
    change(&mut line);
    values[0][1] = json!(format!("hoplab {line}"));
    push.to_string()
}

/// The span of the service that answered the request by HTTP in 1.5 ms, with the `tracestate` that came.
fn answer(state: &str) -> proto::Span {
    proto::Span {
        trace_id: TRACE.to_be_bytes().into(),
        span_id: vec![7; 8],
        parent_span_id: SPAN.to_be_bytes().into(),
        trace_state: state.to_owned(),
        kind: proto::span::SpanKind::Server as i32,
        start_time_unix_nano: 1_000,
        end_time_unix_nano: 1_501_000,
        ..Default::default()
    }
}

async fn rows(sidecar: Running) -> Vec<RequestRow> {
    let path = sidecar.run_file.clone();
    let _folder = sidecar.stop().await;
    RunFile::open(path).await.unwrap().read_requests().await.unwrap()
}

#[tokio::test]
async fn what_k6_pushes_is_the_edge_of_its_requests() {
    let sidecar = Running::start("").await;
    assert_eq!(push(&sidecar, PUSH).await.status, StatusCode::NO_CONTENT);
    let state = "hoplab=f9137c21c77b2c57::0:";
    export(&sidecar.otlp, vec![answer(state)]).await.unwrap();
    let stats = sidecar.flush().await;
    let log = &stats.k6_log;
    assert_eq!((log.pushes, log.lines, log.others["info"]), (1, 2, 1));
    assert!(log.lines_refused.is_empty() && log.pushes_refused.is_empty(), "{log:?}");
    // By hand nothing is claimed of a cell.
    assert_eq!((stats.spans_received, stats.cells_ignored), (3, 0));
    let rows = rows(sidecar).await;
    let [http, grpc] = [TRACE, 0xaa10_7484_8f1c_5c14_3784_3a25_3c6d_cb09]
        .map(|trace| rows.iter().find(|row| row.trace_id.0 == trace).unwrap());
    let stages = |row: &RequestRow| -> Vec<_> {
        row.hops[0].stages.iter().map(|(stage, time)| (stage, time.ns, time.kind)).collect()
    };
    assert_eq!((&*http.hops[0].hop, http.hops[0].unjoined), ("k6→unknown_service", false));
    assert_eq!((http.latency_ns, &*http.operation), (2_500_000, "ping"));
    assert_eq!((http.hops[0].claimed.reply, http.edge_assumed), (Some(77), false));
    let mut found = stages(http);
    found.sort_by_key(|(.., kind)| *kind as u8);
    let expected = [
        (Stage::SendQueue, 500_000, Kind::Measured),
        (Stage::Handler, 1_500_000, Kind::Measured),
        (Stage::BetweenSpans, 500_000, Kind::Inferred),
    ];
    for stage in expected {
        assert!(found.contains(&stage), "{stage:?} in {found:?}");
    }
    assert_eq!(found.iter().map(|(_, ns, _)| ns).sum::<i64>(), 2_500_000);
    // Of gRPC k6 tells no connection: all of its time is where the other side is.
    assert_eq!((&*grpc.hops[0].hop, grpc.latency_ns), ("k6→127.0.0.1:8081", 40_249));
    assert_eq!(stages(grpc), [(Stage::Remote, 40_249, Kind::Inferred)]);
}

#[tokio::test]
async fn lines_of_the_open_run_belong_to_its_cell() {
    let sidecar = Running::start("").await;
    let nonce = sidecar.open_run().await;
    let edge = Edge { span: SPAN, cell: "orders".into(), round: 2, nonce: nonce.as_str().into() };
    let body = changed(|line| {
        line["edge"] = json!(ledger::edge::said("orders", 2, &nonce));
        line["weight"] = json!(5);
    });
    assert_eq!(push(&sidecar, body).await.status, StatusCode::NO_CONTENT);
    export(&sidecar.otlp, vec![answer(&edge.member())]).await.unwrap();
    sidecar.flush_run(&nonce).await;
    let rows = rows(sidecar).await;
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!((&*row.cell, row.round, row.weight), ("orders", 2, 5.0));
    assert_eq!(row.stopwatch_ns, Some(2_500_000));
}

#[tokio::test]
async fn a_line_that_is_wrong_is_answered_and_counted_and_the_others_are_taken() {
    let sidecar = Running::start("").await;
    let mut both: Value = serde_json::from_str(&changed(|line| line["v"] = json!(9))).unwrap();
    let good: Value = serde_json::from_str(PUSH).unwrap();
    both["streams"].as_array_mut().unwrap().push(good["streams"][0].clone());
    let answer = push(&sidecar, both.to_string()).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "k6 prints what is no success");
    let said = answer.json();
    assert_eq!((&said["taken"], &said["refused"]), (&json!(2), &json!({ "version": 1 })));
    assert!(said["error"].as_str().unwrap().contains("version 9"), "{said}");
    // What is wrong with a span is found where all spans are looked at.
    let zero = changed(|line| line["span"] = json!("0000000000000000"));
    let answer = push(&sidecar, zero).await;
    assert_eq!(
        (answer.status, &answer.json()["refused"]),
        (StatusCode::BAD_REQUEST, &json!({ "span_id": 1 }))
    );
    let log = sidecar.stats().await.k6_log;
    assert_eq!((log.pushes, log.lines), (2, 2));
    assert_eq!((log.lines_refused["version"], log.lines_refused["span_id"]), (1, 1));
}

#[tokio::test]
async fn a_push_that_is_none_is_refused_by_its_reason_and_nothing_stops() {
    let sidecar = Running::start("--memory-limit 64MiB").await;
    let url = format!("{}{PATH}", sidecar.otlp);
    let json_type = ("content-type", "application/json");
    let large = format!(r#"{{"streams":[],"more":"{}"}}"#, "x".repeat(5 << 20));
    for (method, headers, body, status, reason) in [
        ("GET", vec![json_type], String::new(), 405, "method"),
        ("POST", vec![], PUSH.to_owned(), 415, "content_type"),
        (
            "POST",
            vec![("content-type", "application/x-protobuf")],
            PUSH.to_owned(),
            415,
            "content_type",
        ),
        ("POST", vec![json_type, ("origin", "http://page")], PUSH.to_owned(), 403, "origin"),
        ("POST", vec![json_type], "{".to_owned(), 400, "malformed"),
        (
            "POST",
            vec![json_type],
            r#"{"streams":[{"values":[["1"]]}]}"#.to_owned(),
            400,
            "malformed",
        ),
        ("POST", vec![json_type], large, 413, "too_large"),
    ] {
        let answer = send(Version::HTTP_11, method, &url, &headers, body).await;
        assert_eq!(answer.status.as_u16(), status, "{reason}");
        assert!(!answer.json()["error"].as_str().unwrap().is_empty());
        assert!(sidecar.stats().await.k6_log.pushes_refused[reason] > 0, "{reason}");
    }
    let stats = sidecar.stats().await;
    assert_eq!((stats.k6_log.pushes, stats.spans_received, stats.memory_used_bytes), (0, 0, 0));
    assert_eq!(push(&sidecar, PUSH).await.status, StatusCode::NO_CONTENT);
}
