//! The lab's model of latency: marks, stages, hops, and the arithmetic that closes the books.
//!
//! A *mark* is a reading of one clock (`CLOCK_MONOTONIC`) at a named [`Point`] of a hop. The time
//! between two neighbouring marks is a [`Stage`]. All stages of a request are its [`RequestLedger`]:
//! they telescope to its latency, whatever marks are missing or out of order, and [`close`] is the
//! one function that does it.
//!
//! This crate does no I/O, knows no runtime and no wire format. It owns every attribute, field and
//! tag name that crosses a process boundary ([`names`]), so that those who write a name and those
//! who read it cannot disagree.

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
mod walk;
pub mod wall;
mod wire;

pub use close::close;
pub use edge::Edge;
pub use entries::HalfError;
pub use half::{Attribute, Far, Half, Side, Value};
pub use hop::{HopLedger, HopNode, RequestLedger};
pub use marks::{Marks, Point, Sending, Traffic};
pub use packed::{Origin, PackedError, length_delimited, varint};
pub use stage::{Family, Kind, Stage, StageSet, StageTime, UnknownStage};
