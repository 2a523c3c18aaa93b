//! Which processes are sampled, and under what name.

use parking_lot::Mutex;

use crate::span::Source;

/// Most processes watched at once: names and pids come from peers too.
const MAX_WATCHED: usize = 256;
/// Longest name, in bytes.
const MAX_NAME: usize = 256;

/// A process that is being watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    /// Name in samples.
    pub(crate) name: String,
    /// Process id.
    pub(crate) pid: u32,
    /// When it started, in clock ticks since boot: tells it from a later process with its id.
    pub(super) started: u64,
}

/// Why a process cannot be watched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WatchError {
    #[error("cannot watch {name}: there is no process {pid} here")]
    NoSuchProcess { name: String, pid: u32 },
    #[error("cannot watch process {pid}: its name has {bytes} bytes, not 1 to {MAX_NAME}")]
    Name { pid: u32, bytes: usize },
    #[error("cannot watch {name}: {MAX_WATCHED} processes are watched already")]
    TooMany { name: String },
}

/// The processes being watched.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    processes: Mutex<Vec<Process>>,
    /// The clock of this machine and the namespace of its processes, to tell processes elsewhere with
    /// pids that exist here too.
    clock: String,
    namespace: String,
    /// Programs whose processes are watched as they start.
    commands: Vec<String>,
}

impl Watched {
    /// Watches nothing yet, but every process of the programs `commands` as it starts.
    pub(crate) fn new(commands: Vec<String>) -> Self {
        Watched {
            processes: Mutex::default(),
            clock: ledger::clock::identity(),
            namespace: ledger::process::namespace(),
            commands,
        }
    }

    /// Watches `pid` as `name`, in place of any name it had.
    pub(crate) fn add(&self, name: &str, pid: u32) -> Result<(), WatchError> {
        if name.is_empty() || name.len() > MAX_NAME {
            return Err(WatchError::Name { pid, bytes: name.len() });
        }
        let Some(started) = started(pid) else {
            return Err(WatchError::NoSuchProcess { name: name.to_owned(), pid });
        };
        let mut processes = self.processes.lock();
        processes.retain(|process| process.pid != pid);
        if processes.len() >= MAX_WATCHED {
            return Err(WatchError::TooMany { name: name.to_owned() });
        }
        processes.push(Process { name: name.to_owned(), pid, started });
        Ok(())
    }

    /// Watches the process that made spans, if it is one of this machine and not watched yet.
    ///
    /// In another container a process may give a pid that here is another's. Its clock is the same; the
    /// lab's own services say in which namespace their pid counts. Of others only the likeliest mistake is
    /// caught: that one claims to be this very process.
    pub(crate) fn offer(&self, source: &Source) {
        let differs = |theirs: &str, ours: &str| !theirs.is_empty() && theirs != ours;
        let elsewhere =
            differs(&source.clock, &self.clock) || differs(&source.pid_namespace, &self.namespace);
        if source.pid == 0 || elsewhere || source.pid == std::process::id() {
            return;
        }
        if self.processes.lock().iter().any(|process| process.pid == source.pid) {
            return;
        }
        // What peers claim may be wrong: then there is nothing to watch.
        let _ = self.add(&source.service, source.pid);
    }

    /// Looks for processes of the programs to be watched that have started since. Reads the name of every
    /// process there is, if there are such programs.
    pub(crate) fn look_for_commands(&self) {
        if self.commands.is_empty() {
            return;
        }
        let Ok(all) = procfs::process::all_processes() else {
            return;
        };
        for process in all.flatten() {
            let Ok(stat) = process.stat() else { continue };
            let Ok(pid) = u32::try_from(stat.pid) else { continue };
            let known = || self.processes.lock().iter().any(|known| known.pid == pid);
            if self.commands.contains(&stat.comm) && !known() {
                // It may have ended this moment, or too many are watched: the next look tells.
                let _ = self.add(&stat.comm, pid);
            }
        }
    }

    /// The processes that still run. Those that have ended are forgotten.
    pub(crate) fn running(&self) -> Vec<Process> {
        let mut processes = self.processes.lock();
        processes.retain(|process| started(process.pid) == Some(process.started));
        processes.clone()
    }
}

/// When process `pid` started, if it runs (a zombie does not).
fn started(pid: u32) -> Option<u64> {
    let process = procfs::process::Process::new(i32::try_from(pid).ok()?).ok()?;
    let stat = process.stat().ok()?;
    (stat.state != 'Z').then_some(stat.starttime)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_not_here_is_refused_by_name() {
        let error = Watched::default().add("ghost", u32::MAX).unwrap_err();
        assert_eq!(error.to_string(), "cannot watch ghost: there is no process 4294967295 here");
        assert!(Watched::default().add("", std::process::id()).is_err());
    }

    #[test]
    fn spans_make_their_process_watched_only_if_it_is_on_this_machine() {
        let watched = Watched::new(Vec::new());
        let parent = std::os::unix::process::parent_id();
        let source = |clock: &str, pid| Source {
            service: "svc".into(),
            clock: clock.into(),
            pid,
            ..Source::default()
        };
        watched.offer(&source("another boot", parent));
        let container = Source { pid_namespace: "pid:[1]".into(), ..source("", parent) };
        watched.offer(&container);
        watched.offer(&source("", std::process::id()));
        watched.offer(&source("", u32::MAX));
        assert_eq!(watched.running(), []);
        watched.offer(&source("", parent));
        let neighbour = Source { pid_namespace: ledger::process::namespace(), ..container };
        watched.offer(&Source { clock: ledger::clock::identity(), ..neighbour });
        assert_eq!(watched.running().len(), 1);
    }

    #[test]
    fn a_program_is_watched_whenever_a_process_of_it_starts() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("lab-sleeper");
        std::fs::copy("/bin/sleep", &program).unwrap();
        let watched = Watched::new(vec!["lab-sleeper".to_owned()]);
        watched.look_for_commands();
        assert_eq!(watched.running(), []);
        let mut child = std::process::Command::new(program).arg("600").spawn().unwrap();
        watched.look_for_commands();
        watched.look_for_commands();
        let seen: Vec<_> = watched.running().into_iter().map(|p| (p.name, p.pid)).collect();
        assert_eq!(seen, [("lab-sleeper".to_owned(), child.id())]);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(watched.running(), []);
    }
}
