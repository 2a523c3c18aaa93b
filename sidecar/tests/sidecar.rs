//! A whole sidecar, spoken to as its peers do: SDKs, broken clients, the lab.

#![expect(clippy::unwrap_used, reason = "in tests a panic is the report")]

#[path = "sidecar/control.rs"]
mod control;
mod fixture;
#[path = "sidecar/forward.rs"]
mod forward;
#[path = "sidecar/k6log.rs"]
mod k6log;
#[path = "sidecar/otlp.rs"]
mod otlp;
#[path = "sidecar/rows.rs"]
mod rows;
#[path = "sidecar/runs.rs"]
mod runs;

use std::time::{Duration, SystemTime};

use fixture::raw::RawCodec;
use fixture::{Running, config};
use ledger::{Kind, Stage, names};
use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanKind, TraceContextExt as _, Tracer as _, TracerProvider as _};
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_proto::tonic::collector::trace::v1 as collector;
use opentelemetry_proto::tonic::trace::v1 as proto;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use serde_json::json;
use sidecar::runfile::RunFile;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// The OpenTelemetry SDK as any service sets it up.
fn sdk(service: &str, endpoint: &str) -> SdkTracerProvider {
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .build()
        .unwrap();
    SdkTracerProvider::builder()
        .with_resource(Resource::builder().with_service_name(service.to_owned()).build())
        .with_batch_exporter(exporter)
        .build()
}

/// A call of 100 ms from one service to another that is 60 ms at it.
fn call(shop: &SdkTracerProvider, stock: &SdkTracerProvider) {
    let base = SystemTime::now();
    let at = |ms: u64| base + Duration::from_millis(ms);
    let client = shop
        .tracer("http")
        .span_builder("GET /stock")
        .with_kind(SpanKind::Client)
        .with_start_time(at(0))
        .with_attributes([KeyValue::new("http.request.method", "GET")])
        .start(&shop.tracer("http"));
    let context = opentelemetry::Context::new().with_span(client);
    let server = stock
        .tracer("http")
        .span_builder("GET /stock")
        .with_kind(SpanKind::Server)
        .with_start_time(at(20));
    let server = stock.tracer("http").build_with_context(server, &context);
    let server = opentelemetry::Context::new().with_span(server);
    server.span().end_with_timestamp(at(80));
    context.span().end_with_timestamp(at(100));
}

async fn export(
    endpoint: &str,
    spans: Vec<proto::Span>,
) -> Result<collector::ExportTraceServiceResponse, tonic::Status> {
    type Client = collector::trace_service_client::TraceServiceClient<tonic::transport::Channel>;
    let scope_spans = vec![proto::ScopeSpans { spans, ..Default::default() }];
    let resource_spans = vec![proto::ResourceSpans { scope_spans, ..Default::default() }];
    let mut client = Client::connect(endpoint.to_owned()).await.unwrap();
    let request = collector::ExportTraceServiceRequest { resource_spans };
    client.export(request).await.map(tonic::Response::into_inner)
}

fn client_span(trace: u8, id: u8) -> proto::Span {
    proto::Span {
        trace_id: vec![trace; 16],
        span_id: vec![id; 8],
        kind: proto::span::SpanKind::Client as i32,
        start_time_unix_nano: 1_000,
        end_time_unix_nano: 2_000,
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_of_any_opentelemetry_sdk_get_the_coarser_ledger() {
    let sidecar = Running::start("").await;
    let (shop, stock) = (sdk("shop", &sidecar.otlp), sdk("stock", &sidecar.otlp));
    call(&shop, &stock);
    let flushed = tokio::task::spawn_blocking(move || {
        shop.force_flush().and(stock.force_flush()).and(shop.shutdown()).and(stock.shutdown())
    });
    flushed.await.unwrap().unwrap();

    let stats = sidecar.flush().await;
    assert_eq!((stats.spans_received, stats.spans_joined, stats.requests_written), (2, 2, 1));
    let requests = sidecar.open_run_file().await.read_requests().await.unwrap();
    let [row] = requests.as_slice() else { panic!("{requests:?}") };
    assert_eq!(row.hops.len(), 1);
    assert_eq!((&*row.hops[0].hop, row.hops[0].unjoined), ("shop→stock", false));
    let found: Vec<_> = row.hops[0].stages.iter().map(|(s, t)| (s, t.ns, t.kind)).collect();
    let expected = [
        (Stage::Handler, 60_000_000, Kind::Measured),
        (Stage::BetweenSpans, 40_000_000, Kind::Inferred),
    ];
    assert_eq!(found, expected);
    assert_eq!((row.latency_ns, &*row.cell, row.weight), (100_000_000, "", 1.0));
}

#[tokio::test]
async fn broken_spans_are_reported_to_their_sender_and_the_others_kept() {
    let sidecar = Running::start("").await;
    let broken = proto::Span { span_id: vec![1], ..client_span(1, 2) };
    let reply = export(&sidecar.otlp, vec![broken, client_span(1, 1)]).await.unwrap();
    let partial = reply.partial_success.unwrap();
    assert_eq!(partial.rejected_spans, 1);
    assert!(partial.error_message.contains("span id"), "{}", partial.error_message);
    assert_eq!(export(&sidecar.otlp, vec![client_span(2, 1)]).await.unwrap().partial_success, None);
    let stats = sidecar.flush().await;
    assert_eq!((stats.spans_received, stats.spans_rejected["span_id"]), (3, 1));
    assert_eq!((stats.requests_written, stats.traces_open, stats.rows_failed), (2, 0, 0));
}

#[tokio::test]
async fn nothing_that_peers_send_stops_the_sidecar() {
    let sidecar = Running::start("").await;
    let address = sidecar.otlp.trim_start_matches("http://").to_owned();
    let preface: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x04\x63\xff\xff\xff\xff\xff";
    for garbage in [&[0_u8; 4_096][..], b"GET / HTTP/1.1\r\n\r\n", preface] {
        let mut peer = tokio::net::TcpStream::connect(&address).await.unwrap();
        peer.write_all(garbage).await.unwrap();
        peer.shutdown().await.unwrap();
        let _ = peer.read_to_end(&mut Vec::new()).await;
    }
    // A well-framed message that is not protobuf, and one past the limit.
    let channel = tonic::transport::Channel::from_shared(sidecar.otlp.clone()).unwrap();
    let mut grpc = tonic::client::Grpc::new(channel.connect().await.unwrap());
    for (bytes, code) in [
        (vec![0xff; 64], tonic::Code::InvalidArgument),
        (vec![0; 17 << 20], tonic::Code::ResourceExhausted),
    ] {
        grpc.ready().await.unwrap();
        let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
        let path = http::uri::PathAndQuery::from_static(path);
        let sent = grpc.unary(tonic::Request::new(bytes), path, RawCodec).await;
        assert_eq!(sent.unwrap_err().code(), code);
    }
    export(&sidecar.otlp, vec![client_span(1, 1)]).await.unwrap();
    let stats = sidecar.flush().await;
    assert_eq!((stats.malformed_messages, stats.requests_written), (1, 1));
    sidecar.stop().await;
}

#[tokio::test]
async fn every_span_received_is_counted_in_exactly_one_place() {
    let sidecar = Running::start("--max-traces 2").await;
    let lost = |count| {
        let value = opentelemetry_proto::tonic::common::v1::any_value::Value::IntValue(count);
        let value = opentelemetry_proto::tonic::common::v1::AnyValue { value: Some(value) };
        opentelemetry_proto::tonic::common::v1::KeyValue {
            key: names::LOST.into(),
            value: Some(value),
            ..Default::default()
        }
    };
    let mut spans = vec![client_span(1, 1), client_span(1, 1), client_span(1, 0)];
    spans.push(proto::Span { kind: 1, ..client_span(1, 2) });
    spans.extend((2..9).map(|trace| client_span(trace, 1)));
    spans[0].attributes.push(lost(3));
    spans[3].attributes.push(lost(2));
    export(&sidecar.otlp, spans).await.unwrap();
    export(&sidecar.otlp, vec![client_span(7, 9)]).await.unwrap();
    let s = sidecar.flush().await;
    let refused: u64 = s.spans_rejected.values().sum();
    let placed = refused + s.spans_joined + s.links + s.unplaced + s.fragments;
    let placed = placed + s.duplicates + s.unequal + s.late;
    assert_eq!(s.spans_received, placed + s.over_limit + s.dropped_spans, "{s:?}");
    assert_eq!((s.spans_received, refused, s.duplicates), (12, 1, 1));
    assert!(s.evicted > 0 && s.traces_open == 0);
    assert_eq!(s.spans_lost["unknown_service"], 3);
    assert_eq!(s.requests_written, s.requests_closed);
}

#[tokio::test]
async fn an_incomplete_trace_is_closed_when_its_window_ends() {
    let sidecar = Running::start("--join-window 20ms").await;
    export(&sidecar.otlp, vec![client_span(1, 1)]).await.unwrap();
    while sidecar.stats().await.requests_written == 0 {
        tokio::task::yield_now().await;
    }
    export(&sidecar.otlp, vec![client_span(1, 2)]).await.unwrap();
    // On a busy machine so short a time is over before it can be opened again.
    let stats = sidecar.stats().await;
    assert_eq!(stats.late + stats.late_joined, 1);
}

#[tokio::test]
async fn what_comes_late_mends_the_row_in_the_run_file() {
    let sidecar = Running::start("").await;
    let called = |trace| proto::Span {
        kind: proto::span::SpanKind::Server as i32,
        parent_span_id: vec![1; 8],
        ..client_span(trace, 2)
    };
    // One request of which everything comes, so that the service is known to answer; and one in two parts.
    export(&sidecar.otlp, vec![client_span(1, 1), called(1), client_span(2, 1)]).await.unwrap();
    let stats = sidecar.flush().await;
    assert_eq!((stats.requests_written, stats.spans_joined), (2, 3));
    let whole = |rows: &[sidecar::runfile::RequestRow]| {
        rows.iter().map(|row| row.whole).collect::<Vec<_>>()
    };
    let rows = sidecar.open_run_file().await.read_requests().await.unwrap();
    assert_eq!(whole(&rows), [true, false]);
    export(&sidecar.otlp, vec![called(2)]).await.unwrap();
    let stats = sidecar.flush().await;
    assert_eq!((stats.requests_written, stats.requests_closed, stats.spans_joined), (2, 2, 4));
    assert_eq!((stats.late, stats.late_joined, stats.traces_reopened), (0, 1, 1));
    let rows = sidecar.open_run_file().await.read_requests().await.unwrap();
    assert_eq!((whole(&rows), rows[1].late), (vec![true, true], 1));
}

#[tokio::test]
async fn queries_of_urls_are_kept_only_where_somebody_asks() {
    for (flags, expected) in [("", "GET /orders"), ("--keep-queries", "GET /orders?by=name")] {
        let sidecar = Running::start(flags).await;
        let span = proto::Span { name: "GET /orders?by=name".into(), ..client_span(1, 1) };
        export(&sidecar.otlp, vec![span]).await.unwrap();
        sidecar.flush().await;
        let rows = sidecar.open_run_file().await.read_requests().await.unwrap();
        assert_eq!(&*rows[0].operation, expected);
    }
}

#[tokio::test]
async fn requests_of_any_program_are_told_apart_by_what_they_do_and_whom_they_call() {
    let sidecar = Running::start("").await;
    let nonce = sidecar.open_run().await;
    let text = |key: &str, value: &str| {
        let value =
            opentelemetry_proto::tonic::common::v1::any_value::Value::StringValue(value.into());
        let value = opentelemetry_proto::tonic::common::v1::AnyValue { value: Some(value) };
        opentelemetry_proto::tonic::common::v1::KeyValue {
            key: key.into(),
            value: Some(value),
            ..Default::default()
        }
    };
    let served = proto::Span {
        kind: proto::span::SpanKind::Server as i32,
        name: "GET /orders/17?token=secret".into(),
        parent_span_id: vec![9; 8],
        trace_state: format!("x=y,hoplab=0909090909090909:cell-1:2:{nonce}"),
        ..client_span(1, 1)
    };
    let call = proto::Span {
        parent_span_id: vec![1; 8],
        attributes: vec![text("http.url", "http://ann:pw@stock:81/x?key=secret")],
        ..client_span(1, 2)
    };
    let query = proto::Span {
        parent_span_id: vec![1; 8],
        attributes: vec![text("server.address", "localhost"), text("db.system", "redis")],
        ..client_span(1, 3)
    };
    export(&sidecar.otlp, vec![served, call, query]).await.unwrap();
    sidecar.flush_run(&nonce).await;
    let rows = sidecar.open_run_file().await.read_requests().await.unwrap();
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!((&*row.cell, row.round, row.root_id), ("cell-1", 2, 0x0909_0909_0909_0909));
    assert_eq!(&*row.operation, "GET /orders/17");
    let hops: Vec<_> =
        row.hops.iter().map(|hop| hop.hop.trim_start_matches("unknown_service→")).collect();
    assert_eq!(hops[1..], ["stock:81", "redis"]);
    assert!(row.hops.iter().all(|hop| hop.request.is_none() && hop.reply.is_none()));
}

#[tokio::test]
async fn what_is_open_when_the_sidecar_stops_is_written() {
    let sidecar = Running::start("").await;
    export(&sidecar.otlp, vec![client_span(1, 1)]).await.unwrap();
    // Peers that keep their connections open do not keep the sidecar.
    let address = sidecar.otlp.trim_start_matches("http://");
    let mut peer = tokio::net::TcpStream::connect(address).await.unwrap();
    peer.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let path = sidecar.run_file.clone();
    let _folder = sidecar.stop().await;
    let mut file = RunFile::open(&path).await.unwrap();
    assert_eq!(file.read_requests().await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_control_endpoint_answers() {
    let sidecar = Running::start("").await;
    let health = sidecar.get("/healthz").await;
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(health, json!({"status": "ok", "service": "sidecar", "version": version}));
    assert!(sidecar.stats().await.rss_bytes > 0);
    let (status, reply) =
        sidecar.post("/watch", &json!({"name": "x", "pid": 4_294_967_295_u32})).await;
    assert_eq!(status, 404);
    assert_eq!(reply["error"], "cannot watch x: there is no process 4294967295 here");
    assert_eq!(sidecar.post("/watch", &json!({"name": "x"})).await.0, 422);
}

#[tokio::test]
async fn processes_given_at_start_and_later_are_sampled_into_the_run_file() {
    let mut children =
        [0; 2].map(|_| std::process::Command::new("sleep").arg("60").spawn().unwrap());
    let [first, second] = [children[0].id(), children[1].id()];
    let sidecar = Running::start(&format!("--sample-every 10ms --watch early={first}")).await;
    let (status, _) = sidecar.post("/watch", &json!({"name": "later", "pid": second})).await;
    assert_eq!(status, 204);
    let mut file = sidecar.open_run_file().await;
    let samples = loop {
        let samples = file.read_samples().await.unwrap();
        if samples.iter().filter(|sample| sample.process == "later").count() > 1 {
            break samples;
        }
    };
    for (name, pid) in
        [("host", 0), ("sidecar", std::process::id()), ("early", first), ("later", second)]
    {
        let sample = samples.iter().find(|sample| sample.process == name).unwrap();
        assert!(sample.pid == pid && sample.rss_bytes > 0 && sample.threads > 0, "{sample:?}");
    }
    for child in &mut children {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[tokio::test]
async fn settings_are_checked_before_anything_is_made() {
    for (flags, expected) in [
        ("--join-window 1ms", "--join-window 1ms: must be 10ms to 10m"),
        ("--sample-every 20m", "--sample-every 1200s: must be 10ms to 10m"),
        ("--memory-limit 1", "--memory-limit 1: must be 64 MiB (67108864) to 1 TiB"),
        ("--max-traces 0", "--max-traces 0: must be 1 to 10000000"),
        ("--run-file /no/such/folder/x.db", "its folder must exist"),
        ("--watch ghost=4294967295", "there is no process 4294967295 here"),
        ("--influxdb-url http://a:1", "needs --spool DIR where there is no --run-file"),
        ("--influxdb-bucket a\\b", "--influxdb-bucket \"a\\\\b\": must be 1 to 256 bytes"),
        ("--spool-limit 2000000000000", "--spool-limit 2000000000000: must be 0 to 1 TiB"),
        ("--influxdb-url http://127.0.0.1:9 --spool /proc/no", "cannot make the spool /proc/no: "),
    ] {
        let error = sidecar::Sidecar::bind(config(flags), Vec::new()).await.err().unwrap();
        assert!(error.to_string().contains(expected), "{error}");
    }
    for (flags, expected) in [
        ("--influxdb-url https://a:1 --spool /tmp", "https is not built in"),
        ("--influxdb-url http://u:pw@a:1 --spool /tmp", "--influxdb-url"),
        ("--forward https://a:1", "https is not built in"),
        ("--forward-http http://a:1", "--forward <URL>"),
        ("--allow-origin shop.example", "is not SCHEME://HOST[:PORT] or *"),
    ] {
        let error = fixture::parse(flags).err().unwrap().to_string();
        assert!(error.contains(expected) && !error.contains("pw@"), "{error}");
    }
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = config("");
    config.otlp = taken.local_addr().unwrap();
    let error = sidecar::run(config, std::future::ready(())).await.unwrap_err().to_string();
    assert!(error.starts_with("cannot listen for OTLP on 127.0.0.1:"), "{error}");
}

#[tokio::test]
async fn a_start_that_failed_is_not_in_the_way_of_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let flags = |run_file: &str| {
        let (run_file, spool) = (at(run_file), at("spool"));
        let (run_file, spool) = (run_file.display(), spool.display());
        config(&format!("--run-file {run_file} --influxdb-url http://127.0.0.1:9 --spool {spool}"))
    };
    let stop = |sidecar: sidecar::Sidecar| sidecar.serve(std::future::ready(()));
    let first = sidecar::Sidecar::bind(flags("first.db"), Vec::new()).await.unwrap();
    let error = sidecar::Sidecar::bind(flags("second.db"), Vec::new()).await.err().unwrap();
    assert!(error.to_string().contains("another sidecar uses it"), "{error}");
    assert!(!at("second.db").exists());
    stop(first).await;
    // The other way round: where the run file cannot be had, the spool is free again.
    std::fs::write(at("third.db"), "somebody's").unwrap();
    let error = sidecar::Sidecar::bind(flags("third.db"), Vec::new()).await.err().unwrap();
    assert!(error.to_string().ends_with("it exists and is not empty"), "{error}");
    let second = sidecar::Sidecar::bind(flags("second.db"), Vec::new()).await.unwrap();
    stop(second).await;
}
