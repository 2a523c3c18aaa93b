//! Who asks and who answers, with blocking sockets and a thread for each connection.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};

/// Requests of each connection before any is measured.
const WARMUP: usize = 500;
/// A peer that says nothing for so long is gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// A request with a body of so many bytes, and where its trace id and span id are to be put.
fn request(bytes: usize, sampled: bool) -> (Vec<u8>, usize) {
    let head = format!(
        "POST /echo HTTP/1.1\r\nhost: bench\r\ncontent-type: text/plain\r\ncontent-length: {bytes}\r\ntraceparent: 00-"
    );
    let flag = if sampled { "01" } else { "00" };
    let at = head.len();
    let mut request = format!("{head}{:032x}-{:016x}-{flag}\r\n\r\n", 1, 1).into_bytes();
    request.resize(request.len() + bytes, b'q');
    (request, at)
}

fn reply(bytes: usize) -> Vec<u8> {
    let head =
        format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {bytes}\r\n\r\n");
    let mut reply = head.into_bytes();
    reply.resize(reply.len() + bytes, b'r');
    reply
}

/// Who answers, until this program ends.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
}

impl Server {
    pub(crate) fn start(bytes: usize) -> Result<Server> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let (asked, answer) = (request(bytes, false).0.len(), Arc::new(reply(bytes)));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let answer = Arc::clone(&answer);
                // A caller that leaves ends its thread.
                std::thread::spawn(move || serve(stream, asked, &answer));
            }
        });
        Ok(Server { address })
    }
}

fn serve(mut stream: TcpStream, asked: usize, answer: &[u8]) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; asked];
    loop {
        stream.read_exact(&mut buffer)?;
        stream.write_all(answer)?;
    }
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    pub(crate) connections: usize,
    pub(crate) bytes: usize,
    pub(crate) sampled: bool,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Measured {
    /// All of them, those before the measured time too.
    pub(crate) requests: u64,
    pub(crate) requests_in_time: u64,
    pub(crate) seconds: f64,
    pub(crate) p50_ns: u64,
}

impl Load {
    /// Asks for `seconds`; `look` is called when that begins, and when it ends (with `true`), with all connections open.
    pub(crate) fn run(
        self,
        seconds: f64,
        mut look: impl FnMut(bool) -> Result<()>,
    ) -> Result<Measured> {
        let [begin, end, close] = [(); 3].map(|()| Arc::new(Barrier::new(self.connections + 1)));
        let stop = Arc::new(AtomicBool::new(false));
        let users: Vec<_> = (0..self.connections)
            .map(|user| {
                let (begin, end, close) =
                    (Arc::clone(&begin), Arc::clone(&end), Arc::clone(&close));
                let stop = Arc::clone(&stop);
                std::thread::spawn(move || {
                    let user = User::warm(self, user);
                    begin.wait();
                    let asked = user.and_then(|mut user| {
                        let asked = user.ask_until(&stop)?;
                        Ok((user, asked))
                    });
                    // The connection stays open until the forwarder has been looked at.
                    end.wait();
                    close.wait();
                    asked
                })
            })
            .collect();
        begin.wait();
        let looked = look(false);
        let began = Instant::now();
        std::thread::sleep(Duration::from_secs_f64(seconds));
        stop.store(true, Ordering::Relaxed);
        end.wait();
        let seconds = began.elapsed().as_secs_f64();
        let looked = looked.and_then(|()| look(true));
        close.wait();
        let mut latencies = Vec::new();
        for user in users {
            let asked = user.join().map_err(|_| anyhow!("a user of the load has panicked"))?;
            latencies.extend(asked?.1);
        }
        looked?;
        latencies.sort_unstable();
        let p50_ns = *latencies.get(latencies.len() / 2).context("no request was answered")?;
        let requests_in_time = latencies.len() as u64;
        let requests = requests_in_time + (WARMUP * self.connections) as u64;
        Ok(Measured { requests, requests_in_time, seconds, p50_ns })
    }
}

/// One connection.
struct User {
    stream: TcpStream,
    request: Vec<u8>,
    /// Where the ids are in it.
    ids_at: usize,
    next: u64,
    reply: Vec<u8>,
}

impl User {
    /// The `number`th, connected, when it has asked for the first time and some more.
    fn warm(load: Load, number: usize) -> Result<User> {
        let stream = TcpStream::connect(load.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let (request, ids_at) = request(load.bytes, load.sampled);
        let reply = vec![0; reply(load.bytes).len()];
        let mut user = User { stream, request, ids_at, next: (number as u64 + 1) << 32, reply };
        (0..WARMUP).try_for_each(|_| user.ask()).context("warming up")?;
        Ok(user)
    }

    /// Answers how long each request took, in nanoseconds.
    fn ask_until(&mut self, stop: &AtomicBool) -> Result<Vec<u64>> {
        let mut latencies = Vec::with_capacity(1 << 18);
        let mut before = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            self.ask()?;
            let now = Instant::now();
            latencies.push((now - before).as_nanos() as u64);
            before = now;
        }
        Ok(latencies)
    }

    /// A request of a trace of its own.
    fn ask(&mut self) -> Result<()> {
        self.next += 1;
        let ids = format!("{:032x}-{:016x}", self.next, self.next);
        self.request[self.ids_at..self.ids_at + ids.len()].copy_from_slice(ids.as_bytes());
        self.stream.write_all(&self.request)?;
        self.stream.read_exact(&mut self.reply)?;
        Ok(())
    }
}
