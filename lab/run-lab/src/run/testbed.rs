//! The parts of a run, set up: the sidecar for as long as the run, services for as long as their
//! settings hold. Of a system that runs already there is nothing to set up but the way to its sidecar.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::attached::Attachment;
use super::counters::{ROWS_FAILED, RUNS_OPENED, lost_spans, missing_points, since};
use super::edge_client::EdgeClient;
use super::interrupt::Interrupt;
use super::real_parts::RealParts;
use super::setup::Setup;
use super::{LOGS, RUN_FILE, RunError};
use lab_drive::builtin::{Connections, SERVICE, threads_use};
use lab_launch::{
    ANY_PORT, Collector, Control, ControlError, Opened, Services, Store, Target, Tool, seed,
    start_services, start_sidecar, withheld,
};
use lab_model::event::{LabEvent, Reporter};
use lab_model::{Arm, Component, CpuUse, DEFAULT_USERS, Entry, Knobs, Service};
use lab_supervise::{Cpus, Part, PartError, Supervisor};

/// What the sidecar adds to the name of the run file for the folder of points that wait.
const SPOOL: &str = "spool";

/// Rows that the sidecar could not write, for example because the disk is full.
#[derive(Debug, thiserror::Error)]
#[error("{rows} rows of requests and processes are not in the run file: {reason}")]
pub struct Unwritten {
    rows: u64,
    /// Why the latest of them is not, in the sidecar's words.
    reason: String,
}

/// Parts that are set up.
pub struct TestBed {
    pub(super) supervisor: Supervisor,
    pub(super) control: Control,
    /// Where spans go, a URL.
    pub(super) otlp: String,
    /// The run that the sidecar has opened; none for load by hand.
    pub(super) opened: Option<Opened>,
    /// What the sidecar had counted before that, and when.
    pub(super) before: (BTreeMap<String, u64>, u64),
    /// The system, if it runs already.
    pub(super) attached: Option<Attachment>,
    /// Where services run; anywhere if absent.
    pub(super) cpus: Option<Cpus>,
    /// Cancelled when nothing is to be waited for.
    pub(super) stop: CancellationToken,
    /// The sidecar, if it is ours.
    sidecar: Option<Part>,
    real_parts: RealParts,
    services: Option<Services>,
    /// The arm that they are of, where there are arms.
    arm: Option<Arc<Arm>>,
    /// What the users table holds: rows, and whether there is no index.
    seeded: Option<(Option<u64>, bool)>,
    edge: Option<EdgeClient>,
    lost: u64,
    listen: SocketAddr,
    /// The services that requests reach beyond the one that load generators ask.
    reached: Vec<&'static Service>,
}

impl TestBed {
    /// Starts the real parts and the sidecar. Deaths of parts come out of the channel.
    ///
    /// # Errors
    /// If the folder of logs cannot be made, or a part does not start.
    pub async fn set_up(
        setup: Setup<'_>,
        interrupt: &Interrupt,
        reporter: &mut dyn Reporter,
    ) -> Result<(TestBed, mpsc::UnboundedReceiver<PartError>), RunError> {
        let (supervisor, died) = supervisor(&setup, interrupt)?;
        let mut real_parts = RealParts::default();
        let begun = tokio::select! {
            begun = begin(&mut real_parts, &supervisor, &setup, reporter) => begun,
            () = interrupt.stop.cancelled() => Err(RunError::Interrupted),
        };
        let (sidecar, control) = match begun {
            Ok(begun) => begun,
            Err(error) => {
                real_parts.stop().await;
                supervisor.all_stopped().await;
                return Err(error);
            }
        };
        let otlp = format!("http://{}", sidecar.address("otlp")?);
        let testbed = TestBed {
            otlp,
            sidecar: Some(sidecar),
            real_parts,
            listen: setup.listen,
            reached: setup.reached.to_vec(),
            ..TestBed::bare(supervisor, control)
        };
        Ok((testbed, died))
    }

    /// Nothing but the way to a sidecar.
    pub(super) fn bare(supervisor: Supervisor, control: Control) -> TestBed {
        TestBed {
            supervisor,
            control,
            otlp: String::new(),
            opened: None,
            before: Default::default(),
            attached: None,
            cpus: None,
            stop: CancellationToken::new(),
            sidecar: None,
            real_parts: RealParts::default(),
            services: None,
            arm: None,
            seeded: None,
            edge: None,
            lost: 0,
            listen: ANY_PORT,
            reached: Vec::new(),
        }
    }

    /// The sidecar's process id and addresses: where it receives spans, and where it is controlled; nothing if it is not
    /// ours.
    #[must_use]
    pub fn sidecar(&self) -> Option<(u32, SocketAddr, SocketAddr)> {
        let sidecar = self.sidecar.as_ref()?;
        Some((sidecar.pid, sidecar.address("otlp").ok()?, sidecar.address("control").ok()?))
    }

    /// The store of points, if there is one.
    #[must_use]
    pub fn store(&self) -> Option<&Store> {
        self.real_parts.store()
    }

    /// Why there are no boards, where Grafana was to show some.
    #[must_use]
    pub fn no_boards(&self) -> Option<&str> {
        self.real_parts.no_boards()
    }

    /// Where the real parts are that are ours.
    #[must_use]
    pub fn addresses(&self) -> Vec<(Tool, SocketAddr)> {
        self.real_parts.addresses()
    }

    /// Sees to it that services of `arm` with the settings `knobs` run; returns who is to be asked. Those of another
    /// arm do not do, though their settings and program be the same: each arm begins with a start.
    ///
    /// # Errors
    /// If a service does not start.
    pub async fn serve(
        &mut self,
        arm: Option<&Arc<Arm>>,
        knobs: &Knobs,
        reporter: &mut dyn Reporter,
    ) -> Result<Entry, RunError> {
        if let Some(attached) = &self.attached {
            return Ok(attached.entry());
        }
        let same = self.arm.as_ref() == arm;
        if !self.services.as_ref().is_some_and(|services| same && services.serve(knobs)) {
            self.stop_services().await;
            self.arm = arm.cloned();
            let services = self.start(knobs).await?;
            for part in services.parts().chain(services.ways()) {
                let (part, address, pid) = (part.name.clone(), part.address("")?, part.pid);
                self.control.watch(&part, pid, false).await.map_err(PartError::from)?;
                reporter.on(&LabEvent::Ready { part, address, pid });
            }
            self.services = Some(services);
        }
        Ok(match &self.services {
            Some(services) => services.entry()?.into(),
            None => self.listen.into(),
        })
    }

    /// Connections of the built-in driver to `entry`.
    ///
    /// # Errors
    /// If the driver's probe does not start.
    pub async fn connect(&mut self, knobs: &Knobs, entry: &Entry) -> Result<Connections, RunError> {
        if !self.edge.as_ref().is_some_and(|edge| edge.serves(knobs)) {
            self.stop_edge().await;
        }
        let edge = match self.edge.take() {
            Some(edge) => edge,
            None => EdgeClient::start(knobs, entry, &self.otlp, self.nonce().map(Arc::from))?,
        };
        let connections = edge.connections.clone();
        self.edge = Some(edge);
        Ok(connections)
    }

    /// Sees to it that the users table is as `knobs` say.
    ///
    /// # Errors
    /// If it cannot be filled.
    pub async fn seed(
        &mut self,
        knobs: &Knobs,
        reporter: &mut dyn Reporter,
    ) -> Result<(), RunError> {
        let wanted = (knobs.users, knobs.unindexed);
        let Some(url) = self.real_parts.database_url().filter(|_| self.seeded != Some(wanted))
        else {
            return Ok(());
        };
        let index = if knobs.unindexed { "without" } else { "with" };
        let rows = knobs.users.unwrap_or(DEFAULT_USERS);
        let what = format!("filling the users table: {rows} rows, {index} an index on e-mail");
        reporter.on(&LabEvent::Preparing { what });
        seed(&self.supervisor, knobs, url).await?;
        self.seeded = Some(wanted);
        Ok(())
    }

    /// Where the service is that asks the database, if it runs.
    #[must_use]
    pub fn users(&self) -> Option<SocketAddr> {
        self.services.as_ref()?.asking_database()
    }

    /// What every service has used so far, if they are ours.
    pub(super) fn services_use(&self) -> Option<BTreeMap<String, CpuUse>> {
        let used = |part: &Part| Some((part.name.clone(), threads_use(part.pid)?));
        self.services.as_ref()?.parts().map(used).collect()
    }

    /// Starts the services of the arm that is set up.
    async fn start(&self, knobs: &Knobs) -> Result<Services, PartError> {
        let otlp = self.sidecar().map_or(ANY_PORT, |(_, otlp, _)| otlp);
        let target = Target {
            otlp,
            listen: self.listen,
            reached: &self.reached,
            database_url: self.real_parts.database_url(),
        };
        let program = self.arm.as_ref().and_then(|arm| arm.program.clone());
        let supervisor = self.supervisor.of(program, self.cpus.clone());
        start_services(&supervisor, knobs, target).await
    }

    async fn stop_edge(&mut self) {
        if let Some(edge) = self.edge.take() {
            self.lost += edge.stop().await;
        }
    }

    /// Stops the services; the next cell gets new ones.
    pub(super) async fn stop_services(&mut self) {
        self.stop_edge().await;
        if let Some(services) = self.services.take() {
            services.stop().await;
        }
    }

    /// Notes where the parts listen.
    pub(super) fn note_addresses(&self, components: &mut [Component]) {
        for part in self.services.iter().flat_map(Services::parts) {
            note(components, &part.name, part.address("").ok());
        }
        if let Some((_, otlp, _)) = self.sidecar() {
            note(components, "sidecar", Some(otlp));
        }
        for (tool, address) in self.addresses() {
            note(components, tool.role(), Some(address));
        }
    }

    /// Stops those who send spans and has the sidecar close its books. Returns what is not in them.
    ///
    /// # Errors
    /// If the sidecar does not close its books.
    pub(super) async fn close_books(&mut self) -> Result<Closed, PartError> {
        self.stop_services().await;
        self.wait_for_spans().await?;
        let (now, reason) = self.control.flush(self.nonce()).await?;
        let number = self.opened.as_ref().map(|opened| opened.number);
        let taken = number.is_some_and(|own| now.get(RUNS_OPENED).is_some_and(|&all| all > own));
        let counters = since(now, &self.before.0);
        let rows = counters.get(ROWS_FAILED).copied().unwrap_or_default();
        let mut lost = lost_spans(&counters);
        if self.lost > 0 {
            let own = lost.entry(format!("lost.{SERVICE}")).or_default();
            *own = self.lost.max(*own);
        }
        Ok(Closed {
            points_missing: missing_points(&counters),
            lost,
            unwritten: (rows > 0).then_some(Unwritten { rows, reason }),
            taken,
        })
    }

    /// The points that InfluxDB does not have although it was given time to take them.
    ///
    /// # Errors
    /// If the sidecar does not answer.
    pub(super) async fn points_missing(&self) -> Result<BTreeMap<String, u64>, ControlError> {
        let (now, _) = self.control.flush(self.nonce()).await?;
        Ok(missing_points(&since(now, &self.before.0)))
    }

    /// Stops everything: first those who send spans, then the sidecar, then the real parts.
    pub async fn stop(mut self) {
        self.stop_services().await;
        if let Some(sidecar) = self.sidecar {
            sidecar.stop().await;
        }
        self.real_parts.stop().await;
        self.supervisor.all_stopped().await;
    }

    /// As [`TestBed::stop`], when the books have been closed.
    ///
    /// # Errors
    /// If the sidecar does not close its books, or rows are missing from the run file.
    pub async fn close(mut self) -> Result<BTreeMap<String, u64>, RunError> {
        let closed = self.close_books().await;
        self.stop().await;
        match closed? {
            Closed { unwritten: Some(unwritten), .. } => Err(unwritten.into()),
            Closed { lost, .. } => Ok(lost),
        }
    }
}

/// What starts parts, and says which of them died.
pub(super) fn supervisor(
    setup: &Setup<'_>,
    interrupt: &Interrupt,
) -> Result<(Supervisor, mpsc::UnboundedReceiver<PartError>), RunError> {
    let logs = setup.out.join(LOGS);
    std::fs::create_dir_all(&logs).map_err(|error| RunError::System {
        attempt: format!("make the folder {}", logs.display()),
        error,
    })?;
    let (deaths, died) = mpsc::unbounded_channel();
    let executable = setup.executable.to_owned();
    let supervisor = Supervisor::new(executable, logs.to_path_buf(), withheld)
        .overseen(deaths, (interrupt.watchers.clone(), interrupt.kill.clone()));
    Ok((supervisor, died))
}

fn note(components: &mut [Component], role: &str, address: Option<SocketAddr>) {
    if let Some(component) = components.iter_mut().find(|component| component.role == role) {
        component.address = address.map(|address| address.to_string());
    }
}

/// Starts the real parts, then the sidecar, which is told whom to watch.
async fn begin(
    real_parts: &mut RealParts,
    supervisor: &Supervisor,
    setup: &Setup<'_>,
    reporter: &mut dyn Reporter,
) -> Result<(Part, Control), RunError> {
    real_parts.start(supervisor, setup, reporter).await?;
    let run_file = setup.out.join(RUN_FILE);
    let spool = setup.show.map(|run| run.join(&format!("{RUN_FILE}.{SPOOL}")));
    let collector = Collector {
        run: setup.run,
        run_file: &run_file,
        store: real_parts.store(),
        spool: spool.as_ref(),
        by_hand: setup.by_hand,
        join_window: setup.join_window,
    };
    let (sidecar, control) = start_sidecar(supervisor, collector).await?;
    for part in real_parts.processes() {
        control.watch(&part.name, part.pid, true).await.map_err(PartError::from)?;
    }
    // The sidecar samples itself. This process drives, but where load comes by hand: there it only watches.
    let own = if setup.by_hand { env!("CARGO_PKG_NAME") } else { SERVICE };
    control.watch(own, std::process::id(), false).await.map_err(PartError::from)?;
    Ok((sidecar, control))
}

/// What closing the books says of what is not in them.
#[derive(Debug, Default)]
pub(super) struct Closed {
    /// Spans that are in no row, by reason.
    pub(super) lost: BTreeMap<String, u64>,
    /// Another lab has opened a run meanwhile.
    pub(super) taken: bool,
    /// Rows that are not in the run file.
    pub(super) unwritten: Option<Unwritten>,
    /// Points that are not in InfluxDB, by what became of them.
    pub(super) points_missing: BTreeMap<String, u64>,
}
