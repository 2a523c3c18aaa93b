//! HTTP as it passes: what is followed, and what is said of what is not.

use bytes::Bytes;
use http::{Request, Response};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::setting::{Running, config, pattern, service, start};

/// A service that answers every request by HTTP/2 with the body that it got.
async fn h2_echo() -> std::net::SocketAddr {
    service(|stream| async move {
        let mut builder = h2::server::Builder::new();
        builder.max_concurrent_streams(500).initial_window_size(1 << 20);
        builder.initial_connection_window_size(4 << 20);
        let mut connection = builder.handshake::<_, Bytes>(stream).await.unwrap();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            tokio::spawn(async move {
                let mut body = request.into_body();
                let mut all = Vec::new();
                while let Some(Ok(piece)) = body.data().await {
                    let _ = body.flow_control().release_capacity(piece.len());
                    all.extend_from_slice(&piece);
                }
                let mut reply = respond.send_response(Response::new(()), false).unwrap();
                send(&mut reply, all.into()).await;
            });
        }
    })
    .await
}

/// Sends a whole body as fast as windows allow.
async fn send(stream: &mut h2::SendStream<Bytes>, mut body: Bytes) {
    while !body.is_empty() {
        stream.reserve_capacity(body.len());
        let room = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await;
        let room = room.expect("the stream is open").expect("the stream is open");
        let piece = body.split_to(room.min(body.len()));
        stream.send_data(piece, body.is_empty()).unwrap();
    }
}

fn parent(number: u64, sampled: bool) -> String {
    format!("00-{:032x}-{:016x}-0{}", number + 1, number + 1, u8::from(sampled))
}

async fn two_hundred_streams(relay: &Running, size: usize) {
    let (client, connection) = h2::client::handshake(relay.connect().await).await.unwrap();
    let driving = tokio::spawn(connection);
    let mut calls = Vec::new();
    for number in 0..200_u64 {
        let client = client.clone();
        calls.push(tokio::spawn(async move {
            let mut client = client.ready().await.unwrap();
            let request =
                Request::post("http://h/echo").header("traceparent", parent(number, true));
            let (reply, mut stream) =
                client.send_request(request.body(()).unwrap(), false).unwrap();
            let body = pattern(number, size + number as usize);
            let sent = Bytes::from(body.clone());
            let sending = async { send(&mut stream, sent).await };
            let receiving = async {
                let mut reply = reply.await.unwrap().into_body();
                let mut all = Vec::new();
                while let Some(piece) = reply.data().await {
                    let piece = piece.unwrap();
                    let _ = reply.flow_control().release_capacity(piece.len());
                    all.extend_from_slice(&piece);
                }
                all
            };
            let ((), all) = tokio::join!(sending, receiving);
            assert!(all == body, "stream {number}: {} bytes of {}", all.len(), body.len());
        }));
    }
    for call in calls {
        call.await.unwrap();
    }
    drop(client);
    driving.abort();
}

#[tokio::test]
async fn two_hundred_streams_of_one_connection_come_through_and_every_request_is_followed() {
    let relay = start(config(h2_echo().await)).await;
    two_hundred_streams(&relay, 30_000).await;
    let summary = relay.stop().await;
    assert_eq!((summary.http2, summary.requests, summary.unmatched), (1, 200, 0), "{summary}");
    // Nobody is there who takes spans: none are made.
    assert_eq!((summary.sampled, summary.lost), (0, 0));
}

#[tokio::test]
async fn tls_and_what_is_no_http_pass_unread_and_it_is_said() {
    let target = service(|mut stream| async move {
        let (mut read, mut write) = stream.split();
        let _ = tokio::io::copy(&mut read, &mut write).await;
    })
    .await;
    let relay = start(config(target)).await;
    for hello in [&[0x16, 3, 1, 0, 5, 1, 2, 3][..], b"*1\r\n$4\r\nPING\r\n"] {
        let mut stream = relay.connect().await;
        stream.write_all(hello).await.unwrap();
        let mut answer = vec![0; hello.len()];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, hello);
    }
    let summary = relay.stop().await;
    assert_eq!((summary.tls, summary.unknown, summary.requests), (1, 1, 0));
    let text = summary.to_string();
    assert!(text.contains("1 TLS, passed unread") && text.contains("1 of another kind"), "{text}");
}
