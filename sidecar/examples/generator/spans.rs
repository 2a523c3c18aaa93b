//! The spans that are sent: of a driver, a gateway and an echo, as three kinds of programs write them.

use ledger::{Attribute, Edge, Half, Origin, Point, Side, names};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, InstrumentationScope, KeyValue, any_value::Value,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, span::SpanKind};

/// The cell of all requests.
pub(super) const CELL: &str = "grpc-10B";

/// How spans are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As our probes write them: what a span measured is packed into one attribute.
    Packed,
    /// As our probes wrote them before: the same as text.
    Text,
    /// As the SDKs of OpenTelemetry write those of HTTP: nothing is measured, and much is told.
    Foreign,
}

impl Form {
    /// Their names, for who chooses one.
    pub(crate) fn named(name: &str) -> anyhow::Result<Form> {
        Ok(match name {
            "packed" => Form::Packed,
            "text" => Form::Text,
            "foreign" => Form::Foreign,
            other => anyhow::bail!("spans are packed, text or foreign, not {other}"),
        })
    }

    /// The name of this one.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Form::Packed => "packed",
            Form::Text => "text",
            Form::Foreign => "foreign",
        }
    }
}

/// Span id, parent and kind of a span of a trace.
type Link = (u64, u64, SpanKind);

/// The processes, with their spans of a trace.
const SERVICES: [(&str, &[Link]); 3] = [
    ("driver", &[(1, 0, SpanKind::Client)]),
    ("gateway", &[(2, 1, SpanKind::Server), (3, 2, SpanKind::Client)]),
    ("echo", &[(4, 3, SpanKind::Server)]),
];

/// One export of each process, in one request.
pub(super) struct Export {
    request: ExportTraceServiceRequest,
    /// Traces in it.
    traces: u64,
    form: Form,
    /// How long each span's record is without its number, in the order of the request.
    unnumbered: Vec<usize>,
}

impl Export {
    pub(super) fn new(traces: u64, nonce: &str, form: Form) -> Export {
        let edge = Edge { span: 1, cell: CELL.into(), round: 0, nonce: nonce.into() }.member();
        let resource_spans = SERVICES.map(|(service, of)| {
            let spans = (0..traces).flat_map(|trace| of.iter().map(move |&span| (trace, span)));
            let spans = spans.map(|(trace, span)| make(trace, span, &edge, form));
            let scope = InstrumentationScope { name: "probe".to_owned(), ..Default::default() };
            ResourceSpans {
                resource: Some(Resource { attributes: resource(service), ..Resource::default() }),
                scope_spans: vec![ScopeSpans {
                    scope: Some(scope),
                    spans: spans.collect(),
                    ..ScopeSpans::default()
                }],
                ..ResourceSpans::default()
            }
        });
        let mut request = ExportTraceServiceRequest { resource_spans: resource_spans.into() };
        let unnumbered = spans(&mut request).map(|(_, span)| record(span).map_or(0, |r| r.len()));
        let unnumbered = unnumbered.collect();
        Export { request, traces, form, unnumbered }
    }

    /// The request once more, with traces from `first` on: its ids and the numbers of its spans are new.
    pub(super) fn number(&mut self, first: u64) -> ExportTraceServiceRequest {
        let exports = first / self.traces;
        let mut made = [0; SERVICES.len()];
        for ((at, span), &length) in spans(&mut self.request).zip(&self.unnumbered) {
            let within = made[at] / SERVICES[at].1.len() as u64;
            // Spread over all bits, as random ids are.
            let id =
                u128::from(first + within).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
            span.trace_id = (id | 1).to_be_bytes().to_vec();
            made[at] += 1;
            if self.form == Form::Packed
                && let Some(record) = record(span)
            {
                let of_export = self.traces * SERVICES[at].1.len() as u64;
                let sequence = exports * of_export + made[at];
                record.truncate(length);
                Origin { instance: instance(at), sequence }.pack(record);
            }
        }
        for (at, resource) in self.request.resource_spans.iter_mut().enumerate() {
            let highest = (exports + 1) * made[at];
            let attributes = resource.resource.iter_mut().flat_map(|told| &mut told.attributes);
            for told in attributes.filter(|told| told.key == names::HIGHEST) {
                *told = whole(names::HIGHEST, highest);
            }
        }
        self.request.clone()
    }
}

/// Every span, with the place of its process.
fn spans(request: &mut ExportTraceServiceRequest) -> impl Iterator<Item = (usize, &mut Span)> {
    request.resource_spans.iter_mut().enumerate().flat_map(|(at, resource)| {
        let spans = resource.scope_spans.iter_mut().flat_map(|scope| &mut scope.spans);
        spans.map(move |span| (at, span))
    })
}

/// The packed record of a span.
fn record(span: &mut Span) -> Option<&mut Vec<u8>> {
    span.attributes.iter_mut().find_map(|attribute| match attribute.value.as_mut()?.value {
        Some(Value::BytesValue(ref mut bytes)) => Some(bytes),
        _ => None,
    })
}

fn instance(at: usize) -> u64 {
    (u64::from(std::process::id()) << 8 | at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 1
}

fn attribute(key: &str, value: Value) -> KeyValue {
    let value = Some(AnyValue { value: Some(value) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

fn whole(key: &str, value: u64) -> KeyValue {
    attribute(key, Value::IntValue(value.cast_signed()))
}

fn resource(service: &str) -> Vec<KeyValue> {
    let at = SERVICES.iter().position(|(name, _)| *name == service).unwrap_or_default();
    vec![
        text(names::SERVICE_NAME, service),
        whole(names::PROCESS_PID, std::process::id().into()),
        text(names::CLOCK, "5f0c2b1e-7a94-4c57-8d0f-2f6f0a3f9d11 time:[4026531834]"),
        text(names::PID_NAMESPACE, &ledger::process::namespace()),
        whole(names::INSTANCE, instance(at)),
        whole(names::HIGHEST, 0),
        whole(names::LOST, 0),
    ]
}

fn make(trace: u64, (id, parent, kind): Link, edge: &str, form: Form) -> Span {
    let base = ledger::clock::now() + trace * 1_000;
    let wall = ledger::wall::WallClock::read().to_wall(base);
    let parent_span_id = if parent == 0 { Vec::new() } else { parent.to_be_bytes().to_vec() };
    let mut span = Span {
        trace_id: u128::from(trace).to_be_bytes().to_vec(),
        span_id: id.to_be_bytes().to_vec(),
        parent_span_id,
        name: "echo".to_owned(),
        kind: kind as i32,
        start_time_unix_nano: wall + id * 40_000,
        end_time_unix_nano: wall + 800_000 - id * 40_000,
        flags: 0x101,
        ..Span::default()
    };
    if form == Form::Foreign {
        span.attributes = told(kind);
        return span;
    }
    edge.clone_into(&mut span.trace_state);
    let half = half(base, id, kind);
    if form == Form::Packed {
        let mut packed = Vec::new();
        half.pack(None, &mut packed);
        span.attributes.push(attribute(names::PACKED, Value::BytesValue(packed)));
    } else {
        span.attributes.extend(half.attributes().into_iter().filter_map(
            |Attribute { key, value }| match value {
                ledger::Value::Text(value) => Some(text(key, &value)),
                ledger::Value::Int(_) | ledger::Value::Float(_) => None,
            },
        ));
    }
    if parent == 0 {
        span.attributes.push(whole(names::STOPWATCH, 812_345));
        span.attributes.push(text(names::CELL, CELL));
        span.attributes.push(attribute(names::WEIGHT, Value::DoubleValue(1.0)));
    }
    if kind == SpanKind::Client {
        let peer = if parent == 0 { "gateway" } else { "echo" };
        span.attributes.push(text(names::PEER_SERVICE, peer));
    }
    span
}

/// What our probe measures of a call.
fn half(base: u64, id: u64, kind: SpanKind) -> Half {
    let side = if kind == SpanKind::Client { Side::Client } else { Side::Server };
    let mut half = Half::new(side, (0, 0));
    for (at, &point) in Point::ALL.iter().enumerate() {
        let elsewhere = if side == Side::Client {
            matches!(point, Point::HandlerStart | Point::HandlerEnd)
        } else {
            matches!(point, Point::Planned | Point::CallStart | Point::CallEnd)
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
    half
}

/// What instrumentations tell of a call by HTTP (semantic conventions 1.27).
fn told(kind: SpanKind) -> Vec<KeyValue> {
    let mut told = vec![
        text("http.request.method", "POST"),
        whole("http.response.status_code", 200),
        text("network.protocol.version", "1.1"),
        text("server.address", "localhost"),
        whole("server.port", 8080),
        text("network.peer.address", "127.0.0.1"),
        whole("network.peer.port", 8080),
    ];
    if kind == SpanKind::Client {
        told.push(text("url.full", "http://localhost:8080/rest/ping"));
    } else {
        told.push(text("url.scheme", "http"));
        told.push(text("url.path", "/rest/ping"));
        told.push(text("http.route", "/rest/ping"));
        told.push(text("user_agent.original", "python-requests/2.32.3"));
    }
    told
}
