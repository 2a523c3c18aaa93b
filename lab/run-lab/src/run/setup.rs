//! What the parts of a run are set up from.

use std::net::SocketAddr;
use std::path::Path;

use lab_launch::{ANY_PORT, Inventory, Tool};
use lab_model::{RunMeasure, Service};
use lab_supervise::Absolute;
use settings::Span;

use super::Order;

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

impl<'a> Setup<'a> {
    /// That of a run, whose requests reach these services.
    pub(super) fn of(order: &'a Order, reached: &'a [&'static Service]) -> Setup<'a> {
        Setup {
            out: &order.out,
            executable: &order.executable,
            run: &order.run_id,
            inventory: &order.inventory,
            reached,
            show: None,
            by_hand: false,
            join_window: None,
            listen: ANY_PORT,
            grafana: ANY_PORT,
        }
    }
}

impl Order {
    /// There is a Grafana, and it is of no use.
    pub(super) fn leave_out_boards(&mut self, why: &str, measure: &mut RunMeasure) {
        self.inventory.no_use(Tool::Grafana, why);
        let role = Tool::Grafana.role();
        for part in measure.components.iter_mut().filter(|part| part.role == role) {
            *part = self.inventory.component(Tool::Grafana);
        }
    }
}
