//! Calls of somebody else's service: any request, work in other tasks, upgrades, a layer over a server of one's own.

use std::convert::Infallible;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use probe::capture::Captured;
use probe::{Call, Client, ClientOptions, ProbeLayer, Version};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tower::Layer as _;

use crate::own::{Own, Pair, raw, whole};

#[tokio::test(flavor = "multi_thread")]
async fn calls_made_in_tasks_of_their_own_belong_to_the_request() {
    let mut behind = Pair::start(Version::Http1).await;
    let next = format!("http://{}", behind.address).parse().unwrap();
    let mut pair = Pair::start_as(Version::Http1, Own { next }.into()).await;
    let reply = pair.send("GET", "/spawned", "").await.unwrap();
    assert_eq!(reply.body(), "21");
    // Three calls and the request itself.
    let mut spans = Vec::new();
    for _ in 0..4 {
        spans.push(pair.served.span().await.unwrap());
    }
    let root = pair.called.span().await.unwrap();
    let request = spans.iter().find(|span| span.parent == root.context.span_id).unwrap();
    let calls: Vec<_> =
        spans.iter().filter(|span| span.parent == request.context.span_id).collect();
    assert_eq!(calls.len(), 3, "{spans:?}");
    for call in calls {
        assert_eq!(call.context.trace_id, root.context.trace_id);
        assert_eq!(
            (call.name.as_str(), call.says("url.template").as_deref()),
            ("GET /users/{id}", Some("/users/{id}"))
        );
        let served = behind.served.span().await.unwrap();
        assert_eq!(served.context.trace_id, root.context.trace_id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_method_header_and_message_can_be_sent_without_saying_what_it_carries() {
    let pair = Pair::start(Version::Http1).await;
    let request = http::Request::post("/inside").header("x-own", "1").body(vec![1_u64, 2]).unwrap();
    let reply = pair.client.json::<_, Vec<u64>>(request, Call::default()).await.unwrap();
    assert_eq!(reply.into_body(), [1, 2]);
    let request = http::Request::builder().method("OPTIONS").uri("/html");
    let reply = pair.client.send(request.body(bytes::Bytes::new()).unwrap(), Call::default()).await;
    assert_eq!(reply.unwrap().status().as_u16(), 405);
    let target = "https://127.0.0.1:443".parse().unwrap();
    let client = Client::new(&probe::Probe::off(), "own", target, ClientOptions::default());
    let request = http::Request::get("/").body(bytes::Bytes::new()).unwrap();
    let error = client.send(request, Call::default()).await.unwrap_err().to_string();
    assert!(error.contains("TLS is not spoken") && error.contains("127.0.0.1:443"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgraded_connection_passes_through_taps_and_limits() {
    let pair = Pair::start(Version::Http1).await;
    let request =
        http::Request::get("/upgrade").header("connection", "upgrade").header("upgrade", "bytes");
    let reply =
        pair.client.open(request.body(bytes::Bytes::new()).unwrap(), Call::root(true)).await;
    let reply = reply.unwrap();
    assert_eq!(reply.status().as_u16(), 101);
    let mut io = TokioIo::new(hyper::upgrade::on(reply).await.unwrap());
    for byte in 0..100 {
        io.write_u8(byte).await.unwrap();
        assert_eq!(io.read_u8().await.unwrap(), byte + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_ends_at_its_own_limit_whatever_its_peer_does() {
    for version in [Version::Http1, Version::Http2] {
        let pair = Pair::start(version).await;
        let call = Call { timeout: Some(Duration::from_millis(50)), ..Call::default() };
        let request = http::Request::get("/forever").body(bytes::Bytes::new()).unwrap();
        let error = pair.client.send(request, call).await.unwrap_err();
        assert_eq!(error.to_string(), "own did not answer within the limit of 50ms");
        assert_eq!(whole_of(&pair, "/html").await, "<p>");
    }
}

async fn whole_of(pair: &Pair, path: &str) -> bytes::Bytes {
    let request = http::Request::get(path).body(bytes::Bytes::new()).unwrap();
    whole(pair.client.open(request, Call::default()).await.unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_records_the_requests_of_a_server_that_is_not_the_probes() {
    let (probe, mut served) = Captured::probe(Vec::new()).unwrap();
    let layer = ProbeLayer::new(&probe, &["/things/{id}"], &[]);
    let service = tower::service_fn(|_: http::Request<hyper::body::Incoming>| async {
        let body = http_body_util::Full::new(bytes::Bytes::from("thing"));
        Ok::<_, Infallible>(http::Response::new(body))
    });
    let service = layer.layer(service);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(service.clone());
            let server = auto::Builder::new(TokioExecutor::new());
            tokio::spawn(async move {
                server.serve_connection(TokioIo::new(stream), service).await.ok()
            });
        }
    });
    let traced = "traceparent: 00-0000000000000000000000000000000a-000000000000000b-01";
    let request =
        format!("GET /things/7 HTTP/1.1\r\nhost: h\r\nconnection: close\r\n{traced}\r\n\r\n");
    assert!(raw(address, request.as_bytes()).await.ends_with("thing"));
    let span = served.span().await.unwrap();
    assert_eq!((span.name.as_str(), span.parent, span.failure), ("GET /things/{id}", 11, None));
    assert_eq!(span.context.trace_id, 10);
}
