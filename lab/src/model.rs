//! What the lab runs and what it measured: plans, cells, rounds, as plain data.
//!
//! The driver side of the lab fills these; verdicts and reports read them. Nothing here does I/O.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// The protocol of the inner hop of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// JSON over HTTP/1.1.
    Rest,
    /// Protobuf over HTTP/2.
    Grpc,
}

impl Protocol {
    /// The name used in plans, paths, tags and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Protocol::Rest => "rest",
            Protocol::Grpc => "grpc",
        }
    }
}

/// What the requests of a cell ask the gateway for.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Workload {
    /// A payload of the declared size, sent through the echo service and back.
    #[default]
    Ping,
    /// How many users have an e-mail, asked of PostgreSQL through the users service.
    Users,
}

impl Workload {
    /// The name used in plans, cells and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Workload::Ping => "ping",
            Workload::Users => "users",
        }
    }
}

/// How the gateway comes by the payload it sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PayloadSource {
    /// A slice of a pool of random letters made at start-up.
    #[default]
    Pool,
    /// A random string made for each request under one lock, as the blog's gateway did.
    PerRequest,
}

/// Settings of the services that hold for a whole cell; services are restarted where they change.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Knobs {
    /// HTTP/2 stream window in bytes, both ends of the inner hop; the library's default if absent.
    pub stream_window: Option<u32>,
    /// HTTP/2 connection window in bytes, both ends of the inner hop.
    pub connection_window: Option<u32>,
    /// Largest HTTP/2 frame in bytes, both ends of the inner hop.
    pub frame_size: Option<u32>,
    /// A new connection for each call of the inner hop, instead of a pool.
    pub connection_per_request: bool,
    /// Leave Nagle's algorithm on (TCP_NODELAY off).
    pub nagle: bool,
    /// How the gateway comes by its payload.
    pub payload_source: PayloadSource,
    /// Worker threads of each service; one per core if absent.
    pub worker_threads: Option<usize>,
    /// The gateway double of the blog: REST payloads have this many bytes whatever is declared.
    pub rest_size_bug: Option<u64>,
    /// Delays to inject: stage name to nanoseconds, with the process that injects it
    /// (`gateway:handler`, `echo:reply_encode`, `driver:request_encode`).
    pub inject: BTreeMap<String, u64>,
    /// Run with probes off (for the certification of the probe).
    pub probes_off: bool,
    /// Rows of the users table; [`DEFAULT_USERS`] if absent.
    pub users: Option<u64>,
    /// Leave the users table without an index on e-mail: every question reads all of it.
    pub unindexed: bool,
    /// Connections that the users service keeps to its database; its own default if absent.
    pub pool_size: Option<u32>,
}

/// Rows of the users table, unless a cell says otherwise.
pub const DEFAULT_USERS: u64 = 1_000_000;

/// One combination of a plan's factors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Unique within the run, e.g. `rest-10kB`.
    pub id: String,
    /// Protocol of the inner hop.
    pub protocol: Protocol,
    /// What is asked of the gateway.
    pub workload: Workload,
    /// Declared payload, in bytes; 0 where the workload has none.
    pub payload_bytes: u64,
    /// Planned arrivals per second.
    pub rate: f64,
    /// Measured time of each round, in nanoseconds.
    pub duration_ns: u64,
    /// Time before it that is not counted, in nanoseconds.
    pub warmup_ns: u64,
    /// Requests in flight at most (k6's maxVUs): an arrival past it is dropped.
    pub max_in_flight: usize,
    /// Service settings.
    pub knobs: Knobs,
}

/// What became of the planned requests of a round. `planned = started + dropped` and
/// `started = ok + error + unfinished`; `late` is a part of `started`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Requests {
    /// Arrivals that the plan asked for.
    pub planned: u64,
    /// Requests that were sent.
    pub started: u64,
    /// Arrivals for which no slot was free.
    pub dropped: u64,
    /// Requests sent more than [`LATE_NS`] after their planned time; `None` where the load generator does not
    /// tell (k6).
    pub late: Option<u64>,
    /// Requests answered as the contract says.
    pub ok: u64,
    /// Requests answered otherwise or not at all.
    pub error: u64,
    /// Requests still in flight when the run was interrupted.
    pub unfinished: u64,
}

/// A request sent later than this after its planned time is late, in nanoseconds.
pub const LATE_NS: u64 = 10_000_000;

impl std::ops::AddAssign for Requests {
    fn add_assign(&mut self, other: Self) {
        self.planned += other.planned;
        self.started += other.started;
        self.dropped += other.dropped;
        self.late = self.late.zip(other.late).map(|(own, other)| own + other);
        self.ok += other.ok;
        self.error += other.error;
        self.unfinished += other.unfinished;
    }
}

/// One second of a round, by the planned time of its requests.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Second {
    /// Seconds since the measured part of the round began.
    pub second: u64,
    /// Requests planned in it.
    pub planned: u64,
    /// Requests that ended in it.
    pub completed: u64,
    /// Arrivals dropped in it.
    pub dropped: u64,
    /// Of those planned in it, requests that were sent.
    pub started: u64,
    /// Of those, requests sent more than [`LATE_NS`] after their planned time; `None` as in [`Requests`].
    pub late: Option<u64>,
    /// Of those, requests answered as the contract says.
    pub ok: u64,
    /// Of those, requests answered otherwise or not at all.
    pub error: u64,
    /// Sum of the latencies of the requests planned in it that succeeded, in microseconds.
    pub latency_sum_us: f64,
    /// How many latencies that sum holds.
    pub latency_count: u64,
}

/// One repetition of a cell, as the load generator saw it.
#[derive(Debug, Clone)]
pub struct RoundMeasure {
    /// Round number, from 0.
    pub round: u32,
    /// Start of the measured part, on [`ledger::clock`].
    pub start_ns: u64,
    /// End of the measured part: the last request has ended.
    pub end_ns: u64,
    /// Accounting.
    pub requests: Requests,
    /// Requests traced.
    pub traced: u64,
    /// How many requests each traced one stands for.
    pub weight: f64,
    /// Latency from the planned start of every successful request, in nanoseconds.
    pub latency: Histogram<u64>,
    /// Planned start to start of the call, of every started request, in nanoseconds.
    pub send_delay: Histogram<u64>,
    /// One entry a second.
    pub seconds: Vec<Second>,
    /// What errors said, and how often.
    pub errors: BTreeMap<String, u64>,
    /// What the database counted meanwhile, warm-up included, where there is one.
    pub statements: Option<Statements>,
    /// What k6 alone says, where it drove.
    pub k6: Option<K6Measure>,
    /// CPU used by the load generator's process in the measured part, in nanoseconds.
    pub driver_cpu_ns: u64,
    /// CPU used by the whole machine in the measured part, as a share of all its cores (0 … 1).
    pub host_cpu_share: f64,
}

/// What a database counted of its own work on the cell's statement (`pg_stat_statements`).
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
pub struct Statements {
    /// Executions.
    pub calls: u64,
    /// Time inside of them, in microseconds.
    pub exec_us: f64,
}

impl Statements {
    /// What came on top of `before`.
    #[must_use]
    pub fn since(self, before: Statements) -> Statements {
        Statements {
            calls: self.calls.saturating_sub(before.calls),
            exec_us: (self.exec_us - before.exec_us).max(0.0),
        }
    }
}

/// What k6 alone says of a round that it drove.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct K6Measure {
    /// A threshold was not kept (k6's exit code 99). That is a finding, not an error.
    pub thresholds_failed: bool,
    /// Requests of which everything is known.
    pub joined: u64,
    /// Requests of which lines are missing, so that their latency is not known: cut off when k6 stopped, or
    /// their lines were refused. They count as errors, or as unfinished in a round that was halted.
    pub not_joined: u64,
    /// Lines of its stream that could not be read.
    pub lines_refused: u64,
    /// Requests that opened a connection.
    pub connected: u64,
    /// What that took in all, in nanoseconds; k6's latency (blocked + connecting + duration) has it twice.
    pub connecting_ns: u64,
    /// Root spans that did not reach the sidecar.
    pub spans_lost: u64,
}

/// A cell with all its rounds.
#[derive(Debug, Clone)]
pub struct CellMeasure {
    /// What was asked for.
    pub cell: Cell,
    /// What was measured.
    pub rounds: Vec<RoundMeasure>,
}

/// The certified cost of the probe: CPU seconds per request of the services, probes on over off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeCost {
    /// Mean ratio on/off.
    pub ratio: f64,
    /// Lower and upper end of its 95 % interval (Student's t over paired rounds, drift taken out).
    pub interval: (f64, f64),
    /// Paired rounds it was computed from.
    pub pairs: u32,
    /// The cell it was measured on.
    pub cell: String,
    /// Share of requests that were traced while probes were on.
    pub traced_share: f64,
}

/// What a certification of the probe found: its cost, and what it was computed from.
#[derive(Debug, Clone, PartialEq)]
pub struct Certificate {
    /// The cost.
    pub cost: ProbeCost,
    /// CPU time of gateway and echo per request with probes on, in nanoseconds, mean of the pairs.
    pub on_ns: f64,
    /// The same with probes off.
    pub off_ns: f64,
    /// Pairs that were thrown away and measured again, since not every request was answered.
    pub discarded: u32,
}

/// One part of the lab, real or standing in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// What it is for: `driver`, `store`, `database`, `dashboards`, `gateway`, …
    pub role: String,
    /// What does it: `built-in driver`, `k6`, `run file`, `influxd`, …
    pub name: String,
    /// Its version.
    pub version: String,
    /// Where it listens, if it does.
    pub address: Option<String>,
    /// False where an embedded part stands in for a real one.
    pub real: bool,
    /// One sentence: why it stands in and how to get the real one.
    pub note: String,
}

/// Where a run was made.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Environment {
    /// Version of the lab.
    pub lab_version: String,
    /// CPU model.
    pub cpu_model: String,
    /// Number of CPUs.
    pub cpus: usize,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Kernel release.
    pub kernel: String,
    /// CPU frequency governor, or `unknown`.
    pub governor: String,
    /// Compiler that built the lab.
    pub rustc: String,
    /// What it was built for, and how: target and profile.
    #[serde(default = "unknown")]
    pub build: String,
    /// SHA-256 of the Cargo.lock that it was built with, or `unknown`.
    #[serde(default = "unknown")]
    pub cargo_lock: String,
    /// SHA-256 of the flake.lock beside it, which pins the parts that are not ours, or `unknown`.
    #[serde(default = "unknown")]
    pub flake_lock: String,
    /// Clock source of the kernel.
    pub clocksource: String,
    /// When the run began, RFC 3339, UTC.
    pub started_at: String,
}

/// What results of earlier versions say where they say nothing.
fn unknown() -> String {
    "unknown".to_owned()
}

/// Everything a run measured, before it is judged.
#[derive(Debug, Clone)]
pub struct RunMeasure {
    /// Name of the plan.
    pub plan: String,
    /// Unique name of the run.
    pub run_id: String,
    /// Where it was made.
    pub environment: Environment,
    /// The parts used.
    pub components: Vec<Component>,
    /// The cells, in plan order.
    pub cells: Vec<CellMeasure>,
    /// The cost of measuring, if it was certified.
    pub probe_cost: Option<ProbeCost>,
    /// The run was interrupted.
    pub incomplete: bool,
    /// The command line that made the run.
    pub command: String,
    /// Spans that processes lost before sending, and that the sidecar dropped, by reason.
    pub spans_lost: BTreeMap<String, u64>,
    /// Points that InfluxDB did not have when the books were closed, by what became of them.
    pub points_missing: BTreeMap<String, u64>,
}
