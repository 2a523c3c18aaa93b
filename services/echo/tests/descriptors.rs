//! A process that may have few file descriptors, and peers that would take them all.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// File descriptors of the process.
const DESCRIPTORS: u32 = 64;
/// How long a newcomer waits for an answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// An echo that may have few descriptors, and would take more connections than it has.
fn start() -> (Child, SocketAddr) {
    let mut echo = Command::new("sh")
        .args(["-c", &format!("ulimit -n {DESCRIPTORS}; exec \"$0\" \"$@\"")])
        .arg(env!("CARGO_BIN_EXE_echo"))
        .args(["--listen", "127.0.0.1:0", "--worker-threads", "2", "--max-connections", "1000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = String::new();
    BufReader::new(echo.stdout.take().unwrap()).read_line(&mut ready).unwrap();
    let address = ready.trim().strip_prefix("listening ").expect("a ready line").parse().unwrap();
    (echo, address)
}

fn healthy(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    reply
}

#[test]
fn where_no_descriptor_is_left_the_idlest_go_and_it_is_logged_once() {
    let (mut echo, address) = start();
    let half: Vec<_> = (0..3 * DESCRIPTORS)
        .map(|_| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(b"POST /echo HTTP/1.1\r\nhost: ").unwrap();
            stream
        })
        .collect();
    for _ in 0..10 {
        let reply = healthy(address);
        assert!(reply.starts_with("HTTP/1.1 200 "), "{reply}");
    }
    drop(half);
    echo.kill().unwrap();
    let mut log = String::new();
    echo.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    echo.wait().unwrap();
    let said = log.lines().filter(|line| line.contains("accepting a connection: ")).count();
    assert_eq!(said, 1, "{log}");
    assert!(log.contains("the idlest are closed"), "{log}");
}
