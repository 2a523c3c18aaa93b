//! `run-lab` as a process: started, read line by line, ended.

pub(crate) mod up;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

use rustix::process::{Pid, test_kill_process};

/// A run under way.
pub(crate) struct Run {
    pub(crate) child: Child,
    lines: std::io::Lines<BufReader<ChildStderr>>,
    seen: Vec<String>,
}

/// `run-lab`, to be run in `dir` with `env` and without what the environment says of real parts elsewhere.
fn program(dir: &Path, env: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_run-lab"));
    command.env_remove("LAB_INFLUXDB_URL").env_remove("LAB_DATABASE_URL");
    command.envs(env.iter().copied()).current_dir(dir);
    command
}

impl Run {
    /// `run-lab` with `arguments` and `env`, in `dir`; what it leaves is in `dir/out`.
    pub(crate) fn start(dir: &Path, arguments: &[&str], env: &[(&str, &str)]) -> Run {
        let mut child = program(dir, env)
            .args(arguments)
            .args(["--out", "out"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program that was just built starts");
        let lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        Run { child, lines, seen: Vec::new() }
    }

    /// The next line of its progress that contains `text`.
    pub(crate) fn line(&mut self, text: &str) -> String {
        for line in self.lines.by_ref() {
            let line = line.expect("text");
            self.seen.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
        panic!("no line has {text:?} in {:#?}", self.seen);
    }

    /// Waits until requests have been traced: the run file has grown past its empty tables.
    pub(crate) fn wait_for_rows(&self, dir: &Path) {
        let size = || fs::metadata(dir.join("out/run.sqlite")).map_or(0, |data| data.len());
        let empty = size();
        while size() <= empty {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// Its exit code and all it wrote to standard error.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        for line in self.lines.by_ref() {
            self.seen.push(line.expect("text"));
        }
        (self.child.wait().expect("it ends").code(), self.seen.join("\n"))
    }
}

/// The process id in a line such as `echo listens on 127.0.0.1:1 (process 7)`.
pub(crate) fn pid(line: &str) -> Pid {
    let digits =
        line.rsplit(' ').next().and_then(|word| word.strip_suffix(')')).expect("a process id");
    Pid::from_raw(digits.parse().expect("a number")).expect("not zero")
}

/// The result that the run left.
pub(crate) fn result(dir: &Path) -> serde_json::Value {
    let text = fs::read_to_string(dir.join("out/result.json")).expect("a result");
    serde_json::from_str(&text).expect("JSON")
}

pub(crate) fn dir() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// Whether the process has ended.
pub(crate) fn gone(pid: Pid) -> bool {
    test_kill_process(pid).is_err() || zombie(pid)
}

/// Ended, but nobody has asked for its exit status yet (in a container without an init).
fn zombie(pid: Pid) -> bool {
    let stat =
        fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'))
}
