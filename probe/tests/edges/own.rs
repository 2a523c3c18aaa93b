//! A service as somebody else would write it: replies of axum's own, work in tasks of its own, an upgrade.

use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::{Path, Query, Request};
use axum::response::{Html, IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use ledger::HopNode;
use probe::capture::{Captured, CapturedSpan, join, start};
use probe::{
    Call, CallError, Client, ClientOptions, Json, MakeRoutes, Probe, Received, Routes, Service,
    ServiceConfig, SetupError, Version,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// How long the handlers work.
pub(crate) const WORK: Duration = Duration::from_millis(30);

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Own {
    /// Who is called.
    #[arg(long, default_value = "http://127.0.0.1:1")]
    pub(crate) next: http::Uri,
}

impl Service for Own {
    const NAME: &'static str = "own";
    const PORT: u16 = 8099;

    fn routes(config: ServiceConfig<Self>, probe: Probe) -> Result<MakeRoutes, SetupError> {
        Ok(Box::new(move || {
            let next = config.own.next.clone();
            let client = Client::new(&probe, "next", next, ClientOptions::default());
            Routes::new()
                .get("/html", || async {
                    tokio::time::sleep(WORK).await;
                    Html("<p>")
                })
                .get("/empty", || probe::handler(async { StatusCode::NO_CONTENT }))
                .get(
                    "/number?n=N",
                    |Query(Number { n }): Query<Number>| async move { n.to_string() },
                )
                .get("/users/{id}", |Path(id): Path<u64>| async move { Json(vec![id]) })
                .post("/inside", inside)
                .post("/sum", |Json(numbers): Json<Vec<u64>>| async move {
                    Json(numbers.iter().sum::<u64>())
                })
                .post("/length", |body: axum::body::Bytes| async move { body.len().to_string() })
                .get("/forever", || async {
                    probe::handler(tokio::time::sleep(Duration::from_secs(600))).await;
                })
                .get("/large", || async { vec![b'x'; 64 << 20] })
                .get("/upgrade", upgrade)
                .get("/spawned", move || spawned(client))
        }))
    }
}

#[derive(serde::Deserialize)]
struct Number {
    n: u64,
}

/// Reads and writes JSON inside of the handler.
async fn inside(request: Request) -> Response {
    probe::handler(async {
        let numbers: Vec<u64> =
            probe::read_json_with(request.into_body(), 1_000, |_| 0).await.unwrap();
        tokio::time::sleep(WORK).await;
        let reply = probe::json_reply(StatusCode::OK, &numbers, 0);
        tokio::time::sleep(WORK).await;
        reply
    })
    .await
}

/// Becomes a connection that answers each byte with the next one.
async fn upgrade(request: Request) -> Response {
    tokio::spawn(async move {
        let mut io = TokioIo::new(hyper::upgrade::on(request).await.unwrap());
        while let Ok(byte) = io.read_u8().await {
            io.write_u8(byte + 1).await.unwrap();
        }
    });
    let mut reply = StatusCode::SWITCHING_PROTOCOLS.into_response();
    reply.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    reply.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("bytes"));
    reply
}

/// Calls in a task of its own, on a thread's queue, and with an explicit parent.
async fn spawned(client: Client) -> Json<u64> {
    let get = |client: Client, call: Call| async move {
        let request = http::Request::get("/users/7").body(()).unwrap();
        let reply = client.json::<_, Vec<u64>>(request, call).await;
        reply.map_or(0, |reply| reply.into_body()[0])
    };
    let context = probe::Context::current();
    let route = || Call { route: Some("/users/{id}".into()), ..Call::default() };
    let one = probe::spawn(get(client.clone(), route()));
    let two = tokio::spawn(context.clone().scope(get(client.clone(), route())));
    let three = tokio::spawn(get(client, Call { parent: Some(context), ..route() }));
    Json(one.await.unwrap() + two.await.unwrap() + three.await.unwrap())
}

/// The service and a client of it, with the spans of both.
pub(crate) struct Pair {
    pub(crate) address: SocketAddr,
    pub(crate) client: Client,
    pub(crate) called: Captured,
    pub(crate) served: Captured,
}

impl Pair {
    pub(crate) async fn start(version: Version) -> Pair {
        Pair::start_as(version, Own::defaults().unwrap().into()).await
    }

    pub(crate) async fn start_as(version: Version, own: ServiceConfig<Own>) -> Pair {
        let (server, served) = Captured::probe(Vec::new()).unwrap();
        let (probe, called) = Captured::probe(Vec::new()).unwrap();
        let address = start(own, server).await;
        let target = format!("http://{address}").parse().unwrap();
        let options = ClientOptions { version, ..ClientOptions::default() };
        Pair { address, client: Client::new(&probe, "own", target, options), called, served }
    }

    /// A traced request.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        body: &'static str,
    ) -> Result<http::Response<bytes::Bytes>, CallError> {
        let request = http::Request::builder().method(method).uri(path);
        self.client.send(request.body(body.into()).unwrap(), Call::root(true)).await
    }

    /// The two spans of the next request to end, and the hop that they make.
    pub(crate) async fn hop(&mut self) -> (CapturedSpan, CapturedSpan, HopNode) {
        let (client, server) =
            (self.called.span().await.unwrap(), self.served.span().await.unwrap());
        let hop = join(&[client.clone(), server.clone()]).unwrap();
        (client, server, hop)
    }
}

/// What a raw connection answers to these bytes until it is closed.
pub(crate) async fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).await.unwrap();
    String::from_utf8_lossy(&reply).into_owned()
}

/// Reads a body to its end.
pub(crate) async fn whole(reply: http::Response<Received>) -> bytes::Bytes {
    reply.into_body().collect().await.unwrap().to_bytes()
}
