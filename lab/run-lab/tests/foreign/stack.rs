//! The foreign system: a gateway in Python, a service in Go, and the sidecar that both send their spans to.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

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

/// The system, running.
pub(crate) struct Stack {
    /// Where its gateway is.
    pub(crate) gateway: String,
    /// Where its sidecar is controlled.
    pub(crate) control: String,
    programs: Vec<Child>,
}

impl Stack {
    /// Starts it, with a sidecar that keeps rows in `dir`.
    pub(crate) fn start(dir: &Path) -> Stack {
        let mut stack =
            Stack { gateway: String::new(), control: String::new(), programs: Vec::new() };
        let mut sidecar = Command::new(env!("CARGO_BIN_EXE_run-lab"));
        sidecar.args(["sidecar", "--otlp", "127.0.0.1:0", "--control", "127.0.0.1:0"]);
        sidecar.args(["--stop-with-stdin", "--run-file"]).arg(dir.join("rows.sqlite"));
        let said = stack.run(sidecar, "listening ");
        let address = |name: &str| {
            let word = said.split(' ').find_map(|word| word.strip_prefix(name)).unwrap();
            format!("http://{}", word.trim_start_matches('='))
        };
        let otlp = address("otlp");
        stack.control = address("control");

        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign");
        let mut go = Command::new(installed("go/shop"));
        go.arg("echo");
        let echo = stack.serve(go, "echo", &otlp);

        let mut python = Command::new(installed("python/bin/opentelemetry-instrument"));
        python.arg(installed("python/bin/python")).arg(own.join("gateway.py")).arg(&echo);
        stack.gateway = stack.serve(python, "gateway", &otlp);
        stack
    }

    /// Starts a service whose spans go to `otlp`; answers where it is.
    fn serve(&mut self, mut command: Command, name: &str, otlp: &str) -> String {
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
