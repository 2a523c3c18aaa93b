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
             and the limits of its roles and databases (of a pooler, of that)"
    )]
    Full { address: String, source: Arc<sqlx::Error> },
    /// All connections of the pool stayed in use.
    #[error("no connection to the database became free within the limit of {0:?}; see --pool-size")]
    Busy(Duration),
    /// The database lacks something that is made once.
    #[error("the database at {address} is not ready: {missing}")]
    Missing { address: String, missing: String },
    /// A statement that was prepared is not there, or is another's.
    #[error(
        "the database at {address} is behind a pooler that gives each transaction another connection: {source}; \
             use PgBouncer's pool_mode = session, or 1.21 or later with max_prepared_statements above 0"
    )]
    Pooled { address: String, source: Arc<sqlx::Error> },
    /// The database refused the query.
    #[error("asking the database: {0}")]
    Refused(Arc<sqlx::Error>),
}

/// Classes and codes of SQLSTATE (PostgreSQL, appendix A) that mean that the server takes no queries:
/// connection exceptions, authorization, no such database, resources, operator intervention.
const DOWN: [&str; 5] = ["08", "28", "3D", "53", "57P"];
/// Those of them that end connections that were open.
const GONE: [&str; 2] = ["08", "57P"];
/// A row of another statement than the one that was asked for.
#[derive(Debug, thiserror::Error)]
#[error("another statement answered: {0}")]
pub(crate) struct AnothersRow(pub(crate) &'static str);

/// A prepared statement that is not there, or is there already.
const OF_STATEMENTS: [&str; 2] = ["26000", "42P05"];
/// A violation of the protocol: what poolers say all their own errors with, and the server of a statement by the
/// right name that takes other parameters.
const PROTOCOL: &str = "08P01";
/// What PgBouncer says (in that code) of itself when it has no connection to give.
const POOLER_FULL: [&str; 3] =
    ["no more connections allowed", "query_wait_timeout", "max_client_conn"];
/// And when it has no server.
const POOLER_DOWN: [&str; 6] = [
    "cannot connect",
    "server login",
    "server conn",
    "server closed",
    "connect failed",
    "shutting down",
];
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
        let (code, said) = match &*error {
            sqlx::Error::Database(error) => (error.code(), error.message()),
            sqlx::Error::Decode(other) if other.is::<AnothersRow>() => {
                return Failure::Pooled { address, source: error };
            }
            sqlx::Error::RowNotFound
            | sqlx::Error::Decode(_)
            | sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::ColumnIndexOutOfBounds { .. } => {
                return Failure::Refused(error);
            }
            // Everything else is about the connection: I/O, protocol, the pool being closed.
            _ => return Failure::Down { address, source: error },
        };
        let code = code.as_deref().unwrap_or_default();
        if code == PROTOCOL {
            return Failure::of_protocol(said, &error, address);
        }
        if OF_STATEMENTS.contains(&code) {
            return Failure::Pooled { address, source: error };
        }
        if DOWN.iter().any(|class| code.starts_with(class)) {
            return Failure::Down { address, source: error };
        }
        if code == UNDEFINED_TABLE {
            let missing = format!("{error}; `pg-client seed` makes the table users");
            return Failure::Missing { address, missing };
        }
        Failure::Refused(error)
    }

    /// What a violation of the protocol means: few of them are one.
    fn of_protocol(said: &str, error: &Arc<sqlx::Error>, address: String) -> Failure {
        let source = Arc::clone(error);
        let says = |words: &[&str]| words.iter().any(|words| said.contains(words));
        if says(&["prepared statement"]) {
            Failure::Pooled { address, source }
        } else if says(&POOLER_FULL) {
            Failure::Full { address, source }
        } else if says(&POOLER_DOWN) {
            Failure::Down { address, source }
        } else {
            Failure::Refused(source)
        }
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
            | Failure::Pooled { .. }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_violation_of_the_protocol_is_not_taken_for_a_database_that_is_down() {
        let status = |said: &str| {
            let source = Arc::new(sqlx::Error::PoolClosed);
            let failure = Failure::of_protocol(said, &source, "h:1".to_owned());
            (failure.status().as_u16(), failure.to_string())
        };
        for (said, expected, words) in [
            (
                "bind message supplies 1 parameters, but prepared statement \"sqlx_s_1\" requires 0",
                503,
                "max_prepared_statements",
            ),
            ("no more connections allowed (max_client_conn)", 503, "no more connections"),
            ("query_wait_timeout", 503, "no more connections"),
            ("server login has been failing, try again later", 503, "is down"),
            ("invalid message length", 500, "asking the database"),
        ] {
            let (status, text) = status(said);
            assert_eq!(status, expected, "{said}");
            assert!(text.contains(words), "{text}");
        }
    }
}
