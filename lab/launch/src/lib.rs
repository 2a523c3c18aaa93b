//! The parts of the lab: which real ones are here, what each is told when it starts, and when it is ready.
//!
//! Processes are the supervisor's ([`lab_supervise`]); what parts do is theirs.

mod control;
mod grafana;
mod influxdb;
mod inventory;
mod postgres;
mod secret;
mod services;
mod tools;

pub use control::{Announced, Control, ControlError, Opened, Token};
pub use grafana::{ADMIN_SECRET, Dashboards, GRAFANA, Opening, start_grafana};
pub use influxdb::{Generation, Store, start_influxdb};
pub use inventory::{Found, Inventory, Place};
pub use postgres::start_postgres;
pub use services::{
    ANY_PORT, Collector, Services, Target, seed, start_services, start_sidecar, withheld,
};
pub use tools::{NOTHING, NotAProgram, Tool};

/// What an error says, and what was at the bottom of it: a request that failed says no more than that it did.
fn causes(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let (says, cause) = (error.to_string(), innermost.to_string());
    if says.contains(&cause) { says } else { format!("{says}: {cause}") }
}
