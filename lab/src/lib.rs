//! The lab.

pub mod driver;
pub mod model;
pub mod plan;
