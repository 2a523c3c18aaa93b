//! How k6 is called: the scripts, their options by environment, and where its numbers go.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use ledger::names;

use super::{K6, Order, requests};
use crate::builtin::Sampling;
use lab_model::DEFAULT_USERS;
use lab_model::workload::Source;
use lab_supervise::{External, StopSignal};
use settings::Span;

/// The scripts, as they are in the repository.
const SCRIPTS: [(&str, &str); 5] = [
    ("hoplab.js", include_str!("../../../../k6/hoplab.js")),
    ("load.js", include_str!("../../../../k6/load.js")),
    ("ping.js", include_str!("../../../../k6/ping.js")),
    ("users.js", include_str!("../../../../k6/users.js")),
    (requests::SCRIPT, include_str!("../../../../k6/requests.js")),
];

/// Writes the scripts into the folder `into`, so that what was run can be read and run again.
///
/// # Errors
/// If the folder or a file cannot be written.
pub fn write_scripts(into: &Path) -> io::Result<()> {
    std::fs::create_dir_all(into)?;
    SCRIPTS.iter().try_for_each(|(name, text)| std::fs::write(into.join(name), text))
}

/// The part's name, for its log and errors, and the service's, for its spans.
pub const SERVICE: &str = "k6";

/// What every call begins with. k6 would warn of each request that failed, which here are counted: its log
/// holds errors only, and goes where the part's log goes.
pub(super) const FIXED: [&str; 6] = [
    "run",
    "--quiet",
    "--no-color",
    "--no-usage-report",
    "--log-output",
    "file=/dev/stderr,level=error",
];
/// A configuration that says nothing. Without it k6 reads the one in its user's home, whose options (no reuse of
/// connections, more outputs, limits) would change what a cell measures. Variables named `K6_…`, which could do
/// the same, are inherited by no part.
pub(super) const CONFIG: (&str, &str) = ("config.json", "{}\n");

/// k6's exit code when a threshold was not kept (errext/exitcodes in its source).
pub(super) const THRESHOLDS: i32 = 99;

/// Writes the configuration that k6 is to read into the folder `into`.
pub(super) fn write_config(into: &Path) -> io::Result<()> {
    std::fs::write(into.join(CONFIG.0), CONFIG.1)
}

/// One call of k6.
pub(super) struct Call<'a> {
    pub(super) k6: &'a K6,
    pub(super) order: Order<'a>,
    /// Where k6 writes its samples.
    pub(super) stream: &'a Path,
}

impl Call<'_> {
    /// Which requests are traced; `None` if none is.
    pub(super) fn sampling(&self) -> Option<Sampling> {
        let wanted = self.k6.otlp.is_some() && !self.order.cell.knobs.probes_off;
        let cell = self.order.cell;
        wanted.then(|| Sampling::at_most(cell.traces_per_second, cell.rate))
    }

    /// Where the summary is kept.
    pub(super) fn summary(&self) -> PathBuf {
        self.file(&self.order.number.to_string())
    }

    /// Where the script reads what to ask for, if it is not one of the workload's own.
    fn requests(&self) -> Option<PathBuf> {
        self.order.cell.workload.script.is_none().then(|| self.file("requests"))
    }

    /// Writes down what the script is to ask for.
    pub(super) fn write_requests(&self) -> io::Result<()> {
        let write = |path| std::fs::write(path, requests::of(self.order.cell)?);
        self.requests().map_or(Ok(()), write)
    }

    /// A file of the cell.
    fn file(&self, of: &str) -> PathBuf {
        // The name of a cell may be anything in a plan file; that of a file may not.
        let plain = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' };
        let cell: String = self.order.cell.id.chars().map(plain).collect();
        self.k6.out.join(format!("{cell}-{of}.json"))
    }

    /// The program to start.
    pub(super) fn program(&self) -> External<'static> {
        let mut foreign = External::new(SERVICE, self.k6.program.clone());
        foreign.arguments = self.arguments();
        foreign.env = self.env();
        foreign.stop = StopSignal::Int;
        foreign.finite = true;
        // The pipe's folder goes with k6, should nobody else be left to remove it.
        foreign.remove = self.stream.parent().map(Path::to_owned);
        foreign
    }

    fn arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = FIXED.map(OsString::from).into();
        arguments.extend(self.k6.release.arguments().iter().map(OsString::from));
        let mut option = |name: &str, value: OsString| arguments.extend([name.into(), value]);
        option("--config", self.k6.out.join(CONFIG.0).into());
        let mut json = OsString::from("json=");
        json.push(self.stream);
        option("--out", json);
        if let Some(store) = &self.k6.store {
            let url = store.url.trim_end_matches('/');
            option("--out", format!("influxdb={url}/{}", store.database).into());
        }
        for (tag, value) in [
            (names::T_RUN, self.k6.run.clone()),
            (names::T_CELL, self.order.cell.id.clone()),
            (names::F_ROUND, self.order.number.to_string()),
        ] {
            option("--tag", format!("{tag}={value}").into());
        }
        let script = self.order.cell.workload.script.as_deref().unwrap_or(requests::SCRIPT);
        arguments.push(self.k6.out.join(script).into());
        arguments
    }

    /// The options of the script, and the credentials of the store: those are seen by nobody else.
    fn env(&self) -> Vec<(&'static str, String)> {
        let (cell, written) = (self.order.cell, |ns: u64| Span(ns).to_string());
        let every = self.sampling().map_or(0, |sampling| sampling.weight() as u64);
        let mut env = vec![
            ("GATEWAY", self.order.entry.url.clone()),
            ("PROTOCOL", cell.protocol.name().to_owned()),
            ("RATE", cell.rate.to_string()),
            ("WARMUP", written(cell.warmup_ns)),
            ("DURATION", written(cell.duration_ns)),
            ("TIMEOUT", written(self.order.limits.timeout_ns)),
            ("MAX_VUS", cell.max_in_flight.to_string()),
            (
                "PRE_ALLOCATED_VUS",
                self.order.limits.preallocated.min(cell.max_in_flight).to_string(),
            ),
            ("SAMPLE_EVERY", every.to_string()),
            ("SUMMARY", self.summary().to_string_lossy().into_owned()),
        ];
        if cell.workload.payload {
            env.push(("SIZE", cell.payload_bytes.to_string()));
        }
        if cell.workload.draws(Source::Users) {
            env.push(("USERS", cell.knobs.users.unwrap_or(DEFAULT_USERS).to_string()));
        }
        if let Some(requests) = self.requests() {
            env.push(("REQUESTS", requests.to_string_lossy().into_owned()));
        }
        if let Some(nonce) = &self.k6.nonce {
            env.push(("EDGE", ledger::edge::said(&cell.id, self.order.number, nonce)));
        }
        // None, rather than those of whoever started the lab: they would judge its cells unseen.
        let thresholds = self.k6.thresholds.clone().unwrap_or_else(|| "{}".to_owned());
        env.push(("THRESHOLDS", thresholds));
        if let Some(store) = &self.k6.store {
            // Texts of errors are many; as a field they make no series.
            env.push(("K6_INFLUXDB_TAGS_AS_FIELDS", "vu:int,iter:int,url,error".to_owned()));
            if !store.password.is_empty() {
                env.push(("K6_INFLUXDB_USERNAME", store.user.clone()));
                env.push(("K6_INFLUXDB_PASSWORD", store.password.clone()));
            }
        }
        env
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::k6::Output;
    use crate::k6::{Limits, Release};
    use lab_model::{Cell, Knobs, Protocol, Workload};
    use std::sync::Arc;

    fn cell() -> Cell {
        Cell {
            id: "rest 10/B".to_owned(),
            protocol: Protocol::Rest,
            workload: lab_model::workload::first(),
            payload_bytes: 10,
            rate: 500.5,
            duration_ns: 2_000_000_000,
            warmup_ns: 500_000_000,
            turn_ns: None,
            max_in_flight: 20,
            knobs: Knobs::default(),
            arm: None,
            arrivals: Default::default(),
            traces_per_second: lab_model::MAX_TRACES_PER_SECOND,
        }
    }

    fn call<R>(k6: &K6, cell: &Cell, read: impl FnOnce(&Call<'_>) -> R) -> R {
        let limits = Limits { timeout_ns: 10_000_000_000, preallocated: 50 };
        let entry = &std::net::SocketAddr::from(([127, 0, 0, 1], 8080)).into();
        let order = Order { entry, cell, number: 3, limits };
        read(&Call { k6, order, stream: Path::new("/private/stream") })
    }

    fn k6() -> K6 {
        K6::new("/bin/k6".into(), Release::of("v2.2.0"), "/out".into(), "a run")
    }

    #[test]
    fn options_go_by_environment_and_numbers_to_the_stream() {
        let (arguments, env) = call(&k6(), &cell(), |call| (call.arguments(), call.env()));
        let expected = [
            "--config",
            "/out/k6/config.json",
            "--out",
            "json=/private/stream",
            "--tag",
            "run=a run",
            "--tag",
            "cell=rest 10/B",
            "--tag",
            "round=3",
            "/out/k6/ping.js",
        ];
        assert_eq!(arguments[..FIXED.len()], FIXED);
        assert_eq!(arguments[FIXED.len()..], expected);
        let env: Vec<_> = env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let expected = "GATEWAY=http://127.0.0.1:8080 PROTOCOL=rest RATE=500.5 WARMUP=500ms \
            DURATION=2s TIMEOUT=10s MAX_VUS=20 PRE_ALLOCATED_VUS=20 SAMPLE_EVERY=0 \
            SUMMARY=/out/k6/rest-10-B-3.json SIZE=10 THRESHOLDS={}";
        assert_eq!(env.join(" "), expected);
    }

    #[test]
    fn a_release_is_told_what_it_alone_knows() {
        let older = K6 { release: Release::of("v1.8.1"), ..k6() };
        let arguments = call(&older, &cell(), |call| call.arguments());
        assert_eq!(arguments[FIXED.len()..][..2], ["--address", "127.0.0.1:0"]);
        let newer = call(&k6(), &cell(), |call| call.arguments());
        assert!(!newer.contains(&"--address".into()), "{newer:?}");
    }

    #[test]
    fn without_a_store_nothing_is_written_to_influxdb() {
        let (arguments, env) = call(&k6(), &cell(), |call| (call.arguments(), call.env()));
        let outputs = arguments.iter().filter(|word| *word == "--out").count();
        assert_eq!(outputs, 1, "{arguments:?}");
        assert!(env.iter().all(|(name, _)| !name.starts_with("K6_")), "{env:?}");
    }

    #[test]
    fn credentials_of_the_store_are_no_arguments() {
        let mut k6 = k6();
        k6.store = Some(Output {
            url: "http://127.0.0.1:8086/".to_owned(),
            database: "lab".to_owned(),
            user: "lab".to_owned(),
            password: "secret".to_owned(),
        });
        k6.otlp = Some("http://127.0.0.1:4317".to_owned());
        k6.nonce = Some("n0nce".into());
        let workload = lab_model::workload::built_in("users").unwrap();
        let users = Cell { workload, rate: 500.0, ..cell() };
        let (arguments, env) = call(&k6, &users, |call| (call.arguments(), call.env()));
        assert!(arguments.contains(&"influxdb=http://127.0.0.1:8086/lab".into()), "{arguments:?}");
        assert!(arguments.iter().all(|text| !text.to_string_lossy().contains("secret")));
        assert!(env.contains(&("K6_INFLUXDB_PASSWORD", "secret".to_owned())));
        assert!(env.contains(&("SAMPLE_EVERY", "3".to_owned())));
        assert!(env.contains(&("EDGE", "rest%2010%2FB:3:n0nce".to_owned())));
        assert!(env.contains(&("USERS", "1000000".to_owned())));
        assert_eq!(arguments.last(), Some(&"/out/k6/users.js".into()));
    }

    #[test]
    fn every_script_of_a_workload_is_in_the_list_and_any_other_workload_has_its_requests_told() {
        for workload in lab_model::workload::all() {
            let script = workload.script.as_deref().unwrap_or(requests::SCRIPT);
            assert!(SCRIPTS.iter().any(|(name, _)| *name == script), "{script}");
        }
        let text = "[[request]]\nmethod = \"GET\"\npath = \"/healthz\"\n";
        let health = Arc::new(Workload::read("health", text).unwrap());
        let cell = Cell { id: "rest-health".to_owned(), workload: health, ..cell() };
        let (arguments, env) = call(&k6(), &cell, |call| (call.arguments(), call.env()));
        assert_eq!(arguments.last(), Some(&"/out/k6/requests.js".into()));
        let file = "/out/k6/rest-health-requests.json".to_owned();
        assert!(env.contains(&("REQUESTS", file)), "{env:?}");
        assert!(!env.iter().any(|(name, _)| ["SIZE", "USERS"].contains(name)), "{env:?}");
    }
}
