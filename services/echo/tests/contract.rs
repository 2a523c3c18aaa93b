//! The echo service's contracts: what it echoes, what it refuses, that it is healthy.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::net::SocketAddr;

use echo::EchoService;
use lab_proto::EchoRequest;
use lab_proto::v1::echo_client::EchoClient;
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
