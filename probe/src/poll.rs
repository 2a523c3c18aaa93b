//! When the task that drives a connection was last woken to run.
//!
//! The tap sees I/O calls only. Between two of them the connection's task either worked (that is
//! framing) or did not run at all (that is queueing). [`Timed`] wraps the task and notes when the
//! current poll began, so that the tap can tell the two apart.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

thread_local! {
    static POLL_BEGAN: Cell<u64> = const { Cell::new(0) };
}

/// When the poll that is running on this thread began, in nanoseconds of [`ledger::clock`]; 0 if
/// the task is not [`Timed`].
pub(crate) fn began() -> u64 {
    POLL_BEGAN.get()
}

pin_project_lite::pin_project! {
    /// A connection's task, whose polls are timed.
    pub(crate) struct Timed<F> {
        #[pin]
        task: F,
    }
}

impl<F: Future> Timed<F> {
    pub(crate) fn new(task: F) -> Self {
        Timed { task }
    }
}

impl<F: Future> Future for Timed<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let outer = POLL_BEGAN.replace(ledger::clock::now());
        let output = self.project().task.poll(cx);
        POLL_BEGAN.set(outer);
        output
    }
}
