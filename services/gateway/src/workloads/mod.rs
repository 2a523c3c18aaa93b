//! What the gateway can be asked for, one file each. A file has everything of its workload: the routes,
//! what is refused, the call to the service behind it, and the answer.

mod ping;
mod users;

use crate::workload::Workload;

/// All of them.
pub(crate) const WORKLOADS: &[Workload] = &[ping::WORKLOAD, users::WORKLOAD];
