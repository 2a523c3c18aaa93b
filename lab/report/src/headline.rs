//! What a report begins with: which of two is faster, at which payload, and the steps from one to the other.
//!
//! Nothing is computed of rounds here: differences and intervals are the result's. Steps are put one on the other.

use lab_judge::result::{CellResult, ContrastResult, RunResult};
use lab_judge::verdict::{Comparison, comparison, part_words};
use lab_model::Protocol;

use super::label::{groups, protocol};

/// Two cells that differ in their protocol alone.
pub(super) struct Compared<'a> {
    /// What they ask for, and what else was set.
    pub title: String,
    /// The cells.
    pub cells: [&'a CellResult; 2],
    /// What they are called.
    pub names: [&'static str; 2],
    /// What may be said of them.
    pub comparison: Comparison<'a>,
}

/// All that `result` compares, in the order of its groups.
pub(super) fn compared(result: &RunResult) -> Vec<Compared<'_>> {
    let groups = groups(result);
    let pair = |group: &super::label::Group<'_>| {
        let of = |wanted: Protocol| {
            let mut cells = group.cells.iter().filter(|cell| cell.factors.protocol == wanted);
            cells.next().copied().filter(|_| cells.next().is_none())
        };
        let names = [Protocol::Rest, Protocol::Grpc].map(protocol);
        Some((
            group.title(),
            [of_result(result, of(Protocol::Rest)?)?, of_result(result, of(Protocol::Grpc)?)?],
            names,
        ))
    };
    groups
        .iter()
        .filter_map(pair)
        .map(|(title, cells, names)| {
            let comparison = comparison(result, cells[0], cells[1]);
            Compared { title, cells, names, comparison }
        })
        .collect()
}

/// The cell itself, which lives as long as the result.
fn of_result<'a>(result: &'a RunResult, cell: &CellResult) -> Option<&'a CellResult> {
    result.cells.iter().find(|known| known.id == cell.id)
}

/// Which is faster, in one sentence; `None` where nothing was compared.
pub(super) fn answer(compared: &[Compared<'_>]) -> Option<String> {
    let mut parts: Vec<(String, Vec<&str>)> = Vec::new();
    for pair in compared {
        let said = match pair.comparison {
            Comparison::Claim { contrast, .. } if !contrast.mean.found() => {
                "no difference was seen".to_owned()
            }
            Comparison::Claim { contrast, .. } => {
                format!("{} is faster", pair.names[usize::from(contrast.mean.us < 0.0)])
            }
            Comparison::Overloaded => "the system was overloaded".to_owned(),
            Comparison::Invalid => "a cell is INVALID".to_owned(),
            Comparison::TooFewRounds => "there are too few rounds to tell".to_owned(),
        };
        match parts.iter_mut().find(|(known, _)| *known == said) {
            Some((_, titles)) => titles.push(&pair.title),
            None => parts.push((said, vec![&pair.title])),
        }
    }
    if parts.is_empty() {
        return None;
    }
    let words: Vec<String> =
        parts.iter().map(|(said, titles)| format!("{said} at {}", listed(titles))).collect();
    let text = words.join("; ");
    let mut letters = text.chars();
    let first = letters.next().map(char::to_uppercase);
    Some(first.into_iter().flatten().chain(letters).chain(['.']).collect())
}

fn listed(titles: &[&str]) -> String {
    match titles {
        [only] => (*only).to_owned(),
        [all @ .., last] => format!("{} and {last}", all.join(", ")),
        [] => String::new(),
    }
}

/// A part of the way from one mean to the other.
pub(super) struct Step {
    /// What it is called.
    pub name: String,
    /// Its family, or `residual`; none for what was found in no family alone.
    pub family: Option<String>,
    /// What it adds.
    pub us: f64,
    /// Its interval among all of the run that hold together; none of a sum of several.
    pub interval: Option<(f64, f64)>,
    /// Where it begins.
    pub from: f64,
}

impl Step {
    /// Where it ends.
    pub(super) fn to(&self) -> f64 {
        self.from + self.us
    }
}

/// The steps from the first's mean to the second's: families whose part was found, the largest first, then all others as
/// one. They add up.
pub(super) fn steps(claim: &ContrastResult) -> Vec<Step> {
    let (mut found, others): (Vec<_>, Vec<_>) =
        claim.parts.iter().partition(|part| part.difference.found());
    found.sort_by(|one, other| other.difference.us.abs().total_cmp(&one.difference.us.abs()));
    let mut at = claim.first_us;
    let mut step = |name: String, family: Option<String>, us: f64, interval| {
        let from = at;
        at += us;
        Step { name, family, us, interval, from }
    };
    let mut steps: Vec<Step> = found
        .into_iter()
        .map(|part| {
            let name = part_words(&part.family).to_owned();
            let together = part.difference.together;
            step(name, Some(part.family.clone()), part.difference.us, Some(together))
        })
        .collect();
    if let [only] = &others[..] {
        let name = format!("{} (not sure)", part_words(&only.family));
        let together = only.difference.together;
        steps.push(step(name, None, only.difference.us, Some(together)));
    } else if !others.is_empty() {
        let us = others.iter().map(|part| part.difference.us).sum();
        steps.push(step(format!("{} others, none sure", others.len()), None, us, None));
    }
    steps
}
