//! The server's own account of the service's query, from `pg_stat_statements`.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use probe::{Carries, JsonReply};
use serde::Serialize;
use sqlx::{Connection, PgConnection};

use crate::failure::Failure;
use crate::users::{COUNT, Users};

/// Since the server's statistics were last reset.
#[derive(Debug, Serialize)]
pub(crate) struct Statements {
    /// Executions.
    calls: u64,
    /// Time in the executor over all of them, in microseconds.
    exec_us: u64,
    /// Rows answered.
    rows: u64,
}

impl Carries for Statements {}

/// `total_exec_time` is in milliseconds. Other databases and users of the server may ask the same.
const QUERY: &str = "SELECT coalesce(sum(calls), 0)::int8, \
     coalesce(round(sum(total_exec_time) * 1000), 0)::int8, coalesce(sum(rows), 0)::int8 \
     FROM pg_stat_statements WHERE query = $1 \
     AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) \
     AND userid = (SELECT oid FROM pg_roles WHERE rolname = current_user)";

/// `GET /statements`.
pub(crate) async fn rest(
    State(users): State<Arc<Users>>,
) -> Result<JsonReply<Statements>, Failure> {
    // Beside the pool: whoever asks during a run takes no connection from it.
    let mut connection = users.connections.connect().await?;
    let read = read(&mut connection).await;
    let _ = connection.close().await;
    match read {
        Ok(statements) => Ok(JsonReply(StatusCode::OK, statements)),
        // Not there, or not loaded (object not in prerequisite state).
        Err(sqlx::Error::Database(error))
            if matches!(error.code().as_deref(), Some("42P01" | "55000")) =>
        {
            let missing = format!(
                "{error}; start the server with shared_preload_libraries = 'pg_stat_statements' and \
                 CREATE EXTENSION pg_stat_statements in this database"
            );
            Err(Failure::Missing { address: "this service's URL".to_owned(), missing })
        }
        Err(error) => Err(users.connections.failed(error)),
    }
}

async fn read(connection: &mut PgConnection) -> sqlx::Result<Statements> {
    // In a transaction and without a name, for there may be a pooler between.
    let mut transaction = connection.begin().await?;
    let sql = sqlx::query_as(QUERY).persistent(false).bind(COUNT);
    let row: (i64, i64, i64) = sql.fetch_one(&mut *transaction).await?;
    transaction.commit().await?;
    let [calls, exec_us, rows] = [row.0, row.1, row.2].map(i64::unsigned_abs);
    Ok(Statements { calls, exec_us, rows })
}
