//! A TCP relay that delays every byte, or lets them through slowly.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// What the relay does to each direction.
#[derive(Debug, Clone)]
pub(crate) struct Relay {
    /// How long each byte is held back.
    pub(crate) delay: Duration,
    /// How long the relay pauses after each read of `read_size` bytes; zero for none.
    pub(crate) pause: Duration,
    /// Bytes taken per read.
    pub(crate) read_size: usize,
    /// Receive buffer of the relay's sockets, so that a sender soon fills its own.
    pub(crate) receive_buffer: Option<u32>,
}

impl Default for Relay {
    fn default() -> Self {
        Relay {
            delay: Duration::ZERO,
            pause: Duration::ZERO,
            read_size: 65_536,
            receive_buffer: None,
        }
    }
}

impl Relay {
    /// Listens on a free port and relays to `target`.
    pub(crate) async fn start(self, target: SocketAddr) -> SocketAddr {
        let socket = TcpSocket::new_v4().unwrap();
        if let Some(bytes) = self.receive_buffer {
            socket.set_recv_buffer_size(bytes).unwrap();
        }
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener: TcpListener = socket.listen(64).unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(target).await.unwrap();
                near.set_nodelay(true).unwrap();
                far.set_nodelay(true).unwrap();
                let ((near_in, near_out), (far_in, far_out)) =
                    (near.into_split(), far.into_split());
                tokio::spawn(self.clone().pump(near_in, far_out));
                tokio::spawn(self.clone().pump(far_in, near_out));
            }
        });
        address
    }

    async fn pump(self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let (sender, mut held) = mpsc::channel::<(Instant, Vec<u8>)>(64);
        let delay = self.delay;
        tokio::spawn(async move {
            while let Some((arrived, bytes)) = held.recv().await {
                tokio::time::sleep_until(arrived + delay).await;
                if to.write_all(&bytes).await.is_err() {
                    return;
                }
            }
        });
        loop {
            let mut bytes = vec![0; self.read_size];
            let Ok(read @ 1..) = from.read(&mut bytes).await else {
                return;
            };
            bytes.truncate(read);
            if sender.send((Instant::now(), bytes)).await.is_err() {
                return;
            }
            if !self.pause.is_zero() {
                tokio::time::sleep(self.pause).await;
            }
        }
    }
}
