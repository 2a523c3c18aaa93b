//! The probe's cost on a list of cells: one plain value that the table and the JSON of
//! `run-lab certify` are made from. How it is measured is `run`'s business.

use serde::{Deserialize, Serialize};

use super::rounding::{round, us};
use lab_model::plan::Certify;
use lab_model::{Certificate, Environment, Protocol};

/// The version of the shape of this file. 2: latency beside CPU; pairs that were not answered are left out, and not
/// measured again.
pub const COSTS_SCHEMA: u32 = 2;

/// The probe's cost on a list of cells. Times are microseconds, shares run from 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Costs {
    /// Version of this shape: [`COSTS_SCHEMA`].
    pub schema: u32,
    /// The command line that made it.
    pub command: String,
    /// It was stopped before the last cell.
    pub incomplete: bool,
    /// Where it was made.
    pub environment: Environment,
    /// The cells that were measured, in order.
    pub cells: Vec<CellCost>,
    /// The cells that could not be measured.
    pub not_measured: Vec<NotMeasured>,
    /// The mean of the cells, if there is one.
    pub mean: Option<MeanCost>,
}

/// The probe's cost on one cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CellCost {
    /// The cell.
    pub cell: String,
    /// Protocol of the inner hop.
    pub protocol: Protocol,
    /// Declared payload, in bytes.
    pub payload_bytes: u64,
    /// Planned arrivals a second.
    pub rate_per_s: f64,
    /// Measured time of each round, in seconds.
    pub round_s: f64,
    /// Requests traced in a second at most.
    pub traces_per_second: f64,
    /// CPU of gateway and echo per request with probes on, in microseconds.
    pub on_us: f64,
    /// The same with probes off.
    pub off_us: f64,
    /// Geometric mean of the pairs' ratios, on over off.
    pub ratio: f64,
    /// Lower and upper end of its 95 % interval.
    pub interval: (f64, f64),
    /// Pairs of rounds it was computed from.
    pub pairs: u32,
    /// Pairs that are in none of these numbers, since not every request was answered.
    pub pairs_left_out: u32,
    /// Mean latency with probes on, in microseconds.
    pub latency_on_us: f64,
    /// The same with probes off.
    pub latency_off_us: f64,
    /// The ratio of both, on over off, and its 95 % interval.
    pub latency: Option<(f64, (f64, f64))>,
    /// Share of requests that were traced while probes were on.
    pub traced_share: f64,
}

/// A cell whose cost could not be measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NotMeasured {
    /// The cell.
    pub cell: String,
    /// Why.
    pub reason: String,
}

/// The mean over cells.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MeanCost {
    /// Mean of the cells' ratios, each cell counting alike.
    pub ratio: f64,
    /// Lower and upper end of its 95 % interval.
    pub interval: (f64, f64),
}

impl CellCost {
    /// What `certificate` says of the cell that `plan` asked for.
    #[must_use]
    pub fn of(plan: &Certify, certificate: &Certificate) -> CellCost {
        let Certificate { cost, on_ns, off_ns, latency_on_ns, latency_off_ns, left_out } =
            certificate;
        let ends = |(low, high)| (millionth(low), millionth(high));
        CellCost {
            cell: plan.cell.id.clone(),
            protocol: plan.cell.protocol,
            payload_bytes: plan.cell.payload_bytes,
            rate_per_s: plan.cell.rate,
            round_s: plan.cell.duration_ns as f64 / 1e9,
            traces_per_second: plan.cell.traces_per_second,
            on_us: us(*on_ns),
            off_us: us(*off_ns),
            ratio: millionth(cost.ratio),
            interval: ends(cost.interval),
            pairs: cost.pairs,
            pairs_left_out: *left_out,
            latency_on_us: us(*latency_on_ns),
            latency_off_us: us(*latency_off_ns),
            latency: cost.latency.map(|(ratio, interval)| (millionth(ratio), ends(interval))),
            traced_share: millionth(cost.traced_share),
        }
    }
}

fn millionth(value: f64) -> f64 {
    round(value, 1e6)
}

impl MeanCost {
    /// The mean of `cells`; `None` of none.
    ///
    /// Cells are measured one after the other by processes of their own, so their errors are taken for
    /// independent: half the interval of the mean is the root of the sum of the squares of theirs, over
    /// their number.
    #[must_use]
    pub fn of(cells: &[CellCost]) -> Option<MeanCost> {
        let count = (!cells.is_empty()).then_some(cells.len() as f64)?;
        let ratio = cells.iter().map(|cell| cell.ratio).sum::<f64>() / count;
        let squares = cells.iter().map(|cell| ((cell.interval.1 - cell.interval.0) / 2.0).powi(2));
        let half = squares.sum::<f64>().sqrt() / count;
        Some(MeanCost {
            ratio: millionth(ratio),
            interval: (millionth(ratio - half), millionth(ratio + half)),
        })
    }
}
