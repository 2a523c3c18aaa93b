//! A gateway that is told to stop while it is busy: every request that was sent to it is answered.
//!
//! A few times here; `STOPS=1000` says how often, which `.ci/long` does.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bytes::Bytes;
use echo::EchoService;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use probe::Probe;
use rustix::process::{Pid, Signal, kill_process};
use tokio::net::TcpStream;

/// Connections of each protocol.
const CONNECTIONS: usize = 4;
/// Answered before the gateway is told to stop, so that it is busy then.
const BUSY: u64 = 50;
/// What the processes promise: a quarter of a second for who is quiet, five seconds for requests that
/// take long, one for other threads. Here all are short, but the machine may be busy.
const STOPPED_WITHIN: Duration = Duration::from_secs(5);

/// What became of the requests.
#[derive(Debug, Default)]
struct Count {
    sent: AtomicU64,
    answered: AtomicU64,
    /// The server said, before it had them, that it takes no more (GOAWAY): they were not accepted.
    refused: AtomicU64,
}

fn start_gateway(echo: SocketAddr) -> (Child, SocketAddr) {
    let mut gateway = Command::new(env!("CARGO_BIN_EXE_gateway"))
        .args(["--listen", "127.0.0.1:0", "--worker-threads", "2"])
        .arg(format!("--peer=echo=http://{echo}"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = String::new();
    BufReader::new(gateway.stdout.take().unwrap()).read_line(&mut ready).unwrap();
    let address = ready.trim().strip_prefix("listening ").expect("a ready line").parse().unwrap();
    (gateway, address)
}

fn ping(host: SocketAddr, number: u64) -> Request<Full<Bytes>> {
    let protocol = if number.is_multiple_of(2) { "rest" } else { "grpc" };
    let uri = format!("http://{host}/{protocol}/ping");
    let body = Full::new(Bytes::from_static(br#"{"size": 10}"#));
    Request::post(uri).header("host", host.to_string()).body(body).unwrap()
}

/// One request after another until the connection says that it takes no more.
async fn by_http1(gateway: SocketAddr, count: Arc<Count>) {
    let stream = TcpStream::connect(gateway).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    while sender.ready().await.is_ok() {
        let number = count.sent.fetch_add(1, Relaxed);
        let reply = sender.send_request(ping(gateway, number)).await;
        // Closed meanwhile, and nothing was sent.
        count.take(reply, hyper::Error::is_canceled).await;
    }
}

async fn by_http2(gateway: SocketAddr, count: Arc<Count>) {
    let stream = TcpStream::connect(gateway).await.unwrap();
    let io = TokioIo::new(stream);
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    while sender.ready().await.is_ok() {
        let number = count.sent.fetch_add(1, Relaxed);
        let reply = sender.send_request(ping(gateway, number)).await;
        // A GOAWAY without an error names the last stream that was accepted (RFC 9113, 6.8).
        count.take(reply, |error| error.is_canceled() || said_goodbye(error)).await;
    }
}

impl Count {
    /// Counts a request that was answered, or that was not accepted, as `refused` says of the error.
    async fn take(
        &self,
        reply: hyper::Result<Response<Incoming>>,
        refused: impl FnOnce(&hyper::Error) -> bool,
    ) {
        match reply {
            Ok(reply) => {
                assert_eq!(reply.status(), 200);
                reply.into_body().collect().await.unwrap();
                self.answered.fetch_add(1, Relaxed);
            }
            Err(error) if refused(&error) => drop(self.refused.fetch_add(1, Relaxed)),
            Err(error) => panic!("an accepted request was not answered: {error:?}"),
        }
    }
}

fn said_goodbye(error: &hyper::Error) -> bool {
    format!("{error:?}").contains("GoAway(b\"\", NO_ERROR")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_told_to_stop_answers_every_request_that_it_accepted() {
    let stops = std::env::var("STOPS").map_or(15, |stops| stops.parse().unwrap());
    let echo = probe::capture::start(EchoService, Probe::off()).await;
    let (mut answered, mut refused, mut longest) = (0, 0, Duration::ZERO);
    for _ in 0..stops {
        let (mut gateway, address) = start_gateway(echo);
        let count = Arc::new(Count::default());
        let clients: Vec<_> = (0..CONNECTIONS)
            .flat_map(|_| {
                let http1 = tokio::spawn(by_http1(address, Arc::clone(&count)));
                let http2 = tokio::spawn(by_http2(address, Arc::clone(&count)));
                [http1, http2]
            })
            .collect();
        while count.answered.load(Relaxed) < BUSY {
            assert!(!clients.iter().any(tokio::task::JoinHandle::is_finished), "{count:?}");
            tokio::task::yield_now().await;
        }
        let told = Instant::now();
        kill_process(Pid::from_child(&gateway), Signal::TERM).unwrap();
        for client in clients {
            client.await.expect("every accepted request is answered");
        }
        let status = tokio::task::spawn_blocking(move || gateway.wait()).await.unwrap().unwrap();
        assert!(status.success(), "{status}");
        longest = longest.max(told.elapsed());
        let of = |number: &AtomicU64| number.load(Relaxed);
        assert_eq!(of(&count.sent), of(&count.answered) + of(&count.refused), "{count:?}");
        answered += of(&count.answered);
        refused += of(&count.refused);
    }
    println!(
        "{stops} stops: {answered} answered, {refused} refused, none lost; {longest:?} at most"
    );
    assert!(longest < STOPPED_WITHIN, "{longest:?}");
}
