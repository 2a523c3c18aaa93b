//! One child process from its start to its end.
//!
//! A child holds the reading end of a pipe whose writing end is ours: should run-lab be killed, the
//! pipe closes and the child stops by itself. Children have a process group of their own, so that a
//! Ctrl-C at the terminal reaches run-lab alone and the run can be ended in order.

use std::collections::BTreeMap;
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

use super::PartError;
use super::log::{self, Tail};

/// How long a part may take to say where it listens, in seconds: a busy machine is slow.
const READY_SECONDS: u64 = 20;
/// How long a part may take to stop before it is killed. It sends its last spans meanwhile.
const STOP: Duration = Duration::from_secs(6);

/// Starts parts and watches over them.
#[derive(Debug)]
pub struct Supervisor {
    executable: PathBuf,
    logs: PathBuf,
    deaths: mpsc::UnboundedSender<PartError>,
    watchers: TaskTracker,
    kill: CancellationToken,
}

impl Supervisor {
    /// A supervisor that starts `executable`, keeps logs in the folder `logs`, and reports deaths to
    /// `deaths`. When `kill` is cancelled every part is killed at once; `watchers` is empty when
    /// none is left.
    #[must_use]
    pub fn new(
        executable: PathBuf,
        logs: PathBuf,
        deaths: mpsc::UnboundedSender<PartError>,
        watchers: TaskTracker,
        kill: CancellationToken,
    ) -> Supervisor {
        Supervisor { executable, logs, deaths, watchers, kill }
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
        let command = format!("{} {}", self.executable.display(), arguments.join(" "));
        let log = self.logs.join(format!("{name}.log"));
        let spawn_error =
            |error| PartError::Spawn { part: name.to_owned(), command: command.clone(), error };
        let stderr = log::open(&log, &command).map_err(spawn_error)?;
        let mut child = Command::new(&self.executable)
            .args(arguments)
            .envs(env.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(spawn_error)?;
        let pid = child.id().unwrap_or_default();
        // `wait` closes the pipe if the child still holds it, and the closed pipe is the order to stop.
        let stdin = child.stdin.take();
        let mut birth = Birth { name, command: &command, log: &log, child: &mut child };
        let (addresses, stdout) = birth.ready().await?;
        let (stop, stopping) = oneshot::channel();
        let watch = Watch { name: name.to_owned(), pid, command, log, deaths: self.deaths.clone() };
        let ended =
            self.watchers.spawn(watch.over(child, stdin, stdout, stopping, self.kill.clone()));
        Ok(Part { name: name.to_owned(), pid, addresses, stop, ended })
    }
}

/// A running part. Dropped, it is stopped, but nobody waits for its end.
#[derive(Debug)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Its process id.
    pub pid: u32,
    addresses: BTreeMap<String, SocketAddr>,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<()>,
}

impl Part {
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
}

impl Birth<'_> {
    async fn ready(
        &mut self,
    ) -> Result<(BTreeMap<String, SocketAddr>, Option<Lines<BufReader<ChildStdout>>>), PartError>
    {
        let Some(stdout) = self.child.stdout.take() else {
            return Err(self.address_error(String::new()));
        };
        let mut lines = BufReader::new(stdout).lines();
        let within = Duration::from_secs(READY_SECONDS);
        match tokio::time::timeout(within, lines.next_line()).await {
            Ok(Ok(Some(line))) => match parse_listening(&line) {
                Some(addresses) => Ok((addresses, Some(lines))),
                None => Err(self.address_error(line)),
            },
            Ok(_) => Err(self.exited().await),
            Err(_) => Err(PartError::Silent {
                part: self.name.to_owned(),
                command: self.command.to_owned(),
                seconds: READY_SECONDS,
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

/// `listening 127.0.0.1:1` or `listening otlp=127.0.0.1:1 control=127.0.0.1:2`.
fn parse_listening(line: &str) -> Option<BTreeMap<String, SocketAddr>> {
    let words = line.trim().strip_prefix("listening ")?.split_ascii_whitespace();
    let addresses = words.map(|word| {
        let (name, address) = word.split_once('=').unwrap_or(("", word));
        Some((name.to_owned(), address.parse().ok()?))
    });
    addresses.collect::<Option<BTreeMap<_, _>>>().filter(|addresses| !addresses.is_empty())
}

/// Sees a running part to its end.
struct Watch {
    name: String,
    pid: u32,
    command: String,
    log: PathBuf,
    deaths: mpsc::UnboundedSender<PartError>,
}

impl Watch {
    async fn over(
        self,
        mut child: Child,
        stdin: Option<ChildStdin>,
        stdout: Option<Lines<BufReader<ChildStdout>>>,
        stopping: oneshot::Receiver<()>,
        kill: CancellationToken,
    ) {
        // What it says later is of no interest, but a full pipe would block it.
        let drained = tokio::spawn(async move {
            if let Some(lines) = stdout {
                let mut rest = lines.into_inner();
                let mut buffer = [0; 1024];
                while matches!(rest.read(&mut buffer).await, Ok(count) if count > 0) {}
            }
        });
        tokio::select! {
            status = child.wait() => {
                let tail = Tail::of(&self.log);
                let (part, pid, command) = (self.name, self.pid, self.command);
                let died = PartError::Died { part, pid, command, status: status.unwrap_or_default(), tail };
                // Nobody listens any more when the lab itself is ending.
                let _ = self.deaths.send(died);
            }
            // The sender dropped means the same as a message.
            _ = stopping => {
                drop(stdin);
                self.signal(Signal::TERM);
                tokio::select! {
                    _ = child.wait() => {}
                    () = tokio::time::sleep(STOP) => force(&mut child).await,
                    () = kill.cancelled() => force(&mut child).await,
                }
            }
            () = kill.cancelled() => force(&mut child).await,
        }
        drained.abort();
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) {
            // It may have ended this moment, and is not reaped before `wait`: the id is still its own.
            let _ = kill_process(pid, signal);
        }
    }
}

async fn force(child: &mut Child) {
    // Fails only if it has ended.
    let _ = child.kill().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_listening_line_names_one_address_or_several() {
        let one = parse_listening("listening 127.0.0.1:8080\n").unwrap();
        assert_eq!(one[""], "127.0.0.1:8080".parse().unwrap());
        let two = parse_listening("listening otlp=127.0.0.1:1 control=127.0.0.1:2").unwrap();
        assert_eq!(two["control"], "127.0.0.1:2".parse().unwrap());
        for line in ["", "listening", "listening ", "ready 127.0.0.1:1", "listening here"] {
            assert_eq!(parse_listening(line), None, "{line}");
        }
    }
}
