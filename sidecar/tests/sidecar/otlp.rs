//! OTLP as the world sends it: every dialect, every compression, and what is answered to what is wrong.

use crate::fixture::Running;
use crate::fixture::http::{Answer, grpc_frame, gzip, send};
use http::Version;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, span::SpanKind};
use prost::Message as _;
use serde_json::json;
use sidecar::runfile::Claimed;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const GRPC: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const JSON: (&str, &str) = ("content-type", "application/json");
const OVER_GRPC: (&str, &str) = ("content-type", "application/grpc");

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, prost::Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

type Headers<'a> = Vec<(&'a str, &'a str)>;

/// One CLIENT span with this trace's number.
fn export(trace: u8) -> Vec<u8> {
    let span = Span {
        trace_id: vec![trace; 16],
        span_id: vec![1; 8],
        kind: SpanKind::Client as i32,
        start_time_unix_nano: 1_000,
        end_time_unix_nano: 2_000,
        ..Span::default()
    };
    let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

/// The same as JSON, with names and values that nobody reads.
fn export_json(trace: u8) -> serde_json::Value {
    json!({"resourceSpans": [{"resource": {"attributes": [], "novel": {"a": [1, null]}},
        "scopeSpans": [{"scope": {"name": "s"}, "spans": [{
            "traceId": format!("{trace:02x}").repeat(16), "spanId": "01".repeat(8), "parentSpanId": null,
            "kind": 3, "startTimeUnixNano": "1000", "endTimeUnixNano": 2000, "events": [{"name": "e"}],
            "attributes": [{"key": "k", "value": {"arrayValue": {"values": [{"intValue": "7"}]}}}],
            "status": {"code": 1}}]}]}]})
}

/// Sends `body` by POST to the sidecar's OTLP port.
async fn post(
    sidecar: &Running,
    version: Version,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<bytes::Bytes>,
) -> Answer {
    send(version, "POST", &format!("{}{path}", sidecar.otlp), headers, body).await
}

#[tokio::test]
async fn every_dialect_is_taken_in_every_compression_on_one_port() {
    let sidecar = Running::start("").await;
    let mut trace = 0;
    for encoding in ["identity", "gzip", "zstd"] {
        let packed = |bytes: &[u8]| match encoding {
            "gzip" => gzip(bytes),
            "zstd" => zstd::encode_all(bytes, 1).unwrap(),
            _ => bytes.to_vec(),
        };
        for version in [Version::HTTP_11, Version::HTTP_2] {
            trace += 1;
            let headers = [PROTOBUF, ("content-encoding", encoding)];
            let body = packed(&export(trace));
            let answer = post(&sidecar, version, "/v1/traces", &headers, body).await;
            assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, PROTOBUF.1));
            let answer = ExportTraceServiceResponse::decode(answer.body).unwrap();
            assert_eq!(answer.partial_success, None);

            trace += 1;
            let headers = [JSON, ("content-encoding", encoding)];
            let body = packed(export_json(trace).to_string().as_bytes());
            let answer = post(&sidecar, version, "/v1/traces", &headers, body).await;
            assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, JSON.1));
            assert_eq!(answer.json(), json!({}));
        }
        trace += 1;
        let body = grpc_frame(&packed(&export(trace)), encoding != "identity");
        let headers = [OVER_GRPC, ("te", "trailers"), ("grpc-encoding", encoding)];
        let answer = post(&sidecar, Version::HTTP_2, GRPC, &headers, body).await;
        assert_eq!((answer.grpc_status(), answer.header("content-type")), ("OK", OVER_GRPC.1));
        assert_eq!(answer.body, [0; 5].as_slice());
    }
    let stats = sidecar.flush().await;
    assert_eq!((stats.spans_received, stats.spans_by_kind["client"]), (15, 15));
    assert_eq!((stats.traces_closed, stats.requests_written), (15, 15));
    let exports = [("grpc", 3), ("json", 6), ("protobuf", 6)].map(|(k, n)| (k.to_owned(), n));
    assert_eq!(stats.exports, exports.into());
    assert_eq!(stats.exports_refused.values().sum::<u64>(), 0);
    // What is held is the traces that lack a side, in case it comes late.
    let each = stats.memory_used_bytes / 15;
    assert!((1..4_096).contains(&each), "{each} bytes a trace");
}

#[tokio::test]
async fn spans_that_are_refused_are_a_partial_success_in_the_words_of_the_dialect() {
    let sidecar = Running::start("").await;
    // No trace id.
    let answer = post(&sidecar, Version::HTTP_11, "/v1/traces", &[PROTOBUF], export(0)).await;
    let partial = ExportTraceServiceResponse::decode(answer.body).unwrap().partial_success.unwrap();
    assert_eq!((answer.status.as_u16(), partial.rejected_spans), (200, 1));
    assert!(partial.error_message.contains("trace_id=1"), "{}", partial.error_message);
    // Ids that are not hexadecimal, as proto3's own JSON would write them, refuse their span alone.
    let mut json = export_json(2);
    let spans = json["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array_mut().unwrap();
    spans.push(json!({"traceId": "AQIDBAUGBwgJCgsMDQ4PEA==", "spanId": "AQIDBAUGBwg="}));
    let answer = post(&sidecar, Version::HTTP_11, "/v1/traces", &[JSON], json.to_string()).await;
    let partial = &answer.json()["partialSuccess"];
    assert_eq!((answer.status.as_u16(), &partial["rejectedSpans"]), (200, &json!("1")));
    let stats = sidecar.flush().await;
    assert_eq!((stats.spans_received, stats.spans_rejected["trace_id"]), (3, 2));
}

#[tokio::test]
async fn metrics_and_logs_are_taken_and_thrown_away_with_a_count() {
    let sidecar = Running::start("").await;
    let service = |name: &str| format!("/opentelemetry.proto.collector.{name}/Export");
    let (metrics, logs) = (service("metrics.v1.MetricsService"), service("logs.v1.LogsService"));
    for path in [metrics.as_str(), logs.as_str()] {
        let body = grpc_frame(b"whatever", false);
        let answer = post(&sidecar, Version::HTTP_2, path, &[OVER_GRPC], body).await;
        assert_eq!(answer.grpc_status(), "OK");
    }
    for path in ["/v1/metrics", "/v1/logs", "/v1/logs"] {
        let answer = post(&sidecar, Version::HTTP_11, path, &[JSON], "{}").await;
        assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({})));
    }
    let stats = sidecar.stats().await;
    let dropped = [("logs", 3), ("metrics", 2)].map(|(k, n)| (k.to_owned(), n));
    assert_eq!((stats.signals_dropped, stats.spans_received), (dropped.into(), 0));
}

/// Method, path, headers, body; status, counted reason, and words of the answer.
type Case<'a> = (&'a str, &'a str, Headers<'a>, Vec<u8>, u16, &'a str, &'a str);

fn refused_over_http() -> Vec<Case<'static>> {
    let zipped = ("content-encoding", "gzip");
    let big = vec![0; (16 << 20) + 6];
    let bomb = gzip(&vec![0; 64 << 20]);
    vec![
        ("POST", "/", vec![PROTOBUF], vec![], 404, "path", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ("POST", "/v1/trace", vec![JSON], vec![], 404, "path", "without a path"),
        ("GET", "/v1/traces", vec![PROTOBUF], vec![], 405, "method", "by POST"),
        ("POST", "/v1/traces", vec![], export(1), 415, "content_type", "content type none"),
        ("POST", "/v1/traces", vec![OVER_GRPC], export(1), 415, "content_type", "application/grpc"),
        ("POST", GRPC, vec![OVER_GRPC], export(1), 415, "content_type", "over HTTP/2"),
        ("POST", GRPC, vec![PROTOBUF], export(1), 415, "content_type", "x-protobuf"),
        (
            "POST",
            "/v1/traces",
            vec![PROTOBUF, ("content-encoding", "br")],
            export(1),
            415,
            "content_encoding",
            "gzip or zstd",
        ),
        ("POST", "/v1/traces", vec![PROTOBUF], big, 413, "too_large", "OTEL_BSP_MAX_EXPORT"),
        (
            "POST",
            "/v1/traces",
            vec![PROTOBUF, zipped],
            bomb,
            413,
            "too_large",
            "after undoing gzip",
        ),
        (
            "POST",
            "/v1/traces",
            vec![PROTOBUF],
            vec![0xff; 9],
            400,
            "malformed",
            "opentelemetry-proto",
        ),
        ("POST", "/v1/traces", vec![JSON], b"{".to_vec(), 400, "malformed", "line 1"),
        (
            "POST",
            "/v1/traces",
            vec![JSON],
            br#"{"resourceSpans":[{"scopeSpans":"x"}]}"#.to_vec(),
            400,
            "malformed",
            "scopeSpans must not be text",
        ),
        ("POST", "/v1/traces", vec![JSON, zipped], b"plain".to_vec(), 400, "malformed", "no gzip"),
    ]
}

#[tokio::test]
async fn what_is_refused_over_http_is_answered_as_the_specification_says() {
    let sidecar = Running::start("").await;
    for (method, path, headers, body, status, reason, words) in refused_over_http() {
        let before = sidecar.stats().await.exports_refused;
        let url = format!("{}{path}", sidecar.otlp);
        let answer = send(Version::HTTP_11, method, &url, &headers, body).await;
        assert_eq!(answer.status.as_u16(), status, "{path} {headers:?}: {answer:?}");
        let message = if answer.header("content-type") == PROTOBUF.1 {
            Status::decode(answer.body.clone()).unwrap().message
        } else {
            answer.json()["message"].as_str().unwrap().to_owned()
        };
        assert!(message.contains(words), "{message}");
        let after = sidecar.stats().await.exports_refused;
        assert_eq!(after[reason], before[reason] + 1, "{after:?}");
        assert_eq!(after.values().sum::<u64>(), before.values().sum::<u64>() + 1);
        if status == 415 && reason == "content_encoding" {
            assert_eq!(answer.header("accept-encoding"), "gzip, zstd");
        }
    }
    assert_eq!(sidecar.stats().await.spans_received, 0);
}

#[tokio::test]
async fn what_is_refused_over_grpc_is_answered_with_a_status_that_sdks_understand() {
    let sidecar = Running::start("").await;
    let frame = |message: &[u8]| grpc_frame(message, false);
    let cases: Vec<(&str, Headers<'_>, Vec<u8>, &str, &str)> = vec![
        ("/x.Y/Export", vec![], frame(b""), "UNIMPLEMENTED", "path"),
        (
            GRPC,
            vec![("grpc-encoding", "snappy")],
            grpc_frame(b"x", true),
            "UNIMPLEMENTED",
            "content_encoding",
        ),
        // RESOURCE_EXHAUSTED without advice on when to come again is not tried again.
        (GRPC, vec![], frame(&vec![0; 17 << 20]), "RESOURCE_EXHAUSTED", "too_large"),
        (
            GRPC,
            vec![("grpc-encoding", "gzip")],
            grpc_frame(&gzip(&vec![0; 64 << 20]), true),
            "RESOURCE_EXHAUSTED",
            "too_large",
        ),
        (GRPC, vec![], frame(&[0xff; 9]), "INVALID_ARGUMENT", "malformed"),
        (GRPC, vec![], vec![], "INVALID_ARGUMENT", "malformed"),
        (GRPC, vec![], frame(b"")[..4].to_vec(), "INVALID_ARGUMENT", "malformed"),
        (GRPC, vec![], frame(b"ab")[..6].to_vec(), "INVALID_ARGUMENT", "malformed"),
        (GRPC, vec![], [frame(b""), frame(b"")].concat(), "INVALID_ARGUMENT", "malformed"),
    ];
    for (path, headers, body, status, reason) in cases {
        let before = sidecar.stats().await.exports_refused[reason];
        let headers: Vec<_> = headers.into_iter().chain([OVER_GRPC]).collect();
        let answer = post(&sidecar, Version::HTTP_2, path, &headers, body).await;
        assert_eq!((answer.status.as_u16(), answer.grpc_status()), (200, status), "{path}");
        assert!(!answer.header("grpc-message").is_empty());
        assert_eq!(sidecar.stats().await.exports_refused[reason], before + 1);
    }
}

/// A peer that promises a body of `promised` bytes, sends `sent` of them, and waits.
async fn half_a_body(sidecar: &Running, promised: usize, sent: usize) -> tokio::net::TcpStream {
    let address = sidecar.otlp.trim_start_matches("http://");
    let mut peer = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = "POST /v1/traces HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n";
    let head = format!("{head}content-length: {promised}\r\n\r\n");
    peer.write_all(head.as_bytes()).await.unwrap();
    // What is not read stays in the socket, as far as there is room.
    let body = vec![b' '; sent];
    let _ = tokio::time::timeout(std::time::Duration::from_millis(50), peer.write_all(&body)).await;
    peer
}

#[tokio::test]
async fn where_memory_is_short_senders_are_told_to_come_again() {
    let sidecar = Running::start("--memory-limit 67108864").await;
    // Peers hold all there is by bodies that they do not end: first by much, then by what is left.
    let mut peers = Vec::new();
    let left = async || {
        let stats = sidecar.stats().await;
        stats.memory_limit_bytes - stats.memory_used_bytes
    };
    for (promised, sent, enough) in
        [(256 << 10, 255 << 10, 2 << 20), (100 << 10, 1 << 10, 260 << 10)]
    {
        while left().await > enough {
            peers.push(half_a_body(&sidecar, promised, sent).await);
            assert!(peers.len() < 400, "what is sent is counted");
        }
    }
    // To be sent again, over HTTP as over gRPC.
    let body = vec![0; 250 << 10];
    let answer = post(&sidecar, Version::HTTP_11, "/v1/traces", &[PROTOBUF], body.clone()).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "1"));
    let frame = grpc_frame(&body, false);
    let answer = post(&sidecar, Version::HTTP_2, GRPC, &[OVER_GRPC], frame).await;
    assert_eq!(answer.grpc_status(), "UNAVAILABLE");
    let stats = sidecar.stats().await;
    assert!(stats.exports_refused["busy"] >= 2 && stats.spans_received == 0, "{stats:?}");
    drop(peers);
    while sidecar.stats().await.memory_used_bytes > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn large_bodies_take_turns_and_hold_up_no_small_ones() {
    let sidecar = Running::start("--memory-limit 67108864").await;
    // One is read as it comes; of the others nothing is.
    let mut peers = Vec::new();
    for _ in 0..20 {
        peers.push(half_a_body(&sidecar, 16 << 20, 1 << 20).await);
    }
    while sidecar.stats().await.memory_used_bytes < 1 << 20 {
        tokio::task::yield_now().await;
    }
    assert!(sidecar.stats().await.memory_used_bytes < 4 << 20);
    let large = export_of(1 << 20);
    let (answer, waited) = tokio::join!(
        post(&sidecar, Version::HTTP_11, "/v1/traces", &[PROTOBUF], export(1)),
        post(&sidecar, Version::HTTP_11, "/v1/traces", &[PROTOBUF], large.clone()),
    );
    assert_eq!(answer.status.as_u16(), 200);
    assert_eq!((waited.status.as_u16(), waited.header("retry-after")), (503, "1"));
    drop(peers);
    let answer = post(&sidecar, Version::HTTP_2, "/v1/traces", &[PROTOBUF], large).await;
    assert_eq!(answer.status.as_u16(), 200);
}

/// An export of one span that has `bytes` bytes, most of them of a field that nobody reads.
fn export_of(bytes: usize) -> Vec<u8> {
    let mut body = export(1);
    body.push(15 << 3 | 2);
    let content = bytes - body.len() - prost::encoding::encoded_len_varint(bytes as u64);
    prost::encoding::encode_varint(content as u64, &mut body);
    body.resize(bytes, 0);
    body
}

#[tokio::test]
async fn of_many_large_bodies_at_once_as_many_get_in_as_there_is_time_for() {
    let sidecar = Running::start("--memory-limit 67108864").await;
    let body = bytes::Bytes::from(export_of(16 << 20));
    let mut all = tokio::task::JoinSet::new();
    for version in [Version::HTTP_11, Version::HTTP_2].into_iter().cycle().take(60) {
        let (url, body) = (format!("{}/v1/traces", sidecar.otlp), body.clone());
        all.spawn(async move { send(version, "POST", &url, &[PROTOBUF], body).await });
    }
    let (mut taken, mut largest) = (0, 0);
    while let Some(answer) = all.join_next().await {
        let answer = answer.unwrap();
        match answer.status.as_u16() {
            200 => taken += 1,
            503 => assert_eq!(answer.header("retry-after"), "1"),
            other => panic!("{other}"),
        }
        largest = largest.max(sidecar.stats().await.memory_used_bytes);
    }
    assert!(taken > 0 && largest <= 64 << 20, "{taken} taken, {largest} bytes");
    assert_eq!(sidecar.stats().await.spans_received, taken);
}

#[tokio::test]
async fn an_export_of_more_spans_than_there_is_memory_for_is_taken_and_the_oldest_make_room() {
    let sidecar = Running::start("--memory-limit 67108864 --join-window 10m").await;
    let span = |n: u32| Span {
        trace_id: (u128::from(n) + 1).to_be_bytes().to_vec(),
        parent_span_id: vec![9; 8],
        span_id: vec![1; 8],
        kind: SpanKind::Client as i32,
        start_time_unix_nano: 1_000,
        end_time_unix_nano: 2_000,
        ..Span::default()
    };
    let scope_spans =
        vec![ScopeSpans { spans: (0..200_000).map(span).collect(), ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    let body = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
    let answer = post(&sidecar, Version::HTTP_11, "/v1/traces", &[PROTOBUF], body).await;
    assert_eq!(answer.status.as_u16(), 200);
    let stats = sidecar.flush().await;
    assert!(stats.memory_used_bytes <= stats.memory_limit_bytes, "{stats:?}");
    let refused = stats.spans_rejected["memory"];
    let placed = stats.fragments + stats.late + stats.dropped_spans + stats.unplaced + refused;
    assert!(stats.evicted > 0 && stats.spans_received == 200_000, "{stats:?}");
    assert_eq!(placed, 200_000, "{stats:?}");
}

#[tokio::test]
async fn where_traces_fill_the_memory_the_oldest_make_room() {
    let sidecar = Running::start("--memory-limit 67108864 --join-window 10m").await;
    // Exports of traces that are never complete get in, one after the other, however many.
    for n in 0..100_u32 {
        let mut request = ExportTraceServiceRequest::decode(export(1).as_slice()).unwrap();
        let spans = &mut request.resource_spans[0].scope_spans[0].spans;
        let template = spans.pop().unwrap();
        spans.extend((0..1_000_u32).map(|at| Span {
            trace_id: (u128::from(n * 1_000 + at) + 1).to_be_bytes().to_vec(),
            ..template.clone()
        }));
        loop {
            let body = request.encode_to_vec();
            let answer = post(&sidecar, Version::HTTP_11, "/v1/traces", &[PROTOBUF], body).await;
            match answer.status.as_u16() {
                200 => break,
                503 => tokio::task::yield_now().await,
                other => panic!("{other}"),
            }
        }
        let stats = sidecar.stats().await;
        assert!(stats.memory_used_bytes <= stats.memory_limit_bytes, "{stats:?}");
    }
    let stats = sidecar.flush().await;
    assert!(stats.evicted > 0 && stats.spans_received == 100_000, "{stats:?}");
    let placed = stats.spans_joined + stats.unplaced + stats.late + stats.dropped_spans;
    assert_eq!(placed, 100_000, "{stats:?}");
    // Traces that lack a side are kept in case it comes late, and make room as well.
    assert!(stats.memory_used_bytes <= stats.memory_limit_bytes, "{stats:?}");
}

#[tokio::test]
async fn a_peer_that_speaks_tls_or_no_http_is_counted_and_the_others_are_served() {
    let sidecar = Running::start("").await;
    let address = sidecar.otlp.trim_start_matches("http://").to_owned();
    // The first bytes of a ClientHello.
    for (garbage, reason) in
        [(&b"\x16\x03\x01\x02\x00\x01\x00"[..], "tls"), (&b"\0\0\0\0\r\n\r\n"[..], "not_http")]
    {
        let mut peer = tokio::net::TcpStream::connect(&address).await.unwrap();
        peer.write_all(garbage).await.unwrap();
        let _ = peer.read_to_end(&mut Vec::new()).await;
        while sidecar.stats().await.exports_refused[reason] == 0 {
            tokio::task::yield_now().await;
        }
    }
    // A body that is cut off, and one that never comes, keep nobody.
    let head = b"POST /v1/traces HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n";
    let mut slow = tokio::net::TcpStream::connect(&address).await.unwrap();
    slow.write_all(&[head, &b"content-length: 16777216\r\n\r\n{"[..]].concat()).await.unwrap();
    let mut cut = tokio::net::TcpStream::connect(&address).await.unwrap();
    cut.write_all(&[head, &b"content-length: 9\r\n\r\n{"[..]].concat()).await.unwrap();
    drop(cut);
    while sidecar.stats().await.exports_refused["broken"] == 0 {
        tokio::task::yield_now().await;
    }
    let answer = post(&sidecar, Version::HTTP_11, "/v1/traces", &[PROTOBUF], export(1)).await;
    assert_eq!(answer.status.as_u16(), 200);
    // Of the one that never comes no more is held than what came, and what HTTP may have of it.
    let stats = sidecar.stats().await;
    assert!(stats.memory_used_bytes < 300_000, "{}", stats.memory_used_bytes);
}

#[tokio::test]
async fn a_web_page_exports_only_where_it_was_allowed_to() {
    let page = ("origin", "https://shop.example");
    let asked = ("access-control-request-method", "POST");
    let wants = ("access-control-request-headers", "content-type,x-custom");
    let sidecar = Running::start("").await;
    let url = format!("{}/v1/traces", sidecar.otlp);
    let answer = send(Version::HTTP_11, "OPTIONS", &url, &[page, asked, wants], "").await;
    assert_eq!(answer.status.as_u16(), 403);
    let answer =
        send(Version::HTTP_11, "POST", &url, &[page, JSON], export_json(1).to_string()).await;
    assert_eq!((answer.status.as_u16(), answer.header("access-control-allow-origin")), (403, ""));
    let message = answer.json()["message"].to_string();
    assert!(message.contains("--allow-origin"), "{message}");
    let stats = sidecar.stats().await;
    assert_eq!((stats.exports_refused["origin"], stats.spans_received), (2, 0));

    let sidecar = Running::start("--allow-origin https://shop.example").await;
    let url = format!("{}/v1/traces", sidecar.otlp);
    let answer = send(Version::HTTP_11, "OPTIONS", &url, &[page, asked, wants], "").await;
    assert_eq!(answer.status.as_u16(), 204);
    assert_eq!(answer.header("access-control-allow-origin"), page.1);
    assert_eq!(answer.header("access-control-allow-headers"), wants.1);
    let answer =
        send(Version::HTTP_11, "POST", &url, &[page, JSON], export_json(1).to_string()).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("access-control-allow-origin")),
        (200, page.1)
    );
    let other = ("origin", "https://shop.example.evil");
    let answer =
        send(Version::HTTP_11, "POST", &url, &[other, JSON], export_json(2).to_string()).await;
    assert_eq!(answer.status.as_u16(), 403);
}

#[tokio::test]
async fn what_json_says_is_what_protobuf_says() {
    let sidecar = Running::start("").await;
    let nonce = sidecar.open_run().await;
    let state = format!("hoplab=eee19b7ec3c1b174::3:{nonce}");
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let body = json!({"resourceSpans": [{
        "resource": {"attributes": [text("service.name", "page")]},
        "scopeSpans": [{"spans": [{
            "traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": "eee19b7ec3c1b174", "kind": 3,
            "traceState": state, "startTimeUnixNano": "1544712660000000000", "endTimeUnixNano": "1544712661000000000",
            "attributes": [text("peer.service", "sh\u{f6}p \"1\""),
                {"key": "lab.weight", "value": {"doubleValue": 2.5}},
                {"key": "lab.round", "value": {"intValue": 3}}],
            "status": {"code": 2}}]}]}]});
    let answer = post(&sidecar, Version::HTTP_11, "/v1/traces", &[JSON], body.to_string()).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({})));
    sidecar.flush_run(&nonce).await;
    let requests = sidecar.open_run_file().await.read_requests().await.unwrap();
    let [row] = requests.as_slice() else { panic!("{requests:?}") };
    assert_eq!(row.trace_id.to_string(), "5b8efff798038103d269b633813fc60c");
    assert_eq!((row.latency_ns, row.error, row.weight, row.round), (1_000_000_000, true, 2.5, 3));
    assert_eq!(&*row.hops[0].hop, "page→sh\u{f6}p \"1\"");
}

#[tokio::test]
async fn sizes_that_spans_claim_are_in_the_run_file_and_what_is_no_size_is_counted() {
    let sidecar = Running::start("").await;
    let mut export = export_json(7);
    export["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["attributes"] = json!([
        {"key": "http.request.body.size", "value": {"intValue": "14"}},
        {"key": "http.response_content_length", "value": {"stringValue": "100237"}},
        {"key": "http.response.body.size", "value": {"intValue": "-1"}},
    ]);
    let body = serde_json::to_vec(&export).unwrap();
    let answer = post(&sidecar, Version::HTTP_11, "/v1/traces", &[JSON], body).await;
    assert_eq!(answer.status, 200);
    let stats = sidecar.flush().await;
    assert_eq!((stats.sizes_ignored, stats.requests_written), (1, 1), "{stats:#?}");
    let rows = sidecar.open_run_file().await.read_requests().await.unwrap();
    let hop = &rows[0].hops[0];
    assert_eq!(hop.claimed, Claimed { request: Some(14), reply: Some(100_237) });
    assert_eq!((hop.request, hop.reply), (None, None), "nobody counted anything");
}
