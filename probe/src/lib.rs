//! How a service of the lab measures itself, without knowing how.
//!
//! A service says what it answers ([`Service`], [`Routes`]), calls others through a [`Client`], asks
//! databases through a [`Database`], and wraps its own code in [`handler`]. Marks are taken by a tap round
//! every TCP stream, by timed codecs, and by the client and server halves; they become spans when a call
//! is over. What the marks mean is the business of `ledger`, not of this crate.
//!
//! ```no_run
//! use http::StatusCode;
//! use probe::{MakeRoutes, Probe, Refusal, Routes, Service, ServiceConfig, SetupError};
//! use serde_json::{Value, json};
//!
//! /// Says what an item costs: a cent a letter. Settings of its own would be fields.
//! #[derive(Debug, Clone, clap::Args)]
//! struct Pricing;
//!
//! impl Service for Pricing {
//!     const NAME: &'static str = "pricing";
//!     const PORT: u16 = 8084;
//!
//!     fn routes(_: ServiceConfig<Self>, _: Probe) -> Result<MakeRoutes, SetupError> {
//!         Ok(Box::new(|| Routes::new().post_json("/price", price)))
//!     }
//! }
//!
//! /// What is inside of `handler` is the service's own code; decoding and encoding are stages of their own.
//! async fn price(request: Value) -> Result<Value, Refusal> {
//!     probe::handler(async {
//!         let item = request["item"].as_str();
//!         let refused = || Refusal::new(StatusCode::BAD_REQUEST, "item: give a text");
//!         Ok(json!({ "cents": item.ok_or_else(refused)?.chars().count() }))
//!     })
//!     .await
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     probe::main::<Pricing>()
//! }
//! ```
//!
//! It listens on 127.0.0.1:8084 or where `PRICING_LISTEN` says, answers health, and sends spans to
//! `OTEL_EXPORTER_OTLP_ENDPOINT`. In a server that is not started by this crate, [`ProbeLayer`] makes spans without a
//! tap; calls go through a [`Client`] all the same.
//!
//! **Units.** Marks are nanoseconds of `CLOCK_MONOTONIC`, sizes are bytes. Settings are read with their units
//! (`30s`, `64KiB`); none has a unit of its own.
//!
//! **Errors.** A call fails with a [`CallError`], which says whether the peer was not reached, was too slow, or refused,
//! and with what; a service refuses by a [`Refusal`], which is a status and a sentence. A setting that cannot be is a
//! [`SetupError`] before the address is bound, anything else at the start a [`RunError`]. After that nothing that a peer
//! sends ends the process.

mod accept;
mod admission;
mod call;
mod call_error;
pub mod capture;
mod carried;
mod carries;
mod channel;
mod client;
mod client_options;
mod codec;
mod connect;
mod context;
mod database;
mod deadline;
mod directory;
mod exchange;
mod export;
mod guard;
mod http2;
mod json;
mod keepalive;
mod layer;
mod limits;
mod logging;
mod observed;
mod ongoing;
mod otlp;
mod own;
mod pace;
mod poll;
mod probe;
mod received;
mod receiver;
mod record;
mod refusal;
mod replay;
mod reply;
mod reporter;
mod routes;
mod scope;
mod server;
mod service;
mod settings;
mod silence;
mod slot;
mod standing;
mod stopwatch;
mod table;
pub mod tap;
mod transport;
mod upload;
mod workers;
mod wrapped;

pub use call::{Call, Root};
pub use call_error::CallError;
pub use carries::{ByCarries, Carries, NoPayload, Weigh};
pub use channel::Channel;
pub use client::Client;
pub use client_options::{ClientOptions, Version};
pub use codec::{AnyCodec, TimedCodec, TimedDecoder, TimedEncoder, WeighingCodec};
pub use context::SpanContext;
pub use database::{Database, Query};
pub use exchange::Exchange;
pub use json::{
    ErrorReply, Json, JsonBody, JsonError, JsonReply, LONGEST_BODY, Refusal, json_reply, read_json,
    read_json_with,
};
pub use layer::{ProbeLayer, Probed};
pub use limits::Limits;
pub use logging::log_to_stderr;
pub use pace::TooSlow;
pub use probe::{PROBES_VARIABLE, Probe, ProbeConfig, ProbeError};
pub use received::Received;
pub use receiver::EndpointError;
pub use reply::ReplyBody;
pub use reporter::{RelayedExchange, ReportedCall, Reporter};
pub use routes::Routes;
pub use scope::{Context, spawn};
pub use server::ServerOptions;
pub use service::{MakeRoutes, RunError, Service, ServiceConfig, SetupError, main, run, serve};
pub use settings::{ServiceArgs, stdin_closed};
pub use slot::handler;
pub use stopwatch::Stopwatch;
pub use transport::{TransportError, causes};
pub use wrapped::{Wrapped, Wrapper};
