//! The real parts behind a run: the store of points, the dashboards over it, the database.

use std::net::SocketAddr;
use std::time::Duration;

use super::setup::Setup;
use super::shown::opening;
use lab_launch::{
    Dashboards, Found, Place, Store, Tool, start_grafana, start_influxdb, start_postgres,
};
use lab_model::event::{LabEvent, Reporter};
use lab_supervise::{Absolute, Part, PartError, Supervisor};

/// Folder of InfluxDB's data in a run's folder.
pub const INFLUXDB_FOLDER: &str = "influxdb";
/// Folder of Grafana's files in a run's folder.
pub const GRAFANA_FOLDER: &str = "grafana";

/// How long Grafana may take to be ready: its first start makes a database.
const PATIENCE_WITH_GRAFANA: Duration = Duration::from_secs(60);

/// Those that are started for a whole run, each after those that it asks: Grafana asks InfluxDB. A load generator is
/// started for a round.
const IN_ORDER: [Tool; 3] = [Tool::Influxdb, Tool::Grafana, Tool::Postgres];

/// What a part is started with.
struct Start<'a> {
    supervisor: &'a Supervisor,
    setup: &'a Setup<'a>,
    reporter: &'a mut dyn Reporter,
}

impl Start<'_> {
    fn preparing(&mut self, what: &str) {
        self.reporter.on(&LabEvent::Preparing { what: what.to_owned() });
    }
}

/// The real parts behind a run, as far as they are there.
#[derive(Default)]
pub(super) struct RealParts {
    /// Those that are ours, in the order in which they were started.
    running: Vec<(Tool, Part)>,
    store: Option<Store>,
    /// Where the database is, with its password.
    database_url: Option<String>,
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
        let mut start = Start { supervisor, setup, reporter };
        for tool in IN_ORDER {
            let Some(found) = setup.inventory.of(tool) else { continue };
            let started = match tool {
                Tool::Influxdb => self.start_store(found, &mut start).await,
                Tool::Grafana => self.start_dashboards(found, &mut start).await,
                Tool::Postgres => self.start_database(found, &mut start).await,
                Tool::K6 => Ok(None),
            };
            match started {
                Ok(Some(part)) => self.take(tool, part, &mut start)?,
                Ok(None) => {}
                // Boards are for looking on: without them everything is measured all the same, so a Grafana that
                // does not start costs no more than them, unless it is insisted on.
                Err(error) if tool == Tool::Grafana && !setup.inventory.requires(tool) => {
                    self.do_without_boards(&error, &mut start);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Has a part that is ready, and says so.
    fn take(&mut self, tool: Tool, part: Part, start: &mut Start<'_>) -> Result<(), PartError> {
        let Start { setup, reporter, .. } = start;
        let (name, address, pid) = (part.name.clone(), part.address(""), part.pid);
        self.running.push((tool, part));
        let address = address?;
        reporter.on(&LabEvent::Ready { part: name, address, pid });
        if tool == Tool::Grafana {
            let files = boards(setup.out).to_path_buf();
            reporter.on(&LabEvent::Boards { address, run: setup.run.to_owned(), files });
        }
        Ok(())
    }

    fn do_without_boards(&mut self, error: &PartError, start: &mut Start<'_>) {
        let error = error.to_string();
        let first = error.lines().next().unwrap_or_default().trim_end_matches(':');
        self.no_boards = Some(format!("it did not start: {first}"));
        start.reporter.on(&LabEvent::NoBoards { reason: error });
    }

    async fn start_store(
        &mut self,
        found: &Found,
        start: &mut Start<'_>,
    ) -> Result<Option<Part>, PartError> {
        match (&found.place, found.generation) {
            (Place::Elsewhere { address, .. }, generation) => {
                let store = Store::elsewhere(address);
                if let Some(generation) = generation {
                    store.prepare(generation).await?;
                }
                self.store = Some(store);
                Ok(None)
            }
            (Place::Program(program), Some(generation)) => {
                start.preparing("starting InfluxDB");
                let data = start.setup.show.unwrap_or(start.setup.out).join(INFLUXDB_FOLDER);
                let (part, store) =
                    start_influxdb(start.supervisor, program, generation, &data).await?;
                self.store = Some(store);
                Ok(Some(part))
            }
            // A program of no generation was refused when it was found.
            (Place::Program(_), None) => Ok(None),
        }
    }

    async fn start_dashboards(
        &mut self,
        found: &Found,
        start: &mut Start<'_>,
    ) -> Result<Option<Part>, PartError> {
        let (Some(store), Place::Program(program)) = (&self.store, &found.place) else {
            return Ok(None);
        };
        start.preparing("starting Grafana");
        let (folder, listen) = (&start.setup.out.join(GRAFANA_FOLDER), start.setup.grafana);
        let patience = PATIENCE_WITH_GRAFANA;
        let opening = start.setup.show.and_then(|run| opening(run));
        let opening = opening.as_ref().map(|(opening, _)| opening);
        let dashboards = Dashboards { program, store, folder, opening, listen, patience };
        start_grafana(start.supervisor, dashboards).await.map(Some)
    }

    async fn start_database(
        &mut self,
        found: &Found,
        start: &mut Start<'_>,
    ) -> Result<Option<Part>, PartError> {
        if !start.setup.reached.iter().any(|service| service.database) {
            return Ok(None);
        }
        let (url, part) = match &found.place {
            Place::Elsewhere { address, .. } => (address.clone(), None),
            Place::Program(program) => {
                start.preparing("making a PostgreSQL cluster");
                let (part, url) = start_postgres(start.supervisor, program).await?;
                (url, Some(part))
            }
        };
        self.database_url = Some(url);
        Ok(part)
    }

    pub(super) fn store(&self) -> Option<&Store> {
        self.store.as_ref()
    }

    /// Why there are no boards, where Grafana was to show some.
    pub(super) fn no_boards(&self) -> Option<&str> {
        self.no_boards.as_deref()
    }

    /// Where the database is, with its password: for environments only, never for arguments or logs.
    pub(super) fn database_url(&self) -> Option<&str> {
        self.database_url.as_deref()
    }

    /// Where each of them is that is ours.
    pub(super) fn addresses(&self) -> Vec<(Tool, SocketAddr)> {
        let address = |(tool, part): &(Tool, Part)| Some((*tool, part.address("").ok()?));
        self.running.iter().filter_map(address).collect()
    }

    /// The processes among them.
    pub(super) fn processes(&self) -> impl Iterator<Item = &Part> {
        self.running.iter().map(|(_, part)| part)
    }

    /// Stops those that are ours: each before those that it asks.
    pub(super) async fn stop(mut self) {
        while let Some((_, part)) = self.running.pop() {
            part.stop().await;
        }
    }
}

/// Where Grafana's boards are in the folder `out` of a run.
pub fn boards(out: &Absolute) -> Absolute {
    out.join(GRAFANA_FOLDER).join("dashboards")
}
