//! The OTLP receiver: gRPC and HTTP, protobuf and JSON, on one port.
//!
//! Speaks to any OpenTelemetry SDK: [`crate::listen`] holds the connections, [`intake`] takes one export apart, and
//! [`decode`] reads its spans in place. Whatever peers send, the process lives: broken spans are refused one
//! by one ([`reject`]), exports as a whole as the OTLP specification says ([`refuse`]), both counted by reason.

mod attribute;
mod body;
mod decode;
mod dialect;
mod draft;
mod inflate;
mod intake;
mod json;
mod limits;
mod naming;
mod origin;
mod refuse;
mod reject;
mod signal;
mod sizes;
mod state;
mod wire;

#[cfg(test)]
mod spec;

pub(crate) use decode::{Batch, DecodeError, LARGE, export_request};
pub(crate) use dialect::Dialect;
pub(crate) use intake::Intake;
pub(crate) use naming::Queries;
pub(crate) use refuse::Refusals;
pub(crate) use reject::Rejections;
pub(crate) use signal::Signal;
