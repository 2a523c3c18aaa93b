//! The sidecar: OTLP spans in, closed ledgers out, and the resources of every process of the lab.

pub mod runfile;
