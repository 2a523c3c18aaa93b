//! Spans of a process that cannot make its own, reported by another that knows how its calls went.
//!
//! A load generator that is not ours measures its calls and says so only afterwards. What it said becomes
//! root spans under its own name and process id, through the queue and exporter of every other probe. A relay reports
//! what it saw of other people's calls the same way.

use std::sync::Arc;

use ledger::{Half, Marks, Point, Side, Value};
use parking_lot::Mutex;

use crate::call::Root;
use crate::context::SpanContext;
use crate::export::{Exporter, Patience, Sink};
use crate::probe::ProbeError;
use crate::record::{Identity, Record};

/// Reports the calls of one other process.
#[derive(Debug)]
pub struct Reporter {
    exporter: Mutex<Option<Exporter>>,
    sink: Sink,
}

/// An exchange that a relay passed on, and that is over.
#[derive(Debug, Clone)]
pub struct RelayedExchange {
    /// The caller that the request names.
    pub caller: SpanContext,
    /// What was seen on both faces.
    pub half: Half,
    /// What went wrong, if something did.
    pub failure: Option<String>,
}

/// A call that another process made as the root of a trace, and that is over.
#[derive(Debug, Clone)]
pub struct ReportedCall {
    /// The trace and span that the process put on its request.
    pub context: SpanContext,
    /// Name of the span.
    pub name: String,
    /// Who was called.
    pub peer: Arc<str>,
    /// What the request belongs to. Its stopwatch is not used: see [`ReportedCall::stopwatch_ns`].
    pub root: Root,
    /// The marks that follow from what the process measured; the span is from the first to the last.
    pub marks: Marks,
    /// The latency by the process's own stopwatch, in nanoseconds.
    pub stopwatch_ns: u64,
    /// What went wrong, if something did.
    pub failure: Option<String>,
}

impl Reporter {
    /// A reporter of process `pid`, known as `service`, whose spans go to `endpoint`; in the current tokio
    /// runtime.
    ///
    /// # Errors
    /// [`ProbeError::Exporter`] if the endpoint is malformed.
    pub fn start(service: &str, pid: u32, endpoint: &str) -> Result<Reporter, ProbeError> {
        let (exporter, sink) = Exporter::start(service, pid, endpoint, Patience::default())
            .map_err(|source| ProbeError::Exporter { endpoint: endpoint.to_owned(), source })?;
        Ok(Reporter { exporter: Mutex::new(Some(exporter)), sink })
    }

    /// A reporter whose records go to `sink`.
    pub(crate) fn with_sink(sink: Sink) -> Reporter {
        Reporter { exporter: Mutex::new(None), sink }
    }

    /// Queues the span of a call, if its trace is sampled; where the queue is full it is lost and counted.
    pub fn report(&self, call: ReportedCall) {
        let record = Record::new(Side::Client);
        let extra: Vec<(&'static str, Value)> = call.root.attributes();
        record.identify(Identity {
            database: None,
            context: call.context,
            parent: 0,
            carried: call.root.carried(call.context.span_id),
            name: call.name,
            peer: Some(call.peer),
            extra,
        });
        for &point in Point::ALL {
            record.set(point, call.marks.get(point).unwrap_or(0));
        }
        record.timed_outside(call.stopwatch_ns);
        if let Some(why) = call.failure {
            record.failed(why);
        }
        self.sink.submit(&Arc::new(record));
    }

    /// The same of an exchange that was relayed. Its span stands beside that of the server, below the caller's.
    pub fn relayed(&self, exchange: RelayedExchange) {
        let RelayedExchange { caller, half, failure } = exchange;
        let record = Record::made(half);
        record.identify(Identity {
            context: caller.child(),
            parent: caller.span_id,
            carried: None,
            name: "relayed".to_owned(),
            peer: None,
            database: None,
            extra: Vec::new(),
        });
        if let Some(why) = failure {
            record.failed(why);
        }
        self.sink.submit(&Arc::new(record));
    }

    /// Exports what is queued and stops. Answers how many spans were lost in all.
    pub async fn shutdown(&self) -> u64 {
        let exporter = self.exporter.lock().take();
        if let Some(exporter) = exporter {
            exporter.shutdown().await;
        }
        self.sink.lost()
    }
}
