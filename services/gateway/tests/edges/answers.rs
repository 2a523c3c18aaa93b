//! What the gateway answers when the service behind it answers badly or not at all.

use std::net::SocketAddr;

use gateway::GatewayConfig;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use probe::{Probe, Service as _};
use serde_json::Value;
use tokio::net::TcpListener;

/// An echo that answers everything so.
async fn start_liar(status: u16, body: String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let body = body.clone();
            let answer = service_fn(move |_| {
                let reply = http::Response::builder().status(status);
                std::future::ready(reply.body(Full::new(bytes::Bytes::from(body.clone()))))
            });
            tokio::spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                server.serve_connection(TokioIo::new(stream), answer).await.ok()
            });
        }
    });
    address
}

async fn start_gateway(echo: SocketAddr) -> String {
    let peers = vec![format!("echo=http://{echo}").parse().unwrap()];
    let config = GatewayConfig { peers, ..GatewayConfig::defaults().unwrap() };
    format!("http://{}", probe::capture::start(config, Probe::off()).await)
}

async fn ping(gateway: &str, protocol: &str, body: &'static str) -> (u16, String) {
    let reply = reqwest::Client::new().post(format!("{gateway}/{protocol}/ping")).body(body);
    let reply = reply.send().await.unwrap();
    let status = reply.status().as_u16();
    let body: Value = serde_json::from_slice(&reply.bytes().await.unwrap()).unwrap();
    (status, body["error"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_of_another_size_than_was_sent_is_502_with_both_numbers() {
    let gateway = start_gateway(start_liar(200, r#"{"payload":"xxx"}"#.to_owned()).await).await;
    let (status, error) = ping(&gateway, "rest", r#"{"size": 10}"#).await;
    assert_eq!(status, 502, "{error}");
    assert!(error.contains("3 bytes") && error.contains("10 bytes"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_listening_is_said_with_the_address_and_every_cause_by_either_protocol() {
    // A port that was free is another test's in a moment; this one the kernel gives to nobody.
    let nobody = "127.0.0.1:1".parse().unwrap();
    let gateway = start_gateway(nobody).await;
    for protocol in ["rest", "grpc"] {
        let (status, error) = ping(&gateway, protocol, r#"{"size": 10}"#).await;
        assert_eq!(status, 502, "{error}");
        for words in [format!("nobody listens at {nobody}"), "Connection refused".to_owned()] {
            assert!(error.contains(&words), "{protocol}: {error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_error_of_the_service_is_cut_and_not_dropped() {
    let gateway =
        start_gateway(start_liar(500, format!("it says {}", "x".repeat(100_000))).await).await;
    let (status, error) = ping(&gateway, "rest", r#"{"size": 10}"#).await;
    assert_eq!(status, 502);
    assert!(
        error.contains("it says xxx") && (4_000..5_000).contains(&error.len()),
        "{}",
        error.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_refused_in_the_spelling_in_which_they_came() {
    let gateway = start_gateway(start_liar(200, String::new()).await).await;
    for protocol in ["rest", "grpc"] {
        for (body, status, value) in [
            (r#"{"size": 1e3}"#, 400, "1e3"),
            (r#"{"size": 1e30}"#, 400, "1e30"),
            (r#"{"size": 1e400}"#, 400, "1e400"),
            (r#"{"size": -1e400}"#, 400, "-1e400"),
            (r#"{"size": 1E3}"#, 400, "1E3"),
            (r#"{"size": 10.00}"#, 400, "10.00"),
            (r#"{"size": 16777217}"#, 413, "16777217"),
            (r#"{"size": 99999999999999999999999}"#, 413, "99999999999999999999999"),
        ] {
            let (got, error) = ping(&gateway, protocol, body).await;
            assert_eq!(got, status, "{body}: {error}");
            for words in ["size", value, "16777216"] {
                assert!(error.contains(words), "{body}: {error}");
            }
        }
    }
}
