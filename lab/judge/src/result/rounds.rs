//! The rounds of a cell, each by itself: what a claim about two cells is made of, for only rounds were repeated.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use ledger::Stage;
use sidecar::runfile::RequestRow;

use super::breakdown::{Latencies, watched};
use super::cell::RoundResult;
use super::load::quantile_us;
use super::rounding::{round, us};
use lab_model::{CellMeasure, RoundMeasure};

/// Of so many requests of a round, one is the slowest: what these take longer is in no stage's mean, but told apart.
const SLOWEST_OF: f64 = 40.0;

/// Where the slowest of a round's requests begin. They are a share, so there may be a part of a request among them.
#[derive(Debug, Clone, Copy)]
struct Cut {
    latency_ns: i64,
    /// How much of a request that took exactly as long counts among the others.
    kept: f64,
}

impl Cut {
    /// `None` of nothing.
    fn of(mut latencies: Vec<i64>) -> Option<Cut> {
        latencies.sort_unstable_by(|one, other| other.cmp(one));
        let slowest = latencies.len() as f64 / SLOWEST_OF;
        let latency_ns = *latencies.get((slowest.ceil() as usize).checked_sub(1)?)?;
        let longer = latencies.partition_point(|&of| of > latency_ns);
        let as_long = latencies.partition_point(|&of| of >= latency_ns) - longer;
        Some(Cut { latency_ns, kept: 1.0 - (slowest - longer as f64) / as_long as f64 })
    }

    /// How much of a request counts among those that are not the slowest.
    fn keeps(self, latency_ns: i64) -> f64 {
        match latency_ns.cmp(&self.latency_ns) {
            Ordering::Less => 1.0,
            Ordering::Equal => self.kept,
            Ordering::Greater => 0.0,
        }
    }
}

/// Sums over the traced requests of a round, in nanoseconds.
#[derive(Debug, Default)]
struct Sums {
    traced: u64,
    total: i64,
    /// How many were planned in each half of the round, and their latencies.
    halves: [(u64, i64); 2],
    /// The same of each half of their turns, where there were some.
    of_turns: [(u64, i64); 2],
    /// Those that are not its slowest.
    others: Others,
}

/// Sums over all but the slowest requests of a round, in nanoseconds.
#[derive(Debug, Default)]
struct Others {
    requests: f64,
    total: f64,
    residual: f64,
    /// By hop and stage.
    stages: BTreeMap<String, BTreeMap<Stage, f64>>,
}

impl Others {
    /// Adds `share` of a request.
    fn take(&mut self, row: &RequestRow, share: f64) {
        self.requests += share;
        self.total += share * watched(row) as f64;
        self.residual += share * (watched(row) - row.latency_ns) as f64;
        for hop in &row.hops {
            // Only the first row of a hop has to have its name copied.
            let stages = match self.stages.get_mut(&*hop.hop) {
                Some(stages) => stages,
                None => self.stages.entry(hop.hop.to_string()).or_default(),
            };
            for (stage, time) in hop.stages.iter() {
                *stages.entry(stage).or_default() += share * time.ns as f64;
            }
        }
    }
}

/// Where in its round a request was planned.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Halves {
    pub(super) second_of_round: bool,
    /// `None` where the round was measured in one go.
    pub(super) second_of_turn: Option<bool>,
}

/// The rounds of a cell while its rows come one by one.
#[derive(Debug)]
pub(crate) struct Rounds {
    cuts: BTreeMap<u32, Cut>,
    sums: BTreeMap<u32, Sums>,
}

impl Rounds {
    /// The rounds of the requests with these latencies.
    pub(crate) fn new(latencies: &Latencies) -> Rounds {
        let cut = |(round, own): (u32, &[i64])| Some((round, Cut::of(own.to_vec())?));
        Rounds { cuts: latencies.by_round().filter_map(cut).collect(), sums: BTreeMap::new() }
    }

    /// Adds a request that counts, whose latency is among those told before.
    pub(crate) fn take(&mut self, row: &RequestRow, halves: Halves) {
        let sums = self.sums.entry(row.round).or_default();
        sums.traced += 1;
        sums.total += watched(row);
        let of_round = &mut sums.halves[usize::from(halves.second_of_round)];
        let of_turn = halves.second_of_turn.map(|second| &mut sums.of_turns[usize::from(second)]);
        for half in [of_round].into_iter().chain(of_turn) {
            *half = (half.0 + 1, half.1 + watched(row));
        }
        let share = self.cuts.get(&row.round).map_or(1.0, |cut| cut.keeps(watched(row)));
        if share > 0.0 {
            sums.others.take(row, share);
        }
    }

    pub(super) fn close(self, measure: &CellMeasure) -> Vec<RoundResult> {
        let none = Sums::default();
        let of = |round: &RoundMeasure| self.sums.get(&round.round).unwrap_or(&none).round(round);
        measure.rounds.iter().map(of).collect()
    }

    /// What was traced in these rounds, anew, but for their halves: where in its round a request was planned is not told.
    pub(crate) fn retell(&self, rounds: &mut [RoundResult]) {
        for round in rounds {
            let told = std::mem::take(round);
            let sums = self.sums.get(&told.round);
            *round = RoundResult {
                first_half_us: told.first_half_us,
                second_half_us: told.second_half_us,
                halves_of_turns_us: told.halves_of_turns_us,
                ..sums.unwrap_or(&Sums::default()).traced(told)
            };
        }
    }
}

impl Sums {
    fn round(&self, measure: &RoundMeasure) -> RoundResult {
        let latency = &measure.latency;
        let started = measure.requests.started as f64;
        let cpu = measure.services_cpu_ns.filter(|_| started > 0.0);
        let told = RoundResult {
            round: measure.round,
            answered: latency.len(),
            mean_us: us(if latency.is_empty() { 0.0 } else { latency.mean() }),
            p50_us: quantile_us(latency, 0.5),
            p90_us: quantile_us(latency, 0.9),
            p99_us: measure.requests.tell_p99().then(|| quantile_us(latency, 0.99)),
            cpu_us_per_request: cpu.map(|cpu| us(cpu as f64 / started)),
            ..RoundResult::default()
        };
        self.traced(told)
    }

    /// What the load generator `told` of a round, with what was traced in it.
    fn traced(&self, told: RoundResult) -> RoundResult {
        let half = |(count, sum): (u64, i64)| (count > 0).then(|| us(sum as f64 / count as f64));
        let [first_half_us, second_half_us] = self.halves.map(half);
        let [first_of_turns, second_of_turns] = self.of_turns.map(half);
        let others = &self.others;
        // Of a round without any, all of these are 0.
        let mean = |sum: f64| us(sum / others.requests.max(f64::MIN_POSITIVE));
        let means = |stages: &BTreeMap<Stage, f64>| {
            stages.iter().map(|(stage, &ns)| (stage.name().to_owned(), mean(ns))).collect()
        };
        let traced_mean_us = us(self.total as f64 / self.traced.max(1) as f64);
        RoundResult {
            traced: self.traced,
            traced_mean_us,
            stages: others.stages.iter().map(|(hop, all)| (hop.clone(), means(all))).collect(),
            residual_us: mean(others.residual),
            tail_us: round(traced_mean_us - mean(others.total), 1e3),
            first_half_us,
            second_half_us,
            halves_of_turns_us: first_of_turns.zip(second_of_turns),
            ..told
        }
    }
}

#[cfg(test)]
mod tests {
    use lab_contrast::{Round, contrasts};
    use rand::rngs::StdRng;
    use rand::{Rng as _, SeedableRng as _};

    use super::*;

    /// What is left of these when the slowest are taken out: how many, and their mean.
    fn left(latencies: &[i64]) -> (f64, f64) {
        let cut = Cut::of(latencies.to_vec()).unwrap();
        let shares = latencies.iter().map(|&of| (cut.keeps(of), of as f64));
        let (count, sum) =
            shares.fold((0.0, 0.0), |(count, sum), (share, of)| (count + share, sum + share * of));
        (count, sum / count)
    }

    fn close(found: (f64, f64), wanted: (f64, f64)) {
        assert!(
            (found.0 - wanted.0).abs() < 1e-9 && (found.1 - wanted.1).abs() < 1e-9,
            "{found:?}"
        );
    }

    #[test]
    fn the_slowest_of_every_forty_is_left_out_wherever_it_is() {
        let mut latencies = vec![10; 80];
        (latencies[3], latencies[70]) = (4_000, 3_000);
        close(left(&latencies), (78.0, 10.0));
    }

    #[test]
    fn of_fewer_than_forty_it_is_a_part_of_the_slowest() {
        let mut latencies = vec![10; 20];
        latencies[7] = 400;
        // Half of it is left: 19 requests of 10 and half a one of 400.
        close(left(&latencies), (19.5, (190.0 + 200.0) / 19.5));
        close(left(&[7]), (39.0 / 40.0, 7.0));
        assert!(Cut::of(Vec::new()).is_none());
    }

    #[test]
    fn of_those_that_took_as_long_each_is_left_out_in_part() {
        close(left(&[10; 60]), (58.5, 10.0));
        let latencies = [vec![10; 77], vec![50; 3]].concat();
        close(left(&latencies), (78.0, (770.0 + 50.0) / 78.0));
    }

    const DRAWS: u64 = 2_000;
    const REQUESTS: usize = 42;

    /// A round whose requests take exponential times in each of two parts, the first of them `shift` longer. One in 200
    /// meets something that takes long, in either.
    fn round(number: u32, shift: f64, dice: &mut StdRng) -> Round {
        let requests: Vec<[f64; 2]> = (0..REQUESTS)
            .map(|_| {
                let [one, other] = [150.0, 250.0]
                    .map(|mean| -mean * dice.random_range(f64::MIN_POSITIVE..1.0_f64).ln());
                let long = if dice.random_bool(0.005) { 3_000.0 } else { 0.0 };
                let [first, second] = if dice.random() { [long, 0.0] } else { [0.0, long] };
                [one + first + shift, other + second]
            })
            .collect();
        let total = |[one, other]: [f64; 2]| ((one + other) * 1e3) as i64;
        let cut = Cut::of(requests.iter().copied().map(total).collect()).unwrap();
        let mut others = [0.0; 2];
        for &parts in &requests {
            let share = cut.keeps(total(parts)) / (REQUESTS as f64 * 39.0 / 40.0);
            others = [others[0] + share * parts[0], others[1] + share * parts[1]];
        }
        let mean = requests.iter().flatten().sum::<f64>() / REQUESTS as f64;
        let parts = vec![others[0], others[1], mean - others[0] - others[1]];
        Round { number, mean, latency: mean, parts, ..Round::default() }
    }

    #[test]
    fn what_is_in_every_request_is_found_in_its_part_alone_and_intervals_hold_the_truth_of_95_of_100_runs()
     {
        let truths = [40.0, 0.0, 0.0];
        let mut held = [0_u32; 3];
        let mut deviations = [0.0; 2];
        for seed in 0..DRAWS {
            let dice = &mut StdRng::seed_from_u64(seed);
            let (first, second): (Vec<Round>, Vec<Round>) = (0..20)
                .map(|number| (round(number, 0.0, dice), round(number, truths[0], dice)))
                .unzip();
            let contrast = contrasts(&[(&first, &second)]).remove(0).unwrap();
            for (part, truth) in truths.into_iter().enumerate() {
                let (low, high) = contrast.parts[part].unwrap().alone;
                held[part] += u32::from((low..=high).contains(&truth));
            }
            let (low, high) = contrast.parts[0].unwrap().alone;
            let (least, most) = contrast.mean.alone;
            deviations = [deviations[0] + high - low, deviations[1] + most - least];
        }
        let held = held.map(|held| f64::from(held) / DRAWS as f64);
        println!("first part, second part, tail: {held:?}");
        assert!(held.iter().all(|held| (0.93..=0.97).contains(held)), "{held:?}");
        assert!(deviations[0] < deviations[1], "a part is told no more exactly than the mean");
    }

    proptest::proptest! {
        #[test]
        fn a_fortieth_is_left_out_of_anything(latencies in proptest::collection::vec(0_i64..50, 1..300)) {
            let (count, _) = left(&latencies);
            let wanted = latencies.len() as f64 * 39.0 / 40.0;
            proptest::prop_assert!((count - wanted).abs() < 1e-9, "{count} of {}", latencies.len());
        }
    }
}
