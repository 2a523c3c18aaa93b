//! The lab's model of latency: marks, stages, hops, and the arithmetic that closes the books.
//!
//! A *mark* is a reading of one clock (`CLOCK_MONOTONIC`) at a named [`Point`] of a hop. The time
//! between two neighbouring marks is a [`Stage`]. All stages of a request are its [`RequestLedger`]:
//! they telescope to its latency, whatever marks are missing or out of order, and [`close`] is the
//! one function that does it.
//!
//! ```
//! use ledger::{Half, HopNode, Kind, Side, Stage, close};
//!
//! // A client that waited for 10 ms, and the server behind it, which was at work for 6 ms of them.
//! let client = Half::new(Side::Client, (0, 10_000_000));
//! let server = Half::new(Side::Server, (2_000_000, 8_000_000));
//! let hop = HopNode { client: Some(client), server: Some(server), ..HopNode::default() };
//!
//! let books = close(&hop);
//! let stage = |stage| books.hops[0].stages.get(stage).ns;
//! assert_eq!(stage(Stage::Handler), 6_000_000);
//! // Of the rest nobody told anything: it is not called network, and it is inferred, not measured.
//! assert_eq!(stage(Stage::BetweenSpans), 4_000_000);
//! assert_eq!(books.total_of(Kind::Inferred), 4_000_000);
//! // A stopwatch of its own saw a little more than the stages explain.
//! assert_eq!(books.residual(10_000_250), 250);
//! ```
//!
//! **Units.** Marks and stages are whole nanoseconds: marks unsigned, since a clock's beginning; stages signed, since a
//! mark out of order makes one negative, which is kept and counted ([`HopLedger::out_of_order`]). Bytes are bytes. There
//! are no floating-point numbers: units for people are made where people read.
//!
//! **Errors.** Closing the books cannot fail: whatever is missing becomes a coarser stage. What is read can be wrong:
//! [`HalfError`] and [`PackedError`] say which entry of a record and why, [`UnknownStage`] which names there are.
//! Nothing here panics at what a peer sent.
//!
//! This crate does no I/O, knows no runtime and no wire format. It owns every attribute, field and
//! tag name that crosses a process boundary ([`names`]), so that those who write a name and those
//! who read it cannot disagree.

mod at_rest;
pub mod clock;
mod close;
mod critical;
pub mod date;
pub mod edge;
mod entries;
mod half;
mod hop;
mod marks;
pub mod names;
mod packed;
mod passage;
pub mod process;
mod stage;
mod varint;
mod walk;
pub mod wall;
mod wire;

pub use at_rest::{AtRest, Rested};
pub use close::close;
pub use edge::Edge;
pub use entries::HalfError;
pub use half::{Attribute, Far, Half, Side, Value};
pub use hop::{HopLedger, HopNode, RequestLedger};
pub use marks::{Marks, Point, Sending, Traffic};
pub use packed::{Origin, PackedError};
pub use stage::{Family, Kind, Stage, StageSet, StageTime, UnknownStage};
pub use varint::{length_delimited, varint};
