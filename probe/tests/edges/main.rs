//! What becomes of calls that are cut off, of peers that say nothing, and of services that are not the lab's.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod calls;
mod limits;
mod marks;
mod own;
