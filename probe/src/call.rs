//! What a caller says of a call beyond its content.

use std::sync::Arc;

use ledger::{Edge, Value, names};

use crate::carried::Carried;
use crate::stopwatch::Stopwatch;

/// What a caller knows about a call beyond its content. By default it is a child of the request
/// being served, or an unsampled trace of its own.
#[derive(Debug, Clone, Default)]
pub struct Call {
    /// When the call was to start, on [`ledger::clock`]: latency counts from here.
    pub planned: Option<u64>,
    /// Starts a trace of its own.
    pub root: Option<Root>,
}

/// What the root span of a trace says about its request.
#[derive(Debug, Clone)]
pub struct Root {
    /// Record the trace.
    pub sampled: bool,
    /// Cell of the plan.
    pub cell: Arc<str>,
    /// Round of the cell.
    pub round: u32,
    /// How many requests this one stands for.
    pub weight: f64,
    /// Nonce of the run; without one the request does not say in `tracestate` what it belongs to.
    pub nonce: Option<Arc<str>>,
    /// A stopwatch outside the probe; the root span waits for it.
    pub stopwatch: Option<Arc<Stopwatch>>,
}

impl Root {
    /// The attributes of the root span that say it.
    pub(crate) fn attributes(&self) -> Vec<(&'static str, Value)> {
        vec![
            (names::CELL, Value::Text(self.cell.to_string())),
            (names::ROUND, Value::Int(i64::from(self.round))),
            (names::WEIGHT, Value::Float(self.weight)),
        ]
    }

    /// What the request whose span is `span` carries: where it begins, in `tracestate`. One that is not traced
    /// carries nothing, for no span will tell of it.
    pub(crate) fn carried(&self, span: u64) -> Option<Arc<Carried>> {
        let nonce = self.nonce.as_deref().filter(|_| self.sampled)?;
        let edge = Edge { span, cell: (*self.cell).into(), round: self.round, nonce: nonce.into() };
        Carried::with_member(&edge.member())
    }
}
