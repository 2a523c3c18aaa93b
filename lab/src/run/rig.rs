//! The parts of a run, set up: the sidecar for as long as the run, services for as long as their
//! settings hold.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use tokio::sync::mpsc;

use super::edge::Edge;
use super::interrupt::Interrupt;
use super::{LOGS, RUN_FILE, RunError};
use crate::driver::{Connections, SERVICE};
use crate::event::{LabEvent, Reporter};
use crate::launch::{
    ANY_PORT, Control, Part, PartError, Services, Supervisor, start_services, start_sidecar,
};
use crate::model::{Component, Knobs};

/// The sidecar's counter of rows that it could not write.
const ROWS_FAILED: &str = "rows_failed";

/// Rows that the sidecar could not write, for example because the disk is full.
#[derive(Debug, thiserror::Error)]
#[error("{rows} rows of requests and processes are not in the run file: {reason}")]
pub struct Unwritten {
    rows: u64,
    /// Why the latest of them is not, in the sidecar's words.
    reason: String,
}

/// Parts that are set up.
pub struct Rig {
    supervisor: Supervisor,
    sidecar: Part,
    control: Control,
    otlp: SocketAddr,
    services: Option<Services>,
    edge: Option<Edge>,
    lost: u64,
    listen: SocketAddr,
}

impl Rig {
    /// Starts the sidecar, whose run file and log go into the folder `out`. Deaths of parts come out
    /// of the channel.
    ///
    /// # Errors
    /// If the folder of logs cannot be made, or the sidecar does not start.
    pub async fn set_up(
        out: &Path,
        executable: &Path,
        interrupt: &Interrupt,
    ) -> Result<(Rig, mpsc::UnboundedReceiver<PartError>), RunError> {
        let logs = out.join(LOGS);
        std::fs::create_dir_all(&logs).map_err(|error| RunError::System {
            attempt: format!("make the folder {}", logs.display()),
            error,
        })?;
        let (deaths, died) = mpsc::unbounded_channel();
        let (watchers, kill) = (interrupt.watchers.clone(), interrupt.kill.clone());
        let supervisor = Supervisor::new(executable.to_owned(), logs, deaths, watchers, kill);
        let (sidecar, control) = start_sidecar(&supervisor, &out.join(RUN_FILE)).await?;
        let otlp = sidecar.address("otlp")?;
        for (name, pid) in [("sidecar", sidecar.pid), (SERVICE, std::process::id())] {
            control.watch(name, pid).await.map_err(PartError::from)?;
        }
        let (services, edge) = (None, None);
        Ok((
            Rig { supervisor, sidecar, control, otlp, services, edge, lost: 0, listen: ANY_PORT },
            died,
        ))
    }

    /// Has the gateway listen on `listen` instead of any free port.
    #[must_use]
    pub fn listening(mut self, listen: SocketAddr) -> Rig {
        self.listen = listen;
        self
    }

    /// The sidecar's process id and addresses: where it receives spans, and where it is controlled.
    ///
    /// # Errors
    /// If it named no control address.
    pub fn sidecar(&self) -> Result<(u32, SocketAddr, SocketAddr), PartError> {
        Ok((self.sidecar.pid, self.otlp, self.sidecar.address("control")?))
    }

    /// The services that run now.
    #[must_use]
    pub fn services(&self) -> Option<&Services> {
        self.services.as_ref()
    }

    /// Sees to it that services with the settings `knobs` run, and returns connections to them.
    ///
    /// # Errors
    /// If a service or the driver's probe does not start.
    pub async fn serve(
        &mut self,
        knobs: &Knobs,
        reporter: &mut dyn Reporter,
    ) -> Result<Connections, RunError> {
        if !self.services.as_ref().is_some_and(|services| services.serve(knobs)) {
            self.stop_services().await;
            let services = self.pair(knobs, "").await?;
            for part in [&services.echo, &services.gateway] {
                let (part, address, pid) = (part.name.clone(), part.address("")?, part.pid);
                self.control.watch(&part, pid).await.map_err(PartError::from)?;
                reporter.on(&LabEvent::Ready { part, address, pid });
            }
            self.services = Some(services);
        }
        if !self.edge.as_ref().is_some_and(|edge| edge.serves(knobs)) {
            self.stop_edge().await;
        }
        let gateway = match &self.services {
            Some(services) => services.gateway.address("")?,
            None => self.listen,
        };
        let edge = match self.edge.take() {
            Some(edge) => edge,
            None => Edge::start(knobs, gateway, self.otlp)?,
        };
        let connections = edge.connections.clone();
        self.edge = Some(edge);
        Ok(connections)
    }

    /// Starts a pair of services beside those that run, for somebody else to stop.
    pub(super) async fn pair(&self, knobs: &Knobs, suffix: &str) -> Result<Services, PartError> {
        let listen = if suffix.is_empty() { self.listen } else { ANY_PORT };
        start_services(&self.supervisor, knobs, self.otlp, listen, suffix).await
    }

    /// An edge to another gateway than the one that [`Rig::serve`] is for.
    pub(super) fn edge_to(&self, knobs: &Knobs, services: &Services) -> Result<Edge, RunError> {
        Edge::start(knobs, services.gateway.address("")?, self.otlp)
    }

    async fn stop_edge(&mut self) {
        if let Some(edge) = self.edge.take() {
            self.lost += edge.stop().await;
        }
    }

    async fn stop_services(&mut self) {
        self.stop_edge().await;
        if let Some(services) = self.services.take() {
            services.stop().await;
        }
    }

    /// Notes where the parts listen.
    pub(super) fn note_addresses(&self, components: &mut [Component]) {
        let services =
            self.services.iter().flat_map(|services| [&services.echo, &services.gateway]);
        for part in services {
            note(components, &part.name, part.address("").ok());
        }
        note(components, "sidecar", Some(self.otlp));
    }

    /// Stops everything: first those who send spans, then the sidecar, which closes its books between.
    /// Returns how many spans are in no row, by reason, and which rows are not in the run file.
    ///
    /// # Errors
    /// If the sidecar does not close its books.
    pub async fn close(mut self) -> Result<(BTreeMap<String, u64>, Option<Unwritten>), PartError> {
        self.stop_services().await;
        let flushed = self.control.flush().await;
        self.sidecar.stop().await;
        let (counters, reason) = flushed?;
        let rows = counters.get(ROWS_FAILED).copied().unwrap_or_default();
        let mut lost = lost_spans(&counters);
        if self.lost > 0 {
            let own = lost.entry(format!("lost.{SERVICE}")).or_default();
            *own = self.lost.max(*own);
        }
        Ok((lost, (rows > 0).then_some(Unwritten { rows, reason })))
    }
}

fn note(components: &mut [Component], role: &str, address: Option<SocketAddr>) {
    if let Some(component) = components.iter_mut().find(|component| component.role == role) {
        component.address = address.map(|address| address.to_string());
    }
}

/// Of the sidecar's counters, those that count spans which are in no row, by reason.
fn lost_spans(counters: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let reason = |name: &str| -> Option<String> {
        if let Some(service) = name.strip_prefix("spans_lost.") {
            return Some(format!("lost.{service}"));
        }
        if let Some(why) = name.strip_prefix("spans_rejected.") {
            return Some(format!("rejected.{why}"));
        }
        let direct = ["malformed_messages", "late", "over_limit", "dropped_spans", ROWS_FAILED];
        direct.contains(&name).then(|| name.to_owned())
    };
    let lost = counters.iter().filter(|(_, count)| **count > 0);
    lost.filter_map(|(name, count)| Some((reason(name)?, *count))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_spans_that_are_gone_count_as_lost() {
        let counters = [
            ("spans_received", 9),
            ("spans_lost.gateway", 2),
            ("spans_rejected.no_id", 1),
            ("late", 0),
            ("over_limit", 3),
        ];
        let counters = counters.map(|(name, count)| (name.to_owned(), count)).into();
        let lost: Vec<_> = lost_spans(&counters).into_iter().collect();
        let expected = [("lost.gateway", 2), ("over_limit", 3), ("rejected.no_id", 1)];
        assert_eq!(lost, expected.map(|(name, count)| (name.to_owned(), count)));
    }
}
