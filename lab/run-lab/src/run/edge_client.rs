//! The driver's side of the edge hop: its probe, and its connections to the gateway.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ledger::Stage;
use probe::{Probe, ProbeConfig};

use super::RunError;
use lab_drive::builtin::{Connections, SERVICE};
use lab_model::Knobs;

/// The driver's side of the edge hop, for one gateway.
pub(super) struct EdgeClient {
    probe: Probe,
    /// Connections to the gateway, measured.
    pub(super) connections: Connections,
    inject: Vec<(Stage, Duration)>,
}

impl EdgeClient {
    /// Starts a probe and connects it to the gateway at `gateway`; spans go to `otlp`, and requests belong to the run
    /// that has `nonce`.
    pub(super) fn start(
        knobs: &Knobs,
        gateway: SocketAddr,
        otlp: SocketAddr,
        nonce: Option<Arc<str>>,
    ) -> Result<EdgeClient, RunError> {
        let inject = injections(knobs);
        let probe = Probe::start(ProbeConfig {
            service: SERVICE.to_owned(),
            otlp_endpoint: Some(format!("http://{otlp}")),
            enabled: Probe::wanted()? && !knobs.probes_off,
            inject: inject.clone(),
        })?;
        let target = http::Uri::builder()
            .scheme("http")
            .authority(gateway.to_string())
            .path_and_query("/")
            .build()
            .expect("an address with a port is an authority");
        let connections = Connections::new(&probe, target).of_run(nonce);
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
