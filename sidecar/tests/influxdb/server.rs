//! A real InfluxDB 1.8 of a test's own, in a folder of its own.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// How long InfluxDB may take to be ready: less than a second, but on a machine that builds a minute was seen.
const READY: Duration = Duration::from_secs(180);

/// A running InfluxDB, or one that was killed and can be started again. It is killed when dropped.
pub(crate) struct InfluxDb {
    pub(crate) url: String,
    port: u16,
    child: Option<Child>,
    http: reqwest::Client,
    folder: TempDir,
}

fn program() -> PathBuf {
    if let Some(given) = std::env::var_os("LAB_INFLUXD") {
        return given.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join("influxd"));
    found.into_iter().find(|program| program.is_file()).expect(
        "influxd is neither on PATH nor named by LAB_INFLUXD; install it with \
         `go install github.com/influxdata/influxdb/cmd/influxd@v1.8.10`",
    )
}

/// A port that is free and stays so while InfluxDB is down: it lies below those that the kernel gives to
/// connections and to listeners on port 0.
fn free_port() -> u16 {
    static TRIES: AtomicU32 = AtomicU32::new(0);
    let next = || std::process::id().wrapping_mul(101) + TRIES.fetch_add(1, Relaxed);
    let ports = std::iter::repeat_with(next).take(10_000).map(|n| 20_000 + (n % 12_000) as u16);
    let mut free = ports.filter(|&port| TcpListener::bind(("127.0.0.1", port)).is_ok());
    free.next().unwrap()
}

/// `text` as a part of a URL.
fn encode(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

impl InfluxDb {
    /// Starts one with an empty database `lab`.
    pub(crate) async fn start() -> InfluxDb {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let url = format!("http://127.0.0.1:{port}");
        let mut server = InfluxDb { url, port, child: None, http, folder };
        server.start_again().await;
        server.query("CREATE DATABASE lab").await;
        server
    }

    /// Starts it on the same data and port.
    pub(crate) async fn start_again(&mut self) {
        let folder = |name: &str| self.folder.path().join(name);
        let log = std::fs::File::create(folder("log")).unwrap();
        let child = Command::new(program())
            .env("INFLUXDB_META_DIR", folder("meta"))
            .env("INFLUXDB_DATA_DIR", folder("data"))
            .env("INFLUXDB_DATA_WAL_DIR", folder("wal"))
            .env("INFLUXDB_BIND_ADDRESS", "127.0.0.1:0")
            .env("INFLUXDB_HTTP_BIND_ADDRESS", format!("127.0.0.1:{}", self.port))
            .env("INFLUXDB_REPORTING_DISABLED", "true")
            .env("INFLUXDB_HTTP_FLUX_ENABLED", "true")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        let began = Instant::now();
        while !self.is_ready().await {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none() && began.elapsed() < READY, "{ended:?}: {}", self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn is_ready(&self) -> bool {
        let health = self.http.get(format!("{}/health", self.url)).send().await;
        health.is_ok_and(|reply| reply.status().is_success())
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Kills it as a power failure would (SIGKILL).
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Answers a query in InfluxQL: the series found, each with its columns by name.
    pub(crate) async fn query(&self, query: &str) -> Vec<Series> {
        let url = format!("{}/query?db=lab&epoch=ns&q={}", self.url, encode(query));
        let reply: Value = self.http.post(url).send().await.unwrap().json().await.unwrap();
        assert_eq!(reply["results"][0]["error"], Value::Null, "{query}");
        let series = reply["results"][0]["series"].as_array().cloned().unwrap_or_default();
        series.into_iter().map(Series).collect()
    }
}

impl Drop for InfluxDb {
    fn drop(&mut self) {
        self.kill();
    }
}

/// One series of an answer.
#[derive(Debug)]
pub(crate) struct Series(Value);

impl Series {
    /// The value of a tag that was grouped by.
    pub(crate) fn tag(&self, name: &str) -> &str {
        self.0["tags"][name].as_str().unwrap()
    }

    /// The values of a column, in the order of time.
    pub(crate) fn column(&self, name: &str) -> Vec<Value> {
        let columns = self.0["columns"].as_array().unwrap();
        let at = columns.iter().position(|column| column == name).unwrap();
        self.0["values"].as_array().unwrap().iter().map(|row| row[at].clone()).collect()
    }

    /// The values of a column of integers.
    pub(crate) fn ints(&self, name: &str) -> Vec<i64> {
        self.column(name).iter().map(|value| value.as_i64().unwrap()).collect()
    }
}
