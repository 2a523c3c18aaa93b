//! Where closed requests and process samples go: the seam between joining and storing.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::runfile::{Aside, ProcessSample, RequestRow};

/// What a [`Sink`] is given. Shared, not copied, between sinks.
#[derive(Debug, Clone)]
pub enum Batch {
    /// Requests whose books are closed.
    Requests(Arc<[RequestRow]>),
    /// What is known of traces beside their requests.
    Asides(Arc<[Aside]>),
    /// Resources of the watched processes at one time.
    Samples(Arc<[ProcessSample]>),
}

/// A future that a sink answers with.
pub type Done<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Takes rows and stores or sums them up. The run file is one.
///
/// A sink never fails: what it cannot keep it counts ([`crate::stats::SinkCounts`]).
pub trait Sink: Send + Sync {
    /// Takes one batch. A sink that is behind holds its caller back by not completing; joining then
    /// holds more traces, and past its bound evicts and counts them.
    fn take(&self, batch: Batch) -> Done<'_>;

    /// Completes when everything taken before is where it belongs.
    fn flush(&self) -> Done<'_>;
}
