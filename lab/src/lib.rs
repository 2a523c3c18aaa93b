//! The lab.

pub mod model;
pub mod report;
pub mod result;
pub mod verdict;
