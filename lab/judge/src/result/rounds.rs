//! The rounds of a cell, each by itself: what a claim about two cells is made of, for only rounds were repeated.

use std::collections::BTreeMap;

use ledger::Stage;
use sidecar::runfile::RequestRow;

use super::breakdown::watched;
use super::cell::RoundResult;
use super::load::quantile_us;
use super::rounding::{ratio, us};
use lab_model::{CellMeasure, RoundMeasure};

/// Sums over the traced requests of a round, in nanoseconds.
#[derive(Debug, Default)]
struct Sums {
    traced: u64,
    total: i64,
    residual: i64,
    /// How many were planned in each half of the round, and their latencies.
    halves: [(u64, i64); 2],
    /// The same of each half of their turns, where there were some.
    of_turns: [(u64, i64); 2],
    /// By hop and stage.
    stages: BTreeMap<String, BTreeMap<Stage, i64>>,
}

/// Where in its round a request was planned.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Halves {
    pub(super) second_of_round: bool,
    /// `None` where the round was measured in one go.
    pub(super) second_of_turn: Option<bool>,
}

/// The rounds of a cell while its rows come one by one.
#[derive(Debug, Default)]
pub(super) struct Rounds(BTreeMap<u32, Sums>);

impl Rounds {
    /// Adds a request that counts.
    pub(super) fn take(&mut self, row: &RequestRow, halves: Halves) {
        let sums = self.0.entry(row.round).or_default();
        sums.traced += 1;
        sums.total += watched(row);
        sums.residual += watched(row) - row.latency_ns;
        let of_round = &mut sums.halves[usize::from(halves.second_of_round)];
        let of_turn = halves.second_of_turn.map(|second| &mut sums.of_turns[usize::from(second)]);
        for half in [of_round].into_iter().chain(of_turn) {
            *half = (half.0 + 1, half.1 + watched(row));
        }
        for hop in &row.hops {
            // Only the first row of a hop has to have its name copied.
            let stages = match sums.stages.get_mut(&*hop.hop) {
                Some(stages) => stages,
                None => sums.stages.entry(hop.hop.to_string()).or_default(),
            };
            for (stage, time) in hop.stages.iter() {
                *stages.entry(stage).or_default() += time.ns;
            }
        }
    }

    pub(super) fn close(self, measure: &CellMeasure) -> Vec<RoundResult> {
        let none = Sums::default();
        let of = |round: &RoundMeasure| self.0.get(&round.round).unwrap_or(&none).round(round);
        measure.rounds.iter().map(of).collect()
    }
}

impl Sums {
    fn round(&self, measure: &RoundMeasure) -> RoundResult {
        let latency = &measure.latency;
        let mean = |sum: i64| us(ratio(sum as f64, self.traced as f64));
        let means = |stages: &BTreeMap<Stage, i64>| {
            stages.iter().map(|(stage, &ns)| (stage.name().to_owned(), mean(ns))).collect()
        };
        let stages = self.stages.iter().map(|(hop, stages)| (hop.clone(), means(stages)));
        let started = measure.requests.started as f64;
        let half = |(count, sum): (u64, i64)| (count > 0).then(|| us(sum as f64 / count as f64));
        let [first_half_us, second_half_us] = self.halves.map(half);
        let [first_of_turns, second_of_turns] = self.of_turns.map(half);
        RoundResult {
            round: measure.round,
            answered: latency.len(),
            mean_us: us(if latency.is_empty() { 0.0 } else { latency.mean() }),
            p50_us: quantile_us(latency, 0.5),
            p90_us: quantile_us(latency, 0.9),
            p99_us: measure.requests.tell_p99().then(|| quantile_us(latency, 0.99)),
            traced: self.traced,
            traced_mean_us: mean(self.total),
            stages: stages.collect(),
            residual_us: mean(self.residual),
            first_half_us,
            second_half_us,
            halves_of_turns_us: first_of_turns.zip(second_of_turns),
            cpu_us_per_request: measure
                .services_cpu_ns
                .filter(|_| started > 0.0)
                .map(|cpu| us(cpu as f64 / started)),
        }
    }
}
