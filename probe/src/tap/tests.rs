//! Tests of the tap: connections are driven directly, with bytes and no sockets.

mod frames;
mod fuzz;
mod h1;
mod h2;
mod hpack;
mod listening;
mod wire;
