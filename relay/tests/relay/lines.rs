//! Distance and bandwidth: never less than was asked for. How much more a busy machine makes of it is not asked here.

use std::time::{Duration, Instant};

use settings::Span;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::setting::{config, pattern, service, start};

async fn echo() -> std::net::SocketAddr {
    service(|mut stream| async move {
        let (mut read, mut write) = stream.split();
        let _ = tokio::io::copy(&mut read, &mut write).await;
    })
    .await
}

#[tokio::test]
async fn a_round_trip_takes_no_less_than_the_distance_and_several_overlap() {
    let mut told = config(echo().await);
    told.rtt = Span::milliseconds(20);
    let relay = start(told).await;
    let mut stream = relay.connect().await;
    let mut answer = [0; 100];
    for _ in 0..3 {
        let began = Instant::now();
        stream.write_all(&pattern(1, 100)).await.unwrap();
        stream.read_exact(&mut answer).await.unwrap();
        assert!(began.elapsed() >= Duration::from_millis(20), "{:?}", began.elapsed());
        assert_eq!(answer.as_slice(), pattern(1, 100));
    }
    // A hundred at once are under way together: in turn they would take two seconds.
    let began = Instant::now();
    let mut streams = Vec::new();
    for _ in 0..100 {
        let mut stream = relay.connect().await;
        stream.write_all(b"ping").await.unwrap();
        streams.push(stream);
    }
    for stream in &mut streams {
        stream.read_exact(&mut answer[..4]).await.unwrap();
    }
    assert!(began.elapsed() < Duration::from_millis(100 * 20), "{:?}", began.elapsed());
    drop((stream, streams));
    relay.stop().await;
}

#[tokio::test]
async fn a_narrow_line_carries_no_more_than_it_can_and_all_connections_share_it() {
    let mut told = config(echo().await);
    // 8 Mbit are a megabyte a second.
    told.bandwidth = Some("8Mbit".parse().unwrap());
    let relay = start(told).await;
    let began = Instant::now();
    let one = async |seed: u64| {
        let (mut read, mut write) = relay.connect().await.into_split();
        let bytes = pattern(seed, 150_000);
        let sent = bytes.clone();
        let sending = tokio::spawn(async move {
            write.write_all(&sent).await.unwrap();
            write
        });
        let mut answer = vec![0; bytes.len()];
        read.read_exact(&mut answer).await.unwrap();
        assert!(answer == bytes);
        drop(sending.await.unwrap());
    };
    tokio::join!(one(1), one(2));
    assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
    relay.stop().await;
}
