//! Refusals and failures, always as `{"error": "…"}`.

use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode, Uri};
use lab_proto::ErrorReply;
use probe::JsonReply;

/// A request that was not answered with what it asked for.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) error: String,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Refusal { status, error: error.into() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        JsonReply(self.status, ErrorReply { error: self.error }).into_response()
    }
}

pub(crate) async fn no_such_route(uri: Uri) -> Refusal {
    let routes = "POST /rest/ping, POST /grpc/ping, GET /rest/users/count?email=E, \
                  GET /grpc/users/count?email=E, GET /healthz";
    Refusal::new(StatusCode::NOT_FOUND, format!("no route {}; there are {routes}", uri.path()))
}

pub(crate) async fn wrong_method(method: Method, uri: Uri) -> Refusal {
    let error = format!("{method} is not a method of {}", uri.path());
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, error)
}
