//! Who may speak to the control endpoint: programs on this machine, or whoever has the token.
//!
//! A web page reaches the loopback of whoever looks at it: by its own requests, which name the page in
//! `Origin`, or under a name of its own that is made to point here (DNS rebinding), which `Host` gives away.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, HeaderMap, ORIGIN, WWW_AUTHENTICATE};
use axum::http::uri::Authority;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::refuse;

/// The shortest token, in bytes: one that can be guessed is none.
const SHORTEST: usize = 16;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Its file cannot be read.
    #[error("cannot read the token of --token-file {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// It is none.
    #[error(
        "--token-file {0} must hold at least {SHORTEST} visible ASCII characters and nothing else"
    )]
    Token(PathBuf),
}

/// The token of the control endpoint. It is shown to nobody.
pub(crate) struct ControlToken(String);

impl ControlToken {
    /// The token in the file at `path`, without white space around it.
    pub(crate) fn read(path: &Path) -> Result<ControlToken, TokenError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| TokenError::Io { path: path.to_owned(), source })?;
        let token = text.trim();
        if token.len() < SHORTEST || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokenError::Token(path.to_owned()));
        }
        Ok(ControlToken(token.to_owned()))
    }

    /// Whether `other` is the token. Takes as long wherever they differ.
    fn is(&self, other: &[u8]) -> bool {
        let ours = self.0.as_bytes();
        let differ = ours.iter().zip(other).fold(0, |differ, (a, b)| differ | (a ^ b));
        ours.len() == other.len() && differ == 0
    }
}

/// Lets in who may speak to the control endpoint, and counts who may not.
#[derive(Default)]
pub(crate) struct Guard {
    token: Option<ControlToken>,
    refused: AtomicU64,
}

impl Guard {
    /// Asks for `token`, if there is one.
    pub(crate) fn new(token: Option<ControlToken>) -> Guard {
        Guard { token, refused: AtomicU64::default() }
    }

    /// Counts a request, or a connection, that is refused, and says it the first time.
    pub(super) fn refuse(&self, why: &str) {
        if self.refused.fetch_add(1, Relaxed) == 0 {
            tracing::warn!("a request to the control endpoint was refused (said once): {why}");
        }
    }

    /// Requests and connections that were refused.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    fn check(&self, headers: &HeaderMap) -> Result<(), (StatusCode, String)> {
        if let Some(token) = &self.token {
            let given = headers.get(AUTHORIZATION).map_or(&[][..], HeaderValue::as_bytes);
            let bearer = given
                .split_at_checked(7)
                .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "));
            return match bearer.is_some_and(|(_, given)| token.is(given)) {
                true => Ok(()),
                false => {
                    let error = "the token of --token-file is missing or another: Authorization: Bearer TOKEN";
                    Err((StatusCode::UNAUTHORIZED, error.to_owned()))
                }
            };
        }
        let told = |name| {
            headers.get(name).map(|value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()))
        };
        if let Some(origin) = told(ORIGIN) {
            let error = format!("a web page ({origin:.100}) may not: programs send no Origin");
            return Err((StatusCode::FORBIDDEN, error));
        }
        let host = told(HOST).unwrap_or_default();
        if !is_loopback(&host) {
            let error = format!(
                "Host {host:.100} is not this machine's loopback: say 127.0.0.1 or localhost, \
                 or use a token (--token-file)"
            );
            return Err((StatusCode::FORBIDDEN, error));
        }
        Ok(())
    }
}

/// Answers a request only if its sender may make it.
pub(super) async fn guard(
    State(guard): State<Arc<Guard>>,
    request: Request,
    next: Next,
) -> Response {
    match guard.check(request.headers()) {
        Ok(()) => next.run(request).await,
        Err((status, error)) => {
            guard.refuse(&error);
            let mut answer = refuse(status, error).into_response();
            if status == StatusCode::UNAUTHORIZED {
                let scheme = HeaderValue::from_static("Bearer");
                answer.headers_mut().insert(WWW_AUTHENTICATE, scheme);
            }
            answer
        }
    }
}

/// Whether `host`, with or without a port, is a name of loopback that no name server has a say in.
fn is_loopback(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else {
        return false;
    };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_nobody_else_can_point_here_are_loopback() {
        for host in
            ["127.0.0.1", "127.0.0.1:4319", "localhost:1", "LOCALHOST", "[::1]:9", "127.9.9.9"]
        {
            assert!(is_loopback(host), "{host}");
        }
        for host in
            ["", "evil.example", "127.0.0.1.evil.example:4319", "10.0.0.1", "0.0.0.0", "a b"]
        {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn a_token_is_read_from_its_file_and_must_be_hard_to_guess() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        assert!(matches!(ControlToken::read(&path), Err(TokenError::Io { .. })));
        for wrong in ["", "short", "sixteen bytes in two words"] {
            std::fs::write(&path, wrong).unwrap();
            assert!(matches!(ControlToken::read(&path), Err(TokenError::Token(_))), "{wrong}");
        }
        std::fs::write(&path, "0123456789abcdef\n").unwrap();
        let token = ControlToken::read(&path).unwrap();
        assert!(token.is(b"0123456789abcdef"));
        for other in [&b"0123456789abcdeg"[..], b"0123456789abcde", b"0123456789abcdef0", b""] {
            assert!(!token.is(other));
        }
    }
}
