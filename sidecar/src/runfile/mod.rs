//! The run file: SQLite, one row per request and one per hop with its stages as columns.
//!
//! The raw truth that every report reads. The sidecar writes it, the lab reads it.

mod rows;

pub use rows::{HopRow, ProcessSample, RequestRow};
