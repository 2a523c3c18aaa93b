//! What ends a run before its time: somebody asks for it, or a part that it needs dies.

use std::sync::{Arc, Mutex, PoisonError};

use lab_launch::GRAFANA;
use lab_supervise::PartError;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::interrupt::Interrupt;

/// The reasons there are to stop before the end.
#[derive(Debug, Clone)]
pub(super) struct Halt {
    /// Cancelled when the load is to stop.
    pub(super) token: CancellationToken,
    death: Arc<Mutex<Option<PartError>>>,
    boards: Arc<Mutex<Option<PartError>>>,
}

impl Halt {
    /// Halts when `interrupt` says so and when a part dies that the run needs.
    pub(super) fn new(
        interrupt: &Interrupt,
        mut deaths: mpsc::UnboundedReceiver<PartError>,
        boards_required: bool,
    ) -> Halt {
        let token = interrupt.stop.child_token();
        let halt = Halt { token, death: Arc::default(), boards: Arc::default() };
        let heard = halt.clone();
        tokio::spawn(async move {
            while let Some(error) = deaths.recv().await {
                if !boards_required && only_boards(&error) {
                    *heard.boards.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    continue;
                }
                // The first death explains those that follow.
                *heard.death.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                heard.token.cancel();
                return;
            }
        });
        halt
    }

    /// The death that ended the run, if one did.
    pub(super) fn death(&self) -> Option<PartError> {
        self.death.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Why there were no boards to the end, in one line.
    pub(super) fn boards_gone(&self) -> Option<String> {
        let gone = self.boards.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let first = gone.to_string().lines().next().unwrap_or_default().to_owned();
        Some(format!("it ended before the run did: {first}"))
    }
}

/// Whether the death of a part costs no more than the boards: what is measured does not pass through Grafana.
#[must_use]
pub fn only_boards(error: &PartError) -> bool {
    error.died() == Some(GRAFANA)
}
