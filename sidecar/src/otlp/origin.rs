//! Web pages: they may export only where somebody said so.
//!
//! A page that its user merely looks at reaches the ports of the user's own machine, and what it sends would
//! be taken for spans of services. Browsers name the page in `Origin`, and ask first (CORS) before they send
//! anything that OTLP is written in. Programs that are no browsers send no `Origin`.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, HeaderMap, HeaderValue, ORIGIN, VARY,
};
use http::{Response, StatusCode};

use super::dialect::{Body, empty};
use super::refuse::{Cause, Refusal};

/// The origins whose pages may export; `*` is any.
#[derive(Debug, Clone, Default)]
pub(super) struct Origins(Vec<String>);

impl Origins {
    pub(super) fn new(allowed: Vec<String>) -> Origins {
        Origins(allowed)
    }

    /// Whether a request comes from no page, or from one that may export.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        match headers.get(ORIGIN) {
            Some(origin) if !self.allows(origin) => {
                let origin = String::from_utf8_lossy(origin.as_bytes());
                let origin: String = origin.chars().take(200).collect();
                Err(Refusal::new(Cause::Origin, format!("the web page {origin} is not allowed")))
            }
            _ => Ok(()),
        }
    }

    /// The answer to a browser that asks whether a page may export, if it may.
    pub(super) fn preflight(&self, headers: &HeaderMap) -> Option<Response<Body>> {
        let origin = headers.get(ORIGIN).filter(|origin| self.allows(origin))?;
        let mut response = Response::new(empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let answer = response.headers_mut();
        answer.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
        // Content type and encoding, and whatever headers its user has the SDK send.
        if let Some(asked) = headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
            answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
        }
        answer.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("7200"));
        self.mark(Some(origin.clone()), answer);
        Some(response)
    }

    /// Lets the page at `origin` read an answer, if it may export.
    pub(super) fn mark(&self, origin: Option<HeaderValue>, answer: &mut HeaderMap) {
        if let Some(origin) = origin.filter(|origin| self.allows(origin)) {
            answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            answer.insert(VARY, HeaderValue::from_static("origin"));
        }
    }

    fn allows(&self, origin: &HeaderValue) -> bool {
        self.0.iter().any(|allowed| allowed == "*" || allowed.as_bytes() == origin.as_bytes())
    }
}
