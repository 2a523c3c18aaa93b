//! An InfluxDB of the test's own, which it can kill and start again.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lab_launch::Tool;
use lab_supervise::free_port;

/// An InfluxDB 1.8 on loopback, without passwords, with the database `lab`.
pub(crate) struct Influxd {
    child: Child,
    address: SocketAddr,
    dir: tempfile::TempDir,
}

impl Influxd {
    pub(crate) fn start() -> Influxd {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let address = free_port().expect("a free port");
        let child = spawn(dir.path(), address);
        let influxd = Influxd { child, address, dir };
        influxd.wait();
        influxd.query("CREATE DATABASE lab", "");
        influxd
    }

    /// What tells `run-lab` of it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Kills it, as a crash would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it has ended");
    }

    /// Starts it again, with the data it had, where it was.
    pub(crate) fn start_again(&mut self) {
        self.child = spawn(self.dir.path(), self.address);
        self.wait();
    }

    fn wait(&self) {
        while !self.ask("GET /health HTTP/1.1").starts_with("HTTP/1.1 200") {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Answers `query` about the database `database`.
    pub(crate) fn query(&self, query: &str, database: &str) -> serde_json::Value {
        let encoded: String = query
            .bytes()
            .map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
                other => format!("%{other:02X}"),
            })
            .collect();
        let answer = self.ask(&format!("POST /query?db={database}&epoch=ns&q={encoded} HTTP/1.1"));
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        serde_json::from_str(body.trim()).unwrap_or_else(|error| panic!("{error}: {answer}"))
    }

    /// The only value of the only row that `query` answers.
    pub(crate) fn number(&self, query: &str) -> f64 {
        let answer = self.query(query, "lab");
        let value = &answer["results"][0]["series"][0]["values"][0][1];
        value.as_f64().unwrap_or_else(|| panic!("{query}: {answer}"))
    }

    /// The whole answer; empty where nobody answers.
    fn ask(&self, line: &str) -> String {
        let mut answer = String::new();
        if let Ok(mut stream) = TcpStream::connect(self.address) {
            let head = "Host: influxd\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
            let _ = write!(stream, "{line}\r\n{head}");
            let _ = stream.read_to_string(&mut answer);
        }
        dechunk(&answer)
    }
}

/// Takes the lengths out of a chunked answer.
fn dechunk(answer: &str) -> String {
    let Some((head, mut body)) = answer.split_once("\r\n\r\n") else {
        return answer.to_owned();
    };
    if !head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        return answer.to_owned();
    }
    let mut whole = format!("{head}\r\n\r\n");
    while let Some((length, rest)) = body.split_once("\r\n") {
        let length = usize::from_str_radix(length.trim(), 16).unwrap_or(0);
        if length == 0 || rest.len() < length {
            break;
        }
        whole.push_str(&rest[..length]);
        body = rest[length..].trim_start_matches("\r\n");
    }
    whole
}

fn spawn(dir: &std::path::Path, address: SocketAddr) -> Child {
    let program = Tool::Influxdb.find().expect("a program").expect("influxd is here");
    let inside = |name: &str| dir.join(name).to_string_lossy().into_owned();
    Command::new(program)
        .env("INFLUXDB_META_DIR", inside("meta"))
        .env("INFLUXDB_DATA_DIR", inside("data"))
        .env("INFLUXDB_DATA_WAL_DIR", inside("wal"))
        .env("INFLUXDB_BIND_ADDRESS", "127.0.0.1:0")
        .env("INFLUXDB_HTTP_BIND_ADDRESS", address.to_string())
        .env("INFLUXDB_REPORTING_DISABLED", "true")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("influxd starts")
}

impl Drop for Influxd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
