//! The three ways in which an export comes and is answered: gRPC, and HTTP with protobuf or JSON.
//!
//! What an answer says is settled elsewhere ([`super::intake`], [`super::refuse`]); here is what it looks like.

use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::{ACCEPT_ENCODING, ALLOW, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Response, StatusCode, Version};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};
use prost::Message as _;
use tonic::Status;

use super::inflate::Encoding;
use super::refuse::{Cause, Refusal};
use super::reject::Rejections;

/// The body of an answer.
pub(super) type Body = UnsyncBoxBody<Bytes, std::convert::Infallible>;

/// How an export is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Grpc,
    Protobuf,
    Json,
}

/// `google.rpc.Status`, which every refusal over HTTP carries.
#[derive(Clone, PartialEq, prost::Message, serde::Serialize)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

impl Dialect {
    /// The dialect of a request with this content type, if it is one.
    pub(super) fn of(headers: &HeaderMap, version: Version) -> Option<Dialect> {
        let media = headers.get(CONTENT_TYPE)?.to_str().ok()?.split(';').next()?.trim();
        match media.to_ascii_lowercase().as_str() {
            "application/grpc" | "application/grpc+proto" if version == Version::HTTP_2 => {
                Some(Dialect::Grpc)
            }
            "application/x-protobuf" | "application/protobuf" => Some(Dialect::Protobuf),
            "application/json" => Some(Dialect::Json),
            _ => None,
        }
    }

    /// The name used in counters.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Dialect::Grpc => "grpc",
            Dialect::Protobuf => "protobuf",
            Dialect::Json => "json",
        }
    }

    /// The header that says how a message is compressed.
    pub(super) const fn encoding_header(self) -> &'static str {
        match self {
            Dialect::Grpc => "grpc-encoding",
            Dialect::Protobuf | Dialect::Json => "content-encoding",
        }
    }

    const fn content_type(self) -> &'static str {
        match self {
            Dialect::Grpc => "application/grpc",
            Dialect::Protobuf => "application/x-protobuf",
            Dialect::Json => "application/json",
        }
    }

    /// Says that an export was taken, but for the spans that were refused.
    pub(super) fn taken(self, rejected: &Rejections) -> Response<Body> {
        let refused = i64::try_from(rejected.total()).unwrap_or(i64::MAX);
        if self == Dialect::Json {
            let answer = match refused {
                0 => serde_json::json!({}),
                // Integers of 64 bits are text in proto3's JSON.
                _ => serde_json::json!({ "partialSuccess": {
                    "rejectedSpans": refused.to_string(), "errorMessage": rejected.message() } }),
            };
            return self.answer(StatusCode::OK, answer.to_string().into());
        }
        let partial_success = (refused > 0).then(|| ExportTracePartialSuccess {
            rejected_spans: refused,
            error_message: rejected.message(),
        });
        let message = ExportTraceServiceResponse { partial_success };
        self.answer(StatusCode::OK, message.encode_to_vec().into())
    }

    /// Says that an export was refused, and why.
    pub(super) fn refused(self, refusal: &Refusal) -> Response<Body> {
        let (cause, message) = (refusal.cause, refusal.message());
        let mut response = match self {
            Dialect::Grpc => Status::new(cause.code(), message).into_http::<()>().map(|()| empty()),
            Dialect::Protobuf => {
                let status = RpcStatus { code: cause.code() as i32, message };
                self.answer(cause.status(), status.encode_to_vec().into())
            }
            Dialect::Json => {
                let status = RpcStatus { code: cause.code() as i32, message };
                let text = serde_json::to_vec(&status).unwrap_or_default();
                self.answer(cause.status(), text.into())
            }
        };
        let says = match cause {
            Cause::Busy => Some((RETRY_AFTER, "1")),
            Cause::Method => Some((ALLOW, "POST")),
            Cause::ContentEncoding if self != Dialect::Grpc => {
                Some((ACCEPT_ENCODING, Encoding::TAKEN))
            }
            _ => None,
        };
        if let Some((name, value)) = says {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        if cause == Cause::ContentEncoding && self == Dialect::Grpc {
            let taken = HeaderValue::from_static("identity,gzip,zstd");
            response.headers_mut().insert("grpc-accept-encoding", taken);
        }
        response
    }

    fn answer(self, status: StatusCode, message: Bytes) -> Response<Body> {
        let body = match self {
            Dialect::Protobuf | Dialect::Json => Full::new(message).boxed_unsync(),
            Dialect::Grpc => {
                let mut framed = BytesMut::with_capacity(5 + message.len());
                framed.put_u8(0);
                framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
                framed.extend_from_slice(&message);
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", HeaderValue::from_static("0"));
                let trailers = std::future::ready(Some(Ok(trailers)));
                Full::new(framed.freeze()).with_trailers(trailers).boxed_unsync()
            }
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type()));
        response
    }
}

/// A body of nothing.
pub(super) fn empty() -> Body {
    Full::default().boxed_unsync()
}

/// The one message of a gRPC call, and whether it is compressed.
pub(super) fn grpc_message(body: Bytes) -> Result<(Bytes, bool), Refusal> {
    let malformed =
        |what: &str| Refusal::new(Cause::Malformed, format!("the gRPC call has {what}"));
    let Some((&[flag, a, b, c, d], _)) = body.split_first_chunk::<5>() else {
        return Err(malformed("no message"));
    };
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    let compressed = match flag {
        0 => false,
        1 => true,
        _ => return Err(malformed("a message whose first byte is neither 0 nor 1")),
    };
    match (body.len() - 5).cmp(&length) {
        std::cmp::Ordering::Less => Err(malformed("a message that is cut off")),
        std::cmp::Ordering::Greater => Err(malformed("more than one message")),
        std::cmp::Ordering::Equal => Ok((body.slice(5..), compressed)),
    }
}
