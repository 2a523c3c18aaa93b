//! Parts: how they are started, and what whoever started one holds.
//!
//! A child holds the reading end of a pipe whose writing end is ours: should run-lab be killed, the
//! pipe closes and the child stops by itself. Children have a process group of their own, so that a
//! Ctrl-C at the terminal reaches run-lab alone and the run can be ended in order.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::group::{Group, Leftovers};
use super::listening::Listening;
use super::log;
use super::watch::Watch;
use super::{Cpus, PartError, absolute};

/// How long a part of ours may take to say where it listens: a busy machine is slow.
const READY: Duration = Duration::from_secs(20);

/// How long all those who were told to stop are waited for: longer than any of them takes.
const ALL_STOPPED: Duration = Duration::from_secs(8);

/// Which environment variables of this process, by name, no part inherits.
pub type Withheld = fn(&str) -> bool;

/// The variables of this process that no part inherits.
pub fn not_inherited(withheld: Withheld) -> impl Iterator<Item = OsString> {
    let names = std::env::vars_os().map(|(variable, _)| variable);
    names.filter(move |variable| withheld(&variable.to_string_lossy()))
}

/// Starts parts and watches over them.
#[derive(Debug, Clone)]
pub struct Supervisor {
    executable: PathBuf,
    logs: PathBuf,
    withheld: Withheld,
    deaths: mpsc::UnboundedSender<PartError>,
    watchers: TaskTracker,
    kill: CancellationToken,
    /// Where parts run; anywhere if absent.
    cpus: Option<Cpus>,
}

impl Supervisor {
    /// A supervisor that starts `executable` without the variables that are `withheld`, and keeps logs in the folder
    /// `logs`. Nobody hears of deaths.
    #[must_use]
    pub fn new(executable: PathBuf, logs: PathBuf, withheld: Withheld) -> Supervisor {
        let (deaths, _) = mpsc::unbounded_channel();
        let (watchers, kill) = (TaskTracker::new(), CancellationToken::new());
        Supervisor { executable, logs, withheld, deaths, watchers, kill, cpus: None }
    }

    /// The same, reporting deaths to `deaths`. When `kill` is cancelled every part is killed at once; `watchers` is
    /// empty when none is left.
    #[must_use]
    pub fn overseen(
        self,
        deaths: mpsc::UnboundedSender<PartError>,
        (watchers, kill): (TaskTracker, CancellationToken),
    ) -> Supervisor {
        Supervisor { deaths, watchers, kill, ..self }
    }

    /// The same for parts that are started from another program, if there is one, and on some CPUs, if they are named.
    #[must_use]
    pub fn of(&self, executable: Option<PathBuf>, cpus: Option<Cpus>) -> Supervisor {
        let executable = executable.unwrap_or_else(|| self.executable.clone());
        Supervisor { executable, cpus, ..self.clone() }
    }

    /// The program that parts are started from.
    pub fn executable(&self) -> &Path {
        &self.executable
    }

    /// Waits until no part is left, also of those that were dropped or given up, for whose end nobody waited. All are to
    /// have been told to stop.
    pub async fn all_stopped(&self) {
        self.watchers.close();
        // Whoever is left after that stops when the pipe that it holds is closed.
        let _ = tokio::time::timeout(ALL_STOPPED, self.watchers.wait()).await;
    }

    /// Starts a part and waits until it says where it listens. Who gives that up, by dropping this, has told the part to
    /// stop, and only [`Supervisor::all_stopped`] waits for its end.
    ///
    /// # Errors
    /// If it does not start, ends, or says nothing of the kind in time.
    pub async fn start(
        &self,
        name: &str,
        arguments: &[String],
        env: &[(&str, &str)],
    ) -> Result<Part, PartError> {
        let arguments: Vec<_> = arguments.iter().map(OsString::from).collect();
        self.begin(name, &arguments, env, Terms::default()).await
    }

    /// As [`Supervisor::start`], on other terms.
    pub(super) async fn begin(
        &self,
        name: &str,
        arguments: &[OsString],
        env: &[(&str, &str)],
        terms: Terms,
    ) -> Result<Part, PartError> {
        let leftovers = Leftovers(terms.remove);
        debug_assert_eq!(relative(arguments, env), None, "{name} may be in another folder");
        let words = arguments.join(OsStr::new(" "));
        let command = format!("{} {}", self.executable.display(), words.display());
        let log = self.logs.join(format!("{name}.log"));
        let spawn_error =
            |error| PartError::Spawn { part: name.to_owned(), command: command.clone(), error };
        let stderr = log::open(&log, &command).map_err(spawn_error)?;
        let mut command_line = Command::new(&self.executable);
        not_inherited(self.withheld).for_each(|variable| _ = command_line.env_remove(variable));
        command_line
            .args(arguments)
            .envs(env.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .process_group(0)
            .kill_on_drop(true);
        let spawned = match &self.cpus {
            Some(cpus) => cpus.start(|| command_line.spawn()),
            None => command_line.spawn(),
        };
        let child = spawned.map_err(spawn_error)?;
        let group = Group::new(child.id().unwrap_or_default(), leftovers);
        let deaths = (!terms.finite).then(|| self.deaths.clone());
        let (pid, within) = (group.id, terms.patience);
        let watch = Watch { name: name.to_owned(), pid, group, command, log, within, deaths };
        // Watched over from here on: who does not wait until it is ready has dropped `stop`.
        let (stop, stopping) = oneshot::channel();
        let (ready, readiness) = oneshot::channel();
        let ended = self.watchers.spawn(watch.over(child, ready, stopping, self.kill.clone()));
        let Ok(Listening { addresses, pid: kept }) = readiness.await else {
            // Its end is complete before anybody hears of it.
            return Err(ended.await.unwrap_or(Ok(())).err().unwrap_or_else(|| killed(name)));
        };
        Ok(Part { name: name.to_owned(), pid: kept.unwrap_or(pid), addresses, stop, ended })
    }
}

/// It was killed with all others before it was ready.
fn killed(part: &str) -> PartError {
    let (attempt, reason) = ("wait until it is ready".to_owned(), "it was killed".to_owned());
    PartError::Setup { part: part.to_owned(), attempt, reason }
}

/// What of a part's arguments and environment names a file by a relative path.
fn relative<'a>(arguments: &'a [OsString], env: &'a [(&str, &str)]) -> Option<&'a Path> {
    let words = arguments.iter().map(Path::new);
    absolute::relative(words.chain(env.iter().map(|(_, value)| Path::new(value))))
}

/// What is agreed with a part beyond its command line.
#[derive(Debug)]
pub(super) struct Terms {
    /// Its end is no death.
    pub(super) finite: bool,
    /// How long it may take to say where it listens.
    pub(super) patience: Duration,
    /// A folder that goes when it has ended.
    pub(super) remove: Option<PathBuf>,
}

impl Default for Terms {
    fn default() -> Self {
        Terms { finite: false, patience: READY, remove: None }
    }
}

/// A running part. Dropped, it is stopped, and only [`Supervisor::all_stopped`] waits for its end.
#[derive(Debug)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Its process id.
    pub pid: u32,
    addresses: BTreeMap<String, SocketAddr>,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<(), PartError>>,
}

impl Part {
    /// Waits until it has ended by itself.
    ///
    /// # Errors
    /// [`PartError::Died`] if it ended with another exit code than 0.
    pub async fn end(&mut self) -> Result<(), PartError> {
        // The watch ends by panic only if the runtime is being torn down.
        (&mut self.ended).await.unwrap_or(Ok(()))
    }

    /// Where it listens: by name if it listens on several addresses, `""` if on one.
    ///
    /// # Errors
    /// If it named no such address.
    pub fn address(&self, name: &str) -> Result<SocketAddr, PartError> {
        self.addresses.get(name).copied().ok_or_else(|| PartError::Address {
            part: self.name.clone(),
            command: String::new(),
            line: format!("no address {name:?} among {:?}", self.addresses),
        })
    }

    /// Stops it in order, and by force if it does not stop in time. Returns when it has ended.
    pub async fn stop(self) {
        // If it has ended already there is nobody to tell.
        let _ = self.stop.send(());
        let _ = self.ended.await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A part that takes a moment to stop, and leaves the file `ended` when it has.
    fn slow(dir: &Path, first: &str) -> (Supervisor, Vec<String>) {
        let ended = dir.join("ended");
        let trap = format!("trap 'sleep 0.3; echo > {}; exit' TERM", ended.display());
        let script = format!("{trap}; {first}; while :; do sleep 0.1; done");
        let supervisor = Supervisor::new("/bin/sh".into(), dir.to_path_buf(), |_| false);
        (supervisor, vec!["-c".to_owned(), script])
    }

    #[tokio::test]
    async fn whoever_was_dropped_is_waited_for_with_all_others() {
        let dir = tempfile::tempdir().unwrap();
        let (supervisor, script) = slow(dir.path(), "echo listening pid=$$");
        let part = supervisor.start("dropped", &script, &[]).await.unwrap();
        drop(part);
        assert!(!dir.path().join("ended").exists());
        supervisor.all_stopped().await;
        assert!(dir.path().join("ended").exists());
    }

    #[tokio::test]
    async fn whoever_was_killed_before_it_was_ready_is_told_of_when_it_has_ended() {
        let dir = tempfile::tempdir().unwrap();
        let (supervisor, script) = slow(dir.path(), ":");
        let kill = CancellationToken::new();
        let supervisor =
            supervisor.overseen(mpsc::unbounded_channel().0, (TaskTracker::new(), kill.clone()));
        kill.cancel();
        let error = supervisor.start("killed", &script, &[]).await.unwrap_err();
        assert_eq!(error.to_string(), "killed: cannot wait until it is ready: it was killed");
        assert!(supervisor.watchers.is_empty());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_is_not_ready_is_gone_with_its_folder_when_that_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("folder");
        let within = Duration::from_millis(100);
        for (said, error) in [
            (":", "did not say where it listens within 0 s"),
            ("echo hello", "said \"hello\" instead"),
            ("printf '\\377\\n'", "instead of where it listens"),
            ("exec >&-; exit 7", "exit status: 7"),
        ] {
            std::fs::create_dir(&folder).unwrap();
            let (supervisor, script) = slow(dir.path(), said);
            let arguments: Vec<_> = script.iter().map(OsString::from).collect();
            let patience = if said == ":" { within } else { READY };
            let terms = Terms { finite: false, patience, remove: Some(folder.clone()) };
            let told = supervisor.begin("late", &arguments, &[], terms).await.unwrap_err();
            assert!(told.to_string().contains(error), "{told}");
            assert!(supervisor.watchers.is_empty() && !folder.exists(), "{said}");
        }
    }

    #[tokio::test]
    async fn whoever_was_given_up_before_it_was_ready_is_waited_for_as_well() {
        let dir = tempfile::tempdir().unwrap();
        let begun = dir.path().join("begun");
        let (supervisor, script) = slow(dir.path(), &format!("echo > {}", begun.display()));
        let has_begun = async {
            while !begun.exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            part = supervisor.start("given-up", &script, &[]) => panic!("{part:?}"),
            () = has_begun => {}
        }
        supervisor.all_stopped().await;
        assert!(dir.path().join("ended").exists());
    }
}
