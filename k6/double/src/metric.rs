//! The metrics there are: k6's own, as far as the double makes them move, and those that a script makes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

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

    fn named(name: &str) -> Option<Kind> {
        [Kind::Counter, Kind::Gauge, Kind::Rate, Kind::Trend]
            .into_iter()
            .find(|kind| kind.name() == name)
    }
}

/// A metric.
#[derive(Debug, Clone)]
pub(crate) enum Metric {
    Own(&'static Own),
    Script(Arc<Scripted>),
}

/// One of k6's own.
#[derive(Debug)]
pub(crate) struct Own {
    name: &'static str,
    kind: Kind,
    contains: &'static str,
}

/// One that a script has made.
#[derive(Debug)]
pub(crate) struct Scripted {
    name: String,
    kind: Kind,
    /// Its values are milliseconds.
    time: bool,
}

macro_rules! metrics {
    ($($constant:ident $name:literal $kind:ident $contains:literal;)*) => {
        impl Metric {
            $(pub(crate) const $constant: Metric =
                Metric::Own(&Own { name: $name, kind: Kind::$kind, contains: $contains });)*

            const ALL: &[Metric] = &[$(Metric::$constant,)*];
        }
    };
}

metrics! {
    HTTP_REQS "http_reqs" Counter "default";
    DURATION "http_req_duration" Trend "time";
    BLOCKED "http_req_blocked" Trend "time";
    CONNECTING "http_req_connecting" Trend "time";
    HANDSHAKING "http_req_tls_handshaking" Trend "time";
    SENDING "http_req_sending" Trend "time";
    WAITING "http_req_waiting" Trend "time";
    RECEIVING "http_req_receiving" Trend "time";
    FAILED "http_req_failed" Rate "default";
    CHECKS "checks" Rate "default";
    GROUP_DURATION "group_duration" Trend "time";
    DATA_SENT "data_sent" Counter "data";
    DATA_RECEIVED "data_received" Counter "data";
    ITERATION_DURATION "iteration_duration" Trend "time";
    ITERATIONS "iterations" Counter "default";
    DROPPED "dropped_iterations" Counter "default";
    VUS "vus" Gauge "default";
    VUS_MAX "vus_max" Gauge "default";
}

impl Metric {
    pub(crate) fn name(&self) -> &str {
        match self {
            Metric::Own(own) => own.name,
            Metric::Script(scripted) => &scripted.name,
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        match self {
            Metric::Own(own) => own.kind,
            Metric::Script(scripted) => scripted.kind,
        }
    }

    /// What its values are: `time` is in milliseconds, `data` in bytes.
    pub(crate) fn contains(&self) -> &'static str {
        match self {
            Metric::Own(own) => own.contains,
            Metric::Script(scripted) if scripted.time => "time",
            Metric::Script(_) => "default",
        }
    }
}

/// All metrics of a run, by name.
#[derive(Debug)]
pub(crate) struct Metrics(Mutex<BTreeMap<String, Metric>>);

impl Default for Metrics {
    fn default() -> Metrics {
        let own = Metric::ALL.iter().map(|metric| (metric.name().to_owned(), metric.clone()));
        Metrics(Mutex::new(own.collect()))
    }
}

impl Metrics {
    pub(crate) fn named(&self, name: &str) -> Option<Metric> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Makes a metric of a script's own; each user of the script makes the same.
    pub(crate) fn make(&self, name: &str, kind: &str, time: bool) -> Result<(), String> {
        let kind =
            Kind::named(kind).ok_or_else(|| format!("no kind of metric is called {kind}"))?;
        let plain = |c: char| c == '_' || c.is_ascii_alphanumeric();
        if !name.chars().all(plain) || name.is_empty() || name.len() > 128 {
            return Err(format!("Invalid metric name: '{name}'"));
        }
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let made = all.entry(name.to_owned()).or_insert_with(|| {
            Metric::Script(Arc::new(Scripted { name: name.to_owned(), kind, time }))
        });
        match made.kind() == kind {
            true => Ok(()),
            false => {
                Err(format!("metric '{name}' already exists but with type {}", made.kind().name()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_makes_a_metric_once_and_of_one_kind() {
        let metrics = Metrics::default();
        assert_eq!(metrics.make("orders", "trend", true), Ok(()));
        assert_eq!(metrics.make("orders", "trend", true), Ok(()));
        assert_eq!(metrics.named("orders").map(|metric| metric.contains()), Some("time"));
        for (name, kind) in
            [("orders", "rate"), ("http_reqs", "gauge"), ("a b", "rate"), ("", "rate")]
        {
            assert!(metrics.make(name, kind, false).is_err(), "{name} {kind}");
        }
    }
}
