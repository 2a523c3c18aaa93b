//! Requests that k6 made, told to the sidecar as root spans under k6's name.
//!
//! Marks are only where k6's own durations put them: the call starts, has its connection, and ends. k6 cannot say
//! when its last byte was written, so the edge's way there and back stays one inferred stage, whatever the clocks.

use std::sync::Arc;

use ledger::{Marks, Point};
use probe::{ReportedCall, Reporter, Root, SpanContext};

use super::joiner::Joined;
use super::{K6Error, Order, SERVICE};
use crate::builtin::Sampling;
use lab_model::workload::Request;

/// Tells of the requests of one round.
#[derive(Debug)]
pub(super) struct RootSpans {
    reporter: Reporter,
    /// What the span of each request of the cell is called, in the order of its templates.
    names: Vec<String>,
    peer: Arc<str>,
    root: Root,
}

impl RootSpans {
    /// Tells the sidecar at `otlp`, a URL, of the round `order`, as made by process `pid` in the run that has `nonce`.
    pub(super) fn start(
        pid: u32,
        otlp: &str,
        order: &Order<'_>,
        sampling: Sampling,
        nonce: Option<Arc<str>>,
    ) -> Result<RootSpans, K6Error> {
        let (cell, round) = (order.cell, order.number);
        let reporter = Reporter::start(SERVICE, pid, otlp)
            .map_err(|source| K6Error::Spans { cell: cell.id.clone(), source })?;
        let names = cell.requests().iter().map(Request::name).collect();
        let root = Root {
            sampled: true,
            cell: cell.id.as_str().into(),
            round,
            weight: sampling.weight(),
            nonce,
            stopwatch: None,
        };
        Ok(RootSpans { reporter, names, peer: order.entry.name.as_str().into(), root })
    }

    /// Tells of one request.
    pub(super) fn tell(&self, joined: Joined) {
        let marks = Marks::default()
            .with(Point::CallStart, joined.start)
            .with(Point::SendBegin, joined.connected)
            .with(Point::CallEnd, joined.end);
        self.reporter.report(ReportedCall {
            context: SpanContext {
                trace_id: joined.request.trace,
                span_id: joined.request.span,
                flags: 1,
            },
            name: self.names.get(joined.request.template).cloned().unwrap_or_default(),
            peer: Arc::clone(&self.peer),
            root: self.root.clone(),
            marks,
            stopwatch_ns: joined.end - joined.start,
            failure: joined.failure,
        });
    }

    /// Sends what is left. Returns how many spans were lost in all.
    pub(super) async fn stop(self) -> u64 {
        self.reporter.shutdown().await
    }
}
