//! What a cell asks for, as reports call it: a payload, or a workload that declares none.

use std::fmt;
use std::sync::Arc;

use super::factors::Factors;
use super::units::payload;
use lab_model::{Workload, workload};

/// What a cell asks for. Payloads come first, by size; those of the first workload before those of others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    without_payload: bool,
    /// What it is called beside its payload.
    label: Option<String>,
    payload_bytes: u64,
}

impl Subject {
    /// The declared payload in bytes, where there is one.
    #[must_use]
    pub fn payload_bytes(&self) -> Option<u64> {
        (!self.without_payload).then_some(self.payload_bytes)
    }
}

impl Factors {
    /// The workload, by which reports find words.
    #[must_use]
    pub fn workload(&self) -> Arc<Workload> {
        let name = &self.workload;
        match &self.own_workload {
            Some(own) => Arc::new(Workload { name: name.clone(), ..own.clone() }),
            None => workload::built_in(name)
                .unwrap_or_else(|| Arc::new(Workload::unknown(name, self.payload_bytes > 0))),
        }
    }

    /// What was asked for.
    #[must_use]
    pub fn subject(&self) -> Subject {
        let workload = self.workload();
        Subject {
            without_payload: !workload.payload,
            label: workload.label().map(str::to_owned),
            payload_bytes: self.payload_bytes,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.payload_bytes(), self.label.as_deref()) {
            (Some(bytes), None) => f.pad(&payload(bytes)),
            (Some(bytes), Some(label)) => f.pad(&format!("{label} {}", payload(bytes))),
            (None, label) => f.pad(label.unwrap_or_default()),
        }
    }
}
