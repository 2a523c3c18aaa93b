//! How a service of the lab measures itself, without knowing how.
//!
//! A service says what it answers ([`Service`], [`Routes`]), calls others through a [`Client`], asks
//! databases through a [`Database`], and wraps its own code in [`handler`]. Marks are taken by a tap round
//! every TCP stream, by timed codecs, and by the client and server halves; they become spans when a call
//! is over. What the marks mean is the business of `ledger`, not of this crate.

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
pub use settings::ServiceArgs;
pub use slot::handler;
pub use stopwatch::Stopwatch;
pub use transport::{TransportError, causes};
pub use wrapped::{Wrapped, Wrapper};
