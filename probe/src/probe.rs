//! The probe of a process: whether it measures, where its spans go, what it is to inject.

use std::sync::Arc;
use std::time::Duration;

use ledger::Stage;
use parking_lot::Mutex;

use crate::export::{Exporter, Patience, Sink};
use crate::own::OwnSpans;
use crate::receiver::EndpointError;
use crate::slot::Injector;

/// Environment variable that turns probes off as a whole when it says `off`.
pub const PROBES_VARIABLE: &str = "LAB_PROBES";

/// What a process tells its probe.
#[derive(Debug, Clone, Default)]
pub struct ProbeConfig {
    /// Name of the service, as spans give it.
    pub service: String,
    /// Where spans go, e.g. `http://127.0.0.1:4317`; without it nothing is exported.
    pub otlp_endpoint: Option<String>,
    /// Measure at all. Off, connections are not tapped and no header is added.
    pub enabled: bool,
    /// Delays to inject, by stage.
    pub inject: Vec<(Stage, Duration)>,
}

/// Why a probe could not be started.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The exporter refused its endpoint.
    #[error("exporting spans to {endpoint}: {source}")]
    Exporter {
        /// The endpoint asked for.
        endpoint: String,
        /// Why it was refused.
        source: EndpointError,
    },
    /// A delay was asked for in a stage where none can be injected.
    #[error("no delay can be injected into {stage}; it can be into {}", injectable())]
    NotInjectable {
        /// The stage.
        stage: Stage,
    },
    /// Spans of the service's own cannot be sent.
    #[error("sending the service's own spans by OpenTelemetry: {0}")]
    Own(#[from] opentelemetry_otlp::ExporterBuildError),
    /// Two delays were asked for in one stage.
    #[error("a delay into {stage} is asked for twice")]
    Twice {
        /// The stage.
        stage: Stage,
    },
    /// `LAB_PROBES` says neither.
    #[error("{PROBES_VARIABLE}={value:?}: write on or off")]
    Wanted {
        /// What it says.
        value: String,
    },
}

/// The names of the stages in which a delay can be injected.
fn injectable() -> String {
    Stage::INJECTABLE.map(Stage::name).join(", ")
}

/// The injector of these delays, if they can be injected.
fn injector(delays: Vec<(Stage, Duration)>) -> Result<&'static Injector, ProbeError> {
    for (index, &(stage, _)) in delays.iter().enumerate() {
        if !Stage::INJECTABLE.contains(&stage) {
            return Err(ProbeError::NotInjectable { stage });
        }
        if delays[..index].iter().any(|(earlier, _)| *earlier == stage) {
            return Err(ProbeError::Twice { stage });
        }
    }
    Ok(Injector::of(delays))
}

/// The probe of a process. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Probe(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    enabled: bool,
    sink: Sink,
    injector: &'static Injector,
    exporter: Mutex<Option<Exporter>>,
    own: Mutex<Option<OwnSpans>>,
}

impl Probe {
    /// Starts the probe of this process, in the current tokio runtime.
    ///
    /// # Errors
    /// [`ProbeError`] if the endpoint is malformed or a delay cannot be injected where asked.
    pub fn start(config: ProbeConfig) -> Result<Probe, ProbeError> {
        let injector = injector(config.inject)?;
        let (exporter, sink) = match config.otlp_endpoint {
            Some(endpoint) if config.enabled => {
                let pid = std::process::id();
                let (exporter, sink) =
                    Exporter::start(&config.service, pid, &endpoint, Patience::default())
                        .map_err(|source| ProbeError::Exporter { endpoint, source })?;
                (Some(exporter), sink)
            }
            _ => (None, Sink::Nowhere),
        };
        Ok(Probe(Arc::new(Inner {
            enabled: config.enabled,
            sink,
            injector,
            exporter: Mutex::new(exporter),
            own: Mutex::new(None),
        })))
    }

    /// Makes the tracers of [`opentelemetry::global`] send what a service's author makes with them where the spans of
    /// its hops go; for the one probe of a process. See [`crate::Context::opentelemetry`].
    ///
    /// # Errors
    /// [`ProbeError::Own`] if a variable of OpenTelemetry asks for what cannot be.
    pub fn send_own_spans(&self, config: &ProbeConfig) -> Result<(), ProbeError> {
        if let Some(endpoint) = config.otlp_endpoint.as_deref().filter(|_| config.enabled) {
            *self.0.own.lock() = Some(OwnSpans::start(&config.service, endpoint)?);
        }
        Ok(())
    }

    /// A probe whose records go to `sink`.
    pub(crate) fn with_sink(
        sink: Sink,
        inject: Vec<(Stage, Duration)>,
    ) -> Result<Probe, ProbeError> {
        Ok(Probe(Arc::new(Inner {
            enabled: true,
            sink,
            injector: injector(inject)?,
            exporter: Mutex::new(None),
            own: Mutex::new(None),
        })))
    }

    /// A probe that measures nothing.
    #[must_use]
    pub fn off() -> Probe {
        Probe(Arc::new(Inner {
            enabled: false,
            sink: Sink::Nowhere,
            injector: Injector::of(Vec::new()),
            exporter: Mutex::new(None),
            own: Mutex::new(None),
        }))
    }

    /// Whether `LAB_PROBES` leaves probes on, as it does unless it says `off`.
    ///
    /// # Errors
    /// [`ProbeError::Wanted`] if it says anything but `on` or `off`.
    pub fn wanted() -> Result<bool, ProbeError> {
        match settings::text(PROBES_VARIABLE) {
            None => Ok(true),
            Some(value) if value.eq_ignore_ascii_case("on") => Ok(true),
            Some(value) if value.eq_ignore_ascii_case("off") => Ok(false),
            Some(value) => Err(ProbeError::Wanted { value }),
        }
    }

    /// Exports what is queued and stops. Answers how many spans were lost in all.
    pub async fn shutdown(&self) -> u64 {
        let own = self.0.own.lock().take();
        if let Some(own) = own {
            own.shutdown().await;
        }
        let exporter = self.0.exporter.lock().take();
        if let Some(exporter) = exporter {
            exporter.shutdown().await;
        }
        self.lost()
    }

    /// Spans lost so far: the queue was full, or the export failed.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.0.sink.lost()
    }

    /// Whether this process measures.
    #[must_use]
    pub fn enabled(&self) -> bool {
        self.0.enabled
    }

    pub(crate) fn sink(&self) -> &Sink {
        &self.0.sink
    }

    pub(crate) fn injector(&self) -> &'static Injector {
        self.0.injector
    }
}
