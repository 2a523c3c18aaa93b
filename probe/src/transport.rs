//! Why a request got no reply: the whole chain of causes in one line, and the status that a gateway answers for it.

use std::error::Error;
use std::io;

use http::StatusCode;

/// A request that got no reply.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct TransportError {
    text: String,
    status: StatusCode,
    kind: &'static str,
    #[source]
    source: Box<dyn Error + Send + Sync>,
}

/// Descriptors of this process, or of the whole machine, are used up (EMFILE, ENFILE).
const NO_DESCRIPTORS: [i32; 2] = [24, 23];

impl TransportError {
    /// What `source` means of a request to `address`.
    pub(crate) fn of(address: &str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let source = source.into();
        let chain = causes(source.as_ref());
        let io = find::<io::Error>(source.as_ref());
        let exhausted = io.and_then(io::Error::raw_os_error);
        let (said, status, kind) = match io.map(io::Error::kind) {
            _ if exhausted.is_some_and(|code| NO_DESCRIPTORS.contains(&code)) => {
                let said = format!("no file descriptor is left for a connection to {address}");
                (said, StatusCode::SERVICE_UNAVAILABLE, "descriptors")
            }
            Some(io::ErrorKind::ConnectionRefused) => {
                let said = format!("nobody listens at {address}");
                (said, StatusCode::BAD_GATEWAY, "connection_refused")
            }
            Some(io::ErrorKind::TimedOut) => {
                (format!("{address} was not heard in time"), StatusCode::GATEWAY_TIMEOUT, "timeout")
            }
            _ => (address.to_owned(), StatusCode::BAD_GATEWAY, "connection"),
        };
        TransportError { text: format!("{said}: {chain}"), status, kind, source }
    }

    /// The request could not be made as it was asked for.
    pub(crate) fn refused(address: &str, why: &str) -> Self {
        TransportError {
            text: format!("{address}: {why}"),
            status: StatusCode::INTERNAL_SERVER_ERROR,
            kind: "request",
            source: why.into(),
        }
    }

    /// What a gateway answers for it.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The same in one word, for the span attribute `error.type`.
    pub(crate) fn kind(&self) -> &'static str {
        self.kind
    }

    /// Whether the peer has certainly not begun on the request: it refused the stream, or said with GOAWAY that the
    /// stream came after the last one that it takes (RFC 9113, sections 6.8 and 8.7).
    pub(crate) fn not_processed(&self) -> bool {
        find::<h2::Error>(self.source.as_ref()).is_some_and(|error| {
            let refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
            error.is_remote() && (error.is_go_away() || refused)
        })
    }
}

/// The first cause of that type.
pub(crate) fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// The error and what caused it, down to the first cause. What a cause says again is left out.
#[must_use]
pub fn causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        next = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("client error (Connect)")]
    struct Outer(#[source] io::Error);

    #[test]
    fn the_whole_chain_of_causes_and_the_address_are_told_with_the_status_that_fits() {
        for (source, status, words) in [
            (io::Error::from_raw_os_error(111), 502, "nobody listens at h:1"),
            (io::Error::from_raw_os_error(24), 503, "no file descriptor is left"),
            (io::Error::from_raw_os_error(110), 504, "h:1 was not heard in time"),
            (io::Error::from_raw_os_error(104), 502, "h:1: client error (Connect)"),
        ] {
            let cause = source.to_string();
            let error = TransportError::of("h:1", Outer(source));
            assert_eq!(error.status().as_u16(), status, "{error}");
            let text = error.to_string();
            assert!(text.contains(words) && text.contains(&cause), "{text}");
            assert!(!error.not_processed());
        }
    }

    #[test]
    fn only_a_refused_stream_is_certainly_not_processed_whatever_else_resets_it() {
        let reset = |reason: h2::Reason| TransportError::of("h:1", h2::Error::from(reason));
        // Made here and not by the peer: nothing is known of what the peer did.
        assert!(!reset(h2::Reason::REFUSED_STREAM).not_processed());
        assert!(!reset(h2::Reason::CANCEL).not_processed());
    }
}
