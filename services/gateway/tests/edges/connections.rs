//! Connections of HTTP/2 are not punished for what those of HTTP/1.1 are not.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use echo::EchoService;
use http::Request;
use ledger::Stage;
use probe::capture::{Captured, start};
use probe::{Call, Client, ClientOptions, Probe, Version};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::wire::{Refuses, Wire, refusing};

pub(crate) fn client(probe: &Probe, address: SocketAddr) -> Client {
    let options = ClientOptions { version: Version::Http2, ..ClientOptions::default() };
    Client::new(probe, "echo", format!("http://{address}").parse().unwrap(), options)
}

async fn start_echo() -> SocketAddr {
    start(EchoService, Probe::off()).await
}

async fn call(client: &Client, call: Call) -> Result<Bytes, probe::CallError> {
    let body = Bytes::from_static(br#"{"payload":"x"}"#);
    let request = Request::post("/echo").body(body).unwrap();
    client.send(request, call).await.map(http::Response::into_body)
}

pub(crate) fn within(limit: Duration) -> Call {
    Call { timeout: Some(limit), ..Call::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_give_up_together_take_no_other_callers_call_with_them() {
    let wire = Wire::to(start_echo().await).await.unwrap();
    let client = client(&Probe::off(), wire.address);
    call(&client, Call::default()).await.unwrap();
    wire.stand_still(true);
    let patient: Vec<_> = (0..20)
        .map(|_| {
            tokio::spawn({
                let client = client.clone();
                async move { call(&client, Call::default()).await }
            })
        })
        .collect();
    let hasty: Vec<_> = (0..500)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { call(&client, within(Duration::from_millis(200))).await })
        })
        .collect();
    for call in hasty {
        assert!(call.await.unwrap().is_err(), "nobody answers while all stand still");
    }
    wire.stand_still(false);
    for call in patient {
        assert_eq!(call.await.unwrap().unwrap(), r#"{"payload":"x"}"#);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_vanished_without_a_word_is_left_and_calls_that_it_has_stay() {
    let wire = Wire::to(start_echo().await).await.unwrap();
    let client = client(&Probe::off(), wire.address);
    call(&client, Call::default()).await.unwrap();
    wire.vanish();
    let lost = tokio::spawn({
        let client = client.clone();
        async move { call(&client, within(Duration::from_secs(20))).await }
    });
    let began = Instant::now();
    while call(&client, within(Duration::from_millis(100))).await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(10), "still on the dead connection");
    }
    assert_eq!(wire.connections(), 2);
    assert!(!lost.is_finished());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_is_slow_with_one_call_is_not_taken_for_one_that_vanished() {
    let inject = vec![(Stage::Handler, Duration::from_secs(1))];
    let (server, _spans) = Captured::probe(inject).unwrap();
    let echo = start(EchoService, server).await;
    let client = client(&Probe::off(), echo);
    for _ in 0..3 {
        call(&client, Call::default()).await.unwrap();
    }
    assert_eq!(client.connections_opened(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_was_certainly_not_processed_is_made_once_more_and_counted() {
    for server in [refusing(Refuses::Streams).await.unwrap(), goodbye_after_each_call().await] {
        let (probe, mut spans) = Captured::probe(Vec::new()).unwrap();
        let client = client(&probe, server);
        let mut repeated = 0;
        for _ in 0..10 {
            call(&client, Call::root(true)).await.unwrap();
            let span = spans.span().await.unwrap();
            assert_eq!(span.failure, None);
            repeated += span.half.attempts - 1;
        }
        assert!(repeated > 0);
    }
}

/// A server that answers one call of each connection, and the next with a GOAWAY whose last id is that of the first.
/// Written in frames, for no library would send it after it has read the call.
async fn goodbye_after_each_call() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer_once(stream));
        }
    });
    address
}

async fn answer_once(mut stream: tokio::net::TcpStream) -> std::io::Result<()> {
    let frame = |kind: u8, flags: u8, stream: u32, payload: &[u8]| {
        let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        bytes.extend([kind, flags]);
        bytes.extend(stream.to_be_bytes());
        bytes.extend(payload);
        bytes
    };
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).await?;
    stream.write_all(&frame(0x4, 0, 0, &[])).await?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        let [a, b, c, kind, flags, id @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        stream.read_exact(&mut payload).await?;
        let (id, ends) = (u32::from_be_bytes(id), flags & 1 == 1);
        match kind {
            0x4 if !ends => stream.write_all(&frame(0x4, 1, 0, &[])).await?,
            0x6 if !ends => stream.write_all(&frame(0x6, 1, 0, &payload)).await?,
            // 0x88 is ":status: 200" of HPACK's static table.
            0x0 | 0x1 if ends && id == 1 => {
                stream.write_all(&frame(0x1, 0x4, 1, &[0x88])).await?;
                stream.write_all(&frame(0x0, 0x1, 1, b"x")).await?;
            }
            0x1 if id > 1 => stream.write_all(&frame(0x7, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0])).await?,
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_may_have_been_processed_is_not_made_again() {
    let client = client(&Probe::off(), refusing(Refuses::InTheMiddle).await.unwrap());
    for _ in 0..9 {
        call(&client, Call::default()).await.unwrap();
    }
    let error = call(&client, Call::default()).await.unwrap_err().to_string();
    assert!(error.contains("internal error"), "{error}");
}
