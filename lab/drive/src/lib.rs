//! Load generators: the built-in driver, and k6. Both drive a round of a cell and say the same of it.

pub mod builtin;
pub mod k6;
