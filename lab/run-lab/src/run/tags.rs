//! The tags of a cell's points, whoever writes them.

use lab_model::{Arrivals, Protocol, Workload};
use ledger::names;

/// The tags of a cell's points.
pub(super) fn tags<'a>(
    run: &'a str,
    cell: &'a str,
    protocol: &'a str,
    payload: &'a str,
) -> [(&'static str, &'a str); 4] {
    [
        (names::T_RUN, run),
        (names::T_CELL, cell),
        (names::T_PROTOCOL, protocol),
        (names::T_PAYLOAD, payload),
    ]
}

/// The tag of a protocol: of what a script of the user's own asks, none is declared.
pub(super) fn protocol(protocol: Protocol, arrivals: Arrivals) -> &'static str {
    match arrivals {
        Arrivals::Script => names::NO_CELL,
        Arrivals::Constant | Arrivals::Poisson | Arrivals::Closed(_) => protocol.name(),
    }
}

/// The tag of a declared payload. What a script of the user's own declares is known when its requests are over, and the
/// sidecar tells of them before: all its points go without.
pub(super) fn payload(workload: &Workload, bytes: u64, arrivals: Arrivals) -> String {
    let known = workload.payload && arrivals != Arrivals::Script;
    if known { bytes.to_string() } else { names::NO_CELL.to_owned() }
}
