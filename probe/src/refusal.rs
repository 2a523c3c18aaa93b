//! A request that is refused or fails, as it is answered: `{"error":"…"}` and a status of HTTP, or a
//! status of gRPC.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tonic::Code;

use crate::codec::{Carries, JsonError, JsonReply};

/// The body of an answer to a request that was refused or failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorReply {
    /// Names the field, its value and the limit.
    pub error: String,
}

impl Carries for ErrorReply {}

/// A request that was not answered with what it asked for.
#[derive(Debug)]
pub struct Refusal {
    /// What it is answered with.
    pub status: StatusCode,
    /// Why, for the caller: the field, its value and the limit.
    pub error: String,
}

impl Refusal {
    /// A refusal with this status, which says why.
    pub fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Refusal { status, error: error.into() }
    }
}

/// The one rule of which status a body earns that cannot be read.
impl From<JsonError> for Refusal {
    fn from(error: JsonError) -> Self {
        let status = match &error {
            JsonError::TooLong { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            JsonError::Read(_) | JsonError::Malformed(_) => StatusCode::BAD_REQUEST,
        };
        Refusal::new(status, error.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        JsonReply(self.status, ErrorReply { error: self.error }).into_response()
    }
}

/// The code that stands for the same refusal in gRPC (google.rpc.Code says which is which).
impl From<Refusal> for tonic::Status {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal.status {
            StatusCode::BAD_REQUEST => Code::InvalidArgument,
            StatusCode::NOT_FOUND => Code::NotFound,
            StatusCode::PAYLOAD_TOO_LARGE => Code::OutOfRange,
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE => Code::Unavailable,
            StatusCode::GATEWAY_TIMEOUT => Code::DeadlineExceeded,
            _ => Code::Internal,
        };
        tonic::Status::new(code, refusal.error)
    }
}
