//! What cells are called, unless a plan says otherwise.

use super::Size;
use crate::{Protocol, Workload};

/// What a cell of this protocol and payload, and workload, is called.
pub(super) fn cell_id(protocol: Protocol, workload: &Workload, payload_bytes: u64) -> String {
    let mut id = protocol.name().to_owned();
    for part in [
        workload.label().map(str::to_owned),
        workload.payload.then(|| Size(payload_bytes).to_string()),
    ]
    .into_iter()
    .flatten()
    {
        id.push('-');
        id.push_str(&part);
    }
    id
}
