//! Why a question to the database was not answered, and what the caller is told.

use std::sync::Arc;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use lab_proto::EmailError;
use probe::Refusal;
use tonic::Status;

/// A question that was not answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// It was none.
    #[error(transparent)]
    Email(#[from] EmailError),
    /// There is no database, or it takes no connection, or it went away.
    #[error("the database at {address} is down: {source}")]
    Down { address: String, source: Arc<sqlx::Error> },
    /// It is there and has no connection left.
    #[error(
        "the database at {address} takes no more connections: {source}; see its max_connections \
             and the limits of its roles and databases"
    )]
    Full { address: String, source: Arc<sqlx::Error> },
    /// All connections of the pool stayed in use.
    #[error("no connection to the database became free within the limit of {0:?}; see --pool-size")]
    Busy(Duration),
    /// The database lacks something that is made once.
    #[error("the database at {address} is not ready: {missing}")]
    Missing { address: String, missing: String },
    /// The database refused the query.
    #[error("asking the database: {0}")]
    Refused(Arc<sqlx::Error>),
}

/// Classes and codes of SQLSTATE (PostgreSQL, appendix A) that mean that the server takes no queries:
/// connection exceptions, authorization, no such database, resources, operator intervention.
const DOWN: [&str; 5] = ["08", "28", "3D", "53", "57P"];
/// Those of them that end connections that were open.
const GONE: [&str; 2] = ["08", "57P"];
/// Too many connections: of the class of resources, but the server is up, and it passes.
const FULL: &str = "53300";
/// A table that does not exist.
const UNDEFINED_TABLE: &str = "42P01";

impl Failure {
    /// What `error` of the database at `address` means.
    pub(crate) fn of(error: Arc<sqlx::Error>, address: String) -> Failure {
        if is_full(&error) {
            return Failure::Full { address, source: error };
        }
        let code = match &*error {
            sqlx::Error::Database(error) => error.code(),
            sqlx::Error::RowNotFound | sqlx::Error::ColumnDecode { .. } => {
                return Failure::Refused(error);
            }
            // Everything else is about the connection: I/O, protocol, the pool being closed.
            _ => return Failure::Down { address, source: error },
        };
        let code = code.as_deref().unwrap_or_default();
        if DOWN.iter().any(|class| code.starts_with(class)) {
            return Failure::Down { address, source: error };
        }
        if code == UNDEFINED_TABLE {
            let missing = format!("{error}; `pg-client seed` makes the table users");
            return Failure::Missing { address, missing };
        }
        Failure::Refused(error)
    }

    /// Whether connections that were open are likely gone too: the server went away, and did not just
    /// refuse another one.
    pub(crate) fn lost_connection(&self) -> bool {
        let Failure::Down { source, .. } = self else { return false };
        match &**source {
            sqlx::Error::Database(error) => {
                error.code().is_some_and(|code| GONE.iter().any(|class| code.starts_with(class)))
            }
            _ => true,
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Failure::Email(_) => StatusCode::BAD_REQUEST,
            Failure::Down { .. }
            | Failure::Full { .. }
            | Failure::Busy(_)
            | Failure::Missing { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Failure::Refused(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// Whether the database refused a connection because it has too many.
pub(crate) fn is_full(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(error) if error.code().as_deref() == Some(FULL))
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        Refusal::from(self).into_response()
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Refusal::new(failure.status(), failure.to_string())
    }
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        Refusal::from(failure).into()
    }
}
