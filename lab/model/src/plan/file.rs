//! A plan as it is written in TOML. Every limit that concerns one key alone is held here.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};

use super::objective::Objective;
use super::payload::Payload;
use crate::{Protocol, Workload};
use settings::Span;

/// The smallest and largest rate that can be planned, in requests a second.
pub const RATES: (f64, f64) = (0.01, 1_000_000.0);

/// A plan file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlanFile {
    pub(super) name: Option<String>,
    #[serde(default)]
    pub(super) about: String,
    pub(super) workload: Option<String>,
    #[serde(default)]
    pub(super) workloads: BTreeMap<String, Workload>,
    #[serde(default = "rest")]
    pub(super) protocol: Vec<Protocol>,
    #[serde(default)]
    pub(super) payload: Vec<Payload>,
    pub(super) rate: Rates,
    pub(super) duration: Span,
    #[serde(default)]
    pub(super) warmup: Span,
    #[serde(default = "one")]
    pub(super) rounds: u32,
    #[serde(default = "two_hundred")]
    pub(super) max_in_flight: usize,
    pub(super) preallocated: Option<usize>,
    #[serde(default = "a_minute")]
    pub(super) timeout: Span,
    pub(super) certify: Option<CertifyFile>,
    #[serde(default)]
    pub(super) knobs: KnobsFile,
    #[serde(default)]
    pub(super) variant: Vec<VariantFile>,
    #[serde(default)]
    pub(super) arm: Vec<ArmFile>,
    #[serde(default)]
    pub(super) settle: Span,
    #[serde(default)]
    pub(super) arrivals: Option<Arrivals>,
    pub(super) concurrency: Option<usize>,
    pub(super) traces_per_second: Option<Rate>,
    #[serde(default)]
    pub(super) objective: Vec<ObjectiveFile>,
}

/// An `[[arm]]`: one side of a comparison. Every cell is run by each of them, in turn.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ArmFile {
    pub(super) name: String,
    pub(super) program: Option<PathBuf>,
    #[serde(default)]
    pub(super) knobs: KnobsFile,
}

/// When requests of a plan begin, where that is not a closed loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Arrivals {
    Constant,
    Poisson,
}

/// An `[[objective]]`: what is asked of the system, of all cells or of those whose names hold a word.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ObjectiveFile {
    pub(super) holds: Objective,
    #[serde(default)]
    pub(super) cells: String,
}

/// The `[certify]` table: how the probe's cost is measured before the cells.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct CertifyFile {
    pub(super) pairs: u32,
    pub(super) round: Span,
    pub(super) protocol: Protocol,
    pub(super) payload: Payload,
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

/// A `[[variant]]`: the cells of the plan once more, narrowed, with other settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VariantFile {
    #[serde(default)]
    pub(super) name: String,
    pub(super) workload: Option<String>,
    pub(super) protocol: Option<Vec<Protocol>>,
    pub(super) payload: Option<Vec<Payload>>,
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
