//! A relay of TCP connections with a tap on each side: it sees what goes over the wire between two programs, whatever
//! language they are written in, and needs nothing of either.
//!
//! It changes no byte. It passes back-pressure on, and the end of either direction, and it can hold bytes back as a long
//! or a narrow line would ([`line`]). Of a sampled request it makes a span of what its taps saw ([`faces`]). It knows
//! TCP; of HTTP it knows what the tap knows.

mod alarm;
mod config;
mod faces;
mod line;
mod pump;
mod serve;

pub use config::RelayConfig;
pub use serve::{RelayError, Summary, run, serve, serve_reporting};
