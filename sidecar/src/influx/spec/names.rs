//! Names of what is written.
