//! The gRPC side of the receiver: a codec that leaves the message as bytes, and the Export method.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::SERVICE_NAME;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};
use prost::Message;
use tokio::net::TcpListener;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::server::{Server, TcpIncoming};
use tonic::{Request, Response, Status};

use crate::pipeline::Pipeline;

/// The largest message taken, in bytes: some 35,000 of our spans.
const MAX_MESSAGE_BYTES: usize = 16 << 20;
/// HTTP/2 windows and frames that let a batch of spans through without waiting for updates, in bytes.
const WINDOW_BYTES: u32 = 4 << 20;
const FRAME_BYTES: u32 = 256 << 10;
/// Exports under way at once on one connection. With the message limit it bounds what a peer can
/// make the receiver hold.
const MAX_STREAMS: u32 = 32;

/// Serves OTLP/gRPC on `listener` until `shutdown`.
pub(crate) async fn serve(
    listener: TcpListener,
    pipeline: Arc<Pipeline>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    Server::builder()
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES)
        .max_concurrent_streams(MAX_STREAMS)
        .add_service(TraceService(pipeline))
        .serve_with_incoming_shutdown(incoming, shutdown)
        .await
}

/// Leaves requests as the bytes that came, for [`super::decode`] to read in place.
#[derive(Default)]
struct BytesCodec;

impl Codec for BytesCodec {
    type Encode = ExportTraceServiceResponse;
    type Decode = Bytes;
    type Encoder = BytesCodec;
    type Decoder = BytesCodec;

    fn encoder(&mut self) -> BytesCodec {
        BytesCodec
    }

    fn decoder(&mut self) -> BytesCodec {
        BytesCodec
    }
}

impl Encoder for BytesCodec {
    type Item = ExportTraceServiceResponse;
    type Error = Status;

    fn encode(&mut self, item: Self::Item, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(to).map_err(|error| Status::internal(error.to_string()))
    }
}

impl Decoder for BytesCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

#[derive(Clone)]
struct TraceService(Arc<Pipeline>);

impl NamedService for TraceService {
    const NAME: &'static str = SERVICE_NAME;
}

impl UnaryService<Bytes> for TraceService {
    type Response = ExportTraceServiceResponse;
    type Future = Ready<Result<Response<Self::Response>, Status>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        ready(self.export(&request.into_inner()).map(Response::new))
    }
}

impl TraceService {
    fn export(&self, message: &[u8]) -> Result<ExportTraceServiceResponse, Status> {
        let batch = super::export_request(message).map_err(|error| {
            self.0.counters().malformed_message();
            Status::invalid_argument(format!("cannot read the export request: {error}"))
        })?;
        let refused = batch.rejected.total();
        let partial_success = (refused > 0).then(|| ExportTracePartialSuccess {
            rejected_spans: i64::try_from(refused).unwrap_or(i64::MAX),
            error_message: batch.rejected.message(),
        });
        self.0.accept(batch);
        Ok(ExportTraceServiceResponse { partial_success })
    }
}

impl tonic::codegen::Service<http::Request<tonic::body::Body>> for TraceService {
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move {
            if !request.uri().path().ends_with("/Export") {
                return Ok(
                    Status::unimplemented("the trace service has one method, Export").into_http()
                );
            }
            let mut grpc =
                Grpc::new(BytesCodec).apply_max_message_size_config(Some(MAX_MESSAGE_BYTES), None);
            Ok(grpc.unary(service, request).await)
        })
    }
}
