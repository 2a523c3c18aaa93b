//! Ping traces of four spans, as the probes send them, for the benchmarks of the sidecar.

use std::time::{Duration, Instant};

use ledger::{Attribute, Edge, Half, Point, Side, names};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, span::SpanKind};

/// Spans per export: the default of OpenTelemetry's batch processors.
const EXPORT: u64 = 512;
/// Spans of a trace: driver, gateway twice, echo.
pub(crate) const SPANS_PER_TRACE: u64 = 4;
/// The cell of all requests.
const CELL: &str = "grpc-10B";
/// How long the same spans are sent under new ids.
const FRESH: Duration = Duration::from_millis(500);

/// User and system time of this process and of threads that have ended, in seconds; exact to less than a
/// microsecond, where `/proc` counts in steps of 10 ms.
pub(crate) fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Opens a run of one cell with the sidecar whose control endpoint is at `control`; answers its nonce.
pub(crate) async fn open(control: std::net::SocketAddr) -> anyhow::Result<String> {
    let plan = serde_json::json!({"cells": [{"cell": CELL, "protocol": "grpc", "payload": "10"}]});
    let http = reqwest::Client::builder().no_proxy().build()?;
    let opened = http.post(format!("http://{control}/plan")).json(&plan).send().await?;
    let opened: serde_json::Value = opened.error_for_status()?.json().await?;
    Ok(opened["nonce"].as_str().unwrap_or_default().to_owned())
}

/// Sends traces of the run that has `nonce` for so many seconds, as fast as the sidecar answers if `rate` is 0.
pub(crate) async fn generate(
    endpoint: &str,
    seconds: u64,
    rate: u64,
    nonce: &str,
) -> anyhow::Result<u64> {
    let mut client = TraceServiceClient::connect(endpoint.to_owned()).await?;
    let per_export = EXPORT / SPANS_PER_TRACE;
    let (mut template, mut made) = (request(per_export, nonce), Instant::now());
    let (began, length) = (Instant::now(), Duration::from_secs(seconds));
    let mut traces = 0;
    while began.elapsed() < length {
        // Spans are of now: the sidecar sorts them into seconds.
        if made.elapsed() > FRESH {
            (template, made) = (request(per_export, nonce), Instant::now());
        }
        let mut request = template.clone();
        number(&mut request, traces);
        client.export(request).await?;
        traces += per_export;
        if rate > 0 {
            let due = began + Duration::from_secs_f64(traces as f64 / rate as f64);
            tokio::time::sleep_until(due.into()).await;
        }
    }
    Ok(traces)
}

/// Gives the traces of an export ids of their own.
fn number(request: &mut ExportTraceServiceRequest, first: u64) {
    for resource in &mut request.resource_spans {
        for span in resource.scope_spans.iter_mut().flat_map(|scope| &mut scope.spans) {
            let within = u64::from_be_bytes(span.trace_id[8..].try_into().expect("16 bytes"));
            // Spread over all bits, as random ids are.
            let id = (u128::from(first + within))
                .wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
            span.trace_id = (id | 1).to_be_bytes().to_vec();
        }
    }
}

fn text(key: &str, value: String) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(value)) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

/// Span id, parent and kind of a span of a trace.
type Link = (u64, u64, SpanKind);

/// One export of each process: driver, gateway, echo, in one request.
fn request(traces: u64, nonce: &str) -> ExportTraceServiceRequest {
    let edge = Edge { span: 1, cell: CELL.into(), round: 0, nonce: nonce.into() }.member();
    let services: [(&str, &[Link]); 3] = [
        ("driver", &[(1, 0, SpanKind::Client)]),
        ("gateway", &[(2, 1, SpanKind::Server), (3, 2, SpanKind::Client)]),
        ("echo", &[(4, 3, SpanKind::Server)]),
    ];
    let resource_spans = services.map(|(service, of)| {
        let edge = &edge;
        let make = move |trace| of.iter().map(move |&span| make(trace, span, edge));
        let spans = (0..traces).flat_map(make);
        let attributes = vec![
            text(names::SERVICE_NAME, service.to_owned()),
            text(names::CLOCK, "5f0c2b1e-7a94-4c57-8d0f-2f6f0a3f9d11 time:[4026531834]".to_owned()),
        ];
        ResourceSpans {
            resource: Some(Resource { attributes, ..Resource::default() }),
            scope_spans: vec![ScopeSpans { spans: spans.collect(), ..ScopeSpans::default() }],
            ..ResourceSpans::default()
        }
    });
    ExportTraceServiceRequest { resource_spans: resource_spans.into() }
}

fn make(trace: u64, (id, parent, kind): Link, edge: &str) -> Span {
    let side = if kind == SpanKind::Client { Side::Client } else { Side::Server };
    let base = ledger::clock::now() + trace * 1_000;
    let mut half = Half::new(side, (0, 0));
    for (at, &point) in Point::ALL.iter().enumerate() {
        let elsewhere = match side {
            Side::Client => matches!(point, Point::HandlerStart | Point::HandlerEnd),
            Side::Server => matches!(point, Point::Planned | Point::CallStart | Point::CallEnd),
        };
        if !elsewhere {
            half.marks.set(point, base + id * 40_000 + at as u64 * 12_345);
        }
    }
    half.sending.socket_write = 9_876;
    half.sending.framing = 4_321;
    half.outbound.body = 1_024;
    half.outbound.wire = 1_177;
    half.inbound.wire = 243;
    (half.connection, half.http, half.attempts) = (17, 20, 1);
    let mut attributes: Vec<_> = half
        .attributes()
        .into_iter()
        .filter_map(|Attribute { key, value }| match value {
            ledger::Value::Text(value) => Some(text(key, value)),
            ledger::Value::Int(_) | ledger::Value::Float(_) => None,
        })
        .collect();
    if parent == 0 {
        attributes.push(text(names::CELL, CELL.to_owned()));
        attributes.push(text(names::WEIGHT, "1".to_owned()));
        attributes.push(text(names::STOPWATCH, "812345".to_owned()));
    }
    let parent_span_id = if parent == 0 { Vec::new() } else { parent.to_be_bytes().to_vec() };
    Span {
        trace_id: u128::from(trace).to_be_bytes().to_vec(),
        span_id: id.to_be_bytes().to_vec(),
        parent_span_id,
        trace_state: edge.to_owned(),
        name: "echo".to_owned(),
        kind: kind as i32,
        start_time_unix_nano: 1_790_000_000_000_000_000 + base,
        end_time_unix_nano: 1_790_000_000_000_000_000 + base + 800_000,
        attributes,
        ..Span::default()
    }
}
