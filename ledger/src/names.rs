//! Every name that crosses a process boundary: span attributes, measurements, tags and fields.
//!
//! Writers and readers use these constants, so a rename is one line and a typo does not compile.

/// Resource attribute: which clock the marks were read from ([`crate::clock::identity`]).
pub const CLOCK: &str = "lab.clock";
/// Resource attribute (semantic conventions): name of the process that made the span.
pub const SERVICE_NAME: &str = "service.name";
/// Resource attribute (semantic conventions): process id.
pub const PROCESS_PID: &str = "process.pid";
/// Span attribute: the marks and sending times of one side of a hop, as text.
pub const MARKS: &str = "lab.marks";
/// Span attribute: bytes, frames and connection of one side of a hop, as text.
pub const WIRE: &str = "lab.wire";
/// Span attribute: what the injector really took, as text (`stage=nanoseconds`).
pub const INJECTED: &str = "lab.injected";
/// Root span attribute: the cell of the plan that the request belongs to.
pub const CELL: &str = "lab.cell";
/// Root span attribute: the round of the cell, from 0.
pub const ROUND: &str = "lab.round";
/// Root span attribute: latency by a stopwatch outside the probe, in nanoseconds.
pub const STOPWATCH: &str = "lab.stopwatch_ns";
/// Root span attribute: how many requests this traced one stands for.
pub const WEIGHT: &str = "lab.weight";
/// Span attribute: spans that the process lost so far (its export queue was full or failed).
pub const LOST: &str = "lab.lost";
/// Span attribute (semantic conventions): logical name of the called service.
pub const PEER_SERVICE: &str = "peer.service";
/// Span attribute (semantic conventions): address of the called service.
pub const SERVER_ADDRESS: &str = "server.address";

/// Measurement of windowed stage times.
pub const M_HOP: &str = "hop";
/// Measurement of the load: planned, started, dropped, late, ok, error.
pub const M_LOAD: &str = "load";
/// Measurement of process resources.
pub const M_PROCESS: &str = "process";
/// Measurement of verdicts.
pub const M_VERDICT: &str = "verdict";
