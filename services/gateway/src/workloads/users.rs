//! The users routes: `?email=E` in, the number of users with that e-mail out.

use std::sync::Arc;

use axum::extract::State;
use http::{StatusCode, Uri};
use lab_proto::v1::users_client::UsersClient;
use lab_proto::{CountReply, CountRequest, UsersCountReply, email_of_query, query_of_email};
use probe::{JsonReply, Refusal, Routes};

use crate::upstream::Upstream;
use crate::workload::Workload;

/// The users routes, through the users service.
pub(super) const WORKLOAD: Workload = Workload {
    peer: "pg-client",
    routes: |_| {
        Box::new(|users| {
            Routes::new()
                .get("/rest/users/count?email=E", rest)
                .get("/grpc/users/count?email=E", grpc)
                .with_state(Arc::new(users))
        })
    },
};

async fn rest(
    State(users): State<Arc<Upstream>>,
    uri: Uri,
) -> Result<JsonReply<UsersCountReply>, Refusal> {
    let email = asked(&uri)?;
    probe::handler(async {
        let query = query_of_email(&email);
        let CountReply { count } = users.get_json("/users/count", &query).await?;
        Ok(reply("rest", email, count))
    })
    .await
}

async fn grpc(
    State(users): State<Arc<Upstream>>,
    uri: Uri,
) -> Result<JsonReply<UsersCountReply>, Refusal> {
    let email = asked(&uri)?;
    probe::handler(async {
        let request = CountRequest { email: email.clone() };
        let call = |channel| async move { UsersClient::new(channel).count(request).await };
        let CountReply { count } = users.grpc("lab.v1.Users/Count", call).await?;
        Ok(reply("grpc", email, count))
    })
    .await
}

fn asked(uri: &Uri) -> Result<String, Refusal> {
    email_of_query(uri.query().unwrap_or_default())
        .map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, error.to_string()))
}

fn reply(protocol: &str, email: String, count: u64) -> JsonReply<UsersCountReply> {
    JsonReply(StatusCode::OK, UsersCountReply { protocol: protocol.into(), email, count })
}
