//! How connections end, and what is said where there is nobody to relay to.

use std::io::ErrorKind;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::time::timeout;

use crate::setting::{config, service, start};

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_target_that_is_not_there_is_an_error_that_names_it() {
    let address = "127.0.0.1:1".parse::<std::net::SocketAddr>().unwrap();
    let error = relay::run(config(address), std::future::pending()).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&address.to_string()) && text.contains("refused"), "{text}");
    assert!(text.contains("start the service"), "{text}");
}

#[tokio::test]
async fn callers_are_reset_while_the_service_is_away_and_served_when_it_is_back() {
    // Bound, so that it is nobody else's, and heard by nobody until it listens.
    let away = TcpSocket::new_v4().unwrap();
    away.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = away.local_addr().unwrap();
    let relay = start(config(address)).await;
    let mut stream = relay.connect().await;
    let end = timeout(PATIENCE, stream.read(&mut [0; 8])).await.unwrap();
    assert!(matches!(&end, Err(error) if error.kind() == ErrorKind::ConnectionReset), "{end:?}");
    let back = away.listen(8).unwrap();
    let mut stream = relay.connect().await;
    stream.write_all(b"ping").await.unwrap();
    let (mut served, _) = back.accept().await.unwrap();
    let mut asked = [0; 4];
    served.read_exact(&mut asked).await.unwrap();
    assert_eq!(&asked, b"ping");
    drop((stream, served));
    assert_eq!(relay.stop().await.refused, 1);
}

#[tokio::test]
async fn a_reset_is_passed_on_as_a_reset_in_either_direction() {
    for by_service in [true, false] {
        let (told, mut tells) = tokio::sync::mpsc::unbounded_channel();
        let target = service(move |mut stream| {
            let told = told.clone();
            async move {
                let mut asked = [0; 4];
                stream.read_exact(&mut asked).await.unwrap();
                stream.write_all(b"part").await.unwrap();
                if by_service {
                    stream.set_zero_linger().unwrap();
                    return;
                }
                told.send(stream.read(&mut asked).await.map_err(|error| error.kind())).unwrap();
            }
        })
        .await;
        let relay = start(config(target)).await;
        let mut stream = relay.connect().await;
        stream.write_all(b"ping").await.unwrap();
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).await.unwrap();
        let end = if by_service {
            timeout(PATIENCE, stream.read(&mut answer)).await.unwrap().map_err(|error| error.kind())
        } else {
            stream.set_zero_linger().unwrap();
            drop(stream);
            timeout(PATIENCE, tells.recv()).await.unwrap().unwrap()
        };
        assert_eq!(end, Err(ErrorKind::ConnectionReset), "by the service: {by_service}");
        assert_eq!(relay.stop().await.broken, 1);
    }
}

#[tokio::test]
async fn who_sends_is_held_up_where_nobody_takes() {
    let target = service(|stream| async move {
        // It never reads.
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let relay = start(config(target)).await;
    let mut stream = relay.connect().await;
    let piece = vec![7; 1 << 20];
    let mut taken = 0_usize;
    // Until nothing is taken for a while: the sockets' buffers are full then, on both faces.
    while let Ok(written) = timeout(Duration::from_secs(2), stream.write(&piece)).await {
        taken += written.unwrap();
        assert!(taken < 64 << 20, "it is kept in memory");
    }
    drop(stream);
    relay.stop().await;
}

#[tokio::test]
async fn what_is_under_way_when_a_relay_is_stopped_comes_through() {
    let target = service(|mut stream| async move {
        let mut asked = [0; 4];
        stream.read_exact(&mut asked).await.unwrap();
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            stream.write_all(&asked).await.unwrap();
        }
    })
    .await;
    let relay = start(config(target)).await;
    let mut stream = relay.connect().await;
    stream.write_all(b"ping").await.unwrap();
    let mut idle = relay.connect().await;
    let mut first = [0; 4];
    stream.read_exact(&mut first).await.unwrap();
    let stopping = tokio::spawn(relay.stop());
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest.len(), 16);
    let end = timeout(PATIENCE, idle.read(&mut first)).await.expect("nobody waits for it");
    assert!(matches!(end, Ok(0) | Err(_)));
    stopping.await.unwrap();
}
