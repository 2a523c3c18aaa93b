//! The rows of the run file, as plain data.

use ledger::{Stage, StageSet, Traffic};

/// One traced request with its hops.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestRow {
    /// Trace id, 32 hexadecimal digits.
    pub trace_id: String,
    /// Cell of the plan; empty for traffic that no plan made.
    pub cell: String,
    /// Round of the cell.
    pub round: u32,
    /// Planned start (or the start of the root span), on the clock of the process that made it.
    pub start_ns: u64,
    /// Latency as the stages add up to it, in nanoseconds.
    pub latency_ns: i64,
    /// Latency by the stopwatch outside the probe, in nanoseconds.
    pub stopwatch_ns: Option<u64>,
    /// How many requests this one stands for.
    pub weight: f64,
    /// Marks that were out of order, over all hops.
    pub out_of_order: u32,
    /// Some reply began before its request's last byte was written.
    pub early: bool,
    /// The root span ended with an error status.
    pub error: bool,
    /// The hops, parents before children.
    pub hops: Vec<HopRow>,
}

/// One hop of a traced request.
#[derive(Debug, Clone, PartialEq)]
pub struct HopRow {
    /// `client→server`, by service name.
    pub hop: String,
    /// Distance from the edge.
    pub depth: u32,
    /// A client or a server half is missing.
    pub unjoined: bool,
    /// Every stage's time and kind.
    pub stages: StageSet,
    /// What the request put on the wire (as the client's tap counted, else the server's).
    pub request: Traffic,
    /// What the reply put on the wire.
    pub reply: Traffic,
    /// Both ends were tapped and counted different body bytes.
    pub wire_disagrees: bool,
    /// Connection number in the client process; 0 if unknown.
    pub connection: u64,
    /// HTTP version on the wire, 11 or 20; 0 if unknown.
    pub http: u64,
    /// How often the request was put on a connection.
    pub attempts: u64,
    /// Injected delays as the injectors measured them, in nanoseconds; both sides.
    pub injected: Vec<(Stage, u64)>,
}

/// Resources of one process at one time. Counters run from the start of the process.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ProcessSample {
    /// When, on [`ledger::clock`].
    pub at_ns: u64,
    /// Service name; `host` for the whole machine.
    pub process: String,
    /// Process id; 0 for the host.
    pub pid: u32,
    /// CPU time used so far, user and system, in nanoseconds.
    pub cpu_ns: u64,
    /// Resident memory in bytes.
    pub rss_bytes: u64,
    /// Threads.
    pub threads: u64,
    /// Context switches the process asked for, over all threads.
    pub voluntary_switches: u64,
    /// Context switches forced on it.
    pub involuntary_switches: u64,
    /// Time its threads were ready and waited for a CPU, in nanoseconds.
    pub run_queue_wait_ns: u64,
}
