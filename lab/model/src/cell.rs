//! What is to be run, as plain data: a cell is one combination of a plan's factors.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::workload::{Carried, Request, Workload};

/// The protocol of the inner hop of a cell.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
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

/// How the gateway comes by the payload it sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PayloadSource {
    /// A slice of a pool of random letters made at start-up.
    #[default]
    Pool,
    /// A random string made for each request under one lock, as the blog's gateway did.
    PerRequest,
}

/// Settings of the services that hold for a whole cell; services are restarted where they change.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
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
    /// How far the gateway is from the services that it calls, there and back. The lab puts its relay between them, which
    /// holds every byte back; with `0s` it holds nothing back. Without this and `bandwidth` there is no relay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt: Option<u64>,
    /// What the line between them carries in each direction, all connections together: whole bits a second with a unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<u64>,
    /// How the gateway comes by its payload.
    pub payload_source: PayloadSource,
    /// Worker threads of each service; one per core if absent.
    pub worker_threads: Option<usize>,
    /// A mistake to find: the gateway sends this many bytes by REST, whatever is declared.
    pub rest_size_bug: Option<u64>,
    /// Delays to inject, by `PROCESS:STAGE` (`gateway:handler`, `echo:reply_encode`, `driver:request_encode`), at most
    /// 60s. Without a process it is the gateway's.
    pub inject: BTreeMap<String, u64>,
    /// Run with probes off (for the certification of the probe).
    pub probes_off: bool,
    /// Rows of the users table; a million if absent.
    pub users: Option<u64>,
    /// Leave the users table without an index on e-mail: every query reads all of it.
    pub unindexed: bool,
    /// Connections that the users service keeps to its database; its own default if absent.
    pub pool_size: Option<u32>,
}

/// One side of a comparison: a variant of the system that runs the same cells as the others, in turn with them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Arm {
    /// Its name, e.g. `base`.
    pub name: String,
    /// The `run-lab` that its services are started from; this one if absent.
    pub program: Option<PathBuf>,
}

/// When requests begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arrivals {
    /// At equal distances.
    #[default]
    Constant,
    /// At random, independent of each other, as those of many users are.
    Poisson,
    /// A closed loop of so many users, each of whom sends a request when the one before has been answered: a slow system
    /// is asked less often.
    Closed(usize),
    /// A script of the user's own decides, and nothing here reads it.
    Script,
}

/// Traces a second at most, unless a plan says otherwise: what the probe's cost is certified for.
pub const MAX_TRACES_PER_SECOND: f64 = 200.0;

/// Rows of the users table, unless a cell says otherwise.
pub const DEFAULT_USERS: u64 = 1_000_000;

/// One combination of a plan's factors.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// Unique within the run, e.g. `rest-10kB`.
    pub id: String,
    /// Protocol of the inner hop.
    pub protocol: Protocol,
    /// What is asked of the gateway.
    pub workload: Arc<Workload>,
    /// Declared payload, in bytes; 0 where the workload has none.
    pub payload_bytes: u64,
    /// Planned arrivals per second.
    pub rate: f64,
    /// Measured time of each round, in nanoseconds.
    pub duration_ns: u64,
    /// Time before it that is not counted, in nanoseconds.
    pub warmup_ns: u64,
    /// How long it is asked before the cells that it is compared with have their turn, in nanoseconds; without it a round
    /// is measured in one go.
    pub turn_ns: Option<u64>,
    /// Requests in flight at most (k6's maxVUs): an arrival that would be one more is dropped.
    pub max_in_flight: usize,
    /// Service settings.
    pub knobs: Knobs,
    /// The arm that it belongs to, where arms are compared.
    pub arm: Option<Arc<Arm>>,
    /// When requests begin. Of a closed loop the rate says nothing.
    pub arrivals: Arrivals,
    /// Requests traced in a second at most.
    pub traces_per_second: f64,
}

impl Cell {
    /// A cell that no plan declared: the requests for `operation` that somebody made within `duration_ns`.
    #[must_use]
    pub fn undeclared(id: String, operation: &str, asked: u64, duration_ns: u64) -> Cell {
        Cell::of_script(id, operation, asked, duration_ns, Vec::new())
    }

    /// The same, of which whoever asked said what each hop is to carry. The payload is the largest of that.
    #[must_use]
    pub fn of_script(
        id: String,
        operation: &str,
        asked: u64,
        duration_ns: u64,
        carries: Vec<Carried>,
    ) -> Cell {
        let unknown = Workload::unknown(operation, !carries.is_empty());
        let both = carries.iter().flat_map(|hop| [&hop.request, &hop.reply]);
        Cell {
            payload_bytes: both.filter_map(Value::as_u64).max().unwrap_or(0),
            protocol: Protocol::Rest,
            workload: Arc::new(Workload { carries, ..unknown }),
            rate: asked as f64 / (duration_ns as f64 / 1e9),
            duration_ns,
            warmup_ns: 0,
            turn_ns: None,
            max_in_flight: 0,
            knobs: Knobs::default(),
            arm: None,
            arrivals: Arrivals::Script,
            traces_per_second: MAX_TRACES_PER_SECOND,
            id,
        }
    }

    /// How many turns a round of it has: as many as make each about as long as is asked for.
    #[must_use]
    pub fn turns(&self) -> u32 {
        let turns = self.turn_ns.map_or(1, |turn| self.duration_ns.div_ceil(turn.max(1)));
        u32::try_from(turns).unwrap_or(u32::MAX).max(1)
    }

    /// Before each turn but the first, in nanoseconds: one request that is not counted. Without it the first that counts
    /// would find processors awake that the change of turns has woken, and take less than those after it.
    #[must_use]
    pub fn lead_in_ns(&self) -> u64 {
        self.turn_ns.map_or(0, |turn| ((1e9 / self.rate) as u64).min(turn / 4))
    }

    /// Measured time of a round before its turn number `turn`, from 0, in nanoseconds.
    #[must_use]
    pub fn before_turn(&self, turn: u32) -> u64 {
        let (all, turns) = (u128::from(self.duration_ns), u128::from(self.turns()));
        // No more than the whole of it.
        u64::try_from(all * u128::from(turn) / turns).unwrap_or(self.duration_ns)
    }

    /// What is asked, and which answers are right, in the order of the workload's templates.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.workload.requests(self.protocol.name(), self.payload_bytes)
    }
}
