//! The driver's side of the edge hop: its probe, and its connections to the service that it asks.

use std::sync::Arc;
use std::time::Duration;

use ledger::Stage;
use probe::{Probe, ProbeConfig};

use super::RunError;
use lab_drive::builtin::{Connections, SERVICE};
use lab_model::{Entry, Knobs};

/// The driver's side of the edge hop, for one service.
pub(super) struct EdgeClient {
    probe: Probe,
    /// Connections to it, measured.
    pub(super) connections: Connections,
    inject: Vec<(Stage, Duration)>,
}

impl EdgeClient {
    /// Starts a probe and connects it to `entry`; spans go to `otlp`, a URL, and requests belong to the run that has
    /// `nonce`.
    pub(super) fn start(
        knobs: &Knobs,
        entry: &Entry,
        otlp: &str,
        nonce: Option<Arc<str>>,
    ) -> Result<EdgeClient, RunError> {
        let inject = injections(knobs);
        let probe = Probe::start(ProbeConfig {
            service: SERVICE.to_owned(),
            otlp_endpoint: Some(otlp.to_owned()),
            enabled: Probe::wanted()? && !knobs.probes_off,
            inject: inject.clone(),
        })?;
        let connections = Connections::new(&probe, entry).map_err(|error| RunError::Target {
            url: entry.url.clone(),
            reason: error.to_string(),
        })?;
        let connections = connections.of_run(nonce);
        Ok(EdgeClient { connections, probe, inject })
    }

    /// Whether a cell with `knobs` can be driven through it.
    pub(super) fn serves(&self, knobs: &Knobs) -> bool {
        self.inject == injections(knobs)
    }

    /// Sends the spans that are left. Returns how many were lost in all.
    pub(super) async fn stop(self) -> u64 {
        self.probe.shutdown().await
    }
}

/// The delays that are the driver's to inject.
fn injections(knobs: &Knobs) -> Vec<(Stage, Duration)> {
    let own =
        knobs.inject.iter().filter_map(|(place, ns)| Some((place.strip_prefix("driver:")?, *ns)));
    own.filter_map(|(stage, ns)| Some((Stage::from_name(stage).ok()?, Duration::from_nanos(ns))))
        .collect()
}
