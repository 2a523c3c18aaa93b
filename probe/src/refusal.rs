//! A refusal of HTTP as a status of gRPC.

use http::StatusCode;
use tonic::Code;

use crate::json::Refusal;

/// The code that stands for the same refusal in gRPC (google.rpc.Code says which is which).
impl From<Refusal> for tonic::Status {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal.status {
            StatusCode::BAD_REQUEST => Code::InvalidArgument,
            StatusCode::NOT_FOUND => Code::NotFound,
            StatusCode::PAYLOAD_TOO_LARGE => Code::OutOfRange,
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE => Code::Unavailable,
            StatusCode::GATEWAY_TIMEOUT | StatusCode::REQUEST_TIMEOUT => Code::DeadlineExceeded,
            _ => Code::Internal,
        };
        tonic::Status::new(code, refusal.error)
    }
}
