//! An independent stopwatch round a whole call, outside the probe.
//!
//! Stages are differences of neighbouring marks, so they always add up, and their sum alone proves nothing. Therefore
//! the caller times the call by itself, and the root span waits to carry that time.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::export::Sink;
use crate::record::Record;

/// A stopwatch for one call.
#[derive(Debug, Default)]
pub struct Stopwatch(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    elapsed: Option<u64>,
    held: Option<(Sink, Arc<Record>)>,
}

impl Stopwatch {
    /// A stopwatch that has not been stopped.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Says what the stopwatch read, in nanoseconds, and lets the root span go.
    pub fn stop(&self, elapsed_ns: u64) {
        let mut state = self.0.lock();
        state.elapsed = Some(elapsed_ns);
        state.release();
    }

    /// Keeps the root span until the stopwatch is stopped.
    pub(crate) fn hold(&self, sink: Sink, record: Arc<Record>) {
        let mut state = self.0.lock();
        state.held = Some((sink, record));
        if state.elapsed.is_some() {
            state.release();
        }
    }
}

impl State {
    fn release(&mut self) {
        if let Some((sink, record)) = self.held.take() {
            record.timed_outside(self.elapsed.unwrap_or(0));
            sink.submit(&record);
        }
    }
}

impl Drop for Stopwatch {
    fn drop(&mut self) {
        self.0.get_mut().release();
    }
}
