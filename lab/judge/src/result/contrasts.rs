//! Cells that differ in their arm or their protocol alone, against each other, round by round: the claims of a run.
//!
//! What is computed of them is [`lab_contrast`]'s; in which words it is told, the reports' and the summary's.

use std::collections::BTreeMap;

use lab_contrast::{Contrast, Difference, Mean, Ratio, Round, contrasts, noise_floor};
use ledger::{Family, Stage};
use serde::{Deserialize, Serialize};

use super::cell::{CellResult, RoundResult};
use super::factors::Factors;
use super::rounding::round as round_to;
use lab_model::Protocol;

/// What the slowest fortieth of a round's requests adds to its mean, among the parts of a difference. Where a machine does
/// something else for some milliseconds, a request of two hundred meets it, and it would decide over its family.
pub const TAIL: &str = "tail";

/// What no stage explains, among the parts of a difference.
pub const RESIDUAL: &str = "residual";

/// What the parts of a difference are called, in their order.
pub fn part_names() -> impl Iterator<Item = &'static str> {
    Family::ALL.into_iter().map(Family::name).chain([TAIL, RESIDUAL])
}

/// A part that is surely there, but smaller than this share of the mean, explains nothing.
const TRIFLE: f64 = 0.005;

/// One cell less another, from rounds that ran in turn. Differences are the second's less the first's, in microseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContrastResult {
    /// The cell that is compared with.
    pub first: String,
    /// The cell that is compared.
    pub second: String,
    /// Pairs of rounds.
    pub pairs: u64,
    /// Mean latency of the first's traced requests in those rounds, in microseconds.
    #[serde(default)]
    pub first_us: f64,
    /// The same of the second: `first_us` and the difference of the means.
    #[serde(default)]
    pub second_us: f64,
    /// Of the mean latency of the traced requests.
    pub mean: Difference,
    /// The same by family, of all but each round's slowest requests, and [`TAIL`] and [`RESIDUAL`]: they add up to
    /// `mean`. Those that neither has are left out.
    pub parts: Vec<Part>,
    /// Of the mean latency of all requests that were answered.
    pub latency: Ratio,
    /// Of the services' CPU time per request, where it is known.
    pub cpu: Option<Ratio>,
    /// Of the 99th percentile, where each round has answers enough for one (1,000).
    pub p99: Option<Ratio>,
    /// How much the means of two halves of one cell's own rounds differ, the larger of both cells, in microseconds.
    pub noise_floor_us: Option<f64>,
}

/// A family's part of a difference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// The family, [`TAIL`] or [`RESIDUAL`].
    pub family: String,
    /// What it adds to the difference of the means.
    pub difference: Difference,
}

/// The claims that `cells` allow.
pub(super) fn claims(cells: &[CellResult]) -> Vec<ContrastResult> {
    let pairs = pairs(cells);
    let rounds: Vec<_> = pairs.iter().map(|(first, second)| paired(first, second)).collect();
    let arms: Vec<_> = rounds.iter().map(|(first, second)| (&**first, &**second)).collect();
    let computed = contrasts(&arms);
    let all = std::iter::zip(pairs, std::iter::zip(&rounds, computed));
    all.filter_map(|((first, second), (rounds, contrast))| {
        Some(ContrastResult::of((first, second), rounds, contrast?))
    })
    .collect()
}

/// The cells that are compared.
#[must_use]
pub fn pairs(cells: &[CellResult]) -> Vec<(&CellResult, &CellResult)> {
    let asked: Vec<_> = cells.iter().map(|cell| (cell.id.as_str(), &cell.factors)).collect();
    places(&asked).into_iter().map(|(first, second)| (&cells[first], &cells[second])).collect()
}

/// Which of the cells with these names and factors are compared, by their places: where there are arms, each of the
/// others against the first one; else what runs by REST against what is alike but for gRPC.
pub(super) fn places(cells: &[(&str, &Factors)]) -> Vec<(usize, usize)> {
    let first_arm = cells.first().and_then(|(_, factors)| factors.arm.as_ref());
    let compared = |first: usize, second: usize| {
        let ((one, of), (other, against)) = (cells[first], cells[second]);
        if first_arm.is_some() {
            let first_against_other =
                of.arm.as_ref() == first_arm && against.arm.as_ref() != first_arm;
            return first_against_other && without_arm(one, of) == without_arm(other, against);
        }
        let alike = Factors { protocol: Protocol::Grpc, ..asked(of) };
        of.protocol == Protocol::Rest && asked(against) == alike
    };
    let all =
        (0..cells.len()).flat_map(|first| (0..cells.len()).map(move |second| (first, second)));
    all.filter(|&(first, second)| compared(first, second)).collect()
}

/// What was asked, however often.
fn asked(factors: &Factors) -> Factors {
    Factors { rounds: 0, ..factors.clone() }
}

/// The name of a cell without that of its arm.
#[must_use]
pub fn without_arm<'a>(id: &'a str, factors: &Factors) -> &'a str {
    let without =
        factors.arm.as_ref().and_then(|arm| id.strip_suffix(arm.as_str())?.strip_suffix('-'));
    without.unwrap_or(id)
}

/// The rounds of two cells that a claim about them is made from.
#[must_use]
pub fn paired(first: &CellResult, second: &CellResult) -> (Vec<Round>, Vec<Round>) {
    in_both(first, second, |round| round.traced)
}

/// The rounds that both cells have, in order. One in which nothing `counts` says nothing.
pub(super) fn in_both(
    first: &CellResult,
    second: &CellResult,
    counts: fn(&RoundResult) -> u64,
) -> (Vec<Round>, Vec<Round>) {
    let of = |cell: &'_ CellResult, number: u32| {
        let found = cell.rounds.iter().find(|round| round.round == number);
        found.filter(|&found| counts(found) > 0).map(|of| round(cell, of))
    };
    let pair = |one: &RoundResult| Some((of(first, one.round)?, of(second, one.round)?));
    first.rounds.iter().filter_map(pair).unzip()
}

fn rounded(Difference { us, alone, together, visible }: Difference) -> Difference {
    let ends = |(low, high)| (round_to(low, 1e3), round_to(high, 1e3));
    let (alone, together) = (ends(alone), ends(together));
    Difference { us: round_to(us, 1e3), alone, together, visible: round_to(visible, 1e3) }
}

fn rounded_ratio(Ratio { ratio, interval: (low, high) }: Ratio) -> Ratio {
    Ratio { ratio: round_to(ratio, 1e6), interval: (round_to(low, 1e6), round_to(high, 1e6)) }
}

pub(super) fn round(cell: &CellResult, result: &RoundResult) -> Round {
    let depth =
        |hop: &str| cell.stages.iter().find(|part| part.hop == hop).map_or(1, |at| at.depth);
    let mut by_family: BTreeMap<Family, f64> = BTreeMap::new();
    for (hop, stages) in &result.stages {
        let depth = depth(hop);
        for (name, us) in stages {
            if let Ok(stage) = Stage::from_name(name) {
                *by_family.entry(stage.family_at(depth)).or_default() += us;
            }
        }
    }
    let family = |family: Family| by_family.get(&family).copied().unwrap_or(0.0);
    let others = [result.tail_us, result.residual_us];
    let parts = Family::ALL.into_iter().map(family).chain(others).collect();
    Round {
        number: result.round,
        mean: result.traced_mean_us,
        latency: result.mean_us,
        parts,
        cpu: result.cpu_us_per_request,
        p50: result.p50_us,
        p90: result.p90_us,
        // Of 0 no ratio is made.
        p99: result.p99_us.unwrap_or(0.0),
        answered: result.answered,
    }
}

impl ContrastResult {
    /// Whether a part is worth a word of its own: it was found, and is no trifle.
    #[must_use]
    pub fn tells(&self, part: &Part) -> bool {
        let weight = part.difference.us.abs() / self.first_us.max(self.second_us);
        part.difference.found() && weight >= TRIFLE
    }

    /// Whether anything was found that its steps can show: a difference of the means, or of a family alone.
    #[must_use]
    pub fn shows_steps(&self) -> bool {
        self.mean.found() || self.parts.iter().any(|part| self.tells(part))
    }

    fn of(
        (first, second): (&CellResult, &CellResult),
        (one, other): &(Vec<Round>, Vec<Round>),
        contrast: Contrast,
    ) -> ContrastResult {
        let means =
            |rounds: &[Round]| -> Vec<f64> { rounds.iter().map(|round| round.mean).collect() };
        let floor = |rounds: &[Round]| noise_floor(&means(rounds));
        // As the difference is computed, so that it is that of the two.
        let mean = |rounds: &[Round]| {
            let each: Vec<_> = rounds.iter().map(|round| (round.number, round.mean)).collect();
            Mean::of_rounds(&each).map_or(0.0, |mean| round_to(mean.value, 1e3))
        };
        ContrastResult {
            first: first.id.clone(),
            second: second.id.clone(),
            pairs: contrast.pairs as u64,
            first_us: mean(one),
            second_us: mean(other),
            mean: rounded(contrast.mean),
            parts: std::iter::zip(part_names(), contrast.parts)
                .filter_map(|(family, difference)| {
                    Some(Part { family: family.to_owned(), difference: rounded(difference?) })
                })
                .collect(),
            latency: rounded_ratio(contrast.latency),
            cpu: contrast.cpu.map(rounded_ratio),
            p99: contrast.p99.map(rounded_ratio),
            noise_floor_us: floor(one)
                .into_iter()
                .chain(floor(other))
                .reduce(f64::max)
                .map(|floor| round_to(floor, 1e3)),
        }
    }
}
