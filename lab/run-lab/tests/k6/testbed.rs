//! The lab with a k6 to drive it: services, a sidecar, and rounds of cells.

use std::path::{Path, PathBuf};

use lab_drive::k6::{Driven, K6, K6Error, Limits, Order};
use lab_launch::{
    ANY_PORT, Collector, Control, Services, Target, start_services, start_sidecar, withheld,
};
use lab_model::{Cell, Knobs, Protocol, Requests, workload};
use lab_supervise::{Absolute, Part, Supervisor};
use tokio_util::sync::CancellationToken;

use crate::program::Program;

/// Users of k6: so many that all arrivals find one, also after a machine has stood still for a moment.
pub(crate) const USERS: usize = 100;

pub(crate) fn cell(rate: f64, warmup_ms: u64, duration_ms: u64) -> Cell {
    Cell {
        id: "rest-1kB".to_owned(),
        protocol: Protocol::Rest,
        workload: workload::first(),
        payload_bytes: 1_000,
        rate,
        duration_ns: duration_ms * 1_000_000,
        warmup_ns: warmup_ms * 1_000_000,
        turn_ns: None,
        max_in_flight: USERS,
        knobs: Knobs::default(),
        arm: None,
        arrivals: Default::default(),
        traces_per_second: lab_model::MAX_TRACES_PER_SECOND,
    }
}

/// Starts parts whose logs go into `logs`.
pub(crate) fn supervisor(logs: &Path) -> Supervisor {
    Supervisor::new(PathBuf::from(env!("CARGO_BIN_EXE_run-lab")), logs.to_owned(), withheld)
}

/// Services, a sidecar, and k6 to drive them.
pub(crate) struct Lab {
    pub(crate) dir: tempfile::TempDir,
    supervisor: Supervisor,
    sidecar: Part,
    control: Control,
    services: Services,
    pub(crate) k6: K6,
    pub(crate) halt: CancellationToken,
}

impl Lab {
    pub(crate) async fn start(program: &Program, knobs: &Knobs) -> Lab {
        let dir = tempfile::tempdir().expect("a folder");
        let supervisor = supervisor(dir.path());
        let run_file = Absolute::new(dir.path().join("run.sqlite")).expect("a path");
        let collector = Collector {
            run: "test",
            run_file: &run_file,
            store: None,
            spool: None,
            by_hand: false,
            join_window: None,
        };
        let (sidecar, control) = start_sidecar(&supervisor, collector).await.expect("a sidecar");
        let otlp = sidecar.address("otlp").expect("an address");
        let target = Target { otlp, listen: ANY_PORT, reached: &[], database_url: None };
        let services = start_services(&supervisor, knobs, target).await.expect("services");
        let mut k6 = program.k6(dir.path());
        k6.otlp = Some(format!("http://{otlp}"));
        k6.nonce = Some(control.open(&[]).await.expect("a run").nonce.into());
        Lab { dir, supervisor, sidecar, control, services, k6, halt: CancellationToken::new() }
    }

    /// A round of `cell`; `progress` is told what became of the requests.
    pub(crate) async fn round(
        &self,
        cell: &Cell,
        progress: impl FnMut(Requests) + Send,
    ) -> Result<Option<Driven>, K6Error> {
        self.round_within(5_000_000_000, cell, progress).await
    }

    /// The same, with so much time for each request.
    pub(crate) async fn round_within(
        &self,
        timeout_ns: u64,
        cell: &Cell,
        mut progress: impl FnMut(Requests) + Send,
    ) -> Result<Option<Driven>, K6Error> {
        let entry = self.services.entry().expect("an address").into();
        let limits = Limits { timeout_ns, preallocated: USERS };
        let progress = &mut |requests, _, _| progress(requests);
        let order = Order { entry: &entry, cell, number: 0, limits };
        self.k6.round(&self.supervisor, order, &self.halt, progress).await
    }

    /// Where the gateway listens.
    pub(crate) fn gateway(&self) -> std::net::SocketAddr {
        self.services.entry().expect("an address")
    }

    /// Where the sidecar takes spans.
    pub(crate) fn otlp(&self) -> std::net::SocketAddr {
        self.sidecar.address("otlp").expect("an address")
    }

    /// Closes what belongs to no run; the sidecar's counters.
    pub(crate) async fn flush_by_hand(&self) -> std::collections::BTreeMap<String, u64> {
        self.control.flush(None).await.expect("closed books").0
    }

    /// Stops everything and returns the folder with the run file.
    pub(crate) async fn stop(self) -> tempfile::TempDir {
        self.services.stop().await;
        let nonce = self.k6.nonce.as_deref();
        self.control.flush(nonce).await.expect("closed books");
        self.sidecar.stop().await;
        self.dir
    }
}

pub(crate) fn assert_balanced(requests: Requests) {
    assert_eq!(requests.planned, requests.started + requests.dropped, "{requests:?}");
    let ended = requests.ok + requests.error + requests.unfinished;
    assert_eq!(requests.started, ended, "{requests:?}");
}

pub(crate) fn summary(driven: &Driven) -> serde_json::Value {
    let text = std::fs::read_to_string(&driven.summary).expect("k6 wrote its summary");
    serde_json::from_str(&text).expect("JSON")
}

/// The value of a metric in k6's summary; 0 if k6 had nothing to say of it.
pub(crate) fn value(summary: &serde_json::Value, metric: &str, value: &str) -> f64 {
    summary["metrics"][metric]["values"][value].as_f64().unwrap_or(0.0)
}
