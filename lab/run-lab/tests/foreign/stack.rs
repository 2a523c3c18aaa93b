//! Foreign systems: services in Python and Go, the sidecar that they send their spans to, and relays between them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// What `.ci/sdk` puts in this place.
fn installed(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/sdk").join(path)
}

/// What is not here of what the programs need.
pub(crate) fn missing() -> Option<String> {
    let needed = ["python/bin/opentelemetry-instrument", "go/shop"].map(installed);
    let missing = needed.into_iter().find(|needed| !needed.exists());
    missing.map(|needed| format!("{} is not there", needed.display()))
}

/// Where relays are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relays {
    /// Nowhere.
    None,
    /// Before the service behind.
    Behind,
    /// Before the gateway, and before the service behind.
    Both,
}

/// The system, running.
pub(crate) struct Stack {
    /// Where its gateway is.
    pub(crate) gateway: String,
    /// Where its sidecar is controlled.
    pub(crate) control: String,
    /// Where the sidecar takes spans.
    otlp: String,
    programs: Vec<Child>,
}

impl Stack {
    /// A gateway in Python and a service in Go, with relays where they are wanted.
    pub(crate) fn pages(dir: &Path, relays: Relays) -> Stack {
        let mut stack = Stack::sidecar(dir);
        let mut go = Command::new(installed("go/shop"));
        go.arg("echo");
        let mut echo = stack.serve(go, "echo");
        if relays != Relays::None {
            echo = stack.relay("relay", &echo, &[]).0;
        }
        stack.gateway = stack.python("gateway", &["gateway.py", &echo]);
        if relays == Relays::Both {
            stack.gateway = stack.relay("edge", &stack.gateway.clone(), &[]).0;
        }
        stack
    }

    /// Two services in Python that are late where they are asked to, with a relay between them, and a longer way by
    /// another; answers the process of the first relay, too.
    pub(crate) fn late(dir: &Path, distance: &str) -> (Stack, u32) {
        let mut stack = Stack::sidecar(dir);
        let back = stack.python("back", &["late.py", "back"]);
        let (near, relay) = stack.relay("relay", &back, &[]);
        let (far, _) = stack.relay("far", &back, &["--rtt", distance]);
        stack.gateway = stack.python("front", &["late.py", "front", &near, &far]);
        (stack, relay)
    }

    /// Starts a sidecar that keeps rows in `dir`, and nothing beside it.
    fn sidecar(dir: &Path) -> Stack {
        let mut stack = Stack {
            gateway: String::new(),
            control: String::new(),
            otlp: String::new(),
            programs: Vec::new(),
        };
        let mut sidecar = Command::new(env!("CARGO_BIN_EXE_run-lab"));
        sidecar.args(["sidecar", "--otlp", "127.0.0.1:0", "--control", "127.0.0.1:0"]);
        sidecar.args(["--stop-with-stdin", "--run-file"]).arg(dir.join("rows.sqlite"));
        let said = stack.run(sidecar, "listening ");
        let address = |name: &str| {
            let word = said.split(' ').find_map(|word| word.strip_prefix(name)).unwrap();
            format!("http://{}", word.trim_start_matches('='))
        };
        (stack.otlp, stack.control) = (address("otlp"), address("control"));
        stack
    }

    /// Spans that the sidecar has taken so far.
    pub(crate) fn spans(&self) -> u64 {
        let host = self.control.trim_start_matches("http://");
        let mut asked = TcpStream::connect(host).unwrap();
        write!(asked, "GET /stats HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        asked.read_to_string(&mut answer).unwrap();
        let (_, stats) = answer.split_once("\r\n\r\n").unwrap();
        let stats: Value = serde_json::from_str(stats).unwrap();
        stats["spans_received"].as_u64().unwrap_or_else(|| panic!("{stats}"))
    }

    /// Puts a relay called `name` before the service at `to`; answers where it is, and its process.
    fn relay(&mut self, name: &str, to: &str, more: &[&str]) -> (String, u32) {
        let mut relay = Command::new(env!("CARGO_BIN_EXE_run-lab"));
        relay.args(["relay", "--listen", "127.0.0.1:0", "--stop-with-stdin", "--name", name]);
        relay.args(["--to", to.trim_start_matches("http://"), "--sidecar", &self.otlp]).args(more);
        let at = format!("http://{}", self.run(relay, "listening "));
        (at, self.programs[self.programs.len() - 1].id())
    }

    /// Starts a program of this folder by OpenTelemetry's launcher for Python.
    fn python(&mut self, name: &str, words: &[&str]) -> String {
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign");
        let mut python = Command::new(installed("python/bin/opentelemetry-instrument"));
        python.arg(installed("python/bin/python")).arg(own.join(words[0])).args(&words[1..]);
        self.serve(python, name)
    }

    /// Starts a service whose spans go to the sidecar; answers where it is.
    fn serve(&mut self, mut command: Command, name: &str) -> String {
        let otlp = &self.otlp;
        for (variable, _) in std::env::vars().filter(|(name, _)| name.starts_with("OTEL_")) {
            command.env_remove(variable);
        }
        command.env("OTEL_SERVICE_NAME", name).env("OTEL_EXPORTER_OTLP_ENDPOINT", otlp);
        command.env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
        // Python tells of its process only where it is asked.
        command.env("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", "otel,process");
        command.env("OTEL_METRICS_EXPORTER", "none").env("OTEL_LOGS_EXPORTER", "none");
        let port = self.run(command, "listening http=");
        format!("http://127.0.0.1:{port}")
    }

    /// Starts a program; answers what follows `ready` on the line that begins with it.
    fn run(&mut self, mut command: Command, ready: &str) -> String {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let said =
            lines.by_ref().find_map(|line| line.unwrap().strip_prefix(ready).map(str::to_owned));
        // Whatever else it says is read, so that it does not wait for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        self.programs.push(child);
        said.unwrap_or_else(|| panic!("{command:?} ended before it listened"))
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // Those that send spans before the one that takes them.
        for mut program in self.programs.drain(..).rev() {
            drop(program.stdin.take());
            let _ = program.wait();
        }
    }
}
