//! What k6 pushes of its own log: the lines that `k6/hoplab.js` writes, each of which is the edge of a request.
//!
//! k6 speaks to a Loki (`K6_LOG_OUTPUT=loki=http://SIDECAR/loki/api/v1/push,…`). [`push`] takes a message apart, [`line`]
//! makes the CLIENT span of a request of a line, which goes the way of all spans; [`intake`] answers. Whatever comes,
//! the process lives: a line that cannot be read is refused alone, and counted by reason ([`counts`]).

mod counts;
mod intake;
mod line;
mod push;

#[cfg(test)]
mod spec;

pub(crate) use counts::Counts;
pub use counts::K6LogStats;
pub(crate) use intake::{Intake, PATH};
