//! What a cell asks for, as reports call it: a payload, or a workload that declares none.

use std::fmt;

use super::cell::Factors;
use super::units::payload;
use lab_model::Workload;

/// What a cell asks for. Payloads come first, by size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    workload: Workload,
    payload_bytes: u64,
}

impl Subject {
    /// The declared payload in bytes, where there is one.
    #[must_use]
    pub fn payload_bytes(self) -> Option<u64> {
        (self.workload == Workload::Ping).then_some(self.payload_bytes)
    }
}

impl Factors {
    /// What was asked for.
    #[must_use]
    pub fn subject(&self) -> Subject {
        Subject { workload: self.workload, payload_bytes: self.payload_bytes }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.payload_bytes() {
            Some(bytes) => f.pad(&payload(bytes)),
            None => f.pad(self.workload.name()),
        }
    }
}
