//! What cells are called, unless a plan says otherwise.

use super::Size;
use crate::{Protocol, Workload};

/// What a cell of this protocol and payload, or workload without one, is called.
pub(super) fn cell_id(protocol: Protocol, workload: Workload, payload_bytes: u64) -> String {
    match workload {
        Workload::Ping => format!("{}-{}", protocol.name(), Size(payload_bytes)),
        Workload::Users => format!("{}-{}", protocol.name(), workload.name()),
    }
}
