//! A relay of TCP connections with a tap on each face: what goes over the wire of a hop is known without a word of
//! either end, whatever language they are written in.
//!
//! It changes no byte, passes back-pressure and the end of either direction on, and may hold bytes back as a distance
//! or a narrow line would ([`line`]). What its taps see of a request whose caller had it sampled becomes a span
//! ([`faces`]). It knows TCP, and of HTTP no more than the tap does.

mod alarm;
mod config;
mod faces;
mod line;
mod pump;
mod serve;

pub use config::RelayConfig;
pub use serve::{RelayError, Summary, run, serve, serve_reporting};
