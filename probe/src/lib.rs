//! How a service of the lab measures itself, without knowing how.
//!
//! A service says what it answers ([`Service`], [`Routes`]), calls others through a [`Client`], asks
//! databases through a [`Database`], and wraps its own code in [`handler`]. Marks are taken by a tap round
//! every TCP stream, by timed codecs, and by the client and server halves; they become spans when a call
//! is over. What the marks mean is the business of `ledger`, not of this crate.

mod accept;
mod call;
pub mod capture;
mod carried;
mod client;
mod codec;
mod connect;
mod context;
mod database;
mod export;
mod ongoing;
mod otlp;
mod poll;
mod probe;
mod receiver;
mod record;
mod refusal;
mod reporter;
mod routes;
mod server;
mod service;
mod settings;
mod slot;
mod stopwatch;
mod tap;
mod workers;

pub use call::{Call, Root};
pub use client::{CallError, Channel, Client, ClientOptions, Exchange, LONGEST_BODY, Version};
pub use codec::{Carries, JsonError, JsonReply, TimedCodec, TimedDecoder, TimedEncoder, read_json};
pub use context::SpanContext;
pub use database::{Database, Query};
pub use probe::{PROBES_VARIABLE, Probe, ProbeConfig, ProbeError};
pub use receiver::EndpointError;
pub use refusal::{ErrorReply, Refusal};
pub use reporter::{ReportedCall, Reporter};
pub use routes::{JsonBody, Routes};
pub use server::ServerOptions;
pub use service::{MakeRoutes, RunError, Service, ServiceConfig, SetupError, main, run, serve};
pub use settings::ServiceArgs;
pub use slot::handler;
pub use stopwatch::Stopwatch;
