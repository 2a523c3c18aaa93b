//! The metrics there are: k6's own, as far as the scripts make them move, and those of `load.js`.

/// How values of a metric are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Rate,
    Trend,
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Rate => "rate",
            Kind::Trend => "trend",
        }
    }
}

macro_rules! metrics {
    ($($variant:ident $name:literal $kind:ident $contains:literal;)*) => {
        /// A metric.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Metric { $($variant,)* }

        impl Metric {
            const ALL: &[Metric] = &[$(Metric::$variant,)*];

            pub(crate) const fn name(self) -> &'static str {
                match self { $(Metric::$variant => $name,)* }
            }

            pub(crate) const fn kind(self) -> Kind {
                match self { $(Metric::$variant => Kind::$kind,)* }
            }

            /// What its values are: `time` is in milliseconds, `data` in bytes.
            pub(crate) const fn contains(self) -> &'static str {
                match self { $(Metric::$variant => $contains,)* }
            }
        }
    };
}

metrics! {
    Origin "scenario_origin_ms" Counter "default";
    Started "requests_started" Counter "default";
    Answered "requests_answered" Rate "default";
    HttpReqs "http_reqs" Counter "default";
    Duration "http_req_duration" Trend "time";
    Blocked "http_req_blocked" Trend "time";
    Connecting "http_req_connecting" Trend "time";
    Handshaking "http_req_tls_handshaking" Trend "time";
    Sending "http_req_sending" Trend "time";
    Waiting "http_req_waiting" Trend "time";
    Receiving "http_req_receiving" Trend "time";
    Failed "http_req_failed" Rate "default";
    Checks "checks" Rate "default";
    DataSent "data_sent" Counter "data";
    DataReceived "data_received" Counter "data";
    IterationDuration "iteration_duration" Trend "time";
    Iterations "iterations" Counter "default";
    Dropped "dropped_iterations" Counter "default";
    Vus "vus" Gauge "default";
    VusMax "vus_max" Gauge "default";
}

impl Metric {
    pub(crate) fn all() -> impl Iterator<Item = Metric> {
        Metric::ALL.iter().copied()
    }

    pub(crate) fn from_name(name: &str) -> Option<Metric> {
        Metric::all().find(|metric| metric.name() == name)
    }
}
