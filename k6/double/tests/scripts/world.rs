//! A folder with the scripts and the stand-ins for k6's modules, and what scripts did in it.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

/// The scripts of the repository.
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const STUBS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts/stubs");

/// Names of all scripts in the repository, in order.
pub(crate) fn scripts() -> Vec<String> {
    let entries = std::fs::read_dir(SCRIPTS).expect("a folder").flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<_> = names.filter(|name| name.ends_with(".js")).collect();
    names.sort();
    names
}

/// Where a script of the repository is.
pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(SCRIPTS).join(name)
}

/// A folder in which scripts are run.
pub(crate) struct World(tempfile::TempDir);

impl World {
    pub(crate) fn new() -> World {
        let world = World(tempfile::tempdir().expect("a folder"));
        world.write("package.json", r#"{"type": "module"}"#);
        world.write("run.js", include_str!("run.js"));
        for name in scripts() {
            world.copy(&script(&name), &name);
        }
        for name in ["package.json", "k6.js", "world.js", "metrics.js", "execution.js", "data.js"]
            .into_iter()
            .chain(["http.js", "net/grpc.js"])
        {
            world.copy(&Path::new(STUBS).join(name), &format!("node_modules/k6/{name}"));
        }
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }

    fn copy(&self, from: &Path, name: &str) {
        let text = std::fs::read_to_string(from);
        self.write(name, &text.unwrap_or_else(|error| panic!("{}: {error}", from.display())));
    }

    /// What `program` prints, as JSON.
    pub(crate) fn node(&self, program: &str) -> Value {
        let node = test_parts::Part::Node.program();
        let run = Command::new(node).arg(program).current_dir(self.0.path()).output();
        let run = run.expect("node starts");
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        serde_json::from_slice(&run.stdout).expect("JSON")
    }

    /// Runs a script as `run` says (see `run.js`).
    pub(crate) fn run(&self, run: &Value) -> Did {
        self.write("run.json", &run.to_string());
        Did(self.node("run.js"))
    }
}

/// Runs `script` once in a world of its own.
pub(crate) fn once(script: &str, env: &Value, answers: &Value) -> Did {
    World::new().run(&json!({ "script": script, "env": env, "answers": answers }))
}

/// What a script did.
#[derive(Debug)]
pub(crate) struct Did(pub(crate) Value);

impl Did {
    /// The requests that it made.
    pub(crate) fn asked(&self) -> &[Value] {
        assert_eq!(self.0["thrown"], Value::Null, "{}", self.0);
        self.0["asked"].as_array().expect("a list")
    }

    /// The values of a metric of the script's own.
    pub(crate) fn values(&self, metric: &str) -> Vec<Value> {
        let told = self.0["metrics"][metric].as_array();
        told.unwrap_or_else(|| panic!("no {metric} in {}", self.0))
            .iter()
            .map(|told| told["value"].clone())
            .collect()
    }

    /// Whether each request counted as answered.
    pub(crate) fn answered(&self) -> Vec<Value> {
        self.values("requests_answered")
    }

    /// What the script printed in the end.
    pub(crate) fn last_line(&self) -> &str {
        let text = self.0["summary"]["stdout"].as_str();
        text.unwrap_or_else(|| panic!("nothing was said: {}", self.0)).trim_end()
    }
}
