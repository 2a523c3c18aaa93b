//! Settings of the service and of seeding.

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use probe::{Service as _, ServiceArgs};
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;

/// Where the database is by default: on this machine, a database and a user called lab.
const DEFAULT_URL: &str = "postgres://lab@127.0.0.1:5432/lab";

/// Settings of the users service.
#[derive(Debug, Clone, clap::Args)]
pub struct PgClientConfig {
    /// Address to listen on, for REST and gRPC alike; port 0 picks a free one.
    #[arg(long, env = "PG_CLIENT_LISTEN", default_value = "127.0.0.1:8082", value_name = "ADDR")]
    pub listen: SocketAddr,
    /// The database, as postgres://USER:PASSWORD@HOST:PORT/NAME.
    #[arg(long, env = "PG_CLIENT_DATABASE_URL", hide_env_values = true, default_value = DEFAULT_URL, value_name = "URL")]
    pub database_url: DatabaseUrl,
    /// Connections to the database: opened when they are needed, and kept.
    #[arg(long, default_value = "10", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub pool_size: u32,
    /// Settings shared by all services.
    #[command(flatten)]
    pub service: ServiceArgs,
}

/// Settings of seeding.
#[derive(Debug, Clone, clap::Args)]
pub struct SeedConfig {
    /// The database, as postgres://USER:PASSWORD@HOST:PORT/NAME.
    #[arg(long, env = "PG_CLIENT_DATABASE_URL", hide_env_values = true, default_value = DEFAULT_URL, value_name = "URL")]
    pub database_url: DatabaseUrl,
    /// Users in the table: 80 % of them share 100 common e-mails, each of the others has its own.
    #[arg(long, default_value = "1000000", value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub users: u64,
    /// Keep an index on the e-mail.
    #[arg(long, default_value = "true", value_name = "BOOL", action = clap::ArgAction::Set)]
    pub email_index: bool,
}

/// The URL of a database. It may hold a password, so neither it nor what is wrong with it is shown.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// How to connect.
    pub(crate) fn options(&self) -> Result<PgConnectOptions, DatabaseUrlError> {
        let scheme = ["postgres://", "postgresql://"].iter().any(|start| self.0.starts_with(start));
        let options: Result<PgConnectOptions, _> = self.0.parse();
        match options {
            Ok(options) if scheme => {
                Ok(options.application_name(PgClientConfig::NAME).disable_statement_logging())
            }
            _ => Err(DatabaseUrlError),
        }
    }
}

/// Any text is taken when settings are read, so that an error about them does not repeat it.
impl FromStr for DatabaseUrl {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(DatabaseUrl(text.to_owned()))
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabaseUrl(…)")
    }
}

/// A database URL that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the database URL (--database-url, PG_CLIENT_DATABASE_URL; not shown, it may hold a password) \
     is not of the form postgres://USER:PASSWORD@HOST:PORT/NAME"
)]
pub struct DatabaseUrlError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        for text in ["postgres://u:secret@127.0.0.1:1/d", "http://u:secret@h", "secret", ""] {
            let url: DatabaseUrl = text.parse().unwrap();
            assert!(!format!("{url:?}").contains("secret"));
            match url.options() {
                Ok(options) => assert_eq!(options.get_port(), 1),
                Err(error) => assert!(!error.to_string().contains("secret")),
            }
        }
        assert!(DatabaseUrl("http://u:secret@h".into()).options().is_err());
        assert!(DatabaseUrl(DEFAULT_URL.into()).options().is_ok());
    }
}
