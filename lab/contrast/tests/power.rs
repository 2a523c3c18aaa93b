//! What a default run can see. The noise is that of real runs: files in `power/` have what the arms of recorded default runs
//! differed by, round by round and part by part (`lab/judge/examples/recorded_rounds.rs` made them). `rounds.json`: 20 of
//! ten rounds without turns, most of them beside compilers, and with their slowest requests in the families; `turns.json`:
//! 20 of twenty rounds in turns, on a quiet machine.
//!
//! An experiment takes one of those runs, draws rounds of it anew, and makes one part of one cell longer by 5 % of the
//! cell's mean latency. The part is found if the interval that decides, the one that holds together with those of all
//! other parts and cells of the run, excludes 0.

use std::collections::BTreeMap;

use lab_contrast::{Round, contrasts};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

const WHOLE: &str = include_str!("power/rounds.json");
const IN_TURNS: &str = include_str!("power/turns.json");
const DRAWS: u32 = 300;

/// What was recorded.
#[derive(serde::Deserialize)]
struct Recorded {
    /// The names of the parts of each round, in their order.
    parts: Vec<String>,
    runs: Vec<Run>,
}

#[derive(serde::Deserialize)]
struct Run {
    pairs: Vec<Pair>,
}

/// Two arms of a run.
#[derive(serde::Deserialize)]
struct Pair {
    /// The cell that the other is compared with, such as `rest-1kB`.
    first: String,
    mean_us: f64,
    /// The number of each round, and what each part of it took longer in the second arm.
    rounds: Vec<(u32, Vec<f64>)>,
}

/// What two arms of a run differed by, less what they differed by on the whole.
struct Noise {
    /// The cell that is compared with, such as `rest-1kB`.
    cell: String,
    mean_us: f64,
    /// By the order in which the arms ran, even rounds and odd ones: what the parts of a round are off by.
    by_order: [Vec<Vec<f64>>; 2],
}

impl Noise {
    fn of(pair: Pair) -> Noise {
        let by_order = [0, 1].map(|order| {
            let own = pair.rounds.iter().filter(|(round, _)| round % 2 == order);
            centred(own.map(|(_, parts)| parts.clone()).collect())
        });
        Noise { cell: pair.first, mean_us: pair.mean_us, by_order }
    }

    /// A round of the recorded mean latency, but for what its `parts` are off by.
    fn round(&self, number: u32, parts: Vec<f64>) -> Round {
        let mean = parts.iter().sum();
        // A ratio needs something above 0; none is looked at here.
        Round { number, mean, latency: self.mean_us, parts, ..Round::default() }
    }

    /// Whether either arm ever spent time in this part.
    fn has(&self, part: usize) -> bool {
        self.by_order.iter().flatten().any(|round| round[part] != 0.0)
    }

    /// As many rounds as there were, of two arms that are alike, but for `shift` in one part of the second.
    fn arms(&self, dice: &mut StdRng, part: usize, shift: f64) -> (Vec<Round>, Vec<Round>) {
        let round = |number: u32| {
            let own = &self.by_order[number as usize % 2];
            let mut parts = own.choose(dice).expect("a round of this order").clone();
            parts[part] += shift;
            let none = vec![0.0; parts.len()];
            (self.round(number, none), self.round(number, parts))
        };
        let rounds = self.by_order.iter().map(Vec::len).sum::<usize>();
        (0..rounds as u32).map(round).unzip()
    }
}

/// Each less their mean, and so much further from it that those drawn of them vary as much as the real ones: a mean is
/// nearest to the values that it is of.
fn centred(mut rounds: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    let count = rounds.len() as f64;
    let wider = (count / (count - 1.0)).sqrt();
    for part in 0..rounds.first().map_or(0, Vec::len) {
        let mean = rounds.iter().map(|round| round[part]).sum::<f64>() / count;
        rounds.iter_mut().for_each(|round| round[part] = (round[part] - mean) * wider);
    }
    rounds
}

/// One experiment: whether `shift` microseconds are found in that part of that cell of a run.
fn found(run: &[Noise], (cell, part): (usize, usize), shift: f64, dice: &mut StdRng) -> bool {
    let put_into = |at: usize| if at == cell { shift } else { 0.0 };
    let arms: Vec<_> =
        run.iter().enumerate().map(|(at, noise)| noise.arms(dice, part, put_into(at))).collect();
    let arms: Vec<_> = arms.iter().map(|(first, second)| (&**first, &**second)).collect();
    let contrast = contrasts(&arms).swap_remove(cell).expect("rounds");
    contrast.parts[part].is_some_and(|difference| difference.together.0 > 0.0)
}

/// How often 5 % of the mean are found, by cell and part, in one of the recorded runs as often as in another.
fn power(parts: &[String], runs: &[Vec<Noise>]) -> BTreeMap<(String, String), f64> {
    let mut dice = StdRng::seed_from_u64(5);
    let mut power = BTreeMap::new();
    for cell in 0..runs[0].len() {
        for (part, name) in parts.iter().enumerate() {
            if !runs.iter().all(|run| run[cell].has(part)) {
                continue;
            }
            let seen = (0..DRAWS).filter(|_| {
                let run = &runs[dice.random_range(0..runs.len())];
                found(run, (cell, part), run[cell].mean_us * 0.05, &mut dice)
            });
            let share = seen.count() as f64 / f64::from(DRAWS);
            power.insert((runs[0][cell].cell.clone(), name.clone()), share);
        }
    }
    power
}

/// What services do. The rest is waiting for a CPU, which on a machine that does other things, too, differs too much
/// from round to round: network, where the receiver has to be woken, and the load generator.
const WORK: [&str; 5] = ["queue", "serialization", "framing", "delivery", "backend"];

/// How often 5 % of the mean are found in the recorded runs, by cell and part; told, too.
fn told(recorded: &str, least: usize) -> BTreeMap<(String, String), f64> {
    let recorded: Recorded = serde_json::from_str(recorded).expect("recorded runs");
    assert!(recorded.runs.len() >= least, "{} runs are recorded", recorded.runs.len());
    let runs = recorded.runs.into_iter();
    let runs: Vec<Vec<Noise>> =
        runs.map(|run| run.pairs.into_iter().map(Noise::of).collect()).collect();
    let power = power(&recorded.parts, &runs);
    for ((cell, part), share) in &power {
        println!("{cell:12} {part:14} {:5.1} %", share * 100.0);
    }
    power
}

#[test]
fn a_run_of_whole_rounds_finds_5_percent_of_the_mean_put_into_the_work_of_a_service() {
    for ((cell, part), share) in told(WHOLE, 20) {
        // Of a megabyte a mean is made of a hundred times as much work, which differs as much more.
        if WORK.contains(&part.as_str()) && cell != "rest-1MB" {
            assert!(share >= 0.8, "{part} of {cell}: {share}");
        }
    }
}

#[test]
fn a_default_run_finds_5_percent_of_the_mean_in_whatever_family() {
    for ((cell, part), share) in told(IN_TURNS, 20) {
        // One request in 200 meets something else of the machine for 3 ms, wherever it is: it is no family's.
        if part != "tail" {
            assert!(share >= 0.8, "{part} of {cell}: {share}");
        }
    }
}
