//! A sidecar as a program of its own, on free ports, for as long as a test needs it.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The sidecar; it ends when this is dropped.
pub(crate) struct Sidecar {
    child: Child,
    /// Where it is controlled.
    pub(crate) control: String,
}

impl Sidecar {
    /// Starts `run-lab` in `dir` with `words`, of which the first is `sidecar`. It says where it listens in a line, which
    /// `heard` is told.
    pub(crate) fn start<'a>(
        dir: &Path,
        words: impl IntoIterator<Item = &'a str>,
        heard: impl FnOnce(&str),
    ) -> Sidecar {
        let mut child = Command::new(env!("CARGO_BIN_EXE_run-lab"))
            .args(words)
            .env("LAB_SIDECAR_OTLP", "127.0.0.1:0")
            .env("LAB_SIDECAR_CONTROL", "127.0.0.1:0")
            .current_dir(dir)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program that was just built starts");
        let mut said = String::new();
        let read = BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut said);
        read.expect("it says where it listens");
        let control = said.trim().rsplit_once("control=").expect("an address").1;
        let sidecar = Sidecar { control: format!("http://{control}"), child };
        heard(&said);
        sidecar
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
