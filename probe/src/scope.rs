//! Tells work that is done elsewhere (in a task of its own, on a queue, in a callback) which request it belongs to.

use crate::context::SpanContext;
use crate::deadline::{self, Deadline};
use crate::slot::Slot;

/// The request that a task is working on. Calls that the task makes are part of the request's trace. Nothing else that
/// the task does is marked, since the reply may be on its way by then.
#[derive(Debug, Clone, Default)]
pub struct Context {
    slot: Option<Slot>,
    deadline: Option<Deadline>,
}

impl Context {
    /// The one of the current task; outside of any request an empty one.
    #[must_use]
    pub fn current() -> Context {
        Context { slot: Slot::above().map(Slot::detached), deadline: Deadline::current() }
    }

    /// Runs `work` as a part of the request.
    pub async fn scope<F: Future>(self, work: F) -> F::Output {
        let Context { slot, deadline } = self;
        match slot {
            Some(slot) => slot.scope(deadline::below(deadline, work)).await,
            None => deadline::below(deadline, work).await,
        }
    }

    /// Trace and span of the request, if there is one.
    #[must_use]
    pub fn span(&self) -> Option<SpanContext> {
        self.slot.as_ref()?.record.identity().map(|identity| identity.context)
    }

    pub(crate) fn slot(&self) -> Option<&Slot> {
        self.slot.as_ref()
    }
}

/// As [`tokio::spawn`], and the task belongs to the request that it is spawned for.
pub fn spawn<F>(work: F) -> tokio::task::JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(Context::current().scope(work))
}
