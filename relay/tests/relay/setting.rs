//! A relay before a service of the test's own.

use std::net::SocketAddr;

use relay::{RelayConfig, Summary};
use settings::Span;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A relay that is running.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Summary>,
}

impl Running {
    /// Stops it; answers what it did.
    pub(crate) async fn stop(self) -> Summary {
        self.stop.send(()).expect("it is running");
        self.task.await.expect("it did not panic")
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).await.expect("it listens");
        stream.set_nodelay(true).expect("a TCP connection");
        stream
    }
}

/// What a relay to `to` is told by a test.
pub(crate) fn config(to: SocketAddr) -> RelayConfig {
    RelayConfig {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        to: to.to_string(),
        rtt: Span(0),
        bandwidth: None,
        sidecar: None,
        name: "relay".to_owned(),
        stop_with_stdin: false,
    }
}

pub(crate) async fn start(config: RelayConfig) -> Running {
    let listener = TcpListener::bind(config.listen).await.expect("a free port");
    let address = listener.local_addr().expect("a bound address");
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(async move {
        let stop = async { _ = stopped.await };
        relay::serve(listener, config, stop).await.expect("settings that can be")
    });
    Running { address, stop, task }
}

/// A service on a free port, which does `work` with every connection.
pub(crate) async fn service<F>(work: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let address = listener.local_addr().expect("a bound address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            tokio::spawn(work(stream));
        }
    });
    address
}

/// Bytes that tell where they belong.
pub(crate) fn pattern(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}
