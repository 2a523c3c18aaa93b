//! The situations in which k6 was recorded, and the double in the same ones: before our own gateway.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use echo::EchoService;
use gateway::GatewayConfig;
use ledger::Stage;
use probe::{Service as _, ServiceArgs, ServiceConfig};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::shape::Said;

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recorded");
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    Gateway,
    /// Its handler takes 400 ms.
    SlowGateway,
    Nobody,
    /// Somebody who answers 200 to everything, and not what was asked.
    Stranger,
}

/// A case of the recordings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Situation {
    pub(crate) name: &'static str,
    pub(crate) asked: Asked,
    pub(crate) env: &'static [(&'static str, &'static str)],
    /// SIGINT when some requests have been answered.
    pub(crate) interrupted: bool,
}

/// What k6 2.2.0 said.
pub(crate) fn recorded(name: &str) -> Said {
    let read = |file: &str| {
        let path = Path::new(HERE).join(name).join(file);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    Said {
        stream: read("stream.ndjson"),
        summary: read("summary.json"),
        stdout: read("stdout"),
        stderr: read("stderr"),
        exit: read("exit").trim().parse().expect("an exit code"),
    }
}

/// What the double says in the same situation.
pub(crate) fn said(situation: Situation) -> Said {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let address = runtime.block_on(serve(situation.asked));
    let dir = tempfile::tempdir().expect("a folder");
    let file = |name: &str| dir.path().join(name);
    let mut json = std::ffi::OsString::from("json=");
    json.push(file("stream"));
    let child = Command::new(env!("CARGO_BIN_EXE_k6-double"))
        .args(["run", "--quiet", "--no-color", "--no-usage-report"])
        .args(["--log-output", "file=/dev/stderr,level=error", "--out"])
        .arg(json)
        .args(["--tag", "run=recorded", "--tag", "cell=rest-10B", "--tag", "round=0"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../ping.js"))
        .env_clear()
        // As the lab says it where there are none.
        .env("THRESHOLDS", "{}")
        .envs(situation.env.iter().copied())
        .env("GATEWAY", format!("http://{address}"))
        .env("SUMMARY", file("summary"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the double");
    if situation.interrupted {
        interrupt(&file("stream"), child.id());
    }
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    let read = |path: PathBuf| std::fs::read_to_string(path).expect("it was written");
    Said {
        stream: read(file("stream")),
        summary: read(file("summary")),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
        exit: output.status.code().expect("an exit code"),
    }
}

/// As in the recording: when the number of users has been told, some have their answers and others wait.
fn interrupt(stream: &Path, pid: u32) {
    const ENDED: &str = r#""metric":"iterations","type":"Point""#;
    let until = Instant::now() + PATIENCE;
    let last: Value = loop {
        let text = std::fs::read_to_string(stream).unwrap_or_default();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        if let Some(last) = whole.lines().rfind(|line| line.contains(ENDED))
            && whole.contains(r#""metric":"vus_max","type":"Point""#)
        {
            break serde_json::from_str(last).expect("JSON");
        }
        assert!(Instant::now() < until, "nothing was answered: {text}");
        std::thread::sleep(Duration::from_millis(20));
    };
    // Users come every 100 ms, and their requests take four times that: in between none is in the midst of telling.
    let ended = last["data"]["time"].as_str().expect("a time").parse().expect("a time");
    let since = jiff::Timestamp::now().duration_since(ended).as_millis() % 100;
    std::thread::sleep(Duration::from_millis((150 - since as u64) % 100));
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process");
    kill_process(pid, Signal::INT).expect("it runs");
}

/// Starts who is asked, for as long as the runtime lives.
async fn serve(asked: Asked) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    match asked {
        // Nobody listens there any more.
        Asked::Nobody => drop(listener),
        Asked::Stranger => _ = tokio::spawn(answer_anything(listener)),
        Asked::Gateway => gateway(listener, Vec::new()).await,
        Asked::SlowGateway => {
            gateway(listener, vec![(Stage::Handler, Duration::from_millis(400))]).await
        }
    }
    address
}

async fn answer_anything(listener: TcpListener) {
    while let Ok((mut socket, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut request = [0; 4096];
            while matches!(socket.read(&mut request).await, Ok(count) if count > 0) {
                let reply = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n";
                if socket.write_all(reply.as_bytes()).await.is_err() {
                    return;
                }
            }
        });
    }
}

async fn gateway(listener: TcpListener, inject: Vec<(Stage, Duration)>) {
    let behind = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let echo = behind.local_addr().expect("an address");
    let probe = ServiceArgs::default().probe(EchoService::NAME).expect("a probe");
    tokio::spawn(
        async move { probe::serve(behind, EchoService, &probe, std::future::pending()).await },
    );
    let shared = ServiceArgs { inject, ..ServiceArgs::default() };
    let probe = shared.probe(GatewayConfig::NAME).expect("a probe");
    let peers = vec![format!("echo=http://{echo}").parse().expect("a peer")];
    let defaults = GatewayConfig::defaults().expect("defaults");
    let own = GatewayConfig { peers, timeout: settings::Span::seconds(60), ..defaults };
    let config = ServiceConfig { shared, ..own.into() };
    tokio::spawn(
        async move { probe::serve(listener, config, &probe, std::future::pending()).await },
    );
}
