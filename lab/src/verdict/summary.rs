//! The answer of a run in one paragraph: what was asked, REST beside gRPC at the ends of the range, and
//! what may not be used.

use std::fmt::Write as _;

use super::Status;
use super::explanation::{family_words, overloaded};
use crate::model::Protocol;
use crate::result::units::{count, payload, percent, rate, time, trimmed};
use crate::result::{CellResult, RunResult, ratio};

/// The answer of a run in one paragraph.
#[must_use]
pub fn summarise(result: &RunResult) -> String {
    let mut text = asked(result);
    let payloads: Vec<u64> = result.cells.iter().map(|cell| cell.factors.payload_bytes).collect();
    for bytes in compared(result, &payloads) {
        if let Some(sentence) = duel(result, bytes) {
            text.push(' ');
            text.push_str(&sentence);
        }
    }
    let of = |status| result.cells.iter().filter(move |cell| cell.verdict.status == status);
    let (suspect, invalid) = (of(Status::Suspect).count(), of(Status::Invalid).count());
    let ids = |status| of(status).map(|cell| cell.id.as_str()).collect::<Vec<_>>().join(", ");
    match (suspect, invalid) {
        (0, 0) => text.push_str(" Nothing speaks against these numbers."),
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
    text
}

/// The smallest payload that can be compared, and the largest one; a smaller one that cannot be is told too.
fn compared(result: &RunResult, payloads: &[u64]) -> Vec<u64> {
    let mut sizes = payloads.to_vec();
    sizes.sort_unstable();
    sizes.dedup();
    let invalid = |bytes: u64| {
        let mut cells = result.cells.iter().filter(|cell| cell.factors.payload_bytes == bytes);
        cells.any(|cell| cell.verdict.status == Status::Invalid)
    };
    let first_valid = sizes.iter().position(|&bytes| !invalid(bytes)).unwrap_or(0);
    let mut compared: Vec<u64> = sizes.iter().take(first_valid + 1).copied().collect();
    compared.extend(sizes.last().filter(|last| !compared.contains(last)));
    compared
}

fn asked(result: &RunResult) -> String {
    let mut payloads: Vec<u64> =
        result.cells.iter().map(|cell| cell.factors.payload_bytes).collect();
    payloads.sort_unstable();
    payloads.dedup();
    let sizes = match payloads.as_slice() {
        [] => return "The run has no cells.".to_owned(),
        [only] => format!("a payload of {}", payload(*only)),
        [least, .., most] => {
            format!("{} payloads from {} to {}", payloads.len(), payload(*least), payload(*most))
        }
    };
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
fn duel(result: &RunResult, bytes: u64) -> Option<String> {
    let of = |protocol| {
        let mut cells = result.cells.iter().filter(move |cell| {
            cell.factors.payload_bytes == bytes && cell.factors.protocol == protocol
        });
        cells.next().filter(|_| cells.next().is_none())
    };
    let (rest, grpc) = (of(Protocol::Rest)?, of(Protocol::Grpc)?);
    let size = payload(bytes);
    if [rest, grpc].iter().any(|cell| cell.verdict.status == Status::Invalid) {
        return Some(format!("At {size} there is no comparison, since a cell of it is INVALID."));
    }
    let (r, g) = (rest.latency_us.mean, grpc.latency_us.mean);
    if overloaded(rest) || overloaded(grpc) {
        return Some(format!(
            "At {size} more was offered than the system could serve: of {}/s it completed {}/s by REST and \
             {}/s by gRPC, and the means of {} and {} are the length of its queues, not the cost of a protocol.",
            rate(rest.factors.rate_per_s),
            rate(rest.load.completed_per_s),
            rate(grpc.load.completed_per_s),
            time(r),
            time(g)
        ));
    }
    let (slower, factor) = if r >= g { ("REST", ratio(r, g)) } else { ("gRPC", ratio(g, r)) };
    let verdict = if factor < 1.05 {
        "no difference to speak of".to_owned()
    } else {
        format!("{slower} takes {}× as long", trimmed(factor))
    };
    Some(format!(
        "At {size} the mean is {} by REST and {} by gRPC: {verdict}. {}",
        time(r),
        time(g),
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
