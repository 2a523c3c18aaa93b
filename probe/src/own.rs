//! Spans of a service author's own, beside those of hops: the OpenTelemetry SDK makes them and its exporter sends them,
//! with the settings that the standard's environment variables say. Here is only what ties the two together: of which
//! request an author's span is, and which of an author's spans a call is made in.

use ledger::names;
use opentelemetry::trace::{
    SpanContext as OtelContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{Context as Otel, Key, global};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::resource::{EnvResourceDetector, TelemetryResourceDetector};
use opentelemetry_sdk::trace::SdkTracerProvider;

use crate::context::SpanContext;
use crate::scope::Context;

/// Variables that name a receiver: what they say is followed.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
/// The variable that names a service; what it says counts before a name in `OTEL_RESOURCE_ATTRIBUTES`.
const NAME: &str = "OTEL_SERVICE_NAME";

/// What sends an author's spans.
#[derive(Debug)]
pub(crate) struct OwnSpans(SdkTracerProvider);

impl OwnSpans {
    /// Makes the SDK's tracers those of the process ([`opentelemetry::global`]). What they make goes to `endpoint`,
    /// or where the environment says.
    pub(crate) fn start(service: &str, endpoint: &str) -> Result<OwnSpans, ExporterBuildError> {
        let mut exporter = SpanExporter::builder().with_tonic();
        if ENDPOINTS.iter().all(|name| settings::text(name).is_none()) {
            exporter = exporter.with_endpoint(endpoint);
        }
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter.build()?)
            .with_resource(resource(service))
            .build();
        global::set_tracer_provider(provider.clone());
        global::set_text_map_propagator(TraceContextPropagator::new());
        Ok(OwnSpans(provider))
    }

    /// Sends what is left. The exporter works on other threads and on the runtime, so this one must not block.
    pub(crate) async fn shutdown(self) {
        let ended = tokio::task::spawn_blocking(move || self.0.shutdown()).await;
        if let Ok(Err(error)) = ended {
            tracing::warn!("spans of the service's own were lost at its end: {error}");
        }
    }
}

/// What a process says of itself by the standard: `OTEL_RESOURCE_ATTRIBUTES`, and the name of the service, which is
/// `service` where nothing says another.
fn resource(service: &str) -> Resource {
    // The later of two says what counts.
    let resource = Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_service_name(service.to_owned())
        .with_detector(Box::new(EnvResourceDetector::new()));
    match settings::text(NAME) {
        Some(name) => resource.with_service_name(name).build(),
        None => resource.build(),
    }
}

/// The name of the service as its spans have it, and what else its environment says of it.
pub(crate) fn named(service: &str) -> (String, Vec<(String, String)>) {
    let resource = resource(service);
    let name = resource.get(&Key::from_static_str(names::SERVICE_NAME));
    let others = resource.iter().filter(|(key, _)| {
        key.as_str() != names::SERVICE_NAME && !key.as_str().starts_with("telemetry.")
    });
    let others = others.map(|(key, value)| (key.to_string(), value.to_string())).collect();
    (name.map_or_else(|| service.to_owned(), |name| name.to_string()), others)
}

/// The span that the current task is in, if it is one of an author's own in the trace `of`: a call is its child.
pub(crate) fn innermost(of: SpanContext) -> Option<u64> {
    Otel::map_current(|current| {
        if !current.has_active_span() {
            return None;
        }
        let span = current.span().span_context().clone();
        let own = span.is_valid() && span.trace_id() == TraceId::from(of.trace_id);
        own.then(|| u64::from_be_bytes(span.span_id().to_bytes()))
    })
}

impl Context {
    /// The request for the SDK of OpenTelemetry: spans of an author's own that are started in it belong to the request
    /// (`tracer.start_with_context("look up", &Context::current().opentelemetry())`). Outside of any request it is an
    /// empty one.
    ///
    /// Calls that are made while such a span is the active one (`work.with_context(…)` of
    /// [`opentelemetry::trace::FutureExt`]) are its children.
    #[must_use]
    pub fn opentelemetry(&self) -> Otel {
        let Some(identity) = self.slot().and_then(|slot| slot.record.identity()) else {
            return Otel::new();
        };
        let state = std::str::from_utf8(identity.state()).ok();
        let state = state.and_then(|state| state.parse::<TraceState>().ok()).unwrap_or_default();
        let SpanContext { trace_id, span_id, flags } = identity.context;
        // Not remote: this process makes that span.
        let context = OtelContext::new(
            TraceId::from(trace_id),
            SpanId::from(span_id),
            TraceFlags::new(flags),
            false,
            state,
        );
        Otel::new().with_remote_span_context(context)
    }
}
