//! The answer of a run in one paragraph: what was asked, REST beside gRPC at the ends of the range, and
//! what may not be used.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use super::Status;
use super::claim::{self, Comparison};
use super::explanation::family_words;
use crate::result::units::{count, payload, percent, rate, time};
use crate::result::{CellResult, RunResult, Subject, pairs, without_arm};
use lab_model::{Protocol, Workload};

/// The answer of a run in one paragraph.
#[must_use]
pub fn summarise(result: &RunResult) -> String {
    let mut text = asked(result);
    for subject in compared(result) {
        if let Some(sentence) = duel(result, &subject) {
            text.push(' ');
            text.push_str(&sentence);
        }
    }
    for sentence in arms(result) {
        text.push(' ');
        text.push_str(&sentence);
    }
    let of = |status| result.cells.iter().filter(move |cell| cell.verdict.status == status);
    let (suspect, invalid) = (of(Status::Suspect).count(), of(Status::Invalid).count());
    let ids = |status| of(status).map(|cell| cell.id.as_str()).collect::<Vec<_>>().join(", ");
    match (suspect, invalid) {
        (0, 0) if of(Status::Unchecked).count() == 0 => {
            text.push_str(" Nothing speaks against these numbers.");
        }
        (_, 0) => {}
        _ => {
            let _ = write!(
                text,
                " {invalid} {} INVALID and must not be used: {}.",
                if invalid == 1 { "cell is" } else { "cells are" },
                ids(Status::Invalid)
            );
        }
    }
    if suspect > 0 {
        let _ = write!(
            text,
            " {suspect} {} SUSPECT, to be used only with the reason in mind: {}.",
            if suspect == 1 { "cell is" } else { "cells are" },
            ids(Status::Suspect)
        );
    }
    let unchecked = of(Status::Unchecked).count();
    if unchecked > 0 {
        let _ = write!(
            text,
            " {unchecked} {} UNCHECKED, since nothing that was here could tell whether they are right: {}.",
            if unchecked == 1 { "cell is" } else { "cells are" },
            ids(Status::Unchecked)
        );
    }
    text
}

/// Each arm beside the first, cell by cell; nothing where there are no arms.
fn arms(result: &RunResult) -> impl Iterator<Item = String> + '_ {
    let armed = result.cells.iter().all(|cell| cell.factors.arm.is_some());
    let pairs = if armed { pairs(&result.cells) } else { Vec::new() };
    pairs.into_iter().map(|(first, second)| {
        let name = |cell: &'_ CellResult| cell.factors.arm.clone().unwrap_or_default();
        let (one, other) = (name(first), name(second));
        let comparison = claim::comparison(result, first, second);
        let told = claim::told(comparison, [first, second], [&one, &other]);
        format!("{}: {told}.", without_arm(&first.id, &first.factors))
    })
}

/// What the cells ask for, each once, in order.
fn subjects(result: &RunResult) -> Vec<Subject> {
    let all: BTreeSet<Subject> = result.cells.iter().map(|cell| cell.factors.subject()).collect();
    all.into_iter().collect()
}

/// The smallest payload that can be compared, and the largest one; a smaller one that cannot be is told too.
fn compared(result: &RunResult) -> Vec<Subject> {
    let sizes = subjects(result);
    let invalid = |subject: &Subject| {
        let mut cells = result.cells.iter().filter(|cell| cell.factors.subject() == *subject);
        cells.any(|cell| cell.verdict.status == Status::Invalid)
    };
    let first_valid = sizes.iter().position(|subject| !invalid(subject)).unwrap_or(0);
    let mut compared: Vec<Subject> = sizes.iter().take(first_valid + 1).cloned().collect();
    if let Some(last) = sizes.last().filter(|last| !compared.contains(last)) {
        compared.push(last.clone());
    }
    compared
}

/// What the requests are, workload by workload in the order of their subjects.
fn requests(result: &RunResult) -> String {
    let mut cells: Vec<&CellResult> = result.cells.iter().collect();
    cells.sort_by_key(|cell| cell.factors.subject());
    let mut workloads: Vec<Arc<Workload>> =
        cells.iter().map(|cell| cell.factors.workload()).collect();
    workloads.dedup_by(|one, other| one.name == other.name);
    let mut all: Vec<String> = Vec::new();
    for workload in workloads {
        let of = cells.iter().filter(|cell| cell.factors.workload == workload.name);
        let mut payloads: Vec<u64> =
            of.filter_map(|cell| cell.factors.subject().payload_bytes()).collect();
        payloads.dedup();
        let payloads = match payloads.as_slice() {
            [] => None,
            [only] => Some(format!("a payload of {}", payload(*only))),
            [least, .., most] => Some(format!(
                "{} payloads from {} to {}",
                payloads.len(),
                payload(*least),
                payload(*most)
            )),
        };
        all.push(match (payloads, workload.label()) {
            (None, _) => workload.asks().to_owned(),
            (Some(payloads), None) => payloads,
            (Some(payloads), Some(_)) => format!("{} with {payloads}", workload.asks()),
        });
    }
    match all.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} and {last}", others.join(", ")),
        _ => all.concat(),
    }
}

fn asked(result: &RunResult) -> String {
    if result.cells.is_empty() {
        return "The run has no cells.".to_owned();
    }
    let sizes = requests(result);
    let mut protocols: Vec<&str> =
        result.cells.iter().map(|cell| label(cell.factors.protocol)).collect();
    protocols.sort_unstable_by_key(|name| *name != "REST");
    protocols.dedup();
    let mut rates: Vec<f64> = result.cells.iter().map(|cell| cell.factors.rate_per_s).collect();
    rates.sort_by(f64::total_cmp);
    let rates = match (rates.first(), rates.last()) {
        (Some(least), Some(most)) if least != most => {
            format!("{} to {}", rate(*least), rate(*most))
        }
        (Some(only), _) => rate(*only),
        _ => String::new(),
    };
    let cells = result.cells.len();
    format!(
        "{} {}: {sizes} by {}, {rates} requests/s.",
        count(cells as u64),
        if cells == 1 { "cell" } else { "cells" },
        protocols.join(" and ")
    )
}

const fn label(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Rest => "REST",
        Protocol::Grpc => "gRPC",
    }
}

/// REST beside gRPC at one payload: only where there is one cell of each, and both may be compared.
fn duel(result: &RunResult, subject: &Subject) -> Option<String> {
    let of = |protocol| {
        let mut cells = result.cells.iter().filter(move |cell| {
            cell.factors.subject() == *subject && cell.factors.protocol == protocol
        });
        cells.next().filter(|_| cells.next().is_none())
    };
    let (rest, grpc) = (of(Protocol::Rest)?, of(Protocol::Grpc)?);
    let size = subject.to_string();
    let names = [rest, grpc].map(|cell| label(cell.factors.protocol));
    let comparison = claim::comparison(result, rest, grpc);
    let claim = claim::told(comparison, [rest, grpc], names);
    let doubt = match comparison {
        Comparison::Invalid | Comparison::Overloaded => return Some(format!("At {size} {claim}.")),
        Comparison::Claim { doubted: true, .. } => ", if they can be believed",
        _ => "",
    };
    let (r, g) = (rest.latency_us, grpc.latency_us);
    Some(format!(
        "At {size} the mean is {} by REST and {} by gRPC (medians {} and {}){doubt}: {claim}. {}",
        time(r.mean),
        time(g.mean),
        time(r.p50),
        time(g.p50),
        mostly(rest, grpc)
    ))
}

/// The largest family of each.
fn mostly(rest: &CellResult, grpc: &CellResult) -> String {
    let most = |cell: &CellResult| {
        let family = cell.families.iter().max_by(|a, b| a.share.total_cmp(&b.share))?;
        Some((family_words(&family.family), percent(family.share)))
    };
    match (most(rest), most(grpc)) {
        (Some((words, r)), Some((same, g))) if words == same => {
            format!("The largest part of both is {words} ({r} and {g}).")
        }
        (Some((words, r)), Some((other, g))) => {
            format!("The largest part is {words} ({r}) by REST and {other} ({g}) by gRPC.")
        }
        _ => String::new(),
    }
}
