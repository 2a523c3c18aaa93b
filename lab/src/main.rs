//! `run-lab`.

fn main() {}
