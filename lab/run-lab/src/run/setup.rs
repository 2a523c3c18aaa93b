//! What the parts of a run are set up from.

use std::net::SocketAddr;
use std::path::Path;

use lab_launch::Inventory;
use lab_model::Service;
use lab_supervise::Absolute;
use settings::Span;

/// What a testbed is set up from.
#[derive(Debug, Clone, Copy)]
pub struct Setup<'a> {
    /// Folder of the run, for run file, logs and data.
    pub out: &'a Absolute,
    /// The program that parts are started from.
    pub executable: &'a Path,
    /// Name of the run.
    pub run: &'a str,
    /// The real parts to use.
    pub inventory: &'a Inventory,
    /// The services that requests will reach beyond the one that load generators ask.
    pub reached: &'a [&'static Service],
    /// Folder of an earlier run: its points are shown, and those that waited for InfluxDB are written.
    pub show: Option<&'a Absolute>,
    /// Whether load comes by hand.
    pub by_hand: bool,
    /// How long the sidecar waits for the rest of a trace, if not as long as by default.
    pub join_window: Option<Span>,
    /// Where the gateway is to listen.
    pub listen: SocketAddr,
    /// Where Grafana is to listen.
    pub grafana: SocketAddr,
}
