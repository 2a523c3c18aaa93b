//! The run file: SQLite, one row per request and one per hop with its stages as columns.
//!
//! The raw truth that every report reads. The sidecar writes it, the lab reads it. Columns of stages
//! are made from [`ledger::Stage::ALL`], so a new stage needs no edit here.

mod file;
mod json;
mod read;
mod rows;
mod schema;
mod single;
mod sink;
mod trace_id;
mod write;

pub use file::{RunFile, RunFileError};
pub(crate) use read::Wanted;
pub use rows::{Aside, Attempt, Claimed, HopRow, ProcessSample, RequestKind, RequestRow};
pub use single::{MOST_SINGLE, Single};
pub(crate) use sink::RunFileSink;
pub use trace_id::{NoTraceId, TraceId};

#[cfg(test)]
mod spec;
