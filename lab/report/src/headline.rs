//! What a report begins with: which of two is faster, at which payload, and the steps from one to the other.
//!
//! Nothing is computed of rounds here: differences and intervals are the result's. Steps are put one on the other.

use lab_judge::result::units::time;
use lab_judge::result::{CellResult, ContrastResult, RunResult, pairs, without_arm};
use lab_judge::verdict::{Comparison, comparison, full_service, part_words};
use lab_model::{Protocol, Status};

use super::label::{Group, groups, protocol};

/// So many cells that are INVALID are named in the headline.
const MOST_INVALID: usize = 3;

/// Two cells that differ in their protocol, or in their arm, alone.
pub(super) struct Compared<'a> {
    /// What they ask for, and what else was set.
    pub title: String,
    /// What they ask for.
    pub subject: String,
    /// The cells.
    pub cells: [&'a CellResult; 2],
    /// What they are called.
    pub names: [&'a str; 2],
    /// What may be said of them.
    pub comparison: Comparison<'a>,
}

/// All that `result` compares, in the order of its groups.
pub(super) fn compared(result: &RunResult) -> Vec<Compared<'_>> {
    if result.cells.iter().any(|cell| cell.factors.arm.is_some()) {
        return arms(result);
    }
    let groups = groups(result);
    let pair = |group: &Group<'_>| {
        let of = |wanted: Protocol| {
            let mut cells = group.cells.iter().filter(|cell| cell.factors.protocol == wanted);
            let only = cells.next().filter(|_| cells.next().is_none())?;
            // The cell itself lives as long as the result.
            result.cells.iter().find(|cell| cell.id == only.id)
        };
        let cells = [of(Protocol::Rest)?, of(Protocol::Grpc)?];
        Some(Compared {
            title: group.title(),
            subject: group.subject.to_string(),
            cells,
            names: [Protocol::Rest, Protocol::Grpc].map(protocol),
            comparison: comparison(result, cells[0], cells[1]),
        })
    };
    groups.iter().filter_map(pair).collect()
}

/// Each arm beside the first, cell by cell.
fn arms(result: &RunResult) -> Vec<Compared<'_>> {
    pairs(&result.cells)
        .into_iter()
        .filter_map(|(first, second)| {
            let title = without_arm(&first.id, &first.factors).to_owned();
            Some(Compared {
                subject: title.clone(),
                title,
                cells: [first, second],
                names: [first.factors.arm.as_deref()?, second.factors.arm.as_deref()?],
                comparison: comparison(result, first, second),
            })
        })
        .collect()
}

/// Which is faster, in one sentence, what is claimed first; `None` where nothing was compared.
pub(super) fn answer(compared: &[Compared<'_>]) -> Option<String> {
    let mut parts: Vec<(u8, String, Vec<&str>)> = Vec::new();
    for pair in compared {
        let (place, said) = match pair.comparison {
            Comparison::Claim { contrast, .. } if !contrast.mean.found() => {
                (1, "no difference was seen".to_owned())
            }
            Comparison::Claim { contrast, .. } => {
                (0, format!("{} is faster", pair.names[usize::from(contrast.mean.us < 0.0)]))
            }
            Comparison::TooFewRounds => (2, "there are too few rounds to tell".to_owned()),
            Comparison::Overloaded => (3, "the system was overloaded".to_owned()),
            Comparison::Invalid => (4, "a cell is INVALID".to_owned()),
        };
        // What else was set is told where it tells two apart.
        let alike = compared.iter().filter(|other| other.subject == pair.subject).count();
        let title = if alike > 1 { &pair.title } else { &pair.subject };
        match parts.iter_mut().find(|(_, known, _)| *known == said) {
            Some((.., titles)) => titles.push(title),
            None => parts.push((place, said, vec![title])),
        }
    }
    if parts.is_empty() {
        return None;
    }
    parts.sort_by_key(|(place, ..)| *place);
    let words: Vec<String> =
        parts.iter().map(|(_, said, titles)| format!("{said} at {}", listed(titles))).collect();
    let mut text = words.join("; ");
    let mut claims = compared.iter().filter_map(|pair| match pair.comparison {
        Comparison::Claim { doubted, .. } => Some(doubted),
        _ => None,
    });
    if claims.next().is_some_and(|first| first && claims.all(|doubted| doubted)) {
        text.push_str(", if it can be believed");
    }
    let mut letters = text.chars();
    let first = letters.next();
    // Names are spelled as they are.
    let named = letters.clone().next().is_some_and(char::is_uppercase);
    let first = first.map(|letter| if named { letter } else { letter.to_ascii_uppercase() });
    Some(first.into_iter().chain(letters).chain(['.']).collect())
}

/// What was found where nothing is compared, in one sentence: what is full, and which cells are not what they say; `None`
/// where nothing of that was.
pub(super) fn found(result: &RunResult) -> Option<String> {
    let mut full: Vec<(&str, Vec<&str>)> = Vec::new();
    let valid = |cell: &&CellResult| cell.verdict.status != Status::Invalid;
    for cell in result.cells.iter().filter(valid) {
        let Some(service) = full_service(cell) else { continue };
        match full.iter_mut().find(|(known, _)| *known == service) {
            Some((_, cells)) => cells.push(&cell.id),
            None => full.push((service, vec![&cell.id])),
        }
    }
    let full =
        full.iter().map(|(service, cells)| format!("the {service} is full at {}", listed(cells)));
    let invalid: Vec<&str> = result
        .cells
        .iter()
        .filter(|cell| !valid(cell))
        .map(|cell| cell.id.as_str())
        .take(MOST_INVALID)
        .collect();
    let invalid = match invalid.as_slice() {
        [] => None,
        [only] => Some(format!("the cell {only} is INVALID")),
        several => Some(format!("the cells {} are INVALID", listed(several))),
    };
    let text = full.chain(invalid).collect::<Vec<_>>().join("; ");
    let mut letters = text.chars();
    let first = letters.next()?.to_uppercase();
    Some(first.chain(letters).chain(['.']).collect())
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

/// The steps from the first's mean to the second's: families whose part was found and is no trifle, the largest first,
/// then all others as one. They add up.
pub(super) fn steps(claim: &ContrastResult) -> Vec<Step> {
    let (mut found, others): (Vec<_>, Vec<_>) =
        claim.parts.iter().partition(|part| claim.tells(part));
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
        let why = if only.difference.found() { "small" } else { "unclear" };
        let name = format!("{} ({why})", part_words(&only.family));
        let together = only.difference.together;
        steps.push(step(name, None, only.difference.us, Some(together)));
    } else if !others.is_empty() {
        let us = others.iter().map(|part| part.difference.us).sum();
        let small = others.iter().any(|part| part.difference.found());
        let why = if small { "small or unclear" } else { "each unclear" };
        steps.push(step(format!("{} others, {why}", others.len()), None, us, None));
    }
    steps
}

/// A difference: with its sign.
pub(super) fn signed(us: f64) -> String {
    if us > 0.0 { format!("+{}", time(us)) } else { time(us) }
}
