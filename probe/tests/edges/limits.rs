//! Nobody is kept for ever, and what the standard asks of a server that hyper leaves to it.

use std::net::SocketAddr;
use std::time::Duration;

use probe::{Service as _, ServiceArgs, ServiceConfig, Version};
use serde_json::Value;
use settings::Span;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::own::{Own, Pair, raw};

/// A service whose limits are as short as they may be.
fn strict() -> ServiceConfig<Own> {
    own(ServiceArgs {
        head_timeout: Some(Span::seconds(1)),
        body_timeout: Some(Span::seconds(1)),
        idle_timeout: Some(Span::seconds(2)),
        write_timeout: Some(Span::seconds(1)),
        ..ServiceArgs::default()
    })
}

fn own(shared: ServiceArgs) -> ServiceConfig<Own> {
    ServiceConfig { shared, ..Own::defaults().unwrap().into() }
}

/// How often something was the reason for a connection to be closed.
async fn closed(address: SocketAddr, why: &str) -> u64 {
    let reply = reqwest::get(format!("http://{address}/connections")).await.unwrap();
    let told: Value = serde_json::from_slice(&reply.bytes().await.unwrap()).unwrap();
    told["closed"][why].as_u64().unwrap()
}

fn error(reply: &str) -> String {
    let body = reply.split("\r\n\r\n").nth(1).unwrap_or_default();
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    body["error"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_head_and_half_a_body_are_answered_408_and_counted() {
    let address = Pair::start_as(Version::Http1, strict()).await.address;
    for (bytes, why, words) in [
        (&b"GET /html HTTP/1.1\r\nhost: h\r\nx: "[..], "slow_head", "head"),
        (b"POST /sum HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\n[1", "slow_body", "body"),
    ] {
        let reply = raw(address, bytes).await;
        assert!(reply.starts_with("HTTP/1.1 408 "), "{reply}");
        assert!(error(&reply).contains(words) && error(&reply).contains("1s"), "{reply}");
        assert_eq!(closed(address, why).await, 1, "{why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_a_request_is_closed_whether_it_ever_had_one_or_not() {
    let address = Pair::start_as(Version::Http1, strict()).await.address;
    assert_eq!(raw(address, b"").await, "");
    let reply = raw(address, b"GET /empty HTTP/1.1\r\nhost: h\r\n\r\n").await;
    assert!(reply.starts_with("HTTP/1.1 204 "), "{reply}");
    assert!(closed(address, "idle").await >= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_no_reply_is_let_go() {
    let address = Pair::start_as(Version::Http1, strict()).await.address;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /large HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
    while closed(address, "slow_reader").await == 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(rest.len() < 64 << 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_by_http_2_that_vanishes_with_a_call_open_is_let_go() {
    let mut pair = Pair::start_as(Version::Http1, strict()).await;
    let mut stream = TcpStream::connect(pair.address).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
    // ":method: GET", ":scheme: http" of HPACK's static table, ":path: /forever", traceparent, each as a literal.
    let mut head = vec![0x82, 0x86, 0x04, 8];
    head.extend(b"/forever");
    head.extend([0x00, 11]);
    head.extend(b"traceparent");
    head.push(55);
    head.extend(b"00-0000000000000000000000000000000a-000000000000000b-01");
    stream.write_all(&[0, 0, head.len() as u8, 1, 5, 0, 0, 0, 1]).await.unwrap();
    stream.write_all(&head).await.unwrap();
    // It answers no PING, and takes what comes.
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    let span = pair.served.span().await.unwrap();
    assert!(span.half.marks.get(ledger::Point::Abandoned).is_some(), "{:?}", span.half);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_is_no_room_the_idlest_go_and_the_newcomer_is_served() {
    let own = own(ServiceArgs { max_connections: Some(16), ..ServiceArgs::default() });
    let address = Pair::start_as(Version::Http1, own).await.address;
    let mut half = Vec::new();
    for _ in 0..40 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /html HTTP/1.1\r\nhost: ").await.unwrap();
        half.push(stream);
    }
    let request = b"GET /html HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
    for _ in 0..20 {
        assert!(raw(address, request).await.starts_with("HTTP/1.1 200 "));
    }
    assert!(closed(address, "crowd").await >= 24);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_closed_its_side_gets_its_reply() {
    let address = Pair::start(Version::Http1).await.address;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /html HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    assert!(reply.starts_with("HTTP/1.1 200 ") && reply.ends_with("<p>"), "{reply}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_is_taken_and_seen_up_to_one_limit_and_refused_with_a_body_beyond_it() {
    let mut pair = Pair::start(Version::Http1).await;
    let head = |bytes: usize| {
        format!(
            "GET /empty HTTP/1.1\r\nhost: h\r\nconnection: close\r\nx: {}\r\ntraceparent: 00-{:032x}-{:016x}-01\r\n\r\n",
            "x".repeat(bytes),
            7,
            9
        )
    };
    let reply = raw(pair.address, head(300_000).as_bytes()).await;
    assert!(reply.starts_with("HTTP/1.1 204 "), "{reply}");
    let span = pair.served.span().await.unwrap();
    assert!(span.half.tapped() && span.half.inbound.headers > 300_000);
    let reply = raw(pair.address, &head(500_000).as_bytes()[..450_000]).await;
    assert!(reply.starts_with("HTTP/1.1 431 "), "{reply}");
    assert!(error(&reply).contains("417792"), "{reply}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_http_and_what_has_no_host_or_two_is_400_with_a_body() {
    let mut pair = Pair::start(Version::Http1).await;
    for (request, words) in [
        ("GET /html HTTP/1.1\r\n\r\n", "host: missing"),
        ("GET /html HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", "more than once"),
        ("GET /html HTTP/1.1\r\nhost: a b\r\n\r\n", "a b"),
        ("GET /html HTTP/1.1\r\nbad field: x\r\n\r\n", "RFC 9112"),
        ("GARBAGE\r\n\r\n", "RFC 9112"),
    ] {
        let request = request.replacen("\r\n\r\n", "\r\nconnection: close\r\n\r\n", 1);
        let reply = raw(pair.address, request.as_bytes()).await;
        assert!(reply.starts_with("HTTP/1.1 400 "), "{request:?} got {reply}");
        assert!(error(&reply).contains(words), "{reply}");
    }
    let traced = "traceparent: 00-0000000000000000000000000000000a-000000000000000b-01";
    let reply =
        raw(pair.address, format!("GET /html HTTP/1.0\r\n{traced}\r\n\r\n").as_bytes()).await;
    assert!(reply.contains(" 200 "), "{reply}");
    assert_eq!(pair.served.span().await.unwrap().half.http, 10);
}
