//! The OTLP/gRPC trace receiver.
//!
//! Speaks `opentelemetry.proto.collector.trace.v1.TraceService` to any OpenTelemetry SDK. Whatever
//! peers send, the process lives: broken spans are refused one by one and counted by reason, broken
//! messages are answered with INVALID_ARGUMENT.

mod attribute;
mod decode;
mod limits;
mod naming;
mod reject;
mod service;
mod state;
mod wire;

#[cfg(test)]
mod spec;

pub(crate) use decode::{Batch, export_request};
pub(crate) use reject::Rejections;
pub(crate) use service::serve;
