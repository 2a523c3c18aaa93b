//! Why a whole export is refused, and what its sender is told: the tables of the OTLP specification.
//!
//! <https://opentelemetry.io/docs/specs/otlp/>: what no second try would mend gets an answer that SDKs do not
//! retry, what may pass gets one that they do. Single spans are refused in [`super::reject`].

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use http::StatusCode;
use tonic::Code;

use crate::budget::Spent;

macro_rules! causes {
    ($($cause:ident, $name:literal, $status:ident, $code:ident, $remedy:literal;)*) => {
        /// Why an export was refused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(usize)]
        pub(crate) enum Cause { $(#[doc = $remedy] $cause,)* }

        impl Cause {
            pub(crate) const ALL: &'static [Cause] = &[$(Cause::$cause,)*];

            /// The name used in counters.
            pub(crate) const fn name(self) -> &'static str {
                match self { $(Cause::$cause => $name,)* }
            }

            /// The answer over HTTP.
            pub(super) const fn status(self) -> StatusCode {
                match self { $(Cause::$cause => StatusCode::$status,)* }
            }

            /// The answer over gRPC.
            pub(super) const fn code(self) -> Code {
                match self { $(Cause::$cause => Code::$code,)* }
            }

            /// What its sender can do about it.
            const fn remedy(self) -> &'static str {
                match self { $(Cause::$cause => $remedy,)* }
            }
        }
    };
}

causes! {
    Path, "path", NOT_FOUND, Unimplemented,
        "give SDKs http://HOST:PORT without a path as OTEL_EXPORTER_OTLP_ENDPOINT: they add /v1/traces themselves, but not to OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
    Method, "method", METHOD_NOT_ALLOWED, Unimplemented, "exports are sent by POST";
    ContentType, "content_type", UNSUPPORTED_MEDIA_TYPE, Unimplemented,
        "send application/x-protobuf or application/json to /v1/traces, or application/grpc over HTTP/2 to the service of its signal";
    ContentEncoding, "content_encoding", UNSUPPORTED_MEDIA_TYPE, Unimplemented,
        "send exports as they are, or by gzip or zstd (OTEL_EXPORTER_OTLP_COMPRESSION)";
    TooLarge, "too_large", PAYLOAD_TOO_LARGE, ResourceExhausted,
        "send fewer spans at once (OTEL_BSP_MAX_EXPORT_BATCH_SIZE): an export has at most 16 MiB, inflated too";
    Malformed, "malformed", BAD_REQUEST, InvalidArgument,
        "send an ExportTraceServiceRequest of opentelemetry-proto 1.x";
    Slow, "slow", REQUEST_TIMEOUT, DeadlineExceeded, "send a body within 30 s";
    Broken, "broken", BAD_REQUEST, Cancelled, "its sender ended it before it was whole";
    Busy, "busy", SERVICE_UNAVAILABLE, Unavailable,
        "SDKs try again by themselves; a higher --memory-limit lets more exports and spans in at once";
    Origin, "origin", FORBIDDEN, PermissionDenied,
        "a web page sends spans only if the sidecar is told of it: --allow-origin ORIGIN";
    Tls, "tls", MISDIRECTED_REQUEST, Unavailable,
        "there is no TLS here: begin the endpoint with http://, or set OTEL_EXPORTER_OTLP_INSECURE=true";
    NotHttp, "not_http", BAD_REQUEST, Internal, "OTLP is spoken over HTTP/1.1 or HTTP/2";
}

/// Why one export is refused, with what was wrong in particular.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) cause: Cause,
    pub(super) detail: String,
}

impl Refusal {
    pub(super) fn new(cause: Cause, detail: impl Into<String>) -> Refusal {
        Refusal { cause, detail: detail.into() }
    }

    /// What the sender is told.
    pub(super) fn message(&self) -> String {
        format!("{}: {}", self.detail, self.cause.remedy())
    }
}

impl From<Spent> for Refusal {
    fn from(Spent: Spent) -> Self {
        Refusal::new(Cause::Busy, "no memory is left for more exports and spans")
    }
}

/// How often each cause came up.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    counts: [AtomicU64; Cause::ALL.len()],
    said: [AtomicBool; Cause::ALL.len()],
}

impl Refusals {
    /// Counts one export, and says it the first time that this happens for its cause.
    pub(super) fn count(&self, refusal: &Refusal, from: std::net::SocketAddr) {
        self.counts[refusal.cause as usize].fetch_add(1, Relaxed);
        if !self.said[refusal.cause as usize].swap(true, Relaxed) {
            let (name, message) = (refusal.cause.name(), refusal.message());
            tracing::warn!("an export of {from} was refused ({name}; said once): {message}");
        }
    }

    /// Exports that could not be read.
    pub(crate) fn malformed(&self) -> u64 {
        self.counts[Cause::Malformed as usize].load(Relaxed)
    }

    /// The counts by name, every cause listed.
    pub(crate) fn by_name(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Cause::ALL.iter().map(|&cause| (cause.name(), self.counts[cause as usize].load(Relaxed)))
    }
}
