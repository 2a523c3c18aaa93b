//! The example service's contracts: what it answers by either protocol, what it refuses, that it is
//! healthy, and that each call of it is one span.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::net::SocketAddr;

use example::ExampleService;
use lab_proto::v1::MeasureRequest;
use lab_proto::v1::example_client::ExampleClient;
use ledger::Point;
use probe::Probe;
use probe::capture::Captured;
use serde_json::{Value, json};
use tonic::Code;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

async fn start(probe: Probe) -> SocketAddr {
    probe::capture::start(ExampleService, probe).await
}

async fn post(example: SocketAddr, path: &str, body: &str) -> (u16, Value) {
    let request = reqwest::Client::new().post(format!("http://{example}{path}"));
    let traced = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let reply = request.header("traceparent", traced).body(body.to_owned()).send().await.unwrap();
    let status = reply.status().as_u16();
    (status, serde_json::from_slice(&reply.bytes().await.unwrap()).unwrap())
}

async fn channel(example: SocketAddr) -> Channel {
    Endpoint::new(format!("http://{example}")).unwrap().connect().await.unwrap()
}

#[tokio::test]
async fn both_protocols_answer_alike() {
    let example = start(Probe::off()).await;
    let (status, reply) = post(example, "/measure", r#"{"item": "tea"}"#).await;
    assert_eq!((status, reply), (200, json!({"letters": 3})));
    let mut grpc = ExampleClient::new(channel(example).await);
    let reply = grpc.measure(MeasureRequest { item: "tea".to_owned() }).await.unwrap();
    assert_eq!(reply.into_inner().letters, 3);
}

#[tokio::test]
async fn what_cannot_be_answered_is_refused_with_the_reason() {
    let example = start(Probe::off()).await;
    for (path, body, status, word) in [
        ("/measure", r#"{"item": ""}"#, 400, "item"),
        ("/measure", r#"{"items": "tea"}"#, 400, "items"),
        ("/measure", "", 400, "EOF"),
        ("/elsewhere", "", 404, "POST /measure, GET /healthz"),
        ("/healthz", "", 405, "POST"),
    ] {
        let (got, reply) = post(example, path, body).await;
        assert_eq!(got, status, "{path} {body}: {reply}");
        assert!(reply["error"].as_str().unwrap().contains(word), "{path} {body}: {reply}");
    }
    let mut grpc = ExampleClient::new(channel(example).await);
    let refused = grpc.measure(MeasureRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
}

#[tokio::test]
async fn the_example_is_healthy_by_http_and_by_grpc() {
    let example = start(Probe::off()).await;
    let reply = reqwest::get(format!("http://{example}/healthz")).await.unwrap();
    let reply: Value = serde_json::from_slice(&reply.bytes().await.unwrap()).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(reply, json!({"status": "ok", "service": "example", "version": version}));
    let mut health = HealthClient::new(channel(example).await);
    for service in ["", "lab.v1.Example"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        assert_eq!(health.check(request).await.unwrap().into_inner().status, 1, "{service:?}");
    }
    let other = HealthCheckRequest { service: "lab.v1.Other".to_owned() };
    assert_eq!(health.check(other).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn a_call_is_one_span_with_the_marks_of_every_stage() {
    let (probe, mut spans) = Captured::probe(Vec::new()).unwrap();
    let example = start(probe).await;
    post(example, "/measure", r#"{"item": "tea"}"#).await;
    let span = spans.span().await.unwrap();
    assert_eq!((span.name.as_str(), span.parent), ("POST /measure", 0x00f0_67aa_0ba9_02b7));
    use Point::{
        DecodeEnd, DecodeStart, EncodeEnd, EncodeStart, FirstRead, HandlerEnd, HandlerStart,
        LastWrite,
    };
    let passed = [
        FirstRead,
        DecodeStart,
        DecodeEnd,
        HandlerStart,
        HandlerEnd,
        EncodeStart,
        EncodeEnd,
        LastWrite,
    ];
    let passed = passed.map(|point| span.half.marks.get(point).unwrap_or(0));
    assert!(passed.is_sorted() && passed[0] > 0, "{passed:?}");
}
