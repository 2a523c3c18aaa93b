//! Two programs of a shop, in one language: `front`, which is visited, and `stock`, which it asks.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};

/// How long a program may take to start or to end on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    Python,
    Go,
    Node,
    Java,
}

impl Language {
    /// What is not here of what its programs need.
    pub(crate) fn missing(self) -> Option<String> {
        let needed = match self {
            Language::Python => installed("python/bin/opentelemetry-instrument"),
            Language::Go => installed("go/shop"),
            Language::Java => installed("java/Shop.class"),
            Language::Node => {
                installed("node/node_modules/@opentelemetry/auto-instrumentations-node")
            }
        };
        (!needed.exists()).then(|| format!("{} is not there", needed.display()))
    }

    /// The program with its instrumentation, as the guides of OpenTelemetry start it.
    fn command(self) -> Command {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk");
        match self {
            Language::Python => {
                let mut command = Command::new(installed("python/bin/opentelemetry-instrument"));
                command.arg(installed("python/bin/python")).arg(source.join("python/shop.py"));
                command
            }
            Language::Go => Command::new(installed("go/shop")),
            Language::Java => {
                let mut command = Command::new("java");
                command.current_dir(installed("java"));
                command.args(["-javaagent:agent.jar", "-cp", "lib/*:.", "Shop"]);
                command
            }
            Language::Node => {
                // Modules are looked for beside the script.
                let script = installed("node/shop.js");
                std::fs::copy(source.join("node/shop.js"), &script).unwrap();
                let mut command = Command::new("node");
                command.current_dir(installed("node"));
                command.args(["--require", "@opentelemetry/auto-instrumentations-node/register"]);
                command.arg(script);
                command
            }
        }
    }
}

/// What `.ci/sdk` puts in this place.
fn installed(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/sdk").join(path)
}

/// A program that runs.
struct Running {
    child: Child,
    stdin: ChildStdin,
    http: String,
    grpc: String,
}

/// The shop, open.
pub(crate) struct Shop {
    pub(crate) url: String,
    front: Running,
    stock: Running,
}

impl Shop {
    pub(crate) async fn open(language: Language, environment: &[(&str, &str)]) -> Shop {
        let stock = start(language, environment, &["stock"]).await;
        let url = format!("http://127.0.0.1:{}", stock.http);
        let address = format!("127.0.0.1:{}", stock.grpc);
        let front = start(language, environment, &["front", &url, &address]).await;
        Shop { url: format!("http://127.0.0.1:{}", front.http), front, stock }
    }

    /// Ends both, so that they export what they hold.
    pub(crate) async fn close(self) {
        for mut program in [self.front, self.stock] {
            drop(program.stdin);
            tokio::time::timeout(PATIENCE, program.child.wait()).await.unwrap().unwrap();
        }
    }
}

/// Starts a program. One that ends before it listens is told of and started once more: what is tested is what it
/// exports, and one start of some hundred failed on a busy machine, with no word of why.
async fn start(language: Language, environment: &[(&str, &str)], arguments: &[&str]) -> Running {
    for attempt in 1..=2 {
        match try_to_start(language, environment, arguments).await {
            Ok(running) => return running,
            Err(status) => {
                println!("{arguments:?} ended before it listened, try {attempt}: {status}")
            }
        }
    }
    panic!("{arguments:?} ended before it listened, twice");
}

async fn try_to_start(
    language: Language,
    environment: &[(&str, &str)],
    arguments: &[&str],
) -> Result<Running, ExitStatus> {
    let mut command = language.command();
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("OTEL_")) {
        command.env_remove(name);
    }
    command
        .args(arguments)
        .envs(environment.iter().copied())
        .env("OTEL_SERVICE_NAME", arguments[0])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let stdin = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let listening = async {
        loop {
            let line = lines.next_line().await.unwrap()?;
            if let Some(ports) = line.strip_prefix("listening ") {
                return Some(ports.to_owned());
            }
        }
    };
    let Some(ports) = tokio::time::timeout(PATIENCE, listening).await.unwrap() else {
        return Err(child.wait().await.unwrap());
    };
    // Whatever else it says is read, so that it does not wait for a reader.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    let port = |name: &str| {
        let mut named = ports.split(' ').filter_map(|port| port.split_once('='));
        named.find(|(known, _)| *known == name).map_or("", |(_, port)| port).to_owned()
    };
    Ok(Running { http: port("http"), grpc: port("grpc"), child, stdin })
}
