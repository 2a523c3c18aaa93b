//! The address of a peer that speaks HTTP: what can be connected to, and nothing that would be dropped on the way.
//!
//! A library that takes any URL connects to port 80 where the port is none, and leaves out a user, a path or a
//! fragment. So what is not `http://HOST:PORT` is refused when settings are read. What names a user may hold a
//! password: it is never repeated.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use clap::builder::ValueParserFactory;
use http::Uri;

use super::secret::SecretParser;

/// What HTTP's port is where a URL names none (RFC 9110, 4.2.1).
const DEFAULT_PORT: u16 = 80;
/// The longest name of a host (RFC 1035, 2.3.4), in bytes.
const LONGEST_HOST: usize = 253;

/// Why a text is no address that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{shown:?}: {why}; write {form}")]
pub struct UrlError {
    /// The text, without what may be a password.
    shown: String,
    why: String,
    form: &'static str,
}

impl UrlError {
    fn new(text: &str, why: String, form: &'static str) -> UrlError {
        let shown = match text.rsplit_once('@') {
            Some((_, host)) => format!("…@{host}"),
            None => text.to_owned(),
        };
        UrlError { shown, why, form }
    }
}

/// A resource of a peer: `http://HOST:PORT/PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpUrl {
    host: String,
    port: Option<u16>,
    target: String,
}

impl HttpUrl {
    const FORM: &'static str = "http://HOST:PORT/PATH, with a port from 1 to 65535";

    /// Host and port, as `HOST:PORT`: to connect to, and for the header `Host`.
    #[must_use]
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port.unwrap_or(DEFAULT_PORT))
    }

    /// Path and query, as they are asked for.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    fn parse(text: &str) -> Result<HttpUrl, String> {
        if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err("a URL has no white space in it".to_owned());
        }
        let (scheme, rest) = text.split_once("://").ok_or("it does not begin with http://")?;
        if scheme.eq_ignore_ascii_case("https") {
            return Err(
                "https is not built in: peers are on this machine or in its network".to_owned()
            );
        }
        if !scheme.eq_ignore_ascii_case("http") {
            return Err(format!("{scheme:?} is another scheme than http"));
        }
        let (authority, target) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err("a user or a password has no place in it".to_owned());
        }
        if target.contains('#') {
            return Err("a fragment is never sent".to_owned());
        }
        let (host, port) = split(authority)?;
        let host = checked_host(host)?;
        let port = port.map(checked_port).transpose()?;
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        Ok(HttpUrl { host, port, target })
    }
}

impl FromStr for HttpUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        HttpUrl::parse(text).map_err(|why| UrlError::new(text, why, HttpUrl::FORM))
    }
}

/// Host and port as they are written.
fn split(authority: &str) -> Result<(&str, Option<&str>), String> {
    if authority.starts_with('[') {
        let end = authority.find(']').ok_or("the bracket of its address is not closed")?;
        let (host, rest) = authority.split_at(end + 1);
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(format!("{rest:?} follows its address")),
        };
    }
    match authority.split_once(':') {
        Some((_, port)) if port.contains(':') => {
            Err("an address of IPv6 stands in brackets, as [::1]".to_owned())
        }
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((authority, None)),
    }
}

fn checked_host(host: &str) -> Result<String, String> {
    if host.is_empty() {
        return Err("it names no host".to_owned());
    }
    let wrong = || Err(format!("{host:?} is no host"));
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return if address.parse::<Ipv6Addr>().is_ok() { Ok(host.to_owned()) } else { wrong() };
    }
    let label = |label: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        (1..=63).contains(&label.len()) && label.chars().all(plain)
    };
    let labels = host.strip_suffix('.').unwrap_or(host);
    let numeric =
        labels.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    if host.len() > LONGEST_HOST
        || !labels.split('.').all(label)
        // What ends in a number is an address (WHATWG URL, 3.5): 1.2.3 or 1.2.3.256 would be looked up as a name.
        || (numeric && labels.parse::<Ipv4Addr>().is_err())
    {
        return wrong();
    }
    Ok(host.to_owned())
}

fn checked_port(port: &str) -> Result<u16, String> {
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse::<u16>() {
        Ok(number) if digits && number > 0 => Ok(number),
        _ => Err(format!("{port:?} is no port that can be connected to")),
    }
}

/// A peer: `http://HOST:PORT`. What is asked of it is not for a setting to say, so there is no path.
#[derive(Clone, PartialEq, Eq)]
pub struct PeerUrl(Uri);

impl PeerUrl {
    const FORM: &'static str = "http://HOST:PORT, with a port from 1 to 65535";

    /// For a client of HTTP.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.0
    }

    /// Its host, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.host().unwrap_or_default().trim_matches(['[', ']'])
    }
}

/// Without a `/` at its end, so that a path can be put after it.
impl fmt::Display for PeerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.to_string().trim_end_matches('/'))
    }
}

impl fmt::Debug for PeerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerUrl({self})")
    }
}

impl FromStr for PeerUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let refused = |why: String| UrlError::new(text, why, PeerUrl::FORM);
        let HttpUrl { host, port, target } = HttpUrl::parse(text).map_err(refused)?;
        if target != "/" {
            return Err(refused(format!("{target:?} after the host has no meaning")));
        }
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        let uri = format!("http://{host}{port}/").parse();
        uri.map(PeerUrl).map_err(|error: http::uri::InvalidUri| refused(error.to_string()))
    }
}

impl ValueParserFactory for PeerUrl {
    type Parser = SecretParser<PeerUrl>;

    fn value_parser() -> SecretParser<PeerUrl> {
        SecretParser::new()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refused(text: &str) -> String {
        text.parse::<PeerUrl>().expect_err(text).to_string()
    }

    #[test]
    fn a_peer_is_a_host_and_a_port() {
        for (text, told, authority) in [
            ("http://127.0.0.1:8081", "http://127.0.0.1:8081", "127.0.0.1:8081"),
            ("HTTP://echo.lab.svc:65535/", "http://echo.lab.svc:65535", "echo.lab.svc:65535"),
            ("http://echo", "http://echo", "echo:80"),
            ("http://pg_client.:1", "http://pg_client.:1", "pg_client.:1"),
            ("http://[::1]:4317/", "http://[::1]:4317", "[::1]:4317"),
        ] {
            let url: PeerUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), told);
            assert_eq!(text.parse::<HttpUrl>().unwrap().authority(), authority);
        }
        assert_eq!("http://[::1]:1".parse::<PeerUrl>().unwrap().host(), "::1");
    }

    #[test]
    fn what_cannot_be_connected_to_is_refused_with_value_reason_and_form() {
        for (text, why) in [
            ("", "does not begin with http://"),
            ("localhost:8081", "does not begin with http://"),
            ("ftp://h:1", "\"ftp\" is another scheme"),
            ("https://h:1", "https is not built in"),
            ("http://h:99999", "\"99999\" is no port"),
            ("http://h:65536", "\"65536\" is no port"),
            ("http://h:0", "\"0\" is no port"),
            ("http://h:", "\"\" is no port"),
            ("http://h:+80", "\"+80\" is no port"),
            ("http://h:80a", "\"80a\" is no port"),
            ("http://", "names no host"),
            ("http://:8081", "names no host"),
            ("http:///path", "names no host"),
            ("http://::1:80", "in brackets"),
            ("http://[::1", "not closed"),
            ("http://[::1]80", "follows its address"),
            ("http://[::g]:80", "\"[::g]\" is no host"),
            ("http://a..b:1", "\"a..b\" is no host"),
            ("http://1.2.3.256:1", "\"1.2.3.256\" is no host"),
            ("http://bücher:1", "is no host"),
            ("http://a%20b:1", "is no host"),
            ("http://h:1/path", "\"/path\" after the host"),
            ("http://h:1?q=1", "\"/?q=1\" after the host"),
            ("http://h:1/?", "\"/?\" after the host"),
            ("http://h:1/#f", "a fragment"),
            (" http://h:1", "white space"),
            ("http://h:1\n", "white space"),
        ] {
            let error = refused(text);
            assert!(error.contains(why), "{text:?}: {error}");
            assert!(error.contains(&format!("{text:?}")), "{text:?}: {error}");
            assert!(
                error.ends_with("write http://HOST:PORT, with a port from 1 to 65535"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_password_is_refused_and_not_repeated() {
        for text in ["http://u:s3cret@h:1", "http://s3cret@h", "https://u:s3cret@h:99999/x"] {
            let error = refused(text);
            assert!(!error.contains("s3cret") && error.contains("…@h"), "{error}");
        }
        assert!(refused("http://u:s3cret@h:1").contains("a user or a password"));
    }

    #[test]
    fn a_question_has_a_path_and_may_have_a_query() {
        let url: HttpUrl = "http://h:1/healthz?full=1".parse().unwrap();
        assert_eq!((url.authority().as_str(), url.target()), ("h:1", "/healthz?full=1"));
        assert_eq!("http://h:1".parse::<HttpUrl>().unwrap().target(), "/");
        assert_eq!("http://h:1?x".parse::<HttpUrl>().unwrap().target(), "/?x");
    }

    proptest! {
        /// Whatever is taken is what a client of HTTP reads: the same host, the same port.
        #[test]
        fn what_is_taken_means_what_it_says(text in "(http|HTTP|https|x)?(://|:/|)?[a-z0-9.:@\\[\\]/#?_-]{0,24}") {
            if let Ok(url) = text.parse::<PeerUrl>() {
                let uri: http::Uri = text.parse().expect("http takes it too");
                prop_assert_eq!(url.uri().host(), uri.host());
                prop_assert_eq!(url.uri().port_u16(), uri.port_u16());
            }
        }

        #[test]
        fn every_port_is_kept_and_no_other_is_made_of_it(port in 0_u32..200_000) {
            let read = format!("http://h:{port}").parse::<PeerUrl>();
            prop_assert_eq!(read.ok().and_then(|url| url.uri().port_u16().map(u32::from)),
                (1..=65_535).contains(&port).then_some(port));
        }
    }
}
