//! One child process from its start to its end, whoever waits for it.

use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdout};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::PartError;
use super::group::Group;
use super::listening::{Listening, parse_listening};
use super::log::Tail;

/// How long a part may take to stop before it is killed. It sends its last spans meanwhile.
const STOP: Duration = Duration::from_secs(6);

/// Who waits until a part is ready. Dropped, it never will be, and why is the outcome of its watch.
pub(super) type Ready = oneshot::Sender<Listening>;

/// Sees a part from its start to its end.
pub(super) struct Watch {
    pub(super) name: String,
    /// The process that does the work.
    pub(super) pid: u32,
    pub(super) group: Group,
    pub(super) command: String,
    pub(super) log: PathBuf,
    /// How long it may take to say where it listens.
    pub(super) within: Duration,
    /// Who is to hear of its death; nobody if it ends by itself.
    pub(super) deaths: Option<mpsc::UnboundedSender<PartError>>,
}

impl Watch {
    pub(super) async fn over(
        mut self,
        mut child: Child,
        ready: Ready,
        stopping: oneshot::Receiver<()>,
        kill: CancellationToken,
    ) -> Result<(), PartError> {
        // `wait` closes the pipe if the child still holds it, and the closed pipe is the order to stop.
        let stdin = child.stdin.take();
        let (said, saying) = oneshot::channel();
        let hearing = tokio::spawn(hear(child.stdout.take(), said));
        let ended = tokio::select! {
            ended = self.life(&mut child, saying, ready) => ended,
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
        hearing.abort();
        ended
    }

    /// What it does if nobody stops it.
    async fn life(
        &mut self,
        child: &mut Child,
        saying: oneshot::Receiver<String>,
        ready: Ready,
    ) -> Result<(), PartError> {
        match self.birth(child, saying).await {
            Ok(listening) => {
                self.pid = listening.pid.unwrap_or(self.pid);
                // Who waited no more has told it to stop as well.
                let _ = ready.send(listening);
                let status = child.wait().await;
                self.ended(status.unwrap_or_default())
            }
            Err(error) => {
                self.force(child).await;
                Err(error)
            }
        }
    }

    /// Waits until it has said where it listens.
    async fn birth(
        &self,
        child: &mut Child,
        saying: oneshot::Receiver<String>,
    ) -> Result<Listening, PartError> {
        let (part, command) = (self.name.clone(), self.command.clone());
        match tokio::time::timeout(self.within, saying).await {
            Ok(Ok(line)) => match parse_listening(&line) {
                Some(listening) => Ok(listening),
                None => Err(PartError::Address { part, command, line }),
            },
            Ok(Err(_)) => {
                // Its output has ended, so will it; and one that lingers is not ready either.
                if tokio::time::timeout(STOP, child.wait()).await.is_err() {
                    self.force(child).await;
                }
                let status = child.wait().await.unwrap_or_default();
                Err(PartError::Exited { part, command, status, tail: Tail::of(&self.log) })
            }
            Err(_) => {
                let (seconds, tail) = (self.within.as_secs(), Tail::of(&self.log));
                Err(PartError::Silent { part, command, seconds, tail })
            }
        }
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

/// Passes on the first line that a part says. What it says later is of no interest, but a full pipe would block it.
async fn hear(stdout: Option<ChildStdout>, said: oneshot::Sender<String>) {
    let Some(stdout) = stdout else { return };
    let mut stdout = BufReader::new(stdout);
    let mut line = Vec::new();
    if matches!(stdout.read_until(b'\n', &mut line).await, Ok(count) if count > 0) {
        // Nobody waits for it if the part was told to stop.
        let _ = said.send(String::from_utf8_lossy(&line).trim_end().to_owned());
        let mut buffer = [0; 1024];
        while matches!(stdout.read(&mut buffer).await, Ok(count) if count > 0) {}
    }
}
