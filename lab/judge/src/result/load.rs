//! What the load generator saw of a cell: accounting, latency, its curve and its course in time.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use super::cell::LoadResult;
use super::latency::{CurvePoint, LatencyResult, SecondResult, SendDelay};
use super::rounding::{ratio, round, us};
use lab_model::{CellMeasure, Requests, RoundMeasure};

/// The load generator's side of a cell, over all rounds.
pub(super) struct Load {
    pub(super) requests: Requests,
    pub(super) result: LoadResult,
    pub(super) errors: BTreeMap<String, u64>,
    pub(super) latency: LatencyResult,
    pub(super) curve: Vec<CurvePoint>,
    pub(super) timeline: Vec<SecondResult>,
    pub(super) send_delay: Option<SendDelay>,
}

impl Load {
    /// Adds up the rounds of `measure`.
    pub(super) fn of(measure: &CellMeasure) -> Load {
        let rounds = &measure.rounds;
        let added = |mut all: Requests, round: Requests| {
            all += round;
            all
        };
        let requests = rounds.iter().map(|round| round.requests).reduce(added).unwrap_or_default();
        let mut errors: BTreeMap<String, u64> = BTreeMap::new();
        for round in rounds {
            for (text, count) in &round.errors {
                *errors.entry(text.clone()).or_default() += count;
            }
        }
        let latencies = merge(rounds.iter().map(|round| &round.latency));
        let delays = merge(rounds.iter().map(|round| &round.send_delay));
        Load {
            requests,
            result: result(measure, requests),
            errors,
            latency: latencies.as_ref().map(|all| latency(all, requests)).unwrap_or_default(),
            curve: latencies.as_ref().map(|all| curve(all, requests)).unwrap_or_default(),
            timeline: rounds.iter().flat_map(timeline).collect(),
            send_delay: delays.as_ref().map(|delays| SendDelay {
                p50: quantile_us(delays, 0.5),
                p99: quantile_us(delays, 0.99),
                max: us(delays.max() as f64),
            }),
        }
    }
}

/// The time that the rate of `round`, which was to last `planned_ns`, is of. It ends with its last request, which may be
/// before its time is over: the rate is that of the whole time, unless the run was interrupted in it.
#[must_use]
pub fn on_the_clock(planned_ns: u64, round: &RoundMeasure) -> u64 {
    let elapsed = round.elapsed_ns();
    if round.requests.unfinished > 0 { elapsed } else { elapsed.max(planned_ns) }
}

fn result(measure: &CellMeasure, requests: Requests) -> LoadResult {
    let rounds = &measure.rounds;
    let clock: u64 = rounds.iter().map(|round| on_the_clock(measure.cell.duration_ns, round)).sum();
    let elapsed: u64 = rounds.iter().map(RoundMeasure::elapsed_ns).sum();
    let driver_cpu: u64 = rounds.iter().map(|round| round.driver_cpu_ns).sum();
    let busiest = rounds.iter().map(|round| round.host_cpu_share).fold(0.0, f64::max);
    LoadResult {
        measured_s: round(elapsed as f64 / 1e9, 1e6),
        completed_per_s: ratio(requests.ok as f64 * 1e9, clock as f64),
        dropped_share: ratio(requests.dropped as f64, requests.planned as f64),
        latency_growth: mean_of(rounds.iter().filter_map(|round| match round.rests[..] {
            [] => growth(round),
            _ => Some(outlived(measure.cell.duration_ns, round)),
        })),
        driver_cores: ratio(driver_cpu as f64, elapsed as f64),
        host_cpu_share: round(busiest, 1e6),
    }
}

/// The slope of the latency over a round: of a service that falls behind, requests wait longer the
/// later they come, even where nothing is dropped yet.
fn growth(measure: &RoundMeasure) -> Option<f64> {
    let points: Vec<(f64, f64)> = measure
        .seconds
        .iter()
        .filter(|second| second.latency_count > 0)
        .map(|second| (second.second as f64, second.latency_sum_us / second.latency_count as f64))
        .collect();
    if points.len() < 3 {
        return None;
    }
    let count = points.len() as f64;
    let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0, y + point.1));
    let (x, y) = (x / count, y / count);
    let up: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    let over: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    Some(up / over / 1e6)
}

/// The same of a round of turns, which is to last `planned_ns`: by how much its turns outlived their time, which is the
/// backlog of a service that falls behind. An answer that takes as long as others do is none.
fn outlived(planned_ns: u64, measure: &RoundMeasure) -> f64 {
    let turns = measure.rests.len() as f64 + 1.0;
    let backlog = measure.elapsed_ns().saturating_sub(planned_ns) as f64 / turns;
    let usual = measure.latency.value_at_quantile(0.5) as f64;
    ratio((backlog - usual).max(0.0) * turns, planned_ns as f64)
}

fn mean_of(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    ratio(sum, count)
}

/// All histograms as one; none where nothing was recorded.
fn merge<'a>(histograms: impl Iterator<Item = &'a Histogram<u64>>) -> Option<Histogram<u64>> {
    let mut recorded = histograms.filter(|histogram| !histogram.is_empty());
    let mut merged = recorded.next()?.clone();
    // A histogram that grows takes in any other, so adding cannot fail.
    merged.auto(true);
    for other in recorded {
        merged.add(other).ok()?;
    }
    Some(merged)
}

pub(super) fn quantile_us(histogram: &Histogram<u64>, quantile: f64) -> f64 {
    us(histogram.value_at_quantile(quantile) as f64)
}

fn latency(histogram: &Histogram<u64>, requests: Requests) -> LatencyResult {
    LatencyResult {
        count: histogram.len(),
        mean: us(histogram.mean()),
        p50: quantile_us(histogram, 0.5),
        p90: quantile_us(histogram, 0.9),
        p99: requests.tell_p99().then(|| quantile_us(histogram, 0.99)),
        max: us(histogram.max() as f64),
    }
}

/// Ten points for each nine of the percentile, as far as there are requests to tell them apart; below p99 where there
/// is none.
fn curve(histogram: &Histogram<u64>, requests: Requests) -> Vec<CurvePoint> {
    let most = if requests.tell_p99() { histogram.len() as f64 } else { 99.0 };
    (0..=50)
        .map(|step| 10_f64.powf(f64::from(step) / 10.0))
        .take_while(|&one_in| one_in <= most.min(histogram.len() as f64))
        .map(|one_in| {
            let quantile = 1.0 - 1.0 / one_in;
            CurvePoint {
                quantile: round(quantile, 1e6),
                latency_us: quantile_us(histogram, quantile),
            }
        })
        .collect()
}

fn timeline(measure: &RoundMeasure) -> impl Iterator<Item = SecondResult> + '_ {
    measure.seconds.iter().map(|second| SecondResult {
        round: measure.round,
        second: second.second,
        planned: second.planned,
        completed: second.completed,
        dropped: second.dropped,
        mean_us: (second.latency_count > 0)
            .then(|| round(second.latency_sum_us / second.latency_count as f64, 1e3)),
    })
}
