//! A plan as it is written in TOML. Every limit that concerns one key alone is held here.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};

use super::knobs;
use super::objective::Objective;
use super::payload::Payload;
use super::written;
use crate::{Protocol, Workload};
use settings::Span;

/// The smallest and largest rate that can be planned, in requests a second.
pub const RATES: (f64, f64) = (0.01, 1_000_000.0);

/// Rounds of a plan at most.
pub(super) const MAX_ROUNDS: u64 = 1_000;
/// Requests in flight at most: each holds a connection, and file descriptors end.
pub(super) const MAX_IN_FLIGHT: u64 = 10_000;
/// Pairs of certifying rounds: Student's t needs two, more than this only takes time.
pub const PAIRS: (u64, u64) = (2, 200);
/// Shortest and longest turn, in nanoseconds (10 ms, a day).
pub(super) const TURNS: (u64, u64) = (10_000_000, 86_400_000_000_000);
/// Shortest and longest measured time of a round and time-out, in nanoseconds (100 ms, a day).
pub const DURATIONS: (u64, u64) = (100_000_000, 86_400_000_000_000);

/// A plan: the factors of an experiment, and how each combination of them is run.
// What is said here of a key is what `docs/plans.md` and the schema say of it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "A plan of run-lab")]
pub(super) struct PlanFile {
    /// What the plan is called; runs are named after it. The name of the file if absent.
    pub(super) name: Option<String>,
    /// What it is for, in a sentence or two.
    #[serde(default)]
    pub(super) about: String,
    /// What requests ask for: `ping` (a payload through the echo service), `users` (a question to the database), or a
    /// workload of this file. `ping` if absent.
    pub(super) workload: Option<String>,
    /// Workloads of the plan's own, by their names: lower-case letters, digits and hyphens.
    #[serde(default)]
    pub(super) workloads: BTreeMap<String, Workload>,
    /// Protocols of the hop behind the gateway: `rest` is JSON over HTTP/1.1, `grpc` protobuf over HTTP/2. Where
    /// no request names the protocol it is a label.
    #[serde(default = "rest")]
    pub(super) protocol: Vec<Protocol>,
    /// Payloads that the cells declare, for a workload that has one.
    #[serde(default)]
    pub(super) payload: Vec<Payload>,
    /// Requests a second that are offered; of several, each has cells of its own.
    #[schemars(schema_with = "rates")]
    pub(super) rate: Rates,
    /// Measured time of each round, 100ms to 24h.
    #[schemars(schema_with = "duration")]
    pub(super) duration: Span,
    /// Time before each round that is not counted.
    #[serde(default)]
    #[schemars(schema_with = "duration", extend("default" = "0s"))]
    pub(super) warmup: Span,
    /// How long a cell is asked before those that it is compared with have their turn, 10ms to 24h; then its next one
    /// comes, until each has had its `duration`. What the machine does meanwhile then weighs on all alike. For cells that
    /// differ in their protocol alone, and a rate at which they keep up: whoever has a turn waits until all answers of
    /// the one before are there. k6 takes none: it makes one round of so many that it is a second long. A round of a cell
    /// is measured in one go if absent.
    #[serde(default)]
    #[schemars(schema_with = "duration")]
    pub(super) turn: Option<Span>,
    /// How often each cell is run. Less than six and no difference is claimed.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = MAX_ROUNDS))]
    pub(super) rounds: u32,
    /// Requests in flight at most. An arrival that finds no free slot is dropped, and counted.
    #[serde(default = "two_hundred")]
    #[schemars(range(min = 1, max = MAX_IN_FLIGHT))]
    pub(super) max_in_flight: usize,
    /// Users that k6 makes beforehand (`preAllocatedVUs`), no more than `max_in_flight`; that or 50 if absent, whichever
    /// is less. The built-in driver needs none.
    #[schemars(range(min = 1, max = MAX_IN_FLIGHT))]
    pub(super) preallocated: Option<usize>,
    /// A request that is not answered for so long is an error, 100ms to 24h.
    #[serde(default = "a_minute")]
    #[schemars(schema_with = "duration", extend("default" = "1m"))]
    pub(super) timeout: Span,
    /// How the cost of the probe is measured before the cells. It is not measured if absent.
    pub(super) certify: Option<CertifyFile>,
    /// Settings of the services, in every cell.
    #[serde(default)]
    pub(super) knobs: KnobsFile,
    /// The plan's cells once for each of these, narrowed and with other settings. A plan without any has its cells once.
    #[serde(default)]
    pub(super) variant: Vec<VariantFile>,
    /// The sides of a comparison, two at least: every cell is run by each of them, in turn.
    #[serde(default)]
    pub(super) arm: Vec<ArmFile>,
    /// Rest after each round, in which spans are sent.
    #[serde(default)]
    #[schemars(schema_with = "duration", extend("default" = "0s"))]
    pub(super) settle: Span,
    /// When requests begin: at equal distances (`constant`, if absent) or at random (`poisson`).
    #[serde(default)]
    pub(super) arrivals: Option<Arrivals>,
    /// A closed loop of so many users: each waits for an answer before asking again, so a slow system is asked less.
    /// `rate` and `arrivals` then say nothing.
    #[schemars(range(min = 1, max = MAX_IN_FLIGHT))]
    pub(super) concurrency: Option<usize>,
    /// Requests traced in a second at most, chosen at random; 200 if absent.
    #[serde(default)]
    #[schemars(schema_with = "rate")]
    pub(super) traces_per_second: Option<Rate>,
    /// What is asked of the system. Missing it is exit code 6, and no verdict.
    #[serde(default)]
    pub(super) objective: Vec<ObjectiveFile>,
}

/// One side of a comparison.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "arm")]
pub(super) struct ArmFile {
    /// What it is called, for example `base`.
    pub(super) name: String,
    /// The `run-lab` that its services are started from; this one if absent.
    pub(super) program: Option<PathBuf>,
    /// Its settings, laid over those of the cells.
    #[serde(default)]
    pub(super) knobs: KnobsFile,
}

/// When requests of a plan begin, where that is not a closed loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(super) enum Arrivals {
    Constant,
    Poisson,
}

/// What is asked of the system, of all cells or of those whose names hold a word.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "objective")]
pub(super) struct ObjectiveFile {
    /// What is to hold: `mean`, `p50`, `p90`, `p99` or `max` below a duration, `errors` or `dropped` below a percentage,
    /// `completed` above answers a second. For example `p99<200ms`.
    pub(super) holds: Objective,
    /// Of cells whose names hold this; of all if it is empty.
    #[serde(default)]
    pub(super) cells: String,
}

/// How the probe's cost is measured before the cells: CPU per request, probes on over off.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "certify")]
pub(super) struct CertifyFile {
    /// Pairs of rounds, one with probes and one without.
    #[schemars(range(min = PAIRS.0, max = PAIRS.1), extend("default" = 6))]
    pub(super) pairs: u32,
    /// Measured time of each, 100ms to 24h.
    #[schemars(schema_with = "duration", extend("default" = "1s"))]
    pub(super) round: Span,
    /// The protocol of the cell it is measured on.
    #[schemars(extend("default" = "grpc"))]
    pub(super) protocol: Protocol,
    /// Its payload.
    #[schemars(extend("default" = "1kB"))]
    pub(super) payload: Payload,
    /// Requests a second; the first of the plan's if absent.
    #[schemars(schema_with = "rate")]
    pub(super) rate: Option<Rate>,
}

impl Default for CertifyFile {
    fn default() -> Self {
        CertifyFile {
            pairs: 6,
            round: Span(1_000_000_000),
            protocol: Protocol::Grpc,
            payload: Payload(1_000),
            rate: None,
        }
    }
}

/// The cells of the plan once more, narrowed, with other settings.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "variant")]
pub(super) struct VariantFile {
    /// What its cells have at the end of their names, so that they can be told apart. One variant may do without.
    #[serde(default)]
    pub(super) name: String,
    /// Its workload, in place of the plan's.
    pub(super) workload: Option<String>,
    /// Its protocols, in place of the plan's.
    pub(super) protocol: Option<Vec<Protocol>>,
    /// Its payloads, in place of the plan's.
    pub(super) payload: Option<Vec<Payload>>,
    /// Its settings, laid over the plan's.
    #[serde(default)]
    pub(super) knobs: KnobsFile,
}

/// A table of settings; what each may be is looked at where they are known.
#[derive(Debug, Clone, Default)]
pub(super) struct KnobsFile(pub(super) toml::Table);

impl<'de> Deserialize<'de> for KnobsFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match toml::Value::deserialize(deserializer)? {
            toml::Value::Table(table) => Ok(KnobsFile(table)),
            other => Err(D::Error::custom(format!("{other} is no table of settings"))),
        }
    }
}

/// A label of cells whose requests do not name the protocol.
fn rest() -> Vec<Protocol> {
    vec![Protocol::Rest]
}

impl JsonSchema for KnobsFile {
    fn schema_name() -> Cow<'static, str> {
        "knobs".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        knobs::schema()
    }
}

fn duration(_: &mut SchemaGenerator) -> Schema {
    written::duration()
}

/// How a rate is written.
fn rate(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "number", "minimum": RATES.0, "maximum": RATES.1 })
}

/// How one or more rates are written.
fn rates(generator: &mut SchemaGenerator) -> Schema {
    let one = rate(generator);
    json_schema!({ "anyOf": [one, { "type": "array", "items": one }] })
}

fn one() -> u32 {
    1
}

fn two_hundred() -> usize {
    200
}

fn a_minute() -> Span {
    Span(60_000_000_000)
}

/// Arrivals a second, within [`RATES`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate(pub f64);

impl TryFrom<f64> for Rate {
    type Error = String;

    fn try_from(value: f64) -> Result<Self, String> {
        let (low, high) = RATES;
        if (low..=high).contains(&value) {
            Ok(Rate(value))
        } else {
            Err(format!("a rate of {value} requests/s is outside its limits, {low} to {high}"))
        }
    }
}

impl std::str::FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.trim().parse::<f64>();
        number
            .map_err(|_| format!("{text:?} is not a rate: write requests per second, such as 100"))?
            .try_into()
    }
}

/// One rate or several.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rates(pub(super) Vec<f64>);

struct RatesVisitor;

impl<'de> Visitor<'de> for RatesVisitor {
    type Value = Vec<f64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a rate in requests per second, or a list of rates")
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Vec<f64>, E> {
        self.visit_f64(value as f64)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Vec<f64>, E> {
        Rate::try_from(value).map(|rate| vec![rate.0]).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<f64>, A::Error> {
        let mut rates = Vec::new();
        while let Some(rate) = seq.next_element::<Rate>()? {
            rates.push(rate.0);
        }
        Ok(rates)
    }
}

impl<'de> Deserialize<'de> for Rates {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RatesVisitor).map(Rates)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        f64::deserialize(deserializer)?.try_into().map_err(D::Error::custom)
    }
}
