//! How the probe's cost is measured: on one cell of a plan, or on a list of cells of its own.

use std::sync::Arc;

use super::naming::cell_id;
use crate::{Arm, Arrivals, Cell, Knobs, Protocol, workload};

/// Rest after each round, in nanoseconds: spans wait up to 500 ms for others before they are sent, and
/// their sending belongs to the round that made them.
pub const SETTLE_NS: u64 = 750_000_000;
/// What a service does before it is certified, in nanoseconds: connections are made, code is paged in.
pub(super) const CERTIFY_WARMUP: u64 = 500_000_000;
/// Requests in flight at most while the probe is certified.
const MAX_IN_FLIGHT: usize = 200;

/// How the cost of the probe is measured on one cell.
#[derive(Debug, Clone, PartialEq)]
pub struct Certify {
    /// Paired rounds, probes on and off.
    pub pairs: u32,
    /// What each round runs.
    pub cell: Cell,
}

impl Certify {
    /// The cell by both arms: with probes, and without.
    #[must_use]
    pub fn arms(&self) -> [Cell; 2] {
        [("probes-on", false), ("probes-off", true)].map(|(name, probes_off)| Cell {
            id: format!("{}-{name}", self.cell.id),
            arm: Some(Arc::new(Arm { name: name.to_owned(), program: None })),
            knobs: Knobs { probes_off, ..self.cell.knobs.clone() },
            ..self.cell.clone()
        })
    }

    /// How long all of it takes at least, in nanoseconds; services start anew for each round.
    #[must_use]
    pub fn expected_ns(&self) -> u64 {
        2 * u64::from(self.pairs) * (self.cell.warmup_ns + self.cell.duration_ns + SETTLE_NS)
    }
}

/// A list of cells to certify the probe on: every protocol with every payload.
#[derive(Debug, Clone, PartialEq)]
pub struct Certification {
    /// Protocols of the inner hop.
    pub protocols: Vec<Protocol>,
    /// Declared payloads, in bytes.
    pub payloads: Vec<u64>,
    /// Planned arrivals a second; [`rate_to_keep`] of each payload if absent.
    pub rate: Option<f64>,
    /// Pairs of rounds of each cell.
    pub pairs: u32,
    /// Measured time of each round, in nanoseconds.
    pub round_ns: u64,
    /// Requests traced in a second at most.
    pub traces_per_second: f64,
}

impl Certification {
    /// What to do for each cell, payload by payload.
    #[must_use]
    pub fn cells(&self) -> Vec<Certify> {
        let payloads = self.payloads.iter();
        let cells = payloads.flat_map(|&bytes| self.protocols.iter().map(move |&p| (p, bytes)));
        cells.map(|(protocol, bytes)| self.cell(protocol, bytes)).collect()
    }

    fn cell(&self, protocol: Protocol, payload_bytes: u64) -> Certify {
        let workload = workload::first();
        Certify {
            pairs: self.pairs,
            cell: Cell {
                id: cell_id(protocol, &workload, payload_bytes),
                protocol,
                workload,
                payload_bytes,
                rate: self.rate.unwrap_or_else(|| rate_to_keep(payload_bytes)),
                duration_ns: self.round_ns,
                warmup_ns: CERTIFY_WARMUP,
                turn_ns: None,
                max_in_flight: MAX_IN_FLIGHT,
                knobs: Knobs::default(),
                arm: None,
                arrivals: Arrivals::Constant,
                traces_per_second: self.traces_per_second,
            },
        }
    }
}

/// Requests of this payload a second that a machine of two cores keeps up with, load generator and
/// sidecar included, and that are still enough for a mean: CPU per request means nothing of a queue.
#[must_use]
pub fn rate_to_keep(payload_bytes: u64) -> f64 {
    match payload_bytes {
        0..=10_000 => 1_000.0,
        10_001..=100_000 => 500.0,
        100_001..=1_000_000 => 100.0,
        // 100 MB/s of payload: what 100 requests of 1 MB are.
        _ => (100_000_000 / payload_bytes).max(1) as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_every_payload_by_every_protocol_at_a_rate_that_can_be_kept() {
        let list = Certification {
            protocols: vec![Protocol::Rest, Protocol::Grpc],
            payloads: vec![10, 100_000, 1_000_000, 16_777_216],
            rate: None,
            pairs: 10,
            round_ns: 1_000_000_000,
            traces_per_second: 200.0,
        };
        let cells = list.cells();
        let told: Vec<_> = cells.iter().map(|one| (one.cell.id.as_str(), one.cell.rate)).collect();
        assert_eq!(told[..2], [("rest-10B", 1_000.0), ("grpc-10B", 1_000.0)]);
        assert_eq!(told[3..6].iter().map(|one| one.1).collect::<Vec<_>>(), [500.0, 100.0, 100.0]);
        assert_eq!(told[7], ("grpc-16MiB", 5.0));
        assert_eq!(cells[0].expected_ns(), 45_000_000_000);
        let [on, off] = cells[0].arms();
        assert_eq!((&*on.id, &*off.id), ("rest-10B-probes-on", "rest-10B-probes-off"));
        assert!(!on.knobs.probes_off && off.knobs.probes_off);
        let asked = Certification { rate: Some(50.0), ..list }.cells();
        assert!(asked.iter().all(|one| one.cell.rate == 50.0));
    }
}
