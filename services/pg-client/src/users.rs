//! The one question: how many users have an e-mail.

use std::sync::Arc;

use axum::extract::State;
use futures_util::TryStreamExt;
use http::{StatusCode, Uri};
use lab_proto::v1::users_server;
use lab_proto::{CountReply, CountRequest, check_email, email_of_query};
use probe::{Database, JsonReply, Probe, Query};
use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::{Postgres, Row};
use tonic::Status;

use crate::connections::Connections;
use crate::failure::Failure;

/// The query, as `pg_stat_statements` shows it too.
pub(crate) const COUNT: &str = "SELECT count(*) FROM users WHERE email = $1";
/// Name of the database in spans, and its kind by the semantic conventions.
const PEER: (&str, &str) = ("postgres", "postgresql");
/// Name of the span of a query.
const SPAN: &str = "SELECT users";

/// The users in the database.
#[derive(Debug)]
pub(crate) struct Users {
    pub(crate) connections: Connections,
    database: Database,
}

impl Users {
    pub(crate) fn new(probe: &Probe, options: PgConnectOptions, pool_size: u32) -> Self {
        let (peer, system) = PEER;
        Users {
            connections: Connections::new(options, pool_size),
            database: Database::new(probe, peer, system),
        }
    }

    /// How many users have `email`.
    async fn count(&self, email: &str) -> Result<u64, Failure> {
        let query = self.database.begin(SPAN).await;
        let counted = self.ask(&query, email).await;
        query.end(counted).await
    }

    async fn ask(&self, query: &Query, email: &str) -> Result<u64, Failure> {
        let mut lease = self.connections.acquire().await?;
        query.sent().await;
        let mut last = None;
        let read: sqlx::Result<()> = async {
            let mut rows = sqlx::query::<Postgres>(COUNT).bind(email).fetch(lease.connection());
            while let Some(row) = rows.try_next().await? {
                query.row();
                last = Some(row);
            }
            Ok(())
        }
        .await;
        let decoded = read.and_then(|()| {
            let row: PgRow = last.ok_or(sqlx::Error::RowNotFound)?;
            query.decode(|| row.try_get::<i64, _>(0))
        });
        decoded.map(i64::unsigned_abs).map_err(|error| self.connections.failed(error))
    }
}

/// `GET /users/count?email=E`.
pub(crate) async fn rest(
    State(users): State<Arc<Users>>,
    uri: Uri,
) -> Result<JsonReply<CountReply>, Failure> {
    let email = email_of_query(uri.query().unwrap_or_default())?;
    let count = probe::handler(users.count(&email)).await?;
    Ok(JsonReply(StatusCode::OK, CountReply { count }))
}

/// The gRPC side.
#[derive(Debug, Clone)]
pub(crate) struct Grpc(pub(crate) Arc<Users>);

#[tonic::async_trait]
impl users_server::Users for Grpc {
    async fn count(
        &self,
        request: tonic::Request<CountRequest>,
    ) -> Result<tonic::Response<CountReply>, Status> {
        let email = request.into_inner().email;
        check_email(&email).map_err(Failure::from)?;
        let count = probe::handler(self.0.count(&email)).await?;
        Ok(tonic::Response::new(CountReply { count }))
    }
}
