//! The lab.

pub mod model;
