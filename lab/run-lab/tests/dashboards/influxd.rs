//! A real influxd 1.8 for one test, on ports that the kernel picks, gone when the test ends.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// How long it may take to listen, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running influxd.
pub(crate) struct Influxd {
    child: Child,
    pub(crate) url: String,
    _data: tempfile::TempDir,
}

impl Influxd {
    /// Starts it and waits until it listens.
    ///
    /// # Panics
    /// If there is no influxd, with the command that installs it.
    pub(crate) fn start() -> Influxd {
        let program = find().expect(
            "this test needs influxd 1.8.10, on PATH or named by LAB_INFLUXD; install it with\n    \
             go install github.com/influxdata/influxdb/cmd/influxd@v1.8.10",
        );
        let data = tempfile::tempdir().expect("a folder");
        let folder = |name: &str| data.path().join(name);
        let mut child = Command::new(&program)
            .env("INFLUXDB_META_DIR", folder("meta"))
            .env("INFLUXDB_DATA_DIR", folder("data"))
            .env("INFLUXDB_DATA_WAL_DIR", folder("wal"))
            .env("INFLUXDB_BIND_ADDRESS", "127.0.0.1:0")
            .env("INFLUXDB_HTTP_BIND_ADDRESS", "127.0.0.1:0")
            .env("INFLUXDB_HTTP_LOG_ENABLED", "false")
            .env("INFLUXDB_REPORTING_DISABLED", "true")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let log = BufReader::new(child.stderr.take().expect("a pipe"));
        let (found, address) = mpsc::channel();
        std::thread::spawn(move || {
            // Reads to the end, so that influxd never waits for its log to be read.
            for line in log.lines().map_while(Result::ok) {
                if let Some(address) = listening(&line) {
                    let _ = found.send(address);
                }
            }
        });
        let address = address.recv_timeout(PATIENCE);
        let mut influxd = Influxd { child, url: String::new(), _data: data };
        let address = address.unwrap_or_else(|_| panic!("{} does not listen", program.display()));
        influxd.url = format!("http://{address}");
        influxd
    }

    /// Makes `database` and writes `lines` of line protocol into it. It listens a moment before it can.
    pub(crate) async fn write(&self, database: &str, lines: &str) {
        let client = reqwest::Client::new();
        let create = format!("{}/query?q=CREATE%20DATABASE%20{database}", self.url);
        let write = format!("{}/write?db={database}", self.url);
        let begun = std::time::Instant::now();
        loop {
            let made = client.post(&create).send().await.expect("an answer");
            let made = made.text().await.expect("text");
            let reply = client.post(&write).body(lines.to_owned()).send().await.expect("an answer");
            if reply.status().is_success() {
                return;
            }
            let said = reply.text().await.expect("text");
            assert!(begun.elapsed() < PATIENCE, "{made} {said}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Influxd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn find() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("LAB_INFLUXD") {
        return Some(named.into());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join("influxd")).find(|file| file.is_file())
}

/// The address in the log line that says where HTTP is served.
fn listening(line: &str) -> Option<String> {
    let address =
        line.contains("Listening on HTTP").then(|| line.split_once("addr=127.0.0.1:"))??.1;
    let port: String = address.chars().take_while(char::is_ascii_digit).collect();
    Some(format!("127.0.0.1:{port}"))
}
