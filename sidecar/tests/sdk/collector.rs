//! The Collector that had the spans before: it is passed every export, and reads it by generated code.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::Read as _;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message as _;

/// What matters here of a span that was sent.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) is_client: bool,
    pub(crate) trace_state: String,
    pub(crate) attributes: HashMap<String, String>,
    pub(crate) resource: Arc<HashMap<String, String>>,
}

/// What came: spans, and whether any export of them was compressed.
type Came = Arc<Mutex<(Vec<Sent>, bool)>>;

pub(crate) struct Collector {
    pub(crate) url: String,
    came: Came,
}

impl Collector {
    pub(crate) async fn start() -> Collector {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let came = Came::default();
        let keep = Arc::clone(&came);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let came = Arc::clone(&keep);
                tokio::spawn(async move {
                    let service = service_fn(move |request| take(request, Arc::clone(&came)));
                    let builder = auto::Builder::new(TokioExecutor::new());
                    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Collector { url, came }
    }

    pub(crate) fn sent(&self) -> (Vec<Sent>, bool) {
        self.came.lock().unwrap().clone()
    }
}

async fn take(request: Request<Incoming>, came: Came) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let mut body = body.collect().await.unwrap().to_bytes();
    if head.uri.path().contains("race") {
        let grpc = head.headers["content-type"].to_str().unwrap().starts_with("application/grpc");
        let encoding = if grpc { "grpc-encoding" } else { "content-encoding" };
        let named = head.headers.get(encoding).is_some_and(|encoding| encoding == "gzip");
        let gzipped = named && (!grpc || body[0] == 1);
        if grpc {
            body = body.slice(5..);
        }
        let mut message = body.to_vec();
        if gzipped {
            message.clear();
            flate2::read::GzDecoder::new(&*body).read_to_end(&mut message).unwrap();
        }
        let mut came = came.lock().unwrap();
        came.0.extend(spans(&message));
        came.1 |= gzipped;
    }
    let mut answer = Response::new(Full::default());
    answer.headers_mut().insert("grpc-status", "0".parse().unwrap());
    Ok(answer)
}

fn spans(message: &[u8]) -> Vec<Sent> {
    let mut all = Vec::new();
    for part in ExportTraceServiceRequest::decode(message).unwrap().resource_spans {
        let resource = Arc::new(texts(&part.resource.unwrap_or_default().attributes));
        for span in part.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            all.push(Sent {
                is_client: span.kind == SpanKind::Client as i32,
                attributes: texts(&span.attributes),
                trace_state: span.trace_state,
                resource: Arc::clone(&resource),
            });
        }
    }
    all
}

fn texts(attributes: &[KeyValue]) -> HashMap<String, String> {
    let value = |attribute: &KeyValue| match &attribute.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        other => Some(format!("{other:?}")),
    };
    attributes.iter().filter_map(|it| Some((it.key.clone(), value(it)?))).collect()
}
