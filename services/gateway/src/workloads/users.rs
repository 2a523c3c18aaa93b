//! The users routes: `?email=E` in, the number of users with that e-mail out.

use std::error::Error as _;
use std::sync::Arc;

use axum::extract::State;
use http::{StatusCode, Uri};
use lab_proto::v1::users_client::UsersClient;
use lab_proto::{
    CountReply, CountRequest, ErrorReply, UsersCountReply, email_of_query, query_of_email,
};
use probe::{Call, CallError, JsonReply};
use tonic::{Code, Status};

use crate::reply::Refusal;
use crate::upstream::Upstream;

/// Name of the called service in spans.
pub(crate) const PEER: &str = "pg-client";

type Shared = State<Arc<crate::State>>;

/// `GET /rest/users/count`.
pub(crate) async fn rest(
    State(state): Shared,
    uri: Uri,
) -> Result<JsonReply<UsersCountReply>, Refusal> {
    let email = asked(&uri)?;
    probe::handler(async {
        let users = known(&state)?;
        let query = query_of_email(&email);
        let call = users.rest.get_json::<CountReply>("/users/count", &query, Call::default());
        let reply = users.in_time(call).await?;
        let CountReply { count } = reply.map_err(|error| rest_failed(users, &error))?;
        Ok(reply_of("rest", email, count))
    })
    .await
}

/// `GET /grpc/users/count`.
pub(crate) async fn grpc(
    State(state): Shared,
    uri: Uri,
) -> Result<JsonReply<UsersCountReply>, Refusal> {
    let email = asked(&uri)?;
    probe::handler(async {
        let users = known(&state)?;
        let request = CountRequest { email: email.clone() };
        let call = users.grpc.unary("lab.v1.Users/Count", Call::default(), |channel| async move {
            UsersClient::new(channel).count(request).await
        });
        let reply = users.in_time(call).await?;
        let CountReply { count } =
            reply.map_err(|status| grpc_failed(users, &status))?.into_inner();
        Ok(reply_of("grpc", email, count))
    })
    .await
}

fn asked(uri: &Uri) -> Result<String, Refusal> {
    email_of_query(uri.query().unwrap_or_default())
        .map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, error.to_string()))
}

fn known(state: &crate::State) -> Result<&Upstream, Refusal> {
    state.users.as_ref().ok_or_else(|| {
        let error = "users: no users service is known; start the gateway with --users-url URL \
                     (GATEWAY_USERS_URL)";
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error)
    })
}

fn reply_of(protocol: &str, email: String, count: u64) -> JsonReply<UsersCountReply> {
    JsonReply(StatusCode::OK, UsersCountReply { protocol: protocol.into(), email, count })
}

/// The users service says itself when its database is down; that is passed on.
fn rest_failed(users: &Upstream, error: &CallError) -> Refusal {
    match error {
        CallError::Status { status: StatusCode::SERVICE_UNAVAILABLE, body, peer } => {
            let said = serde_json::from_slice(body).map_or_else(
                |_| String::from_utf8_lossy(body).into_owned(),
                |ErrorReply { error }| error,
            );
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, format!("{peer}: {said}"))
        }
        other => users.rest_failed(other),
    }
}

/// A status with a source was made here, for a call that was not answered.
fn grpc_failed(users: &Upstream, status: &Status) -> Refusal {
    if status.code() == Code::Unavailable && status.source().is_none() {
        let error = format!("{PEER}: {}", status.message());
        return Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error);
    }
    users.grpc_failed(status)
}
