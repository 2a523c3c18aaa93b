//! Ctrl-C: once to stop in order and keep what was measured, twice to stop at once.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The exit code of an interrupted run, by the convention of shells (128 + SIGINT).
const EXIT: i32 = 130;
/// Signals so soon after the first are that one again, for no hand is so fast: `timeout` sends its signal
/// to the process and to the group that it is in.
const ECHOES: Duration = Duration::from_millis(100);
/// How long children may take to die of SIGKILL.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whether somebody wants the run to stop, and how soon.
#[derive(Debug, Clone, Default)]
pub struct Interrupt {
    /// Stop in order.
    pub stop: CancellationToken,
    /// Kill every child at once.
    pub kill: CancellationToken,
    /// Those who watch over children: empty when none is left.
    pub watchers: TaskTracker,
}

impl Interrupt {
    /// Listens for SIGINT and SIGTERM. The second one ends this process, children first.
    ///
    /// # Errors
    /// If the handlers cannot be installed.
    pub fn listen() -> io::Result<Interrupt> {
        let mut int = signal(SignalKind::interrupt())?;
        let mut term = signal(SignalKind::terminate())?;
        let interrupt = Interrupt::default();
        let heard = interrupt.clone();
        tokio::spawn(async move {
            tokio::select! { _ = int.recv() => {} _ = term.recv() => {} }
            heard.stop.cancel();
            let echoes = tokio::time::sleep(ECHOES);
            tokio::pin!(echoes);
            loop {
                tokio::select! { _ = int.recv() => {} _ = term.recv() => {} () = &mut echoes => break }
            }
            tokio::select! { _ = int.recv() => {} _ = term.recv() => {} }
            heard.kill.cancel();
            heard.watchers.close();
            // Those who are left after that have lost the pipe they hold, and stop by themselves.
            let _ = tokio::time::timeout(PATIENCE, heard.watchers.wait()).await;
            std::process::exit(EXIT);
        });
        Ok(interrupt)
    }
}
