//! What the driver drives: anything that can be asked, and asked again before it has answered.

use std::borrow::Cow;
use std::fmt;

/// One planned request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// When the plan wants it to start, on [`ledger::clock`].
    pub planned: u64,
    /// It is to be traced.
    pub traced: bool,
}

/// What became of a call.
pub struct Called {
    /// Nothing, or what went wrong.
    pub outcome: Result<(), Cow<'static, str>>,
    /// Takes the latency in nanoseconds, as the driver's own stopwatch measured it from the planned
    /// start: a traced call's span waits for it.
    pub stopwatch: Option<Box<dyn FnOnce(u64) + Send>>,
}

impl fmt::Debug for Called {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Called").field("outcome", &self.outcome).finish_non_exhaustive()
    }
}

/// Something that answers requests.
pub trait Target: Send + Sync + 'static {
    /// Makes one request and checks its answer. Dropped half-way, the request is abandoned.
    fn call(&self, arrival: Arrival) -> impl Future<Output = Called> + Send;
}
