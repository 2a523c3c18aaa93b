//! One child process from its start to its end.
//!
//! A child holds the reading end of a pipe whose writing end is ours: should run-lab be killed, the
//! pipe closes and the child stops by itself. Children have a process group of their own, so that a
//! Ctrl-C at the terminal reaches run-lab alone and the run can be ended in order.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::group::{Group, Leftovers};
use super::listening::{Listening, parse_listening};
use super::log::{self, Tail};
use super::{Cpus, PartError, absolute};

/// How long a part of ours may take to say where it listens: a busy machine is slow.
const READY: Duration = Duration::from_secs(20);
/// How long a part may take to stop before it is killed. It sends its last spans meanwhile.
const STOP: Duration = Duration::from_secs(6);

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

    /// Waits until no part is left, also of those that were dropped, for whose end nobody waited. All are to have been
    /// told to stop.
    pub async fn all_stopped(&self) {
        self.watchers.close();
        // Whoever is left after that stops when the pipe that it holds is closed.
        let _ = tokio::time::timeout(ALL_STOPPED, self.watchers.wait()).await;
    }

    /// Starts a part and waits until it says where it listens.
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
        let mut child = spawned.map_err(spawn_error)?;
        let group = child.id().unwrap_or_default();
        let whole = Group::new(group, leftovers);
        // `wait` closes the pipe if the child still holds it, and the closed pipe is the order to stop.
        let stdin = child.stdin.take();
        let within = terms.patience;
        let mut birth = Birth { name, command: &command, log: &log, child: &mut child, within };
        let (Listening { addresses, pid }, stdout) = birth.ready().await?;
        let (stop, stopping) = oneshot::channel();
        let deaths = (!terms.finite).then(|| self.deaths.clone());
        let pid = pid.unwrap_or(group);
        let watch = Watch { name: name.to_owned(), pid, group: whole, command, log, deaths };
        let ended =
            self.watchers.spawn(watch.over(child, stdin, stdout, stopping, self.kill.clone()));
        Ok(Part { name: name.to_owned(), pid, addresses, stop, ended })
    }
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

/// A child that is not ready yet.
struct Birth<'a> {
    name: &'a str,
    command: &'a str,
    log: &'a Path,
    child: &'a mut Child,
    within: Duration,
}

impl Birth<'_> {
    async fn ready(
        &mut self,
    ) -> Result<(Listening, Option<Lines<BufReader<ChildStdout>>>), PartError> {
        let Some(stdout) = self.child.stdout.take() else {
            return Err(self.address_error(String::new()));
        };
        let mut lines = BufReader::new(stdout).lines();
        match tokio::time::timeout(self.within, lines.next_line()).await {
            Ok(Ok(Some(line))) => match parse_listening(&line) {
                Some(listening) => Ok((listening, Some(lines))),
                None => Err(self.address_error(line)),
            },
            Ok(_) => Err(self.exited().await),
            Err(_) => Err(PartError::Silent {
                part: self.name.to_owned(),
                command: self.command.to_owned(),
                seconds: self.within.as_secs(),
                tail: Tail::of(self.log),
            }),
        }
    }

    fn address_error(&self, line: String) -> PartError {
        PartError::Address { part: self.name.to_owned(), command: self.command.to_owned(), line }
    }

    /// Its output has ended: so will it.
    async fn exited(&mut self) -> PartError {
        // A child that closed its output and lingers is not ready either.
        let status = match tokio::time::timeout(STOP, self.child.wait()).await {
            Ok(Ok(status)) => status,
            _ => ExitStatus::default(),
        };
        let (part, command) = (self.name.to_owned(), self.command.to_owned());
        PartError::Exited { part, command, status, tail: Tail::of(self.log) }
    }
}

/// Sees a running part to its end.
struct Watch {
    name: String,
    /// The process that does the work.
    pid: u32,
    group: Group,
    command: String,
    log: PathBuf,
    /// Who is to hear of its death; nobody if it ends by itself.
    deaths: Option<mpsc::UnboundedSender<PartError>>,
}

impl Watch {
    async fn over(
        self,
        mut child: Child,
        stdin: Option<ChildStdin>,
        stdout: Option<Lines<BufReader<ChildStdout>>>,
        stopping: oneshot::Receiver<()>,
        kill: CancellationToken,
    ) -> Result<(), PartError> {
        // What it says later is of no interest, but a full pipe would block it.
        let drained = tokio::spawn(async move {
            if let Some(lines) = stdout {
                let mut rest = lines.into_inner();
                let mut buffer = [0; 1024];
                while matches!(rest.read(&mut buffer).await, Ok(count) if count > 0) {}
            }
        });
        let ended = tokio::select! {
            status = child.wait() => self.ended(status.unwrap_or_default()),
            // The sender dropped means the same as a message.
            _ = stopping => {
                drop(stdin);
                self.signal(Signal::TERM);
                tokio::select! {
                    _ = child.wait() => {}
                    () = tokio::time::sleep(STOP) => self.force(&mut child).await,
                    () = kill.cancelled() => self.force(&mut child).await,
                }
                Ok(())
            }
            () = kill.cancelled() => {
                self.force(&mut child).await;
                Ok(())
            }
        };
        drained.abort();
        ended
    }

    /// It has ended by itself.
    fn ended(&self, status: ExitStatus) -> Result<(), PartError> {
        // A shim that was killed has left its program behind.
        self.group.kill();
        let died = || PartError::Died {
            part: self.name.clone(),
            pid: self.pid,
            command: self.command.clone(),
            status,
            tail: Tail::of(&self.log),
        };
        if let Some(deaths) = &self.deaths {
            // Nobody listens any more when the lab itself is ending.
            let _ = deaths.send(died());
        }
        if status.success() { Ok(()) } else { Err(died()) }
    }

    async fn force(&self, child: &mut Child) {
        self.group.kill();
        // Fails only if it has ended.
        let _ = child.kill().await;
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.group.id).ok().and_then(Pid::from_raw) {
            // It may have ended this moment, and is not reaped before `wait`: the id is still its own.
            let _ = kill_process(pid, signal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_was_dropped_is_waited_for_with_all_others() {
        let dir = tempfile::tempdir().unwrap();
        let logs = dir.path().to_path_buf();
        let supervisor = Supervisor::new("/bin/sh".into(), logs, |_| false);
        // Its end takes a moment, and leaves a trace.
        let trace = dir.path().join("ended");
        let script = format!(
            "trap 'sleep 0.3; echo > {}; exit' TERM; echo listening pid=$$; while :; do sleep 0.1; done",
            trace.display()
        );
        let part = supervisor.start("dropped", &["-c".to_owned(), script], &[]).await.unwrap();
        drop(part);
        assert!(!trace.exists());
        supervisor.all_stopped().await;
        assert!(trace.exists());
    }
}
