//! What to run: plans, read from TOML, narrowed or overridden, and unrolled into cells.
//!
//! Nothing here runs anything. The words: a plan has factors, a cell is one combination of them.

mod arms;
mod catalog;
mod certification;
mod file;
mod fits;
mod knobs;
mod naming;
mod objective;
mod payload;
mod schema;
mod unroll;
mod written;

pub use arms::ArmSettings;
pub use catalog::{BUILT_IN, load, text};
pub use certification::SETTLE_NS;
pub use certification::{Certification, Certify, rate_to_keep};
pub use file::{DURATIONS, PAIRS, RATES, Rate};
pub use knobs::{
    Form, KNOBS, Knob, KnobError, Programs, assignment, injection, read as read_knobs,
    without_effect, written as written_knobs,
};
pub use objective::{Aim, Measured, Objective, ObjectiveError};
pub use payload::{MAX_PAYLOAD, Payload, PayloadError};
pub use schema::schema;
pub use settings::{Size, Span};

use serde::{Deserialize, Serialize};

use crate::workload::WorkloadError;
use crate::{Arrivals, Cell, Protocol, Service};

/// What to run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// Its name; the run is named after it.
    pub name: String,
    /// One or two sentences on what it is for.
    pub about: String,
    /// The combinations of its factors, in the order in which a forward round runs them.
    pub cells: Vec<Cell>,
    /// How often each cell is repeated.
    pub rounds: u32,
    /// A request that is not answered for so long is an error, in nanoseconds.
    pub timeout_ns: u64,
    /// Users that k6 makes beforehand (`preAllocatedVUs`). The built-in driver needs none.
    pub preallocated: usize,
    /// Rest after each round, in nanoseconds, in which spans are sent: the services' CPU time has it, too.
    pub settle_ns: u64,
    /// Go on after these rounds until intervals are so narrow.
    pub until: Option<Until>,
    /// What is asked of the system.
    pub objectives: Vec<Aim>,
    /// How to certify the probe before the cells, if at all.
    pub certify: Option<Certify>,
}

/// When intervals are narrow enough.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Until {
    /// Half the width of each, as a share of the mean.
    pub share: f64,
    /// Rounds at most.
    pub rounds: u32,
}

/// What the command line changes in a plan. Empty lists and `None` leave it as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Overrides {
    /// Run these protocols only.
    pub protocols: Vec<Protocol>,
    /// Declare these payloads instead, in bytes.
    pub payloads: Vec<u64>,
    /// Offer these rates instead, in requests a second.
    pub rates: Vec<f64>,
    /// Measured time of a round instead, in nanoseconds.
    pub duration_ns: Option<u64>,
    /// Warm-up instead, in nanoseconds.
    pub warmup_ns: Option<u64>,
    /// Turns of this length instead, in nanoseconds; 0 for none.
    pub turn_ns: Option<u64>,
    /// Rounds instead.
    pub rounds: Option<u32>,
    /// Settings laid over those of every cell.
    pub knobs: toml::Table,
    /// These arms instead.
    pub arms: Vec<ArmSettings>,
    /// When requests begin instead.
    pub arrivals: Option<Arrivals>,
    /// Requests traced in a second at most instead.
    pub traces_per_second: Option<f64>,
    /// Go on until intervals are so narrow.
    pub until: Option<Until>,
    /// What is asked of the system beside what the plan asks.
    pub objectives: Vec<Objective>,
    /// Leave the certification out.
    pub no_certify: bool,
}

/// Why a plan cannot be run. Each message begins with the plan's file or name.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Neither a file nor a built-in plan.
    #[error("no plan is called {name:?} and there is no such file; the built-in plans are {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// The plans there are.
        known: String,
    },
    /// The file cannot be read.
    #[error("cannot read the plan {file}: {error}")]
    Unreadable {
        /// The file.
        file: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// Not TOML, an unknown key, a value of another type or outside its limits.
    #[error("{file}: {error}")]
    Format {
        /// The file or the built-in plan.
        file: String,
        /// Line, key and reason.
        error: Box<toml::de::Error>,
    },
    /// A value outside its limits.
    #[error("{file}: key `{key}`: {value} is outside its limits, {low} to {high}")]
    Limit {
        /// The file or the built-in plan.
        file: String,
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
        /// Smallest value.
        low: String,
        /// Largest value.
        high: String,
    },
    /// A setting of the services is refused.
    #[error("{file}: key `knobs`: {error}")]
    Knob {
        /// The file or the built-in plan.
        file: String,
        /// Why.
        error: KnobError,
    },
    /// A workload of the plan's own is refused.
    #[error("{file}: {error}")]
    Workload {
        /// The file or the built-in plan.
        file: String,
        /// Why.
        error: WorkloadError,
    },
    /// Two cells cannot be told apart, or there is none.
    #[error("{file}: {reason}")]
    Cells {
        /// The file or the built-in plan.
        file: String,
        /// What is wrong with them.
        reason: String,
    },
}

impl Plan {
    /// The plan that `text` spells out, changed by `overrides`. `file` is what errors call it.
    ///
    /// # Errors
    /// If the text is not a plan or asks for more than can be run.
    pub fn read(file: &str, text: &str, overrides: &Overrides) -> Result<Plan, PlanError> {
        unroll::unroll(file, text, overrides)
    }

    /// How long the plan takes at least, in nanoseconds: requests that outlive their round and the
    /// starting of services come on top.
    #[must_use]
    pub fn expected_ns(&self) -> u64 {
        let takes = |cell: &Cell| {
            let turns = u64::from(cell.turns() - 1) * cell.lead_in_ns();
            cell.warmup_ns + cell.duration_ns + turns + self.settle_ns
        };
        let round: u64 = self.cells.iter().map(takes).sum();
        u64::from(self.rounds) * round + self.certify.as_ref().map_or(0, Certify::expected_ns)
    }

    /// The same for a load generator that takes no turns, and no round shorter than `shortest_ns`: of cells that were to
    /// take turns so many rounds become one that it is long enough.
    #[must_use]
    pub fn without_turns(mut self, shortest_ns: u64) -> Plan {
        let turning = self.cells.iter().filter(|cell| cell.turn_ns.is_some());
        let rounds = turning.map(|cell| (cell.warmup_ns + cell.duration_ns).max(1));
        let Some(shortest) = rounds.min() else { return self };
        let joined = u32::try_from(shortest_ns.div_ceil(shortest)).unwrap_or(u32::MAX).max(1);
        for cell in &mut self.cells {
            cell.turn_ns = None;
            cell.warmup_ns = cell.warmup_ns.saturating_mul(joined.into());
            cell.duration_ns = cell.duration_ns.saturating_mul(joined.into());
        }
        self.rounds = self.rounds.div_ceil(joined);
        self.until =
            self.until.map(|until| Until { rounds: until.rounds.div_ceil(joined), ..until });
        self
    }

    /// The services that requests of its cells reach beyond the one that load generators ask.
    #[must_use]
    pub fn reaches(&self) -> Vec<&'static Service> {
        reached(&self.cells)
    }
}

/// Which of `cells` are run together, by their places: those that take turns and ask the same of the same services, each by
/// another protocol. Every other cell is by itself.
#[must_use]
pub fn together<'a>(cells: impl IntoIterator<Item = &'a Cell>) -> Vec<Vec<usize>> {
    let mut groups: Vec<(&Cell, Vec<usize>)> = Vec::new();
    for (place, cell) in cells.into_iter().enumerate() {
        let alike = |first: &Cell| {
            let asked = Cell { id: first.id.clone(), protocol: first.protocol, ..cell.clone() };
            cell.turn_ns.is_some() && asked == *first
        };
        match groups.iter_mut().find(|(first, _)| alike(first)) {
            Some((_, places)) => places.push(place),
            None => groups.push((cell, vec![place])),
        }
    }
    groups.into_iter().map(|(_, places)| places).collect()
}

/// The places of `count` cells in the order in which `round` runs them: forward, then backward, so that a drift of the
/// machine weighs on both ends alike.
pub fn order(count: usize, round: u32) -> impl Iterator<Item = usize> {
    (0..count).map(move |index| if round.is_multiple_of(2) { index } else { count - 1 - index })
}

/// The services that requests of `cells` reach beyond the one that load generators ask.
pub fn reached<'a>(cells: impl IntoIterator<Item = &'a Cell>) -> Vec<&'static Service> {
    let mut reached: Vec<_> = cells.into_iter().flat_map(|cell| cell.workload.services()).collect();
    reached.sort_unstable_by_key(|service| service.name);
    reached.dedup();
    reached
}
