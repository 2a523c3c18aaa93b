//! The one question: how many users have an e-mail.

use std::sync::Arc;

use axum::extract::State;
use futures_util::TryStreamExt;
use http::{StatusCode, Uri};
use lab_proto::v1::users_server;
use lab_proto::{CountReply, CountRequest, check_email, email_of_query};
use probe::{Database, JsonReply, Probe, Query};
use sqlx::postgres::{PgArguments, PgConnectOptions, PgRow};
use sqlx::{Connection as _, PgConnection, Postgres, Row};
use tonic::Status;

use crate::connections::{Connections, Pool};
use crate::failure::{AnothersRow, Failure};

/// The query, as `pg_stat_statements` shows it too. Its row says whom it is about: behind a pooler the statement that
/// runs need not be the one that was prepared here, and its row is not to be taken for this one's.
pub(crate) const COUNT: &str = "SELECT $1::text, count(*) FROM users WHERE email = $1";
/// The same for a statement without a name. Under the same text the driver would use the one with a name that it has;
/// `pg_stat_statements` leaves the space out.
const COUNT_UNNAMED: &str = " SELECT $1::text, count(*) FROM users WHERE email = $1";
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
    pub(crate) fn new(probe: &Probe, options: PgConnectOptions, pool: Pool) -> Self {
        let (peer, system) = PEER;
        let database = Database::new(probe, peer, system);
        let database = database.at(options.get_host(), options.get_port());
        Users { connections: Connections::new(options, pool), database }
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
        if !self.connections.behind_a_pooler() {
            let read = read(query, sqlx::query(COUNT).bind(email), lease.connection()).await;
            let counted = read.and_then(|row| counted(query, row.as_ref(), email));
            match counted.map_err(|error| self.connections.failed(error)) {
                // Nothing was counted: another connection of the server does not know the statement, or has another
                // one by that name.
                Err(Failure::Pooled { .. }) => self.connections.found_a_pooler(),
                result => return result,
            }
            query.sent().await;
        }
        let counted = unnamed(query, email, lease.connection()).await;
        counted.map_err(|error| self.connections.failed(error))
    }
}

/// Sends the query and reads its row.
async fn read<'q>(
    query: &Query,
    sql: sqlx::query::Query<'q, Postgres, PgArguments>,
    connection: &mut PgConnection,
) -> sqlx::Result<Option<PgRow>> {
    let mut rows = sql.fetch(connection);
    let mut last = None;
    while let Some(row) = rows.try_next().await? {
        query.row();
        last = Some(row);
    }
    Ok(last)
}

/// Asks in a transaction, for which a pooler keeps to one connection, and with a statement that is gone with it.
async fn unnamed(query: &Query, email: &str, connection: &mut PgConnection) -> sqlx::Result<u64> {
    let mut transaction = connection.begin().await?;
    let sql = sqlx::query(COUNT_UNNAMED).persistent(false).bind(email);
    let row = read(query, sql, &mut transaction).await?;
    let counted = counted(query, row.as_ref(), email)?;
    transaction.commit().await?;
    Ok(counted)
}

/// The count in a row, if the row is about `email`.
fn counted(query: &Query, row: Option<&PgRow>, email: &str) -> sqlx::Result<u64> {
    let row = row.ok_or_else(|| anothers("no row came"))?;
    query.decode(|| {
        match row.try_get::<&str, _>(0) {
            Ok(about) if about == email => {}
            Ok(_) => return Err(anothers("the row is about something else")),
            Err(_) => return Err(anothers("the row has other columns")),
        }
        let count: i64 = row.try_get(1).map_err(|_| anothers("the row has other columns"))?;
        u64::try_from(count).map_err(|_| anothers("the row has a count below 0"))
    })
}

fn anothers(why: &'static str) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(AnothersRow(why)))
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
