//! What is exported, and the paths that it is sent to.

/// What is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    Traces,
    Metrics,
    Logs,
}

impl Signal {
    /// Every signal, with the path that it is sent to over HTTP and over gRPC.
    const PATHS: [(Signal, &'static str, &'static str); 3] = [
        (
            Signal::Traces,
            "/v1/traces",
            "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        ),
        (
            Signal::Metrics,
            "/v1/metrics",
            "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        ),
        (Signal::Logs, "/v1/logs", "/opentelemetry.proto.collector.logs.v1.LogsService/Export"),
    ];

    /// Where it is sent to.
    pub(super) const fn path(self, grpc: bool) -> &'static str {
        let (_, over_http, over_grpc) = Self::PATHS[self as usize];
        if grpc { over_grpc } else { over_http }
    }

    /// The name used in counters.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Signal::Traces => "traces",
            Signal::Metrics => "metrics",
            Signal::Logs => "logs",
        }
    }

    /// The signal that this path takes, and whether it is gRPC's.
    pub(super) fn at(path: &str) -> Option<(Signal, bool)> {
        Self::PATHS.iter().find_map(|&(signal, http, grpc)| match path {
            _ if path == http => Some((signal, false)),
            _ if path == grpc => Some((signal, true)),
            _ => None,
        })
    }
}
