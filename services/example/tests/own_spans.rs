//! Spans of a service's own, made by OpenTelemetry beside those of its hops: as a program that is told by the standard's
//! environment variables where to send them and what to say of itself.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::process::Stdio;
use std::time::Duration;

use opentelemetry::trace::{
    FutureExt as _, TraceContextExt as _, Tracer as _, TracerProvider as _,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_sdk::trace::SdkTracerProvider;
use probe::capture::{Captured, start};
use probe::{Call, Client, ClientOptions, Context, Json, ProbeLayer};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tonic::{Request, Response, Status};
use tower::Layer as _;

/// A span, with what its process says of itself.
type Told = (Span, Vec<(String, String)>);

/// Whoever takes spans, if it is shown the token.
struct Receiver(mpsc::UnboundedSender<Told>);

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        if request.metadata().get("authorization").is_none_or(|token| token != "Bearer tea") {
            return Err(Status::unauthenticated("no token"));
        }
        for of_resource in request.into_inner().resource_spans {
            let resource = of_resource.resource.unwrap_or_default().attributes;
            let said: Vec<_> = resource
                .into_iter()
                .map(|said| (said.key, format!("{:?}", said.value.and_then(|value| value.value))))
                .collect();
            for span in of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                self.0.send((span, said.clone())).unwrap();
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// The example as a program that exports to `endpoint`; answers where it listens, too.
async fn example(endpoint: &str) -> (Child, String) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_example"))
        .args(["--listen", "127.0.0.1:0", "--stop-with-stdin"])
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        .env("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20tea")
        .env("OTEL_SERVICE_NAME", "tea-house")
        .env("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,service.version=9")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    let line = lines.next_line().await.unwrap().unwrap();
    let address = line.rsplit(' ').next().unwrap().to_owned();
    (program, address)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_service_tells_of_itself_goes_with_its_hops_by_the_standards_variables() {
    let (spans, mut taken) = mpsc::unbounded_channel();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    let receiver = TraceServiceServer::new(Receiver(spans));
    let server = tonic::transport::Server::builder().add_service(receiver);
    tokio::spawn(server.serve_with_incoming(incoming));
    let (mut program, address) = example(&endpoint).await;
    for (trace, flags) in [(10, "00"), (11, "01")] {
        let sent = reqwest::Client::new()
            .post(format!("http://{address}/measure"))
            .header("traceparent", format!("00-{trace:032x}-000000000000000b-{flags}"))
            .header("tracestate", "shop=7")
            .body(r#"{"item": "tea"}"#);
        sent.send().await.unwrap().error_for_status().unwrap();
    }
    drop(program.stdin.take());
    let ended = tokio::time::timeout(Duration::from_secs(60), program.wait()).await;
    assert!(ended.unwrap().unwrap().success());
    let mut told = Vec::new();
    while let Ok(one) = taken.try_recv() {
        told.push(one);
    }
    assert_eq!(told.len(), 2, "one request was to be traced, and has two spans: {told:#?}");
    told.sort_by_key(|(span, _)| span.kind != SpanKind::Server as i32);
    let [(hop, of_hop), (own, of_own)] = &told[..] else { unreachable!("there are two") };
    assert_eq!((own.name.as_str(), own.kind), ("count", SpanKind::Internal as i32));
    assert_eq!((&own.trace_id, &own.parent_span_id), (&hop.trace_id, &hop.span_id));
    assert_eq!((hop.trace_state.as_str(), own.trace_state.as_str()), ("shop=7", "shop=7"));
    for (key, value) in [
        ("service.name", "tea-house"),
        ("deployment.environment.name", "test"),
        ("service.version", "9"),
    ] {
        let says = |said: &[(String, String)]| {
            said.iter().any(|(known, told)| known == key && told.contains(value))
        };
        assert!(says(of_hop) && says(of_own), "{key}: {of_hop:?} {of_own:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_made_in_a_span_of_the_services_own_is_its_child() {
    let example = start(example::ExampleService, probe::Probe::off()).await;
    let (probe, mut spans) = Captured::probe(Vec::new()).unwrap();
    let target = format!("http://{example}").parse().unwrap();
    let client = Client::new(&probe, "example", target, ClientOptions::default());
    let tracer = SdkTracerProvider::builder().build().tracer("shop");
    let handler = move |Json(item): Json<String>| async move {
        let request = Context::current().opentelemetry();
        let within = request.with_span(tracer.start_with_context("look up", &request));
        let own = u64::from_be_bytes(within.span().span_context().span_id().to_bytes());
        let call = http::Request::post("/measure").body(json!({ "item": item })).unwrap();
        let made = client.json::<serde_json::Value, serde_json::Value>(call, Call::default());
        made.with_context(within).await.unwrap();
        Json(own)
    };
    let layer = ProbeLayer::new(&probe, &["/look-up"], &[]);
    let router = axum::Router::new().route("/look-up", axum::routing::post(handler));
    let service = layer.layer(router);
    let request = http::Request::post("/look-up")
        .header("traceparent", "00-0000000000000000000000000000000a-000000000000000b-01")
        .header("content-type", "application/json");
    let request = request.body(axum::body::Body::from("\"tea\"")).unwrap();
    let reply = tower::ServiceExt::<http::Request<axum::body::Body>>::oneshot(service, request)
        .await
        .unwrap();
    let own = axum::body::to_bytes(axum::body::Body::new(reply.into_body()), 100).await.unwrap();
    let own: u64 = serde_json::from_slice(&own).unwrap();
    let call = spans.span().await.unwrap();
    assert_eq!((call.name.as_str(), call.parent), ("POST", own));
}
