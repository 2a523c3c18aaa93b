//! InfluxDB: closed requests and process samples as points, written whatever InfluxDB does meanwhile.
//!
//! [`windows`] sums rows up, [`line`] writes them as line protocol, [`backlog`] keeps the lines in order in
//! memory and in the [`spool`], [`writer`] sends them, and [`client`] alone knows the crate that speaks to
//! InfluxDB. [`sink`] holds them together. What the points mean is in `docs/influxdb.md`.

mod backlog;
mod client;
mod counts;
mod group;
mod line;
mod parse;
mod sink;
mod spool;
mod windows;
mod writer;

pub(crate) use client::Target;
pub use client::Token;
pub use counts::InfluxStats;
pub use group::group;
pub use line::{Fields, Lines};
pub(crate) use parse::BadLine;
pub(crate) use sink::{InfluxSink, Tasks};
pub(crate) use spool::Spool;
pub use spool::SpoolError;
pub(crate) use windows::{PlanError, Tags, is_tag};

/// Nanoseconds of a second.
const SECOND: u64 = 1_000_000_000;

#[cfg(test)]
mod spec;
