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
    /// The clock of this machine, to tell processes elsewhere with pids that exist here too.
    clock: String,
}

impl Watched {
    pub(crate) fn new() -> Self {
        Watched { processes: Mutex::default(), clock: ledger::clock::identity() }
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
    /// In another container a process may give a pid that here is another's. Its clock is the same,
    /// so only the likeliest mistake is caught: that it claims to be this very process.
    pub(crate) fn offer(&self, source: &Source) {
        let elsewhere = !source.clock.is_empty() && source.clock != self.clock;
        if source.pid == 0 || elsewhere || source.pid == std::process::id() {
            return;
        }
        if self.processes.lock().iter().any(|process| process.pid == source.pid) {
            return;
        }
        // What peers claim may be wrong: then there is nothing to watch.
        let _ = self.add(&source.service, source.pid);
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
        let error = Watched::new().add("ghost", u32::MAX).unwrap_err();
        assert_eq!(error.to_string(), "cannot watch ghost: there is no process 4294967295 here");
        assert!(Watched::new().add("", std::process::id()).is_err());
    }

    #[test]
    fn spans_make_their_process_watched_only_if_it_is_on_this_machine() {
        let watched = Watched::new();
        let parent = std::os::unix::process::parent_id();
        let source = |clock: &str, pid| Source { service: "svc".into(), clock: clock.into(), pid };
        watched.offer(&source("another boot", parent));
        watched.offer(&source("", std::process::id()));
        watched.offer(&source("", u32::MAX));
        assert_eq!(watched.running(), []);
        watched.offer(&source("", parent));
        watched.offer(&source(&ledger::clock::identity(), parent));
        assert_eq!(watched.running().len(), 1);
    }
}
