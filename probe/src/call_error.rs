//! Why a call failed, and what a gateway answers for it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;

use crate::json::JsonError;
use crate::transport::TransportError;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No reply: connecting, sending or receiving failed.
    #[error("calling {peer} at {source}")]
    Transport {
        /// The called service.
        peer: String,
        /// What went wrong.
        source: Arc<TransportError>,
    },
    /// No reply within the time limit of the call, or of the request that it was made for.
    #[error("{peer} did not answer within the limit of {limit:?}")]
    Late {
        /// The called service.
        peer: String,
        /// How long it was given.
        limit: Duration,
    },
    /// A reply with another status than 2xx.
    #[error("{peer} answered {status}: {}", String::from_utf8_lossy(body))]
    Status {
        /// The called service.
        peer: String,
        /// Its status.
        status: StatusCode,
        /// The body, cut off at 4 KiB.
        body: Bytes,
    },
    /// The reply's body could not be read.
    #[error("the reply of {peer}: {source}")]
    Decode {
        /// The called service.
        peer: String,
        /// What was wrong with it.
        source: JsonError,
    },
    /// The request could not be made.
    #[error("making the request to {peer}: {reason}")]
    Request {
        /// The called service.
        peer: String,
        /// Why.
        reason: String,
    },
}

impl CallError {
    /// What a gateway answers whose call failed so.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            CallError::Transport { source, .. } => source.status(),
            CallError::Late { .. } => StatusCode::GATEWAY_TIMEOUT,
            CallError::Status { .. } | CallError::Decode { .. } => StatusCode::BAD_GATEWAY,
            CallError::Request { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The same in a word, for `error.type`.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            CallError::Transport { source, .. } => source.kind(),
            CallError::Late { .. } => "timeout",
            // The status is told beside it.
            CallError::Status { .. } => "status",
            CallError::Decode { .. } => "reply",
            CallError::Request { .. } => "request",
        }
    }
}
