//! How a service of the lab measures itself, without knowing how.
//!
//! A service starts a [`Probe`], serves its routes through [`serve`], calls others through a
//! [`Client`], asks databases through a [`Database`], and wraps its own code in [`handler`]. Marks are taken by a tap round every TCP
//! stream, by timed codecs, and by the client and server halves; they become spans when a call is
//! over. What the marks mean is the business of `ledger`, not of this crate.

pub mod capture;
mod client;
mod codec;
mod connect;
mod context;
mod database;
mod export;
mod ongoing;
mod poll;
mod probe;
pub mod process;
mod record;
mod server;
mod slot;
mod stopwatch;
mod tap;
mod witness;

pub use client::{Call, CallError, Channel, Client, ClientOptions, LONGEST_BODY, Root, Version};
pub use codec::{Carries, JsonError, JsonReply, TimedCodec, TimedDecoder, TimedEncoder, read_json};
pub use context::SpanContext;
pub use database::{Database, Query};
pub use probe::{PROBES_VARIABLE, Probe, ProbeConfig, ProbeError};
pub use server::{ServerOptions, serve};
pub use slot::handler;
pub use stopwatch::Stopwatch;
pub use witness::{Witness, Witnessed};
