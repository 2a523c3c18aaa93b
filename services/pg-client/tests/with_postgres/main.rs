//! The users service against a real PostgreSQL.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod contract;
mod crowded;
mod database_hop;
mod postgres;
mod service;
