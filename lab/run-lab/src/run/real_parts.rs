//! The real parts behind a run: the store of points, the dashboards over it, the database.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::setup::Setup;
use lab_launch::{
    Dashboards, Database, Found, Inventory, Place, Store, Tool, start_grafana, start_influxdb,
    start_postgres,
};
use lab_model::event::{LabEvent, Reporter};
use lab_supervise::{Absolute, Part, PartError, Supervisor};

/// Folder of InfluxDB's data in a run's folder.
pub const INFLUXDB_FOLDER: &str = "influxdb";
/// Folder of Grafana's files in a run's folder.
const GRAFANA_FOLDER: &str = "grafana";

/// How long Grafana may take to be ready: its first start makes a database.
const PATIENCE_WITH_GRAFANA: Duration = Duration::from_secs(60);

/// The real parts behind a run, as far as they are there.
#[derive(Debug, Default)]
pub(super) struct RealParts {
    store: Option<Store>,
    influxdb: Option<Part>,
    grafana: Option<Part>,
    database: Option<Database>,
    /// Why there are no boards, where Grafana was to show some.
    no_boards: Option<String>,
}

impl RealParts {
    /// Starts what `setup` has found, or takes note of where it runs. After an error what was started is to be
    /// stopped.
    pub(super) async fn start(
        &mut self,
        supervisor: &Supervisor,
        setup: &Setup<'_>,
        reporter: &mut dyn Reporter,
    ) -> Result<(), PartError> {
        self.start_store(supervisor, setup, reporter).await?;
        self.start_dashboards(supervisor, setup, reporter).await?;
        if setup.reached.iter().any(|service| service.database) {
            self.start_database(supervisor, setup, reporter).await?;
        }
        Ok(())
    }

    /// Boards are for looking on: without them everything is measured all the same, so a Grafana that does not
    /// start costs no more than them, unless it is insisted on.
    async fn start_dashboards(
        &mut self,
        supervisor: &Supervisor,
        setup: &Setup<'_>,
        reporter: &mut dyn Reporter,
    ) -> Result<(), PartError> {
        let program = program(setup.inventory, Tool::Grafana);
        let (Some(store), Some(program)) = (&self.store, program) else { return Ok(()) };
        preparing(reporter, "starting Grafana");
        let (folder, listen) = (setup.out.join(GRAFANA_FOLDER), setup.grafana);
        let patience = PATIENCE_WITH_GRAFANA;
        let dashboards = Dashboards { program, store, folder: &folder, listen, patience };
        match start_grafana(supervisor, dashboards).await {
            Ok(part) => {
                ready(reporter, &part)?;
                let (address, files) = (part.address("")?, boards(setup.out).to_path_buf());
                reporter.on(&LabEvent::Boards { address, run: setup.run.to_owned(), files });
                self.grafana = Some(part);
            }
            Err(error) if setup.inventory.requires(Tool::Grafana) => return Err(error),
            Err(error) => {
                let error = error.to_string();
                let first = error.lines().next().unwrap_or_default().trim_end_matches(':');
                self.no_boards = Some(format!("it did not start: {first}"));
                reporter.on(&LabEvent::NoBoards { reason: error });
            }
        }
        Ok(())
    }

    async fn start_store(
        &mut self,
        supervisor: &Supervisor,
        setup: &Setup<'_>,
        reporter: &mut dyn Reporter,
    ) -> Result<(), PartError> {
        match setup.inventory.of(Tool::Influxdb) {
            Some(Found { place: Place::Elsewhere { address, .. }, generation, .. }) => {
                let store = Store::elsewhere(address);
                if let Some(generation) = generation {
                    store.prepare(*generation).await?;
                }
                self.store = Some(store);
            }
            Some(Found {
                place: Place::Program(program), generation: Some(generation), ..
            }) => {
                preparing(reporter, "starting InfluxDB");
                let data = setup.show.unwrap_or(setup.out).join(INFLUXDB_FOLDER);
                let (part, store) = start_influxdb(supervisor, program, *generation, &data).await?;
                ready(reporter, &part)?;
                (self.influxdb, self.store) = (Some(part), Some(store));
            }
            // A program of no generation was refused when it was found.
            Some(_) | None => {}
        }
        Ok(())
    }

    async fn start_database(
        &mut self,
        supervisor: &Supervisor,
        setup: &Setup<'_>,
        reporter: &mut dyn Reporter,
    ) -> Result<(), PartError> {
        let Some(Found { place, .. }) = setup.inventory.of(Tool::Postgres) else {
            return Ok(());
        };
        let database = match place {
            Place::Elsewhere { address, .. } => Database::elsewhere(address.clone()),
            Place::Program(program) => {
                preparing(reporter, "making a PostgreSQL cluster");
                start_postgres(supervisor, program).await?
            }
        };
        if let Some((pid, address)) = database.process() {
            reporter.on(&LabEvent::Ready { part: "postgres".to_owned(), address, pid });
        }
        self.database = Some(database);
        Ok(())
    }

    pub(super) fn store(&self) -> Option<&Store> {
        self.store.as_ref()
    }

    /// Why there are no boards, where Grafana was to show some.
    pub(super) fn no_boards(&self) -> Option<&str> {
        self.no_boards.as_deref()
    }

    pub(super) fn database_url(&self) -> Option<&str> {
        self.database.as_ref().map(Database::url)
    }

    /// Where each of them is, by its role.
    pub(super) fn addresses(&self) -> Vec<(Tool, SocketAddr)> {
        let of = |tool, part: &Option<Part>| Some((tool, part.as_ref()?.address("").ok()?));
        let database = self.database.as_ref().and_then(Database::process);
        [
            of(Tool::Influxdb, &self.influxdb),
            of(Tool::Grafana, &self.grafana),
            database.map(|(_, address)| (Tool::Postgres, address)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// The processes among them, by name.
    pub(super) fn processes(&self) -> Vec<(String, u32)> {
        let parts = self.influxdb.iter().chain(&self.grafana);
        let mut all: Vec<_> = parts.map(|part| (part.name.clone(), part.pid)).collect();
        all.extend(
            self.database
                .as_ref()
                .and_then(Database::process)
                .map(|(pid, _)| ("postgres".to_owned(), pid)),
        );
        all
    }

    /// Stops them: those who ask others first.
    pub(super) async fn stop(self) {
        if let Some(part) = self.grafana {
            part.stop().await;
        }
        if let Some(database) = self.database {
            database.stop().await;
        }
        if let Some(part) = self.influxdb {
            part.stop().await;
        }
    }
}

/// Where Grafana's boards are in the folder `out` of a run.
pub fn boards(out: &Absolute) -> Absolute {
    out.join(GRAFANA_FOLDER).join("dashboards")
}

fn program(inventory: &Inventory, tool: Tool) -> Option<&Path> {
    match &inventory.of(tool)?.place {
        Place::Program(program) => Some(program),
        Place::Elsewhere { .. } => None,
    }
}

fn preparing(reporter: &mut dyn Reporter, what: &str) {
    reporter.on(&LabEvent::Preparing { what: what.to_owned() });
}

fn ready(reporter: &mut dyn Reporter, part: &Part) -> Result<(), PartError> {
    let (address, pid) = (part.address("")?, part.pid);
    reporter.on(&LabEvent::Ready { part: part.name.clone(), address, pid });
    Ok(())
}
