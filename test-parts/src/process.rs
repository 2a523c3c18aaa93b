//! A part's process: ended and waited for with the value that stands for it, and ended too if the test's process is
//! killed.

use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// Waits until its standard input closes, which the kernel sees to when the test's process ends; then it ends process
/// `$2` by signal `$1`, and removes folder `$3` when that is gone.
const WATCH: &str = r#"
read -r _
kill -s "$1" "$2" 2>/dev/null
tries=0
while kill -0 "$2" 2>/dev/null && [ $tries -lt 50 ]; do sleep 0.1; tries=$((tries + 1)); done
kill -s KILL "$2" 2>/dev/null
rm -rf "$3""#;

/// A running program of somebody else's.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    watcher: Child,
    /// What ends it, and all that it has started, at once.
    end: Signal,
}

impl Process {
    /// Starts `command`, which keeps all it has in `folder`.
    pub(crate) fn start(command: &mut Command, folder: &Path, end: Signal) -> Process {
        let name = command.get_program().to_owned();
        let child = command.stdin(Stdio::null()).spawn();
        let child = child.unwrap_or_else(|error| panic!("start {}: {error}", name.display()));
        let signal = if end == Signal::QUIT { "QUIT" } else { "KILL" };
        let mut watcher = Command::new("sh");
        watcher.args(["-c", WATCH, "watcher", signal, &child.id().to_string()]).arg(folder);
        // Ctrl-C reaches the whole group of the test, and is not for the watcher.
        std::os::unix::process::CommandExt::process_group(&mut watcher, 0);
        let watcher = watcher.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let watcher = watcher.spawn().expect("sh, which watches over a part");
        Process { child, watcher, end }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it writes to standard error, if that is a pipe.
    pub(crate) fn stderr(&mut self) -> Option<std::process::ChildStderr> {
        self.child.stderr.take()
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the state of a child")
    }

    /// Kills it as a crash of the machine would: with all that it has started, and returns when all are gone. Left
    /// alone, a backend of PostgreSQL answers for a while after its server has died.
    pub(crate) fn crash(mut self) {
        let own = Pid::from_child(&self.child);
        // It starts no more while it is looked for those that it has started.
        kill_process(own, Signal::STOP).expect("a process of our own");
        let children = children_of(own);
        for pid in &children {
            let _ = kill_process(*pid, Signal::KILL);
        }
        self.child.kill().expect("a process of our own");
        self.child.wait().expect("it ends");
        while children
            .iter()
            .any(|pid| state_and_parent(*pid).is_some_and(|(state, _)| state != "Z"))
        {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn children_of(parent: Pid) -> Vec<Pid> {
    let entries = std::fs::read_dir("/proc").expect("processes").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let of_parent = |pid: &Pid| state_and_parent(*pid).is_some_and(|(_, of)| of == Some(parent));
    pids.filter_map(Pid::from_raw).filter(of_parent).collect()
}

/// State and parent of a process; `None` if there is none.
fn state_and_parent(pid: Pid) -> Option<(String, Option<Pid>)> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    let mut words = stat.rsplit(')').next()?.split_ascii_whitespace();
    let state = words.next()?.to_owned();
    Some((state, words.next()?.parse().ok().and_then(Pid::from_raw)))
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = kill_process(Pid::from_child(&self.child), self.end);
        }
        let _ = self.child.wait();
        // Before its pipe closes: the number of the process may be another's by now.
        let _ = self.watcher.kill();
        let _ = self.watcher.wait();
    }
}
