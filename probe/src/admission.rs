//! Requests that are refused before any handler sees them, as the standards have it.

use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Version, header};

use crate::json::Refusal;
use crate::table::Table;

/// Whether a message says that it is gRPC's.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    // `application/grpc`, with a format (`+proto`) or parameters behind it; not `application/grpc-web`.
    kind.and_then(|kind| kind.strip_prefix(b"application/grpc"))
        .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';' | b' ')))
}

/// Why a request is refused, if it is.
pub(crate) fn refused<B>(request: &Request<B>, table: &Table) -> Option<Refusal> {
    host_refused(request).or_else(|| grpc_refused(request, table))
}

/// RFC 9112, section 3.2: a request of HTTP/1.1 has one Host, and no request has two or one that is none.
fn host_refused<B>(request: &Request<B>) -> Option<Refusal> {
    let bad = |error: String| Some(Refusal::new(StatusCode::BAD_REQUEST, error));
    let mut hosts = request.headers().get_all(header::HOST).into_iter();
    let (first, second) = (hosts.next(), hosts.next());
    match (first, second) {
        (Some(first), Some(second)) => {
            bad(format!("host: given more than once, as {first:?} and {second:?}"))
        }
        (Some(host), None) if !is_host(host.as_bytes()) => {
            bad(format!("host: {host:?} is not of the form HOST or HOST:PORT"))
        }
        (None, _) if request.version() == Version::HTTP_11 => {
            bad("host: missing; a request of HTTP/1.1 has one".to_owned())
        }
        _ => None,
    }
}

/// RFC 3986, section 3.2, without a user. It may be empty.
fn is_host(host: &[u8]) -> bool {
    let (name, port) = match host.iter().rposition(|&byte| byte == b':' || byte == b']') {
        Some(colon) if host[colon] == b':' => (&host[..colon], &host[colon + 1..]),
        _ => (host, &b""[..]),
    };
    let of_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(byte);
    let is_name = match name {
        [b'[', inner @ .., b']'] => inner.iter().all(|byte| of_name(byte) || *byte == b':'),
        _ => name.iter().all(of_name),
    };
    is_name && port.len() <= 5 && port.iter().all(u8::is_ascii_digit)
}

/// A path of gRPC takes gRPC's requests and no others.
fn grpc_refused<B>(request: &Request<B>, table: &Table) -> Option<Refusal> {
    let path = request.uri().path();
    let (service, _) = table.rpc(path)?;
    let refusal = |status, error| Some(Refusal::new(status, error));
    let kind = request.headers().get(header::CONTENT_TYPE);
    if !is_grpc(request.headers()) {
        let kind = kind.map_or_else(|| "none".to_owned(), |kind| format!("{kind:?}"));
        let error = format!(
            "{path} is a method of the gRPC service {service}: content-type must be application/grpc, \
             not {kind}"
        );
        return refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, error);
    }
    if request.method() != Method::POST {
        let error = format!("{} is not a method of {path}; gRPC has POST alone", request.method());
        return refusal(StatusCode::METHOD_NOT_ALLOWED, error);
    }
    if request.version() != Version::HTTP_2 {
        let error = format!("{path} is a method of gRPC, which needs HTTP/2");
        return refusal(StatusCode::HTTP_VERSION_NOT_SUPPORTED, error);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_with_or_without_a_port() {
        for host in ["", "h", "h:80", "127.0.0.1:1", "[::1]", "[::1]:8080", "a-b_c.example"] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in ["h h", "h:", "u@h", "h/p", "h:x", "h:999999", "[::1", "::1", "h,h:a", "\u{e9}"]
        {
            assert!(host == "h:" || !is_host(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn one_host_is_asked_of_http_1_1_and_not_two_of_anybody() {
        let table = Table::new(Vec::new(), Vec::new());
        for (version, hosts, refuse) in [
            (Version::HTTP_11, &["h"][..], false),
            (Version::HTTP_11, &[], true),
            (Version::HTTP_11, &["h", "h"], true),
            (Version::HTTP_10, &[], false),
            (Version::HTTP_10, &["a", "b"], true),
            (Version::HTTP_2, &[], false),
            (Version::HTTP_2, &["a", "b"], true),
        ] {
            let mut request = Request::new(());
            *request.version_mut() = version;
            for host in hosts {
                request.headers_mut().append("host", HeaderValue::from_static(host));
            }
            assert_eq!(refused(&request, &table).is_some(), refuse, "{version:?} {hosts:?}");
        }
    }

    #[test]
    fn a_path_of_grpc_takes_no_other_content_type_method_or_version() {
        let table = Table::new(Vec::new(), vec!["lab.v1.Echo"]);
        for (kind, method, version, status) in [
            ("application/grpc", "POST", Version::HTTP_2, None),
            ("application/grpc+proto", "POST", Version::HTTP_2, None),
            ("application/json", "POST", Version::HTTP_2, Some(415)),
            ("application/grpc-web", "POST", Version::HTTP_2, Some(415)),
            ("application/grpc", "PUT", Version::HTTP_2, Some(405)),
            ("application/grpc", "POST", Version::HTTP_11, Some(505)),
        ] {
            let request = Request::builder().method(method).uri("/lab.v1.Echo/Echo");
            let request = request.header("content-type", kind).header("host", "h");
            let request = request.version(version).body(()).unwrap();
            let refusal = refused(&request, &table).map(|refusal| refusal.status.as_u16());
            assert_eq!(refusal, status, "{kind} {method} {version:?}");
        }
    }
}
