//! The address of a PostgreSQL: what its driver can connect to, and nothing that it would leave out without a word.
//!
//! It is never shown, even where it is refused: it may hold a password anywhere.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use clap::builder::ValueParserFactory;
use percent_encoding::percent_decode_str;
use url::Url;

use super::secret::SecretParser;

/// How connections may be encrypted (PostgreSQL's documentation, 34.1.2, `sslmode`).
const SSL_MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/// The URL of a database, `postgres://USER:PASSWORD@HOST:PORT/NAME`.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// It, with its password: for whoever connects, never for arguments or logs.
    #[must_use]
    pub fn with_password(&self) -> &str {
        &self.0
    }
}

impl FromStr for DatabaseUrl {
    type Err = DatabaseUrlError;

    fn from_str(text: &str) -> Result<Self, DatabaseUrlError> {
        let refused = |why: &'static str| Err(DatabaseUrlError { why });
        if !["postgres://", "postgresql://"].iter().any(|start| text.starts_with(start)) {
            return refused("it does not begin with postgres://");
        }
        if text.contains('#') {
            return refused(
                "it has a fragment, which says nothing (in a password, # is written %23)",
            );
        }
        let unreadable =
            DatabaseUrlError { why: "its host, its port or a parameter cannot be read" };
        let url = Url::parse(text).map_err(|_| unreadable)?;
        let words = [url.username(), url.password().unwrap_or(""), url.path()];
        let words = words.into_iter().chain(url.host_str());
        if words.into_iter().any(|word| percent_decode_str(word).decode_utf8().is_err()) {
            return Err(unreadable);
        }
        let mut port = url.port();
        for (name, value) in url.query_pairs() {
            match parameter(&name, &value) {
                None => return refused("it has a parameter after ? that no connection has"),
                Some(false) => return Err(unreadable),
                Some(true) if name == "port" => port = value.parse().ok(),
                Some(true) => {}
            }
        }
        if port == Some(0) { refused("its port is 0") } else { Ok(DatabaseUrl(text.to_owned())) }
    }
}

/// Whether the parameter `name` after the `?` has a value that can be read; `None` if there is no such parameter.
fn parameter(name: &str, value: &str) -> Option<bool> {
    match name {
        "sslmode" => Some(SSL_MODES.contains(&&*value.to_ascii_lowercase())),
        "statement-cache-capacity" => Some(value.parse::<usize>().is_ok()),
        "hostaddr" => Some(value.parse::<IpAddr>().is_ok()),
        "port" => Some(value.parse::<u16>().is_ok()),
        "sslrootcert" | "sslcert" | "sslkey" | "host" | "application_name" | "options" => {
            Some(true)
        }
        _ => None,
    }
}

impl ValueParserFactory for DatabaseUrl {
    type Parser = SecretParser<DatabaseUrl>;

    fn value_parser() -> SecretParser<DatabaseUrl> {
        SecretParser::new()
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
            ("postgres://u:s3cret@h:1/d?hostaddr=h", "cannot be read"),
            ("postgres://u:s3cret@h:1/d?port=70000", "cannot be read"),
            ("postgres://u:s3cret@h:1/d?statement-cache-capacity=-1", "cannot be read"),
            ("postgres://u:s3cret%ff@h:1/d", "cannot be read"),
        ] {
            let error = text.parse::<DatabaseUrl>().expect_err(text).to_string();
            assert!(error.contains(why) && error.contains("USER:PASSWORD@HOST"), "{text}: {error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn a_url_that_is_taken_does_not_show_its_password() {
        let url: DatabaseUrl = "postgres://u:s3cret@127.0.0.1:1/d?port=2".parse().unwrap();
        assert!(!format!("{url:?}").contains("s3cret"));
        assert!(url.with_password().contains("s3cret"));
    }
}
