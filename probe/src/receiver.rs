//! Whoever takes our spans: an OTLP receiver, spoken to by gRPC with requests that are bytes already.

use std::sync::Arc;

use bytes::{Buf as _, BufMut as _};
use http::uri::PathAndQuery;
use percent_encoding::percent_decode_str;
use prost::Message as _;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue, MetadataMap};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

/// The one call there is.
const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
/// Metadata for every request, `KEY=VALUE` with commas between (a token, say), as the OpenTelemetry
/// specification has it.
const HEADERS_VARIABLE: &str = "OTEL_EXPORTER_OTLP_HEADERS";

/// An endpoint that is none.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct EndpointError(String);

/// A receiver. It is connected to when there is something to send, and again after a failure.
#[derive(Debug)]
pub(crate) struct Receiver {
    grpc: tonic::client::Grpc<Channel>,
    metadata: MetadataMap,
}

/// Spans that the receiver did not take of a request that it took.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Refused {
    pub(crate) spans: u64,
    pub(crate) why: String,
}

impl Receiver {
    /// The receiver at `endpoint`, in the current runtime.
    pub(crate) fn at(endpoint: &str) -> Result<Receiver, EndpointError> {
        let uri: http::Uri =
            endpoint.parse().map_err(|error| EndpointError(format!("{endpoint:?}: {error}")))?;
        if uri.scheme_str() != Some("http") || uri.authority().is_none() {
            return Err(EndpointError(format!("{endpoint:?} is not of the form http://HOST:PORT")));
        }
        let channel = Endpoint::from(uri).connect_lazy();
        let headers = settings::text(HEADERS_VARIABLE).unwrap_or_default();
        Ok(Receiver { grpc: tonic::client::Grpc::new(channel), metadata: metadata(&headers)? })
    }

    /// Sends an `ExportTraceServiceRequest`.
    pub(crate) async fn send(&mut self, request: Arc<Vec<u8>>) -> Result<Refused, Status> {
        self.grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let request = Request::from_parts(self.metadata.clone(), tonic::Extensions::new(), request);
        let path = PathAndQuery::from_static(EXPORT);
        let reply = self.grpc.unary(request, path, Encoded).await?.into_inner();
        Ok(reply.partial_success.map_or_else(Refused::default, |partial| Refused {
            spans: partial.rejected_spans.unsigned_abs(),
            why: partial.error_message,
        }))
    }
}

/// Reads `KEY=VALUE,…`. Values are not shown: one may be a token.
fn metadata(headers: &str) -> Result<MetadataMap, EndpointError> {
    let mut metadata = MetadataMap::new();
    for pair in headers.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let wrong = || EndpointError(format!("{HEADERS_VARIABLE} is not of the form KEY=VALUE,…"));
        let (key, value) = pair.split_once('=').ok_or_else(wrong)?;
        let key: AsciiMetadataKey = key.trim().to_ascii_lowercase().parse().map_err(|_| wrong())?;
        // What may not stand in a list is written in per cent, as baggage is.
        let value = percent_decode_str(value.trim()).decode_utf8().map_err(|_| wrong())?;
        let value: AsciiMetadataValue = value.parse().map_err(|_| wrong())?;
        metadata.insert(key, value);
    }
    Ok(metadata)
}

/// `ExportTraceServiceResponse`.
#[derive(Clone, PartialEq, prost::Message)]
struct Reply {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

/// `ExportTracePartialSuccess`.
#[derive(Clone, PartialEq, prost::Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected_spans: i64,
    #[prost(string, tag = "2")]
    error_message: String,
}

/// A codec for requests that are encoded already.
#[derive(Debug, Clone, Copy)]
struct Encoded;

impl Codec for Encoded {
    type Encode = Arc<Vec<u8>>;
    type Decode = Reply;
    type Encoder = Encoded;
    type Decoder = Encoded;

    fn encoder(&mut self) -> Encoded {
        Encoded
    }

    fn decoder(&mut self) -> Encoded {
        Encoded
    }
}

impl Encoder for Encoded {
    type Item = Arc<Vec<u8>>;
    type Error = Status;

    fn encode(&mut self, request: Arc<Vec<u8>>, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.reserve(request.len());
        out.put_slice(&request);
        Ok(())
    }
}

impl Decoder for Encoded {
    type Item = Reply;
    type Error = Status;

    fn decode(&mut self, reply: &mut DecodeBuf<'_>) -> Result<Option<Reply>, Status> {
        let length = reply.remaining();
        let wrong = |error| {
            Status::internal(format!("decoding the receiver's reply of {length} bytes: {error}"))
        };
        Reply::decode(reply).map(Some).map_err(wrong)
    }
}
