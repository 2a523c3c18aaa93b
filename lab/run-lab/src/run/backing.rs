//! The real parts behind a run: the store of points, the dashboards over it, the database.

use std::net::SocketAddr;

use super::setup::Setup;
use lab_launch::{
    Database, Found, Inventory, Place, Store, Tool, start_grafana, start_influxdb, start_postgres,
};
use lab_model::event::{LabEvent, Reporter};
use lab_supervise::{Part, PartError, Supervisor};

/// Folder of InfluxDB's data in a run's folder.
pub const INFLUXDB_FOLDER: &str = "influxdb";
/// Folder of Grafana's files in a run's folder.
const GRAFANA_FOLDER: &str = "grafana";

/// The real parts behind a run, as far as they are there.
#[derive(Debug, Default)]
pub(super) struct Backing {
    store: Option<Store>,
    influxdb: Option<Part>,
    grafana: Option<Part>,
    database: Option<Database>,
}

impl Backing {
    /// Starts what `setup` has found, or takes note of where it runs. After an error what was started is to be
    /// stopped.
    pub(super) async fn start(
        &mut self,
        supervisor: &Supervisor,
        setup: &Setup<'_>,
        reporter: &mut dyn Reporter,
    ) -> Result<(), PartError> {
        self.start_store(supervisor, setup, reporter).await?;
        if let (Some(store), Some(program)) = (&self.store, program(setup.inventory, Tool::Grafana))
        {
            preparing(reporter, "starting Grafana");
            let folder = setup.out.join(GRAFANA_FOLDER);
            let part = start_grafana(supervisor, program, store, &folder, setup.grafana).await?;
            ready(reporter, &part)?;
            self.grafana = Some(part);
        }
        if setup.asks_database {
            self.start_database(supervisor, setup, reporter).await?;
        }
        Ok(())
    }

    async fn start_store(
        &mut self,
        supervisor: &Supervisor,
        setup: &Setup<'_>,
        reporter: &mut dyn Reporter,
    ) -> Result<(), PartError> {
        let Some(Found { place, version }) = setup.inventory.of(Tool::Influxdb) else {
            return Ok(());
        };
        match place {
            Place::Elsewhere { address, .. } => {
                let store = Store::elsewhere(address);
                store.make_database().await;
                self.store = Some(store);
            }
            Place::Program(program) => {
                preparing(reporter, "starting InfluxDB");
                let data = setup.show.unwrap_or(setup.out).join(INFLUXDB_FOLDER);
                let (part, store) = start_influxdb(supervisor, program, version, &data).await?;
                ready(reporter, &part)?;
                (self.influxdb, self.store) = (Some(part), Some(store));
            }
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

fn program(inventory: &Inventory, tool: Tool) -> Option<&std::path::Path> {
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
