//! The gateway's contracts: what a client may send and what it gets back.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use echo::EchoService;
use gateway::{GatewayConfig, LARGEST_SIZE};
use probe::capture::{Captured, CapturedSpan};
use probe::{Probe, Service as _};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use tokio::net::TcpListener;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

const PROTOCOLS: [&str; 2] = ["rest", "grpc"];
const FREE: &str = "127.0.0.1:0";

async fn start_echo() -> SocketAddr {
    probe::capture::start(EchoService, Probe::off()).await
}

/// A gateway in front of whatever is at `echo`.
async fn start_gateway(echo: SocketAddr, probe: Probe) -> String {
    let peers = vec![format!("echo=http://{echo}").parse().unwrap()];
    let config = GatewayConfig {
        peers,
        timeout: settings::Span::seconds(1),
        ..GatewayConfig::defaults().unwrap()
    };
    format!("http://{}", probe::capture::start(config, probe).await)
}

async fn start() -> String {
    let echo = start_echo().await;
    start_gateway(echo, Probe::off()).await
}

async fn send(method: Method, url: String, body: impl Into<reqwest::Body>) -> (StatusCode, Value) {
    let reply = reqwest::Client::new().request(method, &url).body(body).send().await.unwrap();
    let status = reply.status();
    assert_eq!(reply.headers()["content-type"], "application/json", "{url}");
    (status, serde_json::from_slice(&reply.bytes().await.unwrap()).unwrap())
}

/// Posts `body` and requires an error that names all of `words`.
async fn refused(url: String, body: impl Into<reqwest::Body>, status: u16, words: &[&str]) {
    let (got, reply) = send(Method::POST, url, body).await;
    assert_eq!(got.as_u16(), status, "{reply}");
    let error = reply["error"].as_str().unwrap();
    assert_eq!(reply.as_object().unwrap().len(), 1);
    for word in words {
        assert!(error.contains(word), "{error:?} should name {word:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ping_is_answered_with_exactly_the_payload_asked_for() {
    let gateway = start().await;
    for protocol in PROTOCOLS {
        for size in [0, 1, 10, 100_000, LARGEST_SIZE] {
            let url = format!("{gateway}/{protocol}/ping");
            let (status, reply) = send(Method::POST, url, format!("{{\"size\": {size}}}")).await;
            assert_eq!(status, 200, "{}", reply["error"]);
            let payload = reply["payload"].as_str().unwrap();
            assert_eq!(payload.len() as u64, size);
            assert!(payload.bytes().all(|byte| byte.is_ascii_alphanumeric()));
            assert_eq!(reply["from"], "gateway");
            assert_eq!(reply["protocol"], protocol);
            assert_eq!(reply["size"], size);
            assert_eq!(reply.as_object().unwrap().len(), 4);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_size_that_is_no_whole_number_is_refused() {
    let gateway = start().await;
    let limit = "16777216";
    for protocol in PROTOCOLS {
        let url = || format!("{gateway}/{protocol}/ping");
        for (body, words) in [
            ("{}", ["size", "missing", limit]),
            (r#"{"size": 10.0}"#, ["size", "10.0", limit]),
            (r#"{"size": 1e3}"#, ["size", "1e3", limit]),
            (r#"{"size": "10"}"#, ["size", "\"10\"", limit]),
            (r#"{"size": true}"#, ["size", "true", limit]),
            (r#"{"size": null}"#, ["size", "null", limit]),
            (r#"{"size": []}"#, ["size", "[]", limit]),
            (r#"{"size": {}}"#, ["size", "{}", limit]),
            (r#"{"size": -1}"#, ["size", "-1", limit]),
            (r#"{"size": -0}"#, ["size", "-0", limit]),
            (r#"{"size": 1, "size": 2}"#, ["size", "more than once", "2"]),
            (r#"{"size": 1, "sise": 2}"#, ["sise", "unknown", "2"]),
            ("[10]", ["size", "object", limit]),
            ("10", ["size", "object", limit]),
        ] {
            refused(url(), body, 400, &words).await;
        }
        for garbage in ["", "{", r#"{"size": 10"#, r#"{"size": 10} x"#, "\u{0}", r#"{"size": 010}"#]
        {
            refused(url(), garbage, 400, &[]).await;
        }
        refused(url(), &b"{\"\xff\": 1}"[..], 400, &[]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_size_in_the_query_string_is_refused() {
    let gateway = start().await;
    for protocol in PROTOCOLS {
        for query in ["size=10", "a=b&size=10", "size"] {
            let url = format!("{gateway}/{protocol}/ping?{query}");
            refused(url, r#"{"size": 10}"#, 400, &["size", query]).await;
        }
        let (status, _) =
            send(Method::POST, format!("{gateway}/{protocol}/ping?a=b"), r#"{"size": 1}"#).await;
        assert_eq!(status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_size_above_the_limit_and_a_body_too_long_are_413() {
    let gateway = start().await;
    for protocol in PROTOCOLS {
        let url = || format!("{gateway}/{protocol}/ping");
        for size in ["16777217", "18446744073709551615", "18446744073709551616"] {
            refused(url(), format!("{{\"size\": {size}}}"), 413, &["size", "16777216"]).await;
        }
        let long = format!("{{\"size\": 10{}}}", " ".repeat(5_000));
        refused(url(), long, 413, &["body", "4096"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_routes_and_methods_are_errors_in_json() {
    let gateway = start().await;
    refused(format!("{gateway}/rest/pong"), "", 404, &["/rest/pong"]).await;
    refused(format!("{gateway}/healthz"), "", 405, &["POST", "/healthz"]).await;
    for protocol in PROTOCOLS {
        let (status, reply) = send(Method::GET, format!("{gateway}/{protocol}/ping"), "").await;
        assert_eq!(status, 405);
        assert!(reply["error"].as_str().unwrap().contains("GET"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_echo_that_is_down_is_502() {
    let down = "127.0.0.1:1".parse().unwrap();
    let gateway = start_gateway(down, Probe::off()).await;
    for protocol in PROTOCOLS {
        refused(format!("{gateway}/{protocol}/ping"), r#"{"size": 1}"#, 502, &["echo"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_echo_that_is_too_slow_is_504() {
    let silent = TcpListener::bind(FREE).await.unwrap();
    let gateway = start_gateway(silent.local_addr().unwrap(), Probe::off()).await;
    for protocol in PROTOCOLS {
        let began = Instant::now();
        let url = format!("{gateway}/{protocol}/ping");
        refused(url, r#"{"size": 1}"#, 504, &["echo", "1s"]).await;
        assert!(began.elapsed() >= Duration::from_secs(1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_is_healthy_by_http_and_by_grpc() {
    let gateway = start().await;
    let (status, reply) = send(Method::GET, format!("{gateway}/healthz"), "").await;
    assert_eq!(status, 200);
    let expected = serde_json::json!({"status": "ok", "service": "gateway", "version": env!("CARGO_PKG_VERSION")});
    assert_eq!(reply, expected);
    let channel = tonic::transport::Endpoint::new(gateway).unwrap().connect().await.unwrap();
    let reply = HealthClient::new(channel).check(HealthCheckRequest::default()).await.unwrap();
    assert_eq!(reply.into_inner().status, 1);
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// The two spans that the gateway makes of one ping: its own and its call's.
async fn spans(
    gateway: &str,
    captured: &mut Captured,
    protocol: &str,
    traceparent: &str,
) -> Vec<CapturedSpan> {
    let reply = reqwest::Client::new()
        .post(format!("{gateway}/{protocol}/ping"))
        .header("traceparent", traceparent)
        .body(r#"{"size": 10}"#)
        .send()
        .await
        .unwrap();
    assert_eq!(reply.status(), 200);
    vec![captured.span().await.unwrap(), captured.span().await.unwrap()]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sampled_trace_goes_on_and_any_other_is_not_recorded() {
    let echo = start_echo().await;
    let (probe, mut captured) = Captured::probe(Vec::new()).unwrap();
    let gateway = start_gateway(echo, probe).await;
    for protocol in PROTOCOLS {
        let url = format!("{gateway}/{protocol}/ping");
        // Unsampled, malformed and absent: answered, and no span comes before those of the
        // sampled request below.
        let client = reqwest::Client::new();
        for traceparent in [
            Some(format!("00-{TRACE}-00f067aa0ba902b7-00")),
            Some(format!("00-{TRACE}-0000000000000000-01")),
            Some("garbage".to_owned()),
            Some(String::new()),
            None,
        ] {
            let mut request = client.post(&url).body(r#"{"size": 10}"#);
            if let Some(value) = traceparent {
                request = request.header("traceparent", value);
            }
            assert_eq!(request.send().await.unwrap().status(), 200);
        }
        let sampled = format!("00-{TRACE}-00f067aa0ba902b7-01");
        let spans = spans(&gateway, &mut captured, protocol, &sampled).await;
        for span in &spans {
            assert_eq!(format!("{:032x}", span.context.trace_id), TRACE);
            assert!(span.context.sampled());
        }
        let server = spans.iter().find(|span| span.name.starts_with("POST /")).unwrap();
        assert!(spans.iter().any(|span| span.parent == 0x00f0_67aa_0ba9_02b7), "{server:?}");
    }
}

#[test]
fn who_waits_in_vain_for_a_connection_to_the_database_hears_of_it_before_the_gateway_gives_up() {
    let waited = pg_client::PgClientConfig::defaults().unwrap().pool_wait;
    let limit = GatewayConfig::defaults().unwrap().timeout;
    assert!(waited < limit, "{waited}, {limit}");
}
