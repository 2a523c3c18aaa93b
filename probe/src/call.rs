//! What a caller says of a call beyond its content.

use std::sync::Arc;
use std::time::Duration;

use ledger::{Edge, Value, names};

use crate::carried::Carried;
use crate::scope::Context;
use crate::stopwatch::Stopwatch;

/// What a caller knows about a call beyond its content. By default it is a child of the request
/// being served, or an unsampled trace of its own.
#[derive(Debug, Clone, Default)]
pub struct Call {
    /// When the call was to start, on [`ledger::clock`]: latency counts from here.
    pub planned: Option<u64>,
    /// Starts a trace of its own.
    pub root: Option<Root>,
    /// The request that the call is made for, where that is not the one that the current task works on.
    pub parent: Option<Context>,
    /// How long it may take. Where the request that it is made for has less time left, that is the limit.
    pub timeout: Option<Duration>,
    /// The path as a template (`/users/{id}`), where the path itself has an id in it.
    pub route: Option<Arc<str>>,
}

impl Call {
    /// A call that begins a trace of its own, recorded or not.
    #[must_use]
    pub fn root(sampled: bool) -> Call {
        Call { root: Some(Root { sampled, ..Root::default() }), ..Call::default() }
    }
}

/// What the root span of a trace says about its request.
#[derive(Debug, Clone)]
pub struct Root {
    /// Record the trace.
    pub sampled: bool,
    /// Cell of the plan; empty where there is none.
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

/// A request that is not recorded, is in no cell, and stands for itself.
impl Default for Root {
    fn default() -> Self {
        let cell = Arc::from("");
        Root { sampled: false, cell, round: 0, weight: 1.0, nonce: None, stopwatch: None }
    }
}

impl Root {
    /// The attributes of the root span that say it.
    pub(crate) fn attributes(&self) -> Vec<(&'static str, Value)> {
        if self.cell.is_empty() && self.weight == 1.0 {
            return Vec::new();
        }
        vec![
            (names::CELL, Value::Text(self.cell.to_string())),
            (names::ROUND, Value::Int(i64::from(self.round))),
            (names::WEIGHT, Value::Float(self.weight)),
        ]
    }

    /// What the request carries in `tracestate`: that `span` is its beginning, its edge. A request that is not traced
    /// carries nothing, since no span will tell of it.
    pub(crate) fn carried(&self, span: u64) -> Option<Arc<Carried>> {
        let nonce = self.nonce.as_deref().filter(|_| self.sampled)?;
        let edge = Edge { span, cell: (*self.cell).into(), round: self.round, nonce: nonce.into() };
        Carried::with_member(&edge.member())
    }
}
