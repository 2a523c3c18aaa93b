//! Limits that travel with calls by gRPC.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use echo::EchoService;
use http::Request;
use lab_proto::v1::echo_client::EchoClient;
use lab_proto::v1::echo_server::{Echo, EchoServer};
use lab_proto::{EchoReply, EchoRequest};
use ledger::Stage;
use probe::capture::{Captured, start};
use probe::{
    Call, Client, ClientOptions, MakeRoutes, Probe, Routes, Service, ServiceConfig, SetupError,
    Version,
};
use tokio::task::JoinHandle;
use tonic::Code;

use crate::connections::{client, within};

/// How long a service works before it calls the next.
const WORK: Duration = Duration::from_millis(200);

#[tokio::test(flavor = "multi_thread")]
async fn a_timeout_of_grpc_is_kept_by_the_server_and_passed_on_with_what_is_left() {
    let inject = vec![(Stage::Handler, Duration::from_secs(20))];
    let (server, mut spans) = Captured::probe(inject).unwrap();
    let echo = start(EchoService, server).await;
    // The header alone says how long: this client has no clock.
    let stream = tokio::net::TcpStream::connect(echo).await.unwrap();
    let executor = hyper_util::rt::TokioExecutor::new();
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(executor, io).await.unwrap();
    tokio::spawn(connection);
    let request = Request::post(format!("http://{echo}/lab.v1.Echo/Echo"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-timeout", "300m")
        .header("traceparent", "00-0000000000000000000000000000000a-000000000000000b-01")
        .body(http_body_util::Full::new(Bytes::from_static(b"\0\0\0\0\x03\x0a\x01x")));
    let began = Instant::now();
    let reply = sender.send_request(request.unwrap()).await.unwrap();
    assert_eq!(reply.headers()["grpc-status"], "4");
    assert!(began.elapsed() < Duration::from_secs(10));
    let span = spans.span().await.unwrap();
    assert_eq!(span.says("rpc.grpc.status_code").as_deref(), Some("4"));
    assert_eq!(span.says("rpc.method").as_deref(), Some("Echo"));
    assert!(span.failure.unwrap().contains("DeadlineExceeded"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_of_a_limit_travels_with_a_call_by_grpc() {
    let (address, told) = listener().await;
    let client = client(&Probe::off(), address);
    let limit = Duration::from_secs(2);
    let status = echo(&client, within(limit)).await.unwrap_err();
    let told = told.await.unwrap();
    assert!(!told.is_zero() && told <= limit, "{told:?}");
    assert!(matches!(status.code(), Code::DeadlineExceeded | Code::Unavailable), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_of_a_limit_travels_on_with_calls_made_for_the_request_that_has_it() {
    let (address, told) = listener().await;
    let next = format!("http://{address}").parse().unwrap();
    let client = client(&Probe::off(), start(Passing { next }, Probe::off()).await);
    let limit = Duration::from_secs(2);
    let status = echo(&client, within(limit)).await.unwrap_err();
    let told = told.await.unwrap();
    assert!(!told.is_zero() && told <= limit - WORK, "{told:?}");
    assert!(matches!(status.code(), Code::DeadlineExceeded | Code::Unavailable), "{status}");
}

async fn echo(client: &Client, call: Call) -> Result<tonic::Response<EchoReply>, tonic::Status> {
    let echo = |channel| async move {
        EchoClient::new(channel).echo(EchoRequest { payload: "x".into() }).await
    };
    client.unary("lab.v1.Echo/Echo", call, echo).await
}

/// A server that takes one call and answers nothing: what its `grpc-timeout` was.
async fn listener() -> (SocketAddr, JoinHandle<Duration>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let told = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(stream).await.unwrap();
        let (request, _respond) = connection.accept().await.unwrap().unwrap();
        let told = request.headers()["grpc-timeout"].to_str().unwrap().to_owned();
        Duration::from_micros(told.strip_suffix('u').unwrap().parse().unwrap())
    });
    (address, told)
}

/// A service of gRPC that asks another one, after a while.
#[derive(Debug, Clone, clap::Args)]
struct Passing {
    /// Who is asked.
    #[arg(long, default_value = "http://127.0.0.1:1")]
    next: http::Uri,
}

impl Service for Passing {
    const NAME: &'static str = "passing";
    const PORT: u16 = 8098;

    fn routes(config: ServiceConfig<Self>, probe: Probe) -> Result<MakeRoutes, SetupError> {
        let options = ClientOptions { version: Version::Http2, ..ClientOptions::default() };
        Ok(Box::new(move || {
            let client = Client::new(&probe, "next", config.own.next.clone(), options.clone());
            Routes::new().grpc(EchoServer::new(Hop(client)))
        }))
    }
}

struct Hop(Client);

#[tonic::async_trait]
impl Echo for Hop {
    async fn echo(
        &self,
        _: tonic::Request<EchoRequest>,
    ) -> Result<tonic::Response<EchoReply>, tonic::Status> {
        tokio::time::sleep(WORK).await;
        echo(&self.0, Call::default()).await
    }
}
