//! What a caller says of a call beyond its content.

use std::sync::Arc;

use ledger::{Value, names};

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
}
