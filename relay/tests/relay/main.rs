//! A relay between real sockets: what comes out is what went in.

#![expect(clippy::unwrap_used, reason = "in tests a panic is the report")]

mod bytes;
mod ends;
mod found;
mod http;
mod lines;
mod setting;
