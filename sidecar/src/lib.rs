//! The sidecar: OTLP spans in, closed ledgers out, and the resources of every process of the lab.
//!
//! Spans take one way through it: [`otlp`] decodes them or refuses them, [`join`] holds them until their trace is whole
//! and makes trees of hops, [`pipeline`] closes the books ([`ledger::close`]) and hands the rows to every [`Sink`]: the
//! run file ([`runfile`]) is one, InfluxDB another. Beside that, [`process`] samples CPU and memory, [`control`] answers
//! the lab's requests for counters and a flush, and [`k6log`] makes spans of the log lines that k6 pushes. Connections
//! of all of these are held by [`listen`].

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
pub use server::{Sidecar, SidecarError, run, runtime};
pub use sink::{Batch, Done, Sink};
