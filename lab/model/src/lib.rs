//! What the lab runs, what it measured and whether to believe it, as plain data: cells, measures, verdicts, and
//! the plans that cells come from.
//!
//! Load generators and launchers read and fill these, the judge and the reports read them. Nothing here does I/O,
//! but for reading a plan file.

mod cell;
mod environment;
pub mod event;
mod limit;
mod measure;
pub mod plan;
mod round;
pub mod services;
mod system;
mod verdict;
pub mod workload;

pub use cell::{
    Arm, Arrivals, Cell, DEFAULT_USERS, Knobs, MAX_TRACES_PER_SECOND, PayloadSource, Protocol,
};
pub use environment::{ArmProgram, Component, Environment};
pub use limit::{Compared, Limit, LimitError, More};
pub use measure::{Asked, CellMeasure, Certificate, ProbeCost, RunMeasure};
pub use round::{CpuUse, K6Measure, LATE_NS, Requests, RoundMeasure, Second, Statements};
pub use services::{SERVICES, Service};
pub use system::{Capability, Entry, System};
pub use verdict::{Answer, Evidence, Question, Reason, Status, Verdict};
pub use workload::Workload;
