//! Byte for byte, however it comes in pieces.

use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;

use crate::setting::{config, pattern, service, start};

/// What peers may say, in pieces: HTTP of both versions, whole and broken, TLS, and anything else.
fn said() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let h1 = format!("POST / HTTP/1.1\r\ntraceparent: {parent}\r\ncontent-length: 5\r\n\r\nhello");
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..3_000),
        (any::<u64>(), 0_usize..90_000).prop_map(|(seed, length)| pattern(seed, length)),
        Just(h1.into_bytes()),
        Just(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec()),
        Just(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
                .to_vec()
        ),
        Just(vec![0x16, 3, 1, 0, 1]),
        Just(vec![b'P']),
    ];
    prop::collection::vec(piece, 0..12)
}

/// Both sides say what they have, end their direction, and hear the other out. Answers what each heard: service, client.
async fn exchanged(
    asked: Vec<Vec<u8>>,
    answered: Vec<Vec<u8>>,
    in_turn: bool,
) -> (Vec<u8>, Vec<u8>) {
    let (heard, mut by_service) = mpsc::unbounded_channel();
    let target = service(move |stream| {
        let (heard, answered) = (heard.clone(), answered.clone());
        async move {
            let (mut read, mut write) = stream.into_split();
            let mut all = Vec::new();
            if in_turn {
                // Half-closed: the client has ended, and the answer begins only then.
                read.read_to_end(&mut all).await.unwrap();
            }
            for piece in answered {
                write.write_all(&piece).await.unwrap();
            }
            write.shutdown().await.unwrap();
            if !in_turn {
                read.read_to_end(&mut all).await.unwrap();
            }
            heard.send(all).unwrap();
        }
    })
    .await;
    let relay = start(config(target)).await;
    let (mut read, mut write) = relay.connect().await.into_split();
    let saying = tokio::spawn(async move {
        for piece in asked {
            write.write_all(&piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        write.shutdown().await.unwrap();
        write
    });
    let mut by_client = Vec::new();
    read.read_to_end(&mut by_client).await.unwrap();
    let by_service = by_service.recv().await.unwrap();
    drop(saying.await.unwrap());
    let summary = relay.stop().await;
    assert_eq!(summary.bytes, (by_client.len() + by_service.len()) as u64);
    assert_eq!((summary.connections, summary.broken, summary.unmatched), (1, 0, 0));
    (by_service, by_client)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_comes_out_is_what_went_in_and_each_end_is_passed_on(
        asked in said(), answered in said(), in_turn in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (by_service, by_client) =
            runtime.block_on(exchanged(asked.clone(), answered.clone(), in_turn));
        prop_assert!(by_service == asked.concat(), "{} bytes of {}", by_service.len(), asked.concat().len());
        prop_assert!(by_client == answered.concat(), "{} of {}", by_client.len(), answered.concat().len());
    }
}

#[tokio::test]
async fn sixteen_mebibytes_each_way_at_once_come_through() {
    let (asked, answered) = (pattern(1, 16 << 20), pattern(2, 16 << 20));
    let pieces = |bytes: &[u8]| bytes.chunks(1 << 20).map(<[u8]>::to_vec).collect::<Vec<_>>();
    let (by_service, by_client) = exchanged(pieces(&asked), pieces(&answered), false).await;
    assert!(by_service == asked && by_client == answered);
}

#[tokio::test]
async fn a_thousand_connections_at_once_get_their_own_answers() {
    let target = service(|mut stream| async move {
        let (mut read, mut write) = stream.split();
        let _ = tokio::io::copy(&mut read, &mut write).await;
    })
    .await;
    let relay = start(config(target)).await;
    let mut streams = Vec::new();
    for _ in 0..1_000 {
        streams.push(relay.connect().await);
    }
    for round in 0..3_u64 {
        for (number, stream) in streams.iter_mut().enumerate() {
            stream.write_all(&pattern(round << 32 | number as u64, 700)).await.unwrap();
        }
        for (number, stream) in streams.iter_mut().enumerate() {
            let mut answer = vec![0; 700];
            stream.read_exact(&mut answer).await.unwrap();
            assert!(answer == pattern(round << 32 | number as u64, 700), "{number}");
        }
    }
    drop(streams);
    let summary = relay.stop().await;
    assert_eq!((summary.connections, summary.broken), (1_000, 0));
    assert_eq!(summary.bytes, 3 * 1_000 * 1_400);
}
