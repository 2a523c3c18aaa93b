//! The evidence for a cell: an answer to each of five questions, with the number that it rests on.
//!
//! The reasons of the verdict say what speaks against a cell. Here each is put below its question, and where none speaks
//! against, what was looked at is told: a yes without a number is a word.

use super::steady::{Stretch, half_against_half};
use super::{Circumstances, Status, rules};
use crate::result::units::{count, exact_bytes, http, percent, time};
use crate::result::{BodiesResult, CellResult, WireResult, ratio};
use lab_model::{Answer, Arrivals, Evidence, Question, Reason};

/// An answer to each question about `cell`, which has been judged; the worst first.
pub(super) fn of(cell: &CellResult, run: &Circumstances) -> Vec<Evidence> {
    let mut all: Vec<Evidence> = Question::ALL.map(|question| answer(cell, run, question)).into();
    // Of answers alike the order of the questions stays.
    all.sort_by_key(|evidence| std::cmp::Reverse((evidence.status, evidence.answer)));
    all
}

fn answer(cell: &CellResult, run: &Circumstances, question: Question) -> Evidence {
    let about = |reason: &&Reason| {
        rules::Rule::coded(&reason.code).is_some_and(|rule| rule.question == Some(question))
    };
    let untold = |reason: &Reason| {
        let rule = rules::Rule::coded(&reason.code);
        rule.is_some_and(|rule| matches!(rule.bound, rules::Bound::Untold(_)))
    };
    let reasons: Vec<&Reason> = cell.verdict.reasons.iter().filter(about).collect();
    // The worst comes first.
    let against = reasons.iter().find(|reason| reason.status >= Status::Suspect);
    let open = reasons.iter().find(|reason| untold(reason));
    let evidence = |answer, status, text: String, numbers: Option<(f64, f64)>| Evidence {
        question,
        answer,
        status,
        text,
        value: numbers.map(|numbers| numbers.0),
        limit: numbers.map(|numbers| numbers.1),
        codes: reasons.iter().map(|reason| reason.code.clone()).collect(),
    };
    if let Some(reason) = against {
        let numbers = Some((reason.value, reason.limit));
        return evidence(Answer::No, reason.status, reason.text.clone(), numbers);
    }
    if let Some(reason) = open {
        return evidence(Answer::Unchecked, reason.status, reason.text.clone(), None);
    }
    let nothing = nothing_to_look_at(cell).filter(|_| looks_at_ledgers(question));
    if let Some(why) = nothing {
        return evidence(Answer::Unchecked, Status::Valid, why.to_owned(), None);
    }
    let (text, numbers) = yes(cell, run, question);
    evidence(Answer::Yes, Status::Valid, text, numbers)
}

/// Questions that only ledgers answer.
const fn looks_at_ledgers(question: Question) -> bool {
    matches!(question, Question::Workload | Question::Latency | Question::Marks)
}

/// Why there is no ledger that could answer anything; that is told of the cell in a reason of its own.
fn nothing_to_look_at(cell: &CellResult) -> Option<&'static str> {
    if cell.factors.knobs.probes_off {
        Some("probes were off")
    } else if cell.requests.ok == 0 {
        Some("no request succeeded")
    } else if cell.traced.succeeded == 0 {
        Some("no request has a ledger")
    } else {
        None
    }
}

/// What was looked at where nothing speaks against it: in words, with number and limit.
fn yes(cell: &CellResult, run: &Circumstances, question: Question) -> (String, Option<(f64, f64)>) {
    match question {
        Question::Workload => workload(cell),
        Question::Requests => requests(cell),
        Question::Latency => latency(cell, run),
        Question::Marks => marks(cell, run),
        Question::Undisturbed => undisturbed(cell),
    }
}

fn workload(cell: &CellResult) -> (String, Option<(f64, f64)>) {
    let relayed = |hop: &WireResult| hop.relayed.map_or(0, |relayed| relayed.mismatches);
    let wrong: u64 = cell.wire.iter().map(|hop| hop.payload_mismatches + relayed(hop)).sum();
    let hop = |hop: &WireResult| {
        let spoken: Vec<String> = hop.http.iter().map(|&version| http(version)).collect();
        format!("{} {}", hop.hop, spoken.join(", "))
    };
    let tapped = cell.wire.iter().filter(|wire| wire.request_payload_range.is_some());
    let counted: Vec<String> = tapped.map(hop).collect();
    let relayed: Vec<String> =
        cell.wire.iter().filter_map(|hop| bodies(hop, hop.relayed)).collect();
    let claimed: Vec<String> =
        cell.wire.iter().filter_map(|hop| bodies(hop, hop.claimed)).collect();
    let mut ways = Vec::new();
    if !counted.is_empty() {
        ways.push(format!("counted on the connections ({})", counted.join("; ")));
    }
    if !relayed.is_empty() {
        ways.push(format!("counted by a relay (bodies at {})", relayed.join("; ")));
    }
    if !claimed.is_empty() {
        ways.push(format!(
            "claimed by spans where nobody counted (bodies at {})",
            claimed.join("; ")
        ));
    }
    let text = format!(
        "of {} requests {} carried another payload than declared, {}; limit 0",
        count(cell.traced.succeeded),
        count(wrong),
        ways.join(", and ")
    );
    (text, Some((wrong as f64, 0.0)))
}

/// What is known of bodies of `hop` of which nobody told the payload apart, and how much of them may be none.
fn bodies(hop: &WireResult, known: Option<BodiesResult>) -> Option<String> {
    let known = known.filter(|known| known.checked > 0)?;
    let both = [("request", known.request_body_range), ("reply", known.response_body_range)];
    let bodies = both.into_iter().filter_map(|(direction, range)| {
        let (least, most) = range?;
        let from = if least == most { String::new() } else { format!("{} to ", count(least)) };
        Some(format!("{from}{} for the {direction}", exact_bytes(most)))
    });
    let bodies = bodies.collect::<Vec<_>>().join(" and ");
    let envelope = exact_bytes(hop.envelope());
    Some(format!("{} of {bodies}, of which up to {envelope} are envelope", hop.hop))
}

fn requests(cell: &CellResult) -> (String, Option<(f64, f64)>) {
    let (all, traced) = (cell.requests, cell.traced);
    if cell.factors.arrivals == Arrivals::Script {
        let text = format!(
            "k6 tells of {} requests, {} of them answered; {} are in the ledger",
            count(all.started),
            count(all.ok),
            count(traced.count)
        );
        return (text, None);
    }
    let lost = traced.expected.saturating_sub(traced.count);
    let text = format!(
        "{} planned = {} started + {} dropped, all ended; of {} traced requests {} are missing (limit 0)",
        count(all.planned),
        count(all.started),
        count(all.dropped),
        count(traced.expected),
        count(lost)
    );
    (text, Some((lost as f64, 0.0)))
}

fn latency(cell: &CellResult, run: &Circumstances) -> (String, Option<(f64, f64)>) {
    let (marks, residual) = (cell.marks, cell.residual);
    if run.built_in {
        let text = format!(
            "a stopwatch that knows no marks saw {} of the time that no stage explains ({} at the median; limit 1 %)",
            percent(residual.p50_share),
            time(residual.p50_us)
        );
        return (text, Some((residual.p50_share.abs(), 0.01)));
    }
    let all = marks.contained + marks.not_contained;
    let share = ratio(marks.contained as f64, all as f64);
    let text = format!(
        "checked by containment: the load generator's times hold the first service's first read to its last write in {} of {} \
         requests ({}, limit 99.9 %)",
        count(marks.contained),
        count(all),
        percent(share)
    );
    (text, Some((share, 0.999)))
}

fn marks(cell: &CellResult, run: &Circumstances) -> (String, Option<(f64, f64)>) {
    let share = cell.marks.out_of_order_share;
    let text = format!(
        "{} stages out of order in {} requests (limit 0); certified by this build's tests (commit {}), which put delays \
         into services, wire, windows and send buffers and find each in its place",
        count(cell.marks.out_of_order),
        count(cell.traced.succeeded),
        run.certified().map_or("unknown", |commit| commit.get(..12).unwrap_or(commit))
    );
    (text, Some((share, 0.0)))
}

fn undisturbed(cell: &CellResult) -> (String, Option<(f64, f64)>) {
    let busy = cell.load.host_cpu_share;
    let mut parts = vec![format!("the machine was {} busy (limit 95 %)", percent(busy))];
    if let (Some(late), Some(p99)) = (cell.send_delay_us, cell.latency_us.p99) {
        let share = ratio(late.p99, p99);
        parts
            .push(format!("requests were sent late by {} of the p99 (limit 50 %)", percent(share)));
    }
    if let Some((change, _)) = half_against_half(cell, Stretch::Round) {
        let (size, way) = (percent(change.abs()), if change < 0.0 { "less" } else { "longer" });
        parts.push(format!("the second half of a round took {size} {way} than its first"));
    }
    if cell.load.dropped_share > 0.0 {
        parts.push(format!("{} of the arrivals were dropped", percent(cell.load.dropped_share)));
    }
    (parts.join(", "), Some((busy, 0.95)))
}
