//! Whether a change keeps its limits: each limit held against each pair of cells of two arms.
//!
//! What is decided is [`lab_contrast::decide`]'s to say; here is what it is asked, and where a difference sits.

use lab_contrast::{Decision, In, Level, Mean, NoChange, P99_ANSWERS, Statistic, change, decide};
use lab_model::{Compared, Limit, More};
use ledger::Family;
use serde::{Deserialize, Serialize};

use super::RunResult;
use super::cell::{CellResult, RoundResult};
use super::contrasts::{Part, in_both, pairs, without_arm};
use super::rounding::round;

/// Pairs of rounds at least, if something is to be decided.
const PAIRS: usize = 6;

/// What a build is to do with a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ruling {
    /// Every limit is surely kept.
    Kept,
    /// Of one limit at least nothing can be said yet, and none is surely exceeded.
    Unknown,
    /// A limit is surely exceeded.
    Exceeded,
}

/// What came of the limits of a change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateResult {
    /// The worst of the checks.
    pub ruling: Ruling,
    /// Rounds of each arm that would decide all of them, if what was seen goes on; absent where nothing is left to be
    /// decided, or no number of rounds would.
    pub rounds_needed: Option<u64>,
    /// Each limit for each pair of cells.
    pub checks: Vec<Check>,
}

/// One limit, held against one pair of cells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// The cell, without the name of an arm.
    pub cell: String,
    /// The cell of the arm that is compared with.
    pub base: String,
    /// The cell of the arm that is compared.
    pub new: String,
    /// The limit, as it was written.
    pub limit: Limit,
    /// By how much it changed: a share where the limit is a percentage, else microseconds. Absent where it is not known.
    pub change: Option<f64>,
    /// Its interval, so wide that those of all checks hold together with 95 %.
    pub interval: Option<(f64, f64)>,
    /// Pairs of rounds.
    pub pairs: u64,
    /// What follows.
    pub ruling: Ruling,
    /// Rounds of each arm that would decide it, if what was seen goes on.
    pub rounds_needed: Option<u64>,
    /// Why nothing is known, where that is so.
    pub why: Option<String>,
    /// Where it takes longer, and surely so: families with their part of the difference of the means, the largest first.
    pub families: Vec<Part>,
}

/// What becomes of `limits` in a run of two arms; `None` where there are no two.
#[must_use]
pub fn gate(result: &RunResult, limits: &[Limit]) -> Option<GateResult> {
    let pairs = pairs(&result.cells);
    if pairs.is_empty() || result.cells.iter().any(|cell| cell.factors.arm.is_none()) {
        return None;
    }
    let level = Level::together(pairs.len() * limits.len());
    let checks: Vec<Check> = pairs
        .iter()
        .flat_map(|pair| limits.iter().map(move |limit| check(result, *pair, *limit, level)))
        .collect();
    let open = || checks.iter().filter(|check| check.ruling == Ruling::Unknown);
    let needed: Option<Vec<u64>> = open().map(|check| check.rounds_needed).collect();
    Some(GateResult {
        ruling: checks.iter().map(|check| check.ruling).max().unwrap_or(Ruling::Unknown),
        rounds_needed: needed.and_then(|rounds| rounds.into_iter().max()),
        checks,
    })
}

fn check(
    result: &RunResult,
    (base, new): (&CellResult, &CellResult),
    limit: Limit,
    level: Level,
) -> Check {
    let counts: fn(&RoundResult) -> u64 = match limit.of {
        Compared::Family(_) => |round| round.traced,
        _ => |round| round.answered,
    };
    let (first, second) = in_both(base, new, counts);
    let (told, most) = told(limit);
    let pairs = first.len();
    let mut check = Check {
        cell: without_arm(&base.id, &base.factors).to_owned(),
        base: base.id.clone(),
        new: new.id.clone(),
        limit,
        change: None,
        interval: None,
        pairs: pairs as u64,
        ruling: Ruling::Unknown,
        rounds_needed: None,
        why: None,
        families: Vec::new(),
    };
    let changed = change(&first, &second, statistic(limit.of), told);
    match changed.and_then(|mean| if pairs < PAIRS { Err(NoChange::Rounds) } else { Ok(mean) }) {
        Ok(mean) => check.decide(&mean, (told, most), level),
        Err(why) => check.why(why, base),
    }
    if limit.of != Compared::Cpu && check.ruling != Ruling::Kept {
        check.families = slower(result, base, new);
    }
    check
}

impl Check {
    fn decide(&mut self, mean: &Mean, (told, most): (In, f64), level: Level) {
        let shown = |value: f64| match told {
            In::Ratio => round(value.exp_m1(), 1e6),
            In::Microseconds => round(value, 1e3),
        };
        let (low, high) = mean.interval(level);
        self.change = Some(shown(mean.value));
        self.interval = Some((shown(low), shown(high)));
        match decide(mean, most, self.pairs as usize, level) {
            Decision::Kept => self.ruling = Ruling::Kept,
            Decision::Exceeded => self.ruling = Ruling::Exceeded,
            Decision::Unknown { pairs } => self.rounds_needed = pairs.map(|pairs| pairs as u64),
        }
    }

    fn why(&mut self, why: NoChange, base: &CellResult) {
        let rate = base.load.completed_per_s.max(f64::MIN_POSITIVE);
        self.why = Some(match why {
            NoChange::Rounds => {
                self.rounds_needed = Some(PAIRS as u64);
                format!("{} pairs of rounds were answered, and it takes {PAIRS}", self.pairs)
            }
            NoChange::Unknown => format!("not every round says its {}", self.limit.of.name()),
            NoChange::Answers => format!(
                "a p99 takes {P99_ANSWERS} answers a round: at {rate:.0}/s, rounds of {:.0} s",
                (P99_ANSWERS as f64 / rate).ceil()
            ),
        });
    }
}

/// The families in which the second cell surely takes longer than the first.
fn slower(result: &RunResult, base: &CellResult, new: &CellResult) -> Vec<Part> {
    let of = |claim: &&super::ContrastResult| claim.first == base.id && claim.second == new.id;
    let parts = result.contrasts.iter().find(of).map_or(&[][..], |claim| &claim.parts);
    let longer = |part: &&Part| part.difference.found() && part.difference.us > 0.0;
    let mut longer: Vec<Part> = parts.iter().filter(longer).cloned().collect();
    longer.sort_by(|one, other| other.difference.us.total_cmp(&one.difference.us));
    longer
}

/// Where a round has the part of `family`.
fn place(family: Family) -> usize {
    // Every family is among them; were it not, no round would have the part.
    Family::ALL.iter().position(|one| *one == family).unwrap_or(usize::MAX)
}

pub(super) fn statistic(of: Compared) -> Statistic {
    match of {
        Compared::Mean => Statistic::Mean,
        Compared::P50 => Statistic::P50,
        Compared::P90 => Statistic::P90,
        Compared::P99 => Statistic::P99,
        Compared::Cpu => Statistic::Cpu,
        Compared::Family(family) => Statistic::Part(place(family)),
    }
}

/// What a limit is told in, and how much it is there.
fn told(limit: Limit) -> (In, f64) {
    match limit.more {
        More::Share(share) => (In::Ratio, share.ln_1p()),
        More::Us(us) => (In::Microseconds, us),
    }
}
