//! The stages of a cell: means over all its requests, over its p50 band and over its p99 band.
//!
//! Percentiles do not add. So there is no per-stage p99 here: the p99 column is the mean ledger of the
//! requests *in* the p99 band, which adds up to the mean latency of that band, as the other two do.

use std::collections::BTreeMap;

use ledger::{Family, Kind, Stage};
use sidecar::runfile::RequestRow;

use super::cell::{FamilyResult, Residual, StageResult};
use super::rounding::{ratio, us};

/// A value in each of the three columns.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Columns {
    /// Over all requests.
    pub mean: f64,
    /// Over the p50 band.
    pub p50: f64,
    /// Over the p99 band.
    pub p99: f64,
}

impl Columns {
    fn add(&mut self, ns: i64, bands: (bool, bool)) {
        let ns = ns as f64;
        self.mean += ns;
        self.p50 += if bands.0 { ns } else { 0.0 };
        self.p99 += if bands.1 { ns } else { 0.0 };
    }

    /// These sums over so many requests, in microseconds.
    fn over(self, counts: Columns) -> Columns {
        let mean = |sum: f64, count: f64| if count == 0.0 { 0.0 } else { us(sum / count) };
        Columns {
            mean: mean(self.mean, counts.mean),
            p50: mean(self.p50, counts.p50),
            p99: mean(self.p99, counts.p99),
        }
    }
}

/// The closed breakdown of a cell.
#[derive(Debug, Default)]
pub(super) struct Breakdown {
    /// Latency by the stopwatch (by the stages where there is none).
    pub total: Columns,
    /// Requests in the p99 band.
    pub p99_count: u64,
    /// Every stage seen.
    pub stages: Vec<StageResult>,
    /// The stages by family.
    pub families: Vec<FamilyResult>,
    /// What the stages leave.
    pub residual: Residual,
    /// Part of the mean that is measured.
    pub measured_share: f64,
    /// Part of the mean that is inferred.
    pub inferred_share: f64,
}

/// The time that the stages of `row` and its residual add up to, in nanoseconds.
pub(super) fn watched(row: &RequestRow) -> i64 {
    row.stopwatch_ns.map_or(row.latency_ns, |ns| ns as i64)
}

/// The latencies of a cell's requests, by round: what is to be known of all of them before any can be added up.
#[derive(Debug, Default)]
pub struct Latencies(BTreeMap<u32, Vec<i64>>);

impl Latencies {
    /// Takes a row of the cell.
    pub fn take(&mut self, row: &RequestRow) {
        if row.counts() {
            self.0.entry(row.round).or_default().push(watched(row));
        }
    }

    /// Those of each round.
    pub(super) fn by_round(&self) -> impl Iterator<Item = (u32, &[i64])> {
        self.0.iter().map(|(&round, own)| (round, &**own))
    }

    fn bands(self) -> Option<Bands> {
        let mut all: Vec<i64> = self.0.into_values().flatten().collect();
        all.sort_unstable();
        let rank = |percent: usize| {
            let at = (all.len() * percent).div_ceil(100).saturating_sub(1);
            all.get(at).copied()
        };
        Some(Bands { p50: rank(45)?..=rank(55)?, p99: rank(99)? })
    }
}

/// The latencies between which the two bands lie, by nearest rank.
#[derive(Debug)]
struct Bands {
    p50: std::ops::RangeInclusive<i64>,
    p99: i64,
}

impl Bands {
    fn hold(&self, row: &RequestRow) -> (bool, bool) {
        let latency = watched(row);
        (self.p50.contains(&latency), latency >= self.p99)
    }
}

/// The share of a request's time that its residual may have: what a stopwatch itself costs is less.
const UNEXPLAINED: f64 = 0.02;

/// What of a cell is added up by stage: depth and name of the hop, stage, kind.
type Sums = BTreeMap<(u32, String, Stage, Kind), Columns>;

/// The breakdown of a cell while its rows come one by one.
#[derive(Debug)]
pub(super) struct OpenBreakdown {
    /// None where no request counts.
    bands: Option<Bands>,
    counts: Columns,
    total: Columns,
    left: Columns,
    /// Requests of whose time more than [`UNEXPLAINED`] is in no stage.
    unexplained: u64,
    sums: Sums,
    tapped: bool,
}

impl OpenBreakdown {
    pub(super) fn new(latencies: Latencies) -> OpenBreakdown {
        let (counts, total, left) = <(Columns, Columns, Columns)>::default();
        let bands = latencies.bands();
        OpenBreakdown {
            bands,
            counts,
            total,
            left,
            unexplained: 0,
            sums: BTreeMap::new(),
            tapped: false,
        }
    }

    /// Adds a request that counts, whose latency is among those told before.
    pub(super) fn take(&mut self, row: &RequestRow) {
        let Some(bands) = &self.bands else { return };
        let held = bands.hold(row);
        self.counts.add(1, held);
        self.total.add(watched(row), held);
        let left = watched(row) - row.latency_ns;
        self.left.add(left, held);
        let most = watched(row) as f64 * UNEXPLAINED;
        self.unexplained += u64::from(left.unsigned_abs() as f64 > most);
        for hop in &row.hops {
            self.tapped |= hop.request.is_some();
            for (stage, time) in hop.stages.iter() {
                let key = (hop.depth, hop.hop.to_string(), stage, time.kind);
                self.sums.entry(key).or_default().add(time.ns, held);
            }
        }
    }

    /// Closes the breakdown.
    pub(super) fn close(self) -> Breakdown {
        let OpenBreakdown { bands, counts, total, left, unexplained, sums, tapped } = self;
        if bands.is_none() {
            return Breakdown::default();
        }
        let share_of = |kind: Kind| {
            let of_kind = sums.iter().filter(|((.., found), _)| *found == kind);
            ratio(of_kind.map(|(_, sum)| sum.mean).sum(), total.mean)
        };
        let residual = left.over(counts);
        Breakdown {
            total: total.over(counts),
            p99_count: counts.p99 as u64,
            measured_share: share_of(Kind::Measured),
            inferred_share: share_of(Kind::Inferred),
            families: families(&sums, total, counts, tapped),
            stages: stages(&sums, total, counts),
            residual: Residual {
                mean_us: residual.mean,
                p50_us: residual.p50,
                p99_band_us: residual.p99,
                p50_share: ratio(left.p50, total.p50),
                p99_share: ratio(left.p99, total.p99),
                unexplained_share: ratio(unexplained as f64, counts.mean),
            },
        }
    }
}

fn stages(sums: &Sums, total: Columns, counts: Columns) -> Vec<StageResult> {
    sums.iter()
        .map(|((depth, hop, stage, kind), sum)| {
            let mean = sum.over(counts);
            StageResult {
                hop: hop.clone(),
                depth: *depth,
                family: stage.family_at(*depth).name().to_owned(),
                stage: stage.name().to_owned(),
                kind: kind.name().to_owned(),
                mean_us: mean.mean,
                p50_us: mean.p50,
                p99_band_us: mean.p99,
                share: ratio(sum.mean, total.mean),
            }
        })
        .collect()
}

fn families(sums: &Sums, total: Columns, counts: Columns, tapped: bool) -> Vec<FamilyResult> {
    Family::ALL
        .into_iter()
        .map(|family| {
            let mut sum = Columns::default();
            let of_it = |(depth, _, stage, _): &(u32, String, Stage, Kind)| {
                stage.family_at(*depth) == family
            };
            for (_, part) in sums.iter().filter(|(key, _)| of_it(key)) {
                sum.mean += part.mean;
                sum.p50 += part.p50;
                sum.p99 += part.p99;
            }
            let mean = sum.over(counts);
            FamilyResult {
                family: family.name().to_owned(),
                mean_us: mean.mean,
                p50_us: mean.p50,
                p99_band_us: mean.p99,
                share: ratio(sum.mean, total.mean),
                known: tapped || !family.needs_a_tap(),
            }
        })
        .collect()
}
