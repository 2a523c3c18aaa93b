//! A listener with small bounds, and peers that keep their connections.

use std::sync::atomic::AtomicU32;

use bytes::Bytes;
use http_body_util::Full;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Semaphore;

use super::*;

/// Answers `/` at once, and anything else when there is a permit.
struct Slow {
    permits: Semaphore,
    asked: AtomicU32,
    unserved: parking_lot::Mutex<Vec<Unserved>>,
}

impl Answers for Slow {
    type Body = Full<Bytes>;

    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        _: SocketAddr,
    ) -> Response<Full<Bytes>> {
        self.asked.fetch_add(1, Relaxed);
        if request.uri().path() != "/" {
            self.permits.acquire().await.unwrap().forget();
        }
        Response::new(Full::default())
    }

    fn unserved(&self, why: Unserved, _: SocketAddr) {
        self.unserved.lock().push(why);
    }
}

struct Listening {
    address: SocketAddr,
    answers: Arc<Slow>,
    stop: CancellationToken,
}

impl Listening {
    async fn start(connections: usize, idle: Duration) -> Listening {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answers = Arc::new(Slow {
            permits: Semaphore::new(0),
            asked: AtomicU32::new(0),
            unserved: parking_lot::Mutex::default(),
        });
        let look = Duration::from_millis(10);
        let bounds = Bounds { purpose: "a test", connections, idle, look };
        let stop = CancellationToken::new();
        tokio::spawn(serve(listener, bounds, Arc::clone(&answers), stop.clone()));
        Listening { address, answers, stop }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Waits until so many requests have come.
    async fn asked(&self, count: u32) {
        while self.answers.asked.load(Relaxed) < count {
            tokio::task::yield_now().await;
        }
    }
}

async fn send(peer: &mut TcpStream, path: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    peer.write_all(request.as_bytes()).await.unwrap();
}

/// Whether an answer comes, and not the end of the connection.
async fn is_answered(peer: &mut TcpStream) -> bool {
    let mut line = [0; 12];
    peer.read_exact(&mut line).await.is_ok_and(|_| line == *b"HTTP/1.1 200")
}

/// Waits for the end of the connection, whatever comes before it.
async fn ended(peer: &mut TcpStream) {
    let _ = peer.read_to_end(&mut Vec::new()).await;
}

const LONG: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn past_the_bound_the_connection_that_is_idle_longest_makes_room() {
    let listening = Listening::start(2, LONG).await;
    let (mut first, mut second) = (listening.connect().await, listening.connect().await);
    for (number, peer) in [&mut first, &mut second].into_iter().enumerate() {
        send(peer, "/").await;
        assert!(is_answered(peer).await);
        listening.asked(number as u32 + 1).await;
    }
    let mut third = listening.connect().await;
    send(&mut third, "/").await;
    assert!(is_answered(&mut third).await);
    ended(&mut first).await;
    send(&mut second, "/").await;
    listening.asked(4).await;
    assert_eq!(*listening.answers.unserved.lock(), []);
}

#[tokio::test]
async fn where_all_are_at_work_the_next_is_turned_away_and_counted() {
    let listening = Listening::start(2, LONG).await;
    let (mut first, mut second) = (listening.connect().await, listening.connect().await);
    send(&mut first, "/slow").await;
    send(&mut second, "/slow").await;
    listening.asked(2).await;
    let mut third = listening.connect().await;
    ended(&mut third).await;
    assert_eq!(*listening.answers.unserved.lock(), [Unserved::Full(2)]);
    // Those at work lose nothing.
    listening.answers.permits.add_permits(2);
    assert!(is_answered(&mut first).await && is_answered(&mut second).await);
}

#[tokio::test]
async fn a_connection_is_closed_when_it_is_idle_for_too_long_and_not_while_it_is_at_work() {
    let listening = Listening::start(9, Duration::from_millis(50)).await;
    let mut silent = listening.connect().await;
    let mut half = listening.connect().await;
    half.write_all(b"GET / HT").await.unwrap();
    let mut busy = listening.connect().await;
    send(&mut busy, "/slow").await;
    listening.asked(1).await;
    ended(&mut silent).await;
    ended(&mut half).await;
    listening.answers.permits.add_permits(1);
    assert!(is_answered(&mut busy).await);
    ended(&mut busy).await;
    assert_eq!(*listening.answers.unserved.lock(), []);
}

#[tokio::test]
async fn what_is_no_http_is_counted_by_its_reason() {
    let listening = Listening::start(9, LONG).await;
    for bytes in [&b"\x16\x03\x01\x02\x00"[..], b"\0\0\0\0\0\0\0\0\r\n\r\n"] {
        let mut peer = listening.connect().await;
        peer.write_all(bytes).await.unwrap();
        ended(&mut peer).await;
    }
    let unserved = listening.answers.unserved.lock();
    assert!(matches!(unserved[..], [Unserved::Tls, Unserved::NotHttp(_)]), "{unserved:?}");
    listening.stop.cancel();
}
