//! Answers pushes: reads a body within its limit and within the budget, has its spans taken in, says what was refused.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderValue, ORIGIN};
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use ledger::names;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use serde_json::json;

use super::counts::{Brought, Reason};
use super::push;
use crate::budget::{Budget, Share};
use crate::otlp::{Batch, Queries, Rejections, export_request};
use crate::pipeline::Pipeline;

/// Where a Loki takes pushes.
pub(crate) const PATH: &str = "/loki/api/v1/push";
/// The service that k6's spans are of.
const SERVICE: &str = "k6";
/// The largest push, in bytes: 2,000 lines of `hoplab.js` have less than 1 MB.
const MOST: usize = 4 << 20;
/// What is made of a push while it is read takes so many times its bytes.
const MADE: usize = 6;
/// How long a body may take to come. k6 itself gives up after its `pushPeriod`.
const PATIENCE: Duration = Duration::from_secs(10);
/// How much of a push that is refused is read on, so that k6, which reads no answer before it has sent all, gets one.
const DRAIN: usize = 64 << 20;

/// The body of an answer.
type Body = UnsyncBoxBody<Bytes, std::convert::Infallible>;

/// A push that is refused as a whole.
struct Refused {
    reason: Reason,
    status: StatusCode,
    message: String,
}

impl Refused {
    fn new(reason: Reason, status: StatusCode, message: impl Into<String>) -> Refused {
        Refused { reason, status, message: message.into() }
    }
}

/// What takes pushes.
pub(crate) struct Intake {
    pipeline: Arc<Pipeline>,
    budget: Arc<Budget>,
    queries: Queries,
}

impl Intake {
    /// Takes pushes into `pipeline`, within `budget`. What becomes of `queries` in names is somebody's choice.
    pub(crate) fn new(pipeline: Arc<Pipeline>, budget: Arc<Budget>, queries: Queries) -> Intake {
        Intake { pipeline, budget, queries }
    }

    /// Answers one push. k6 prints the answer where it is no success, and sends nothing twice.
    pub(crate) async fn answer(
        &self,
        request: Request<Incoming>,
        from: SocketAddr,
    ) -> Response<Body> {
        let (head, mut body) = request.into_parts();
        let mut share = self.budget.share();
        let read = match place(&head) {
            Ok(()) => read(&mut body, &mut share).await,
            Err(refused) => Err(refused),
        };
        let taken = read.and_then(|body| self.take(&body, &mut share));
        let counts = &self.pipeline.counters().k6_log;
        match taken {
            Ok((lines, brought)) => {
                counts.taken(lines, &brought, from);
                match &brought.first {
                    None => answer(StatusCode::NO_CONTENT, None),
                    Some(first) => {
                        let refused = &brought.refused;
                        let error = json!({ "error": first, "taken": lines, "refused": refused });
                        answer(StatusCode::BAD_REQUEST, Some(&error))
                    }
                }
            }
            Err(Refused { reason, status, message }) => {
                let _ = tokio::time::timeout(PATIENCE, drain(&mut body)).await;
                counts.refused(reason, &message, from);
                answer(status, Some(&json!({ "error": message })))
            }
        }
    }

    /// Takes in the lines of a push; answers how many became spans.
    fn take(&self, body: &[u8], share: &mut Share) -> Result<(u64, Brought), Refused> {
        share.grow(body.len().saturating_mul(MADE)).map_err(|_| busy())?;
        let (spans, mut brought) = push::read(body).map_err(|error| {
            let message = format!("a push of k6's log has streams of lines in JSON: {error}");
            Refused::new("malformed", StatusCode::BAD_REQUEST, message)
        })?;
        let count = spans.len() as u64;
        if count == 0 {
            return Ok((0, brought));
        }
        let mut rejected = Rejections::default();
        let mut take = |batch: Batch| {
            rejected.add(&batch.rejected);
            self.pipeline.accept(batch);
        };
        let message = export(spans).encode_to_vec();
        let runs = self.pipeline.runs();
        export_request(&message, &self.budget, self.queries, runs, &mut take)
            .map_err(|_| busy())?;
        for (reason, refused) in rejected.by_name() {
            if refused > 0 {
                brought.first.get_or_insert_with(|| rejected.message());
                *brought.refused.entry(reason).or_default() += refused;
            }
        }
        Ok((count - rejected.total(), brought))
    }
}

fn busy() -> Refused {
    let message = "no memory is left for more spans: these lines are lost, a higher --memory-limit lets more in at once";
    Refused::new("busy", StatusCode::SERVICE_UNAVAILABLE, message)
}

/// Spans of k6 as an export of spans, which they are from here on.
fn export(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let service = AnyValue { value: Some(Value::StringValue(SERVICE.to_owned())) };
    let key = names::SERVICE_NAME.to_owned();
    let attribute = KeyValue { key, value: Some(service), ..KeyValue::default() };
    let resource = Resource { attributes: vec![attribute], ..Resource::default() };
    let spans = ScopeSpans { spans, ..ScopeSpans::default() };
    let all = ResourceSpans {
        resource: Some(resource),
        scope_spans: vec![spans],
        ..ResourceSpans::default()
    };
    ExportTraceServiceRequest { resource_spans: vec![all] }
}

/// Whether a request is a push, by its head.
fn place(head: &http::request::Parts) -> Result<(), Refused> {
    let (method, headers) = (&head.method, &head.headers);
    if headers.contains_key(ORIGIN) {
        return Err(Refused::new(
            "origin",
            StatusCode::FORBIDDEN,
            "k6 pushes its log, and no web page",
        ));
    }
    if method != Method::POST {
        let message = format!("{method} {PATH} takes nothing: k6 pushes by POST");
        return Err(Refused::new("method", StatusCode::METHOD_NOT_ALLOWED, message));
    }
    let media = headers.get(CONTENT_TYPE).and_then(|media| media.to_str().ok()).unwrap_or("none");
    let plain = media.split(';').next().unwrap_or_default().trim();
    if !plain.eq_ignore_ascii_case("application/json") {
        let media: String = media.chars().take(100).collect();
        let message =
            format!("content type {media} is not taken at {PATH}: k6 pushes application/json");
        return Err(Refused::new("content_type", StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
    }
    Ok(())
}

/// The whole body. What has come of it is held by `share`.
async fn read(body: &mut Incoming, share: &mut Share) -> Result<Bytes, Refused> {
    let all = async {
        let mut whole = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let broken = |error: hyper::Error| {
                Refused::new("broken", StatusCode::BAD_REQUEST, error.to_string())
            };
            let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
            if whole.len() + data.len() > MOST {
                let message = format!(
                    "a push has more than {MOST} bytes: a smaller limit= or a shorter pushPeriod= in K6_LOG_OUTPUT"
                );
                return Err(Refused::new("too_large", StatusCode::PAYLOAD_TOO_LARGE, message));
            }
            share.grow(data.len()).map_err(|_| busy())?;
            whole.extend_from_slice(&data);
        }
        Ok(whole.freeze())
    };
    tokio::time::timeout(PATIENCE, all).await.unwrap_or_else(|_| {
        let message = format!("a push did not come within {PATIENCE:?}");
        Err(Refused::new("slow", StatusCode::REQUEST_TIMEOUT, message))
    })
}

async fn drain(body: &mut Incoming) {
    let mut drained = 0;
    while let Some(Ok(frame)) = body.frame().await {
        drained += frame.data_ref().map_or(0, Bytes::len);
        if drained > DRAIN {
            return;
        }
    }
}

fn answer(status: StatusCode, said: Option<&serde_json::Value>) -> Response<Body> {
    let text = said.map(|said| format!("{said}\n")).unwrap_or_default();
    let mut response = Response::new(Full::new(Bytes::from(text)).boxed_unsync());
    *response.status_mut() = status;
    if said.is_some() {
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
    }
    response
}
