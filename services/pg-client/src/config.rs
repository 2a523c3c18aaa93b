//! Settings of the service and of seeding.

use std::ffi::OsStr;
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use clap::builder::{TypedValueParser, ValueParserFactory};
use clap::error::ErrorKind;
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
    /// How long a request may wait for a connection that others use, in seconds: less than the gateway gives the whole
    /// call (its --timeout), so that who waits in vain hears why.
    #[arg(long, default_value = "20", value_name = "SECONDS", value_parser = clap::value_parser!(u16).range(1..=3600))]
    pub pool_wait: u16,
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

/// The URL of a database. It may hold a password, so it is never shown, even where it is refused.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

/// Parameters that are read after the `?` of a URL; any other would be left out without a word.
const PARAMETERS: [&str; 10] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "application_name",
    "options",
];

impl DatabaseUrl {
    /// How to connect.
    pub(crate) fn options(&self) -> Result<PgConnectOptions, DatabaseUrlError> {
        let refused = |why: &'static str| Err(DatabaseUrlError { why });
        if !["postgres://", "postgresql://"].iter().any(|start| self.0.starts_with(start)) {
            return refused("it does not begin with postgres://");
        }
        if self.0.contains('#') {
            return refused(
                "it has a fragment, which says nothing (in a password, # is written %23)",
            );
        }
        let query = self.0.split_once('?').map_or("", |(_, query)| query);
        let mut names = query.split('&').filter_map(|pair| pair.split('=').next());
        if names.any(|name| !name.is_empty() && !PARAMETERS.contains(&name)) {
            return refused("it has a parameter after ? that no connection has");
        }
        match self.0.parse::<PgConnectOptions>() {
            Ok(options) if options.get_port() == 0 => refused("its port is 0"),
            Ok(options) => {
                // No float is read, and PgBouncer refuses a connection for asking how many digits one has.
                let options = options.extra_float_digits(None);
                Ok(options.application_name(PgClientConfig::NAME).disable_statement_logging())
            }
            Err(_) => refused("its host, its port or a parameter cannot be read"),
        }
    }
}

impl FromStr for DatabaseUrl {
    type Err = DatabaseUrlError;

    fn from_str(text: &str) -> Result<Self, DatabaseUrlError> {
        let url = DatabaseUrl(text.to_owned());
        url.options()?;
        Ok(url)
    }
}

/// Clap's own words for a value that is refused would repeat it.
#[derive(Debug, Clone, Copy)]
pub struct DatabaseUrlParser;

impl ValueParserFactory for DatabaseUrl {
    type Parser = DatabaseUrlParser;

    fn value_parser() -> DatabaseUrlParser {
        DatabaseUrlParser
    }
}

impl TypedValueParser for DatabaseUrlParser {
    type Value = DatabaseUrl;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<DatabaseUrl, clap::Error> {
        value.to_string_lossy().parse().map_err(|error: DatabaseUrlError| {
            let setting = arg.map(settings::named).unwrap_or_default();
            let message = format!("invalid value for {setting}: {error}\n");
            clap::Error::raw(ErrorKind::ValueValidation, message).with_cmd(command)
        })
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
    "{why}; it is not shown, since it may hold a password: write postgres://USER:PASSWORD@HOST:PORT/NAME"
)]
pub struct DatabaseUrlError {
    why: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_refused_for_its_reason_and_a_password_is_not_shown() {
        for (text, why) in [
            ("", "begin with postgres://"),
            ("s3cret", "begin with postgres://"),
            ("http://u:s3cret@h", "begin with postgres://"),
            ("postgres://u:s3cret@h:99999/d", "cannot be read"),
            ("postgres://u:s3cret@h:0/d", "port is 0"),
            ("postgres://u:s3cret@h:1/d?port=0", "port is 0"),
            ("postgres://u:s3cret@h:1/d#x", "%23"),
            ("postgres://u:s3cret@h:1/d?sslmod=disable", "parameter after ?"),
            ("postgres://u:s3cret@h:1/d?sslmode=perhaps", "cannot be read"),
        ] {
            let error = text.parse::<DatabaseUrl>().expect_err(text).to_string();
            assert!(error.contains(why) && error.contains("USER:PASSWORD@HOST"), "{text}: {error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn a_url_that_can_be_connected_to_is_taken() {
        for text in [
            DEFAULT_URL,
            "postgres://u:s3cret@127.0.0.1:1/d",
            "postgresql://u:p%23@[::1]:5432/lab?sslmode=disable",
            "postgres:///lab?host=/run/postgresql",
        ] {
            let url: DatabaseUrl = text.parse().unwrap();
            assert!(url.options().is_ok() && !format!("{url:?}").contains("s3cret"));
        }
    }
}
