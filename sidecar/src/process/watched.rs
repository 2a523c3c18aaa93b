//! Which processes are sampled, and under what name.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::span::Source;

/// Most processes watched at once: names and pids come from peers too.
const MAX_WATCHED: usize = 256;
/// Longest name, in bytes.
const MAX_NAME: usize = 256;
/// Most processes that spans name between two looks, and most that are told of as not sampled.
const MAX_OFFERS: usize = 256;
/// Names of samples that no process of a peer has.
const RESERVED: [&str; 2] = ["host", "sidecar"];

/// A process that is being watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    /// Name in samples.
    pub(crate) name: String,
    /// Process id.
    pub(crate) pid: u32,
    /// Whether those that it starts are watched under its name.
    children: bool,
    /// When it started, in clock ticks since boot: tells it from a later process with its id.
    pub(super) started: u64,
}

/// Why a process cannot be watched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WatchError {
    #[error("cannot watch {name}: there is no process {pid} here")]
    NoSuchProcess { name: String, pid: u32 },
    #[error(
        "cannot watch process {pid} as {name}: samples of the machine and of the sidecar have that name"
    )]
    Reserved { name: String, pid: u32 },
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
    /// What this machine is called.
    host: String,
    /// Programs whose processes are watched as they start.
    commands: Vec<String>,
    /// Processes that spans named since the last look.
    offers: Mutex<HashMap<(String, u32), Arc<Source>>>,
    /// Those of them that are not sampled, and why.
    doubted: Mutex<BTreeMap<String, String>>,
}

impl Watched {
    /// Watches nothing yet, but every process of the programs `commands` as it starts.
    pub(crate) fn new(commands: Vec<String>) -> Self {
        Watched {
            processes: Mutex::default(),
            clock: ledger::clock::identity(),
            namespace: ledger::process::namespace(),
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            commands,
            ..Watched::default()
        }
    }

    /// Watches `pid` as `name`, in place of any name it had; with `children`, those that it starts too.
    pub(crate) fn add(&self, name: &str, pid: u32, children: bool) -> Result<(), WatchError> {
        if is_reserved(name) {
            return Err(WatchError::Reserved { name: name.to_owned(), pid });
        }
        self.insert(name, pid, children)
    }

    /// Watches this very process as `name`.
    pub(crate) fn add_own(&self, name: &str) -> Result<(), WatchError> {
        self.insert(name, std::process::id(), false)
    }

    fn insert(&self, name: &str, pid: u32, children: bool) -> Result<(), WatchError> {
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
        processes.push(Process { name: name.to_owned(), pid, children, started });
        Ok(())
    }

    /// Remembers the process that made spans, for the next look: receiving waits for no file of `/proc`.
    pub(crate) fn offer(&self, source: &Arc<Source>) {
        if source.pid == 0 {
            return;
        }
        let mut offers = self.offers.lock();
        let key = (source.service.clone(), source.pid);
        if offers.len() < MAX_OFFERS && !offers.contains_key(&key) {
            offers.insert(key, Arc::clone(source));
        }
    }

    /// Services whose processes are not sampled though their spans name them, and why.
    pub(crate) fn doubted(&self) -> BTreeMap<String, String> {
        self.doubted.lock().clone()
    }

    /// Watches the processes that made spans, if they are of this machine and not watched yet.
    fn look_at_offers(&self) {
        let offers = std::mem::take(&mut *self.offers.lock());
        for source in offers.into_values().filter(|source| !self.known(source.pid)) {
            let believed = self.believe(&source).map_err(str::to_owned);
            let watched = believed.and_then(|()| {
                self.add(&source.service, source.pid, false).map_err(|error| error.to_string())
            });
            let mut doubted = self.doubted.lock();
            match watched {
                Ok(()) => _ = doubted.remove(&source.service),
                Err(why) if doubted.len() < MAX_OFFERS => {
                    let said = doubted.insert(source.service.clone(), why.clone());
                    if said.as_ref() != Some(&why) {
                        let Source { service, pid, .. } = &*source;
                        tracing::info!("process {pid} of {service:?} is not sampled: {why}");
                    }
                }
                Err(_) => {}
            }
        }
    }

    /// Why the process of `source` is not one of this machine, if so.
    ///
    /// In another container a process may give a pid that here is another's. The lab's own services say on
    /// which clock they are and in which namespace their pid counts; of others something else must fit.
    fn believe(&self, source: &Source) -> Result<(), &'static str> {
        if source.pid == std::process::id() {
            return Err("it claims the pid of the sidecar itself");
        }
        let differs = |theirs: &str, ours: &str| !theirs.is_empty() && theirs != ours;
        if differs(&source.clock, &self.clock) || differs(&source.pid_namespace, &self.namespace) {
            return Err("it runs on another machine or in another container");
        }
        if !source.clock.is_empty() && !source.pid_namespace.is_empty() {
            return Ok(());
        }
        source.claim.check(source.pid, &self.host)
    }

    /// Looks for processes to be watched that have started since. Reads `/proc`.
    pub(crate) fn look(&self) {
        self.look_at_offers();
        self.look_for_commands();
        self.look_for_children();
    }

    fn known(&self, pid: u32) -> bool {
        self.processes.lock().iter().any(|process| process.pid == pid)
    }

    /// Those that the main threads of processes watched with their children have started: a database serves
    /// each connection by a process of its own.
    fn look_for_children(&self) {
        let parents: Vec<_> =
            self.processes.lock().iter().filter(|process| process.children).cloned().collect();
        for parent in parents {
            // It may have ended this moment; not every kernel tells whose child a process is.
            for pid in children(parent.pid).unwrap_or_default() {
                if !self.known(pid) {
                    // It may have ended this moment, or too many are watched: the next look tells.
                    let _ = self.add(&parent.name, pid, false);
                }
            }
        }
    }

    /// Processes of the programs to be watched. Reads the name of every process there is, if there are such
    /// programs.
    fn look_for_commands(&self) {
        if self.commands.is_empty() {
            return;
        }
        let Ok(all) = procfs::process::all_processes() else {
            return;
        };
        for process in all.flatten() {
            let Ok(stat) = process.stat() else { continue };
            let Ok(pid) = u32::try_from(stat.pid) else { continue };
            if self.commands.contains(&stat.comm) && !self.known(pid) {
                // It may have ended this moment, or too many are watched: the next look tells.
                let _ = self.add(&stat.comm, pid, false);
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

/// Whether samples of this name are of the machine or the sidecar, in whatever place.
fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name.split('@').next().unwrap_or_default())
}

/// The processes that the main thread of `pid` has started and that have not ended.
fn children(pid: u32) -> Option<Vec<u32>> {
    let process = procfs::process::Process::new(i32::try_from(pid).ok()?).ok()?;
    process.task_main_thread().ok()?.children().ok()
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
        let error = Watched::default().add("ghost", u32::MAX, false).unwrap_err();
        assert_eq!(error.to_string(), "cannot watch ghost: there is no process 4294967295 here");
        assert!(Watched::default().add("", std::process::id(), false).is_err());
    }

    #[test]
    fn spans_make_their_process_watched_only_if_it_is_on_this_machine() {
        let watched = Watched::new(Vec::new());
        let parent = std::os::unix::process::parent_id();
        let source = |service: &str, clock: &str, namespace: &str, pid| Source {
            service: service.into(),
            clock: clock.into(),
            pid_namespace: namespace.into(),
            pid,
            ..Source::default()
        };
        let (clock, namespace) = (ledger::clock::identity(), ledger::process::namespace());
        for (service, clock, namespace, pid, why) in [
            ("elsewhere", "another boot", "", parent, "on another machine"),
            ("contained", &clock, "pid:[1]", parent, "in another container"),
            ("foreign", "", "", parent, "nothing beside process.pid"),
            ("itself", &clock, &namespace, std::process::id(), "the sidecar itself"),
            ("ghost", &clock, &namespace, u32::MAX, "there is no process 4294967295 here"),
            ("host", &clock, &namespace, parent, "samples of the machine"),
            ("sidecar@x", &clock, &namespace, parent, "samples of the machine"),
        ] {
            watched.offer(&Arc::new(source(service, clock, namespace, pid)));
            watched.look();
            let doubted = watched.doubted();
            assert!(doubted[service].contains(why), "{doubted:?}");
        }
        assert_eq!(watched.running(), []);
        watched.offer(&Arc::new(source("ghost", &clock, &namespace, parent)));
        assert_eq!(watched.running(), [], "receiving looks at no process");
        watched.look();
        assert_eq!(watched.running().len(), 1);
        assert!(!watched.doubted().contains_key("ghost"));
    }

    #[test]
    fn children_are_watched_under_the_name_of_who_started_them_if_that_was_asked_for() {
        let script = "sleep 600 & sleep 600 & echo; wait";
        let mut shell = std::process::Command::new("sh")
            .args(["-c", script])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        // Both run once the shell speaks.
        std::io::Read::read_exact(&mut shell.stdout.take().unwrap(), &mut [0]).unwrap();
        let watched = Watched::default();
        watched.add("shell", shell.id(), false).unwrap();
        watched.look();
        assert_eq!(watched.running().len(), 1);
        watched.add("shell", shell.id(), true).unwrap();
        watched.look();
        watched.look();
        let seen = watched.running();
        assert_eq!(seen.len(), 3, "{seen:?}");
        assert!(seen.iter().all(|process| process.name == "shell"), "{seen:?}");
        for child in children(shell.id()).unwrap() {
            let kill = format!("kill {child}");
            std::process::Command::new("sh").args(["-c", &kill]).status().unwrap();
        }
        shell.wait().unwrap();
        assert_eq!(watched.running(), []);
    }

    #[test]
    fn a_program_is_watched_whenever_a_process_of_it_starts() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("lab-sleeper");
        std::fs::copy("/bin/sleep", &program).unwrap();
        let watched = Watched::new(vec!["lab-sleeper".to_owned()]);
        watched.look();
        assert_eq!(watched.running(), []);
        let mut child = std::process::Command::new(program).arg("600").spawn().unwrap();
        watched.look();
        watched.look();
        let seen: Vec<_> = watched.running().into_iter().map(|p| (p.name, p.pid)).collect();
        assert_eq!(seen, [("lab-sleeper".to_owned(), child.id())]);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(watched.running(), []);
    }
}
