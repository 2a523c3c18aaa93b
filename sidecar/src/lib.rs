//! The sidecar: OTLP spans in, closed ledgers out, and the resources of every process of the lab.
//!
//! One way through: [`otlp`] decodes and refuses, [`join`] holds spans until their trace is whole
//! and makes trees of hops, [`pipeline`] closes the books ([`ledger::close`]) and hands rows to every
//! [`Sink`]; [`runfile`] is one, InfluxDB another. Beside it [`process`] samples CPU and memory, and [`control`] is how
//! the lab asks for counters and a flush. The connections of both are held by [`listen`]. [`k6log`] takes what k6 pushes of
//! its own log, and makes spans of it.

mod budget;
mod config;
mod control;
mod forward;
mod influx;
mod join;
mod k6log;
mod listen;
mod losses;
mod otlp;
mod pipeline;
mod process;
mod receiver;
pub mod runfile;
mod runs;
mod server;
mod sink;
mod span;
pub mod stats;

pub use config::{ConfigError, SidecarConfig};
pub use control::TokenError;
pub use influx::{Fields, Lines, SpoolError, Token, group};
pub use server::{Sidecar, SidecarError, run};
pub use sink::{Batch, Done, Sink};
