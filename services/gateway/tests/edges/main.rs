//! What faults of the wire and of peers cost those who call through it, and what is told of them.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod answers;
mod connections;
mod deadlines;
#[path = "../../examples/faults/wire.rs"]
#[expect(dead_code, reason = "the comparison of both protocols uses more of it")]
mod wire;
