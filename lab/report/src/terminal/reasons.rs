//! Why numbers are not to be believed, worst first, and the notes. What several cells share is said once, but for what
//! makes a cell INVALID.

use std::fmt::Write as _;

use super::super::text::{Paint, wrap};
use super::longest_id;
use lab_judge::result::RunResult;
use lab_model::{Reason, Status};

/// What so many cells have is told of the run.
const SHARED: usize = 3;
/// What reasons that belong to no cell are told of.
const RUN: &str = "the run";

/// Writes the reasons of `result`.
pub(super) fn write(text: &mut String, result: &RunResult, width: usize, paint: Paint) {
    let mut all: Vec<(&str, Reason)> =
        result.verdict.reasons.iter().map(|reason| (RUN, reason.clone())).collect();
    let codes = shared(result);
    all.extend(codes.iter().filter_map(|&code| Some((RUN, together(result, code)?))));
    for cell in &result.cells {
        let own = cell.verdict.reasons.iter();
        let own = own.filter(|reason| !codes.contains(&kind(reason)));
        all.extend(own.map(|reason| (cell.id.as_str(), reason.clone())));
    }
    all.sort_by_key(|(_, reason)| std::cmp::Reverse(reason.status));
    let run = all.iter().any(|(name, _)| *name == RUN);
    let longest = longest_id(result).max(if run { RUN.len() } else { 0 });
    for (name, reason) in all {
        let status = if is_note(&reason) { "note" } else { reason.status.name() };
        let line = format!("{status:9}  {name:longest$}  {}: {}", reason.code, reason.text);
        let line = wrap(&line, width, 11 + longest + 2);
        let (head, rest) = line.split_at(9);
        let _ = writeln!(text, "{}{rest}", paint.status(head, reason.status));
    }
    if result.verdict.status == Status::Valid && result.verdict.reasons.is_empty() {
        let _ = writeln!(text, "{}  every cell", paint.status("VALID    ", Status::Valid));
    }
    text.push('\n');
}

fn is_note(reason: &Reason) -> bool {
    reason.status == Status::Valid
}

/// What makes two reasons alike.
type Kind<'a> = (Status, &'a str);

fn kind(reason: &Reason) -> Kind<'_> {
    (reason.status, &reason.code)
}

/// The reasons of this kind, each with its cell.
fn alike<'a>(result: &'a RunResult, wanted: Kind<'_>) -> Vec<(&'a str, &'a Reason)> {
    let of = |cell: &'a lab_judge::result::CellResult| {
        let reasons = cell.verdict.reasons.iter();
        reasons.map(move |reason| (cell.id.as_str(), reason))
    };
    let all = result.cells.iter().flat_map(of);
    all.filter(|(_, reason)| kind(reason) == wanted).collect()
}

/// Kinds of the reasons that [`SHARED`] cells or more have, in the order in which they first come.
fn shared(result: &RunResult) -> Vec<Kind<'_>> {
    let mut kinds: Vec<Kind<'_>> = Vec::new();
    let reasons = result.cells.iter().flat_map(|cell| &cell.verdict.reasons);
    for reason in reasons.filter(|reason| reason.status < Status::Invalid) {
        let kind = kind(reason);
        if !kinds.contains(&kind) && alike(result, kind).len() >= SHARED {
            kinds.push(kind);
        }
    }
    kinds
}

/// All reasons of this kind as one, in the words of the worst: the one furthest past its limit.
fn together(result: &RunResult, wanted: Kind<'_>) -> Option<Reason> {
    let reasons = alike(result, wanted);
    let past = |reason: &Reason| (reason.value - reason.limit).abs();
    let (worst, reason) = reasons.iter().max_by(|a, b| past(a.1).total_cmp(&past(b.1)))?;
    let (some, all) = (reasons.len(), result.cells.len());
    let cells =
        if some == all { format!("all {all} cells") } else { format!("{some} of {all} cells") };
    let text = format!("in {cells}, the most in {worst}: {}", reason.text);
    Some(Reason { text, ..(*reason).clone() })
}
