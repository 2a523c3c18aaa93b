//! What a peer can do to a server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// The longest that a peer waits for an end that does not come.
const WAIT: Duration = Duration::from_secs(12);
/// Of the peers so many take no replies that are larger than what the kernel keeps for them. They are few: it is work to
/// make such a reply, and a machine that has too much of it is late with everything.
const SLOW_READERS: usize = 4;
/// The number of what they do.
const SLOW: u32 = 8;

/// In which order harm is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// All do the same at once, one deed after the other.
    Together,
    /// Each does what comes to its mind.
    Mixed,
}

/// Does harm until told to stop; answers how often.
pub(crate) async fn on(
    gateway: SocketAddr,
    number: usize,
    order: Order,
    stop: Arc<AtomicBool>,
) -> u64 {
    // The same deeds in every run.
    let mut random = StdRng::seed_from_u64(number as u64);
    let mut deeds = 0;
    while !stop.load(Relaxed) {
        let deed = match order {
            _ if number < SLOW_READERS => SLOW,
            Order::Together => deeds as u32 % SLOW,
            Order::Mixed => random.random_range(0..SLOW),
        };
        let garbage: Vec<u8> =
            (0..random.random_range(1..2_000)).map(|_| random.random()).collect();
        // That a deed fails is what the gateway is there for.
        let _ = tokio::time::timeout(WAIT, one(gateway, deed, &garbage)).await;
        deeds += 1;
        tokio::time::sleep(Duration::from_millis(random.random_range(1..200))).await;
    }
    deeds
}

async fn one(gateway: SocketAddr, deed: u32, garbage: &[u8]) -> std::io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    if deed == SLOW {
        // Else the kernel takes all of the reply for it.
        socket.set_recv_buffer_size(4_096)?;
    }
    let mut stream = socket.connect(gateway).await?;
    match deed {
        // Half a head.
        0 => stream.write_all(b"POST /rest/ping HTTP/1.1\r\nhost: h\r\nx: ").await?,
        // Half a body.
        1 => {
            let half = b"POST /rest/ping HTTP/1.1\r\nhost: h\r\ncontent-length: 100\r\n\r\n{";
            stream.write_all(half).await?;
        }
        2 => stream.write_all(garbage).await?,
        3..=5 => by_http_2(&mut stream, deed, garbage).await?,
        // Asked for and not waited for, many times in a row.
        6 => {
            for _ in 0..20 {
                stream.write_all(ping("grpc", 10).as_bytes()).await?;
            }
            return stream.set_zero_linger();
        }
        // Many connections at once, on which nothing is said.
        7 => {
            let mut many = Vec::new();
            for _ in 0..30 {
                many.push(TcpStream::connect(gateway).await?);
            }
            return Ok(());
        }
        // A reply that nobody takes.
        _ => {
            stream.write_all(ping("rest", 4_000_000).as_bytes()).await?;
            tokio::time::sleep(WAIT).await;
            return Ok(());
        }
    }
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await?;
    Ok(())
}

/// A request for so many letters.
fn ping(protocol: &str, size: usize) -> String {
    let body = format!(r#"{{"size": {size}}}"#);
    let length = body.len();
    format!("POST /{protocol}/ping HTTP/1.1\r\nhost: h\r\ncontent-length: {length}\r\n\r\n{body}")
}

async fn by_http_2(stream: &mut TcpStream, deed: u32, garbage: &[u8]) -> std::io::Result<()> {
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await?;
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    stream.write_all(&settings).await?;
    match deed {
        3 => stream.write_all(garbage).await?,
        // A stream after the other, each reset at once.
        4 => {
            for id in (1_u32..200).step_by(2) {
                // ":method: POST", ":scheme: http", ":path: /" of HPACK's static table.
                stream.write_all(&[0, 0, 3, 1, 4]).await?;
                stream.write_all(&id.to_be_bytes()).await?;
                stream.write_all(&[0x83, 0x86, 0x84]).await?;
                stream.write_all(&[0, 0, 4, 3, 0]).await?;
                stream.write_all(&id.to_be_bytes()).await?;
                stream.write_all(&8_u32.to_be_bytes()).await?;
            }
        }
        // Frames that are answered each: SETTINGS and PING.
        _ => {
            for _ in 0..100 {
                stream.write_all(&settings).await?;
                stream.write_all(&[0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]).await?;
            }
        }
    }
    Ok(())
}
