//! Settings of the service and of seeding.

use probe::Service as _;
use settings::{DatabaseUrl, Span};
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;

/// Where the database is by default: on this machine, a database and a user called lab.
const DEFAULT_URL: &str = "postgres://lab@127.0.0.1:5432/lab";

/// Settings that only the users service has.
#[derive(Debug, Clone, clap::Args)]
pub struct PgClientConfig {
    /// The database, as postgres://USER:PASSWORD@HOST:PORT/NAME.
    #[arg(long, env = "PG_CLIENT_DATABASE_URL", hide_env_values = true, default_value = DEFAULT_URL, value_name = "URL")]
    pub database_url: DatabaseUrl,
    /// Connections to the database: opened when they are needed, and kept.
    #[arg(long, default_value = "10", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub pool_size: u32,
    /// How long a request may wait for a connection that others use: less than the gateway gives the whole
    /// call (its --timeout), so that who waits in vain hears why.
    #[arg(long, default_value = "20s", value_name = "DURATION", value_parser = Span::within(Span::seconds(1)..=Span::seconds(3_600)))]
    pub pool_wait: Span,
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

/// How to connect to the database at `url`.
pub(crate) fn connect_options(url: &DatabaseUrl) -> Result<PgConnectOptions, Unreadable> {
    let options: PgConnectOptions = url.with_password().parse().map_err(|_| Unreadable)?;
    // No float is read, and PgBouncer refuses a connection for asking how many digits one has.
    let options = options.extra_float_digits(None);
    Ok(options.application_name(PgClientConfig::NAME).disable_statement_logging())
}

/// An address that the database's driver does not take, although it has the form of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the driver cannot read the address of the database; it is not shown, since it may hold a password"
)]
pub struct Unreadable;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_the_form_of_an_address_is_read_by_the_driver() {
        let parameters = "sslmode=Verify-CA&sslrootcert=a&sslcert=b&sslkey=c&statement-cache-capacity=0&host=h\
                          &hostaddr=::1&port=1&application_name=x&options=-c%20a=b";
        for text in [
            DEFAULT_URL,
            "postgres://u:s3cret@127.0.0.1:1/d",
            "postgresql://u:p%23@[::1]:5432/lab?sslmode=disable",
            "postgres:///lab?host=/run/postgresql",
            "postgres://%2Frun%2Fpostgresql/lab",
            &format!("postgres://u@h/d?{parameters}"),
        ] {
            let url: DatabaseUrl = text.parse().unwrap();
            assert!(connect_options(&url).is_ok(), "{text}");
        }
    }
}
