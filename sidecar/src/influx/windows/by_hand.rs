//! Requests that no run asked for: load by hand, and systems that nobody planned. What they are grouped by comes from
//! themselves: the protocol from the route, the payload from the bytes that a tap counted, else what they do.
//!
//! Such a cell is called as a plan would call it. One that a plan did announce is another: `rest-10B by hand`.

use ledger::names;
use settings::Size;

use super::tags::{LONGEST, OTHER, Tags};
use crate::runfile::RequestRow;

/// Requests by hand whose operation nothing tells.
const UNNAMED: &str = "unnamed";

/// What a request by hand is grouped by, and whether its payload is known.
pub(super) fn tags(row: &RequestRow) -> Tags {
    let mut parts = row.operation.split(['/', ' ']).filter(|part| !part.is_empty());
    let Some(protocol) = parts.find(|part| names::PROTOCOLS.contains(part)) else {
        return named(if row.operation.is_empty() { UNNAMED } else { &row.operation });
    };
    let counted = row.hops.first().and_then(|edge| edge.reply).map(|reply| reply.payload);
    let (of_it, payload) = match counted.filter(|&bytes| bytes > 0) {
        Some(bytes) => (Size(bytes).to_string(), bytes.to_string()),
        None => (parts.collect::<Vec<_>>().join("-"), names::NO_CELL.to_owned()),
    };
    let cell = bounded(&[protocol, &of_it].join("-"));
    Tags { cell, protocol: protocol.to_owned(), payload }
}

/// A cell of which no more is known than what it is called.
pub(super) fn named(name: &str) -> Tags {
    let none = || names::NO_CELL.to_owned();
    Tags { cell: bounded(name), protocol: none(), payload: none() }
}

/// What is past a bound.
pub(super) fn other() -> Tags {
    named(OTHER)
}

/// The same where a plan has a cell of that name.
pub(super) fn beside_a_plan(tags: Tags) -> Tags {
    Tags { cell: format!("{} by hand", tags.cell), ..tags }
}

fn bounded(name: &str) -> String {
    // Room for what may be added.
    let most = LONGEST - 16;
    name.char_indices().take_while(|(at, c)| at + c.len_utf8() <= most).map(|(_, c)| c).collect()
}
