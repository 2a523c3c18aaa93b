//! `run-lab up` as a process: started, read until it says how to use it, stopped as Ctrl-C does.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// What `up` has started.
pub(crate) struct Up {
    child: Child,
    /// All that it printed until it was ready.
    pub(crate) text: String,
}

impl Up {
    /// `run-lab up` with `arguments` and `env` in `dir`, on any free port; what it leaves is in `dir/up`.
    pub(crate) fn start(dir: &Path, arguments: &[&str], env: &[(&str, &str)]) -> Up {
        let mut child = super::program(dir, env)
            .args(["up", "--out", "up", "--gateway", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program that was just built starts");
        let mut text = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        for line in BufReader::new(stdout).lines() {
            let line = line.expect("text");
            text.push_str(&line);
            text.push('\n');
            // The end of what people are told, or of the object that programs are.
            if line == "stop with Ctrl-C" || line == "}" {
                return Up { child, text };
            }
        }
        panic!("it ended with {:?} after\n{text}", child.wait());
    }

    /// What follows `name` on the line that begins with it.
    pub(crate) fn says(&self, name: &str) -> &str {
        let found = self.text.lines().find_map(|line| line.strip_prefix(name));
        found.unwrap_or_else(|| panic!("no line begins with {name} in\n{}", self.text)).trim()
    }

    /// The address of the part `name`, and its process.
    pub(crate) fn part(&self, name: &str) -> (&str, Pid) {
        let line = self.text.lines().find(|line| {
            line.split_ascii_whitespace().next() == Some(name) && line.contains("(process ")
        });
        let line = line.unwrap_or_else(|| panic!("{name} is not in\n{}", self.text));
        let address = line.split_once("http://").and_then(|(_, rest)| rest.split(' ').next());
        (address.expect("an address"), super::pid(line))
    }

    /// Stops it, and returns its exit code.
    pub(crate) fn stop(mut self) -> Option<i32> {
        let own = Pid::from_raw(i32::try_from(self.child.id()).expect("a pid")).expect("not 0");
        kill_process(own, Signal::INT).expect("it runs");
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // It has ended, unless the test has failed.
        let _ = self.child.kill();
    }
}
