//! The echo service's contracts: what it echoes, what it refuses, that it is healthy.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::net::SocketAddr;

use echo::EchoService;
use lab_proto::v1::echo_client::EchoClient;
use lab_proto::{EchoReply, EchoRequest};
use probe::{LONGEST_BODY, Probe};
use serde_json::{Value, json};
use tonic::Code;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

async fn start() -> SocketAddr {
    probe::capture::start(EchoService, Probe::off()).await
}

async fn post(echo: SocketAddr, body: impl Into<reqwest::Body>) -> (u16, Value) {
    let url = format!("http://{echo}/echo");
    let reply = reqwest::Client::new().post(url).body(body).send().await.unwrap();
    let status = reply.status().as_u16();
    (status, serde_json::from_slice(&reply.bytes().await.unwrap()).unwrap())
}

async fn channel(echo: SocketAddr) -> Channel {
    Endpoint::new(format!("http://{echo}")).unwrap().connect().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_comes_back_by_either_protocol() {
    let echo = start().await;
    let mut grpc = EchoClient::new(channel(echo).await).max_decoding_message_size(LONGEST_BODY);
    for payload in [String::new(), "aé\"\n\u{1F980}".to_owned(), "x".repeat(16 << 20)] {
        let (status, reply) = post(echo, json!({"payload": payload}).to_string()).await;
        assert_eq!(status, 200);
        assert!(reply == json!({"payload": payload}));
        let reply = grpc.echo(EchoRequest { payload: payload.clone() }).await.unwrap();
        assert!(reply.into_inner().payload == payload);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_json_is_400() {
    let echo = start().await;
    for body in ["", "{", "{}", "[]", r#"{"payload": 1}"#, r#"{"payload": "x"} x"#] {
        let (status, reply) = post(echo, body).await;
        assert_eq!(status, 400, "{body}");
        assert!(!reply["error"].as_str().unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_above_the_limit_is_refused() {
    let echo = start().await;
    let payload = "x".repeat(LONGEST_BODY + 1);
    let (status, reply) = post(echo, json!({"payload": payload}).to_string()).await;
    assert_eq!(status, 413);
    assert!(reply["error"].as_str().unwrap().contains(&LONGEST_BODY.to_string()));
    let error =
        EchoClient::new(channel(echo).await).echo(EchoRequest { payload }).await.unwrap_err();
    assert_eq!(error.code(), Code::OutOfRange, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_echo_is_healthy_by_http_and_by_grpc() {
    let echo = start().await;
    let reply = reqwest::get(format!("http://{echo}/healthz")).await.unwrap();
    assert_eq!(reply.status(), 200);
    let reply: Value = reply.json().await.unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(reply, json!({"status": "ok", "service": "echo", "version": version}));
    let mut health = HealthClient::new(channel(echo).await);
    for service in ["", "lab.v1.Echo"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        assert_eq!(health.check(request).await.unwrap().into_inner().status, 1, "{service:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_paths_are_404_and_paths_of_grpc_take_nothing_but_grpc() {
    let echo = start().await;
    let client = reqwest::Client::new();
    for (method, path, kind, status) in [
        ("GET", "/nowhere", "", 404),
        ("POST", "/nowhere", "application/json", 404),
        ("POST", "/nowhere", "application/grpc", 404),
        ("POST", "/lab.v1.Other/Echo", "application/json", 404),
        ("POST", "/lab.v1.Echo/Echo", "application/json", 415),
        ("POST", "/lab.v1.Echo/Nothing", "text/plain", 415),
        ("GET", "/lab.v1.Echo/Echo", "", 415),
        ("GET", "/lab.v1.Echo/Echo", "application/grpc", 405),
        ("POST", "/grpc.health.v1.Health/Check", "application/json", 415),
        ("POST", "/lab.v1.Echo/Echo", "application/grpc", 505),
        ("GET", "/echo", "", 405),
    ] {
        let request = client.request(method.parse().unwrap(), format!("http://{echo}{path}"));
        let request = if kind.is_empty() { request } else { request.header("content-type", kind) };
        let reply = request.send().await.unwrap();
        assert_eq!(reply.status().as_u16(), status, "{method} {path} {kind}");
        assert_eq!(reply.headers()["content-type"], "application/json", "{method} {path} {kind}");
        let body: Value = serde_json::from_slice(&reply.bytes().await.unwrap()).unwrap();
        assert!(body["error"].as_str().is_some_and(|error| error.contains(path)), "{body}");
    }
    // By gRPC itself a method that there is not is gRPC's to say.
    let mut stub = tonic::client::Grpc::new(channel(echo).await);
    stub.ready().await.unwrap();
    let codec = probe::AnyCodec::<EchoRequest, EchoReply>::default();
    let path = http::uri::PathAndQuery::from_static("/lab.v1.Other/Echo");
    let request = tonic::Request::new(EchoRequest { payload: String::new() });
    let status = stub.unary(request, path, codec).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unimplemented);
}
