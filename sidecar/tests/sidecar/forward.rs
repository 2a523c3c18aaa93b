//! `--forward`: whoever had the spans before has them still, byte for byte.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use parking_lot::Mutex;

use crate::fixture::Running;
use crate::fixture::http::{grpc_frame, gzip, send};

const GRPC: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// What came to a collector.
#[derive(Debug, Clone)]
struct Came {
    version: Version,
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

/// A collector that keeps what it is sent, and answers with `status` (of HTTP; 200 over gRPC with status 0).
#[derive(Clone)]
struct Collector {
    came: Arc<Mutex<Vec<Came>>>,
    status: Arc<AtomicU16>,
}

impl Collector {
    async fn start(at: SocketAddr) -> (Collector, SocketAddr) {
        let listener = tokio::net::TcpListener::bind(at).await.unwrap();
        let address = listener.local_addr().unwrap();
        let collector = Collector { came: Arc::default(), status: Arc::new(AtomicU16::new(200)) };
        let serving = collector.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let collector = serving.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request| collector.clone().take(request));
                    let builder = auto::Builder::new(TokioExecutor::new());
                    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        (collector, address)
    }

    async fn take(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let (version, path, headers) = (head.version, head.uri.path().to_owned(), head.headers);
        self.came.lock().push(Came { version, path, headers, body });
        let mut answer = Response::new(Full::default());
        *answer.status_mut() = self.status.load(Relaxed).try_into().unwrap();
        answer.headers_mut().insert("grpc-status", "0".parse().unwrap());
        Ok(answer)
    }
}

/// Waits until nothing waits to be passed on.
async fn settled(sidecar: &Running) -> sidecar::stats::ForwardStats {
    loop {
        let stats = sidecar.stats().await.forward.unwrap();
        if stats.waiting == 0 {
            return stats;
        }
        tokio::task::yield_now().await;
    }
}

fn anywhere() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

#[tokio::test]
async fn every_export_arrives_byte_for_byte_with_the_headers_that_matter() {
    let (collector, address) = Collector::start(anywhere()).await;
    let sidecar = Running::start(&format!("--forward http://{address}")).await;
    let json = br#"{"resourceSpans":[]}"#.to_vec();
    let packed = gzip(&json);
    let metrics = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
    let grpc = ("content-type", "application/grpc");
    let json_type = ("content-type", "application/json");
    let key = ("x-api-key", "k");
    let zipped = ("content-encoding", "gzip");
    let junk = ("content-type", "application/x-protobuf");
    for (version, path, headers, body) in [
        (Version::HTTP_11, "/v1/traces", vec![json_type, key], json.clone()),
        (Version::HTTP_11, "/v1/traces", vec![json_type, zipped], packed.clone()),
        (Version::HTTP_11, "/v1/logs", vec![json_type], json.clone()),
        (Version::HTTP_2, metrics, vec![grpc], grpc_frame(b"m", false)),
        (
            Version::HTTP_2,
            GRPC,
            vec![grpc, ("grpc-encoding", "gzip"), key],
            grpc_frame(&gzip(b""), true),
        ),
        // We cannot read it: their Collector may.
        (Version::HTTP_11, "/v1/traces", vec![junk], vec![0xff; 9]),
    ] {
        let sent = body.clone();
        let url = format!("{}{path}", sidecar.otlp);
        send(version, "POST", &url, &headers, body).await;
        settled(&sidecar).await;
        let came = collector.came.lock().pop().unwrap();
        assert_eq!((came.path.as_str(), &came.body[..]), (path, &sent[..]));
        assert_eq!(came.version, version);
        for (name, value) in headers {
            assert_eq!(came.headers[name], value, "{path}");
        }
        assert_eq!(came.headers.get("te").is_some(), version == Version::HTTP_2);
    }
    let stats = settled(&sidecar).await;
    assert_eq!((stats.taken, stats.forwarded, stats.failed, stats.dropped), (6, 6, 0, 0));
}

#[tokio::test]
async fn a_collector_that_is_away_keeps_nobody_waiting_and_gets_everything_when_it_is_back() {
    // Nobody listens there yet.
    let port = test_parts::Port::of_loopback().unwrap();
    let address = port.address;
    let flags = format!("--forward http://{address} --forward-queue 20000");
    let sidecar = Running::start(&flags).await;
    let url = format!("{}/v1/traces", sidecar.otlp);
    let send_one = |n: usize| {
        let body = format!(r#"{{"resourceSpans":[],"n":"{n:0>900}"}}"#);
        let url = &url;
        async move {
            let headers = [("content-type", "application/json")];
            let answer = send(Version::HTTP_11, "POST", url, &headers, body).await;
            assert_eq!(answer.status.as_u16(), 200);
        }
    };
    for n in 0..30 {
        send_one(n).await;
    }
    let stats = sidecar.stats().await.forward.unwrap();
    assert!(stats.dropped > 0 && stats.waiting_bytes <= 20_000, "{stats:?}");
    assert_eq!((stats.taken, stats.forwarded + stats.failed), (30, 0));
    assert!(stats.last_error.contains(&address.to_string()) || stats.last_error.contains("room"));
    let (collector, _) = Collector::start(address).await;
    let stats = settled(&sidecar).await;
    assert_eq!((stats.forwarded + stats.dropped, stats.failed), (30, 0));
    assert_eq!(collector.came.lock().len() as u64, stats.forwarded);
    // Refused for good, and asked to come later.
    collector.status.store(400, Relaxed);
    send_one(1).await;
    assert_eq!(settled(&sidecar).await.failed, 1);
    collector.status.store(503, Relaxed);
    send_one(2).await;
    while sidecar.stats().await.forward.unwrap().retries == stats.retries {
        tokio::task::yield_now().await;
    }
    collector.status.store(200, Relaxed);
    let stats = settled(&sidecar).await;
    assert_eq!((stats.failed, stats.waiting_bytes), (1, 0));
    let bodies = collector.came.lock().iter().fold(BTreeMap::new(), |mut all, came| {
        *all.entry(came.body.clone()).or_insert(0) += 1;
        all
    });
    assert!(bodies.len() as u64 >= stats.forwarded - 2, "{bodies:?}");
}

#[tokio::test]
async fn collectors_may_take_http_on_another_port() {
    let (grpc, grpc_at) = Collector::start(anywhere()).await;
    let (http, http_at) = Collector::start(anywhere()).await;
    let flags = format!("--forward http://{grpc_at} --forward-http http://{http_at}/");
    let sidecar = Running::start(&flags).await;
    let url = format!("{}/v1/traces", sidecar.otlp);
    send(Version::HTTP_11, "POST", &url, &[("content-type", "application/json")], "{}").await;
    let url = format!("{}{GRPC}", sidecar.otlp);
    let headers = [("content-type", "application/grpc")];
    send(Version::HTTP_2, "POST", &url, &headers, grpc_frame(b"", false)).await;
    assert_eq!(settled(&sidecar).await.forwarded, 2);
    assert_eq!(grpc.came.lock()[0].path, GRPC);
    assert_eq!(http.came.lock()[0].path, "/v1/traces");
}
