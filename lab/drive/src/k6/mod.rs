//! k6 as the load generator: one round of a cell, driven by k6 and measured as the built-in driver measures.
//!
//! k6 makes the requests and times them; it says so line by line in its JSON stream, which is read here while it
//! runs ([`stream`]), put together by request ([`joiner`]), and told to the sidecar as root spans ([`spans`]).
//! Nothing here knows when a request was planned to begin: k6 does not say, so the driver's lag is unknown.

mod command;
mod error;
mod joiner;
mod lines;
mod release;
mod requests;
mod sample;
mod script;
mod spans;
mod stream;
mod usage;
mod watch;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ledger::wall::WallClock;
use tokio_util::sync::CancellationToken;

pub use command::{SERVICE, write_scripts};
pub use error::K6Error;
pub use release::Release;

use command::Call;
use lab_model::plan::Plan;
use lab_model::workload::Http;
use lab_model::{Arrivals, Cell, Entry, K6Measure, Requests, RoundMeasure};
use lab_supervise::Supervisor;
pub use script::{CELL as SCRIPT_CELL, Measured, ScriptOrder};
use watch::Watch;

/// The folder in a run's folder that holds the scripts that were run, and k6's summaries.
pub const FOLDER: &str = "k6";
/// How long k6 may take to start and stop, unless somebody says otherwise: a busy machine is slow.
const PATIENCE: Duration = Duration::from_secs(60);
/// What k6 takes at least for a round, in nanoseconds.
const SHORTEST_NS: u64 = 1_000_000_000;

/// k6, and what it needs to know of a run.
#[derive(Debug, Clone)]
pub struct K6 {
    /// The program.
    pub program: PathBuf,
    /// What it says it is; asked once.
    release: Release,
    /// The folder of scripts and summaries.
    out: PathBuf,
    /// Unique name of the run, a tag of k6's own metrics.
    pub run: String,
    /// Where k6 is to write its own metrics, some 17 points a request, if anywhere.
    pub store: Option<Output>,
    /// Where the sidecar takes spans; without it no request is traced.
    pub otlp: Option<String>,
    /// Nonce of the run; without it requests do not say in `tracestate` what they belong to.
    pub nonce: Option<Arc<str>>,
    /// Thresholds in k6's words, as JSON: `{"http_req_duration": ["p(99)<100"]}`.
    pub thresholds: Option<String>,
    /// How long k6 may take to start and to stop, beyond the round and the time-out of its last request. A store
    /// that accepts its numbers and never answers would keep it for ever.
    pub patience: Duration,
}

/// An InfluxDB that k6 writes its own metrics to, by the API of 1.x.
#[derive(Clone, PartialEq, Eq)]
pub struct Output {
    /// Its address, `http://HOST:PORT`.
    pub url: String,
    /// The database.
    pub database: String,
    /// User name.
    pub user: String,
    /// Password; empty where there is none.
    pub password: String,
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Limits of a round that its cell does not name.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A request that is not answered for so long is an error, in nanoseconds.
    pub timeout_ns: u64,
    /// Users that k6 makes before it begins; making one later costs arrivals.
    pub preallocated: usize,
}

/// One round to be driven.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// Who is asked.
    pub entry: &'a Entry,
    /// What is asked of it, and how often.
    pub cell: &'a Cell,
    /// Number of the round, from 0.
    pub number: u32,
    /// What the cell does not say.
    pub limits: Limits,
}

/// A round that k6 drove.
#[derive(Debug, Clone)]
pub struct Driven {
    /// What was measured. Late requests and send delays are unknown with k6: 0 and empty.
    pub measure: RoundMeasure,
    /// Where k6's summary is; it may lack if k6 was killed.
    pub summary: PathBuf,
    /// What else its stream says.
    pub facts: K6Measure,
}

impl Driven {
    /// What was measured, with what only k6 says of a round.
    #[must_use]
    pub fn into_measure(self) -> RoundMeasure {
        RoundMeasure { k6: Some(self.facts), ..self.measure }
    }
}

/// Takes notice of how a round goes on: what became of the requests, how many are in flight, and the time since
/// the round began, warm-up included, in nanoseconds.
pub type Progress<'a> = &'a mut (dyn FnMut(Requests, u64, u64) + Send);

impl K6 {
    /// The k6 at `program`, which is `release`, for the run `run`, whose folder is `out`; without a store and
    /// without spans.
    #[must_use]
    pub fn new(program: PathBuf, release: Release, out: PathBuf, run: &str) -> K6 {
        // k6 resolves names against its own folder, and it writes the summary.
        let out = std::path::absolute(&out).unwrap_or(out).join(FOLDER);
        K6 {
            program,
            release,
            out,
            run: run.to_owned(),
            store: None,
            otlp: None,
            nonce: None,
            thresholds: None,
            patience: PATIENCE,
        }
    }

    /// Drives the round `order`. When `halt` is cancelled k6 is stopped in order, and what was measured is
    /// returned: `None` if that was before the measured part began.
    ///
    /// # Errors
    /// If k6 cannot do what the cell asks for, does not start, ends with an error of its own, or not at all; what
    /// was measured before that is in the error ([`K6Error::take_kept`]).
    pub async fn round(
        &self,
        supervisor: &Supervisor,
        order: Order<'_>,
        halt: &CancellationToken,
        progress: Progress<'_>,
    ) -> Result<Option<Driven>, K6Error> {
        let cell = order.cell;
        check(cell)?;
        let system = |attempt: String| {
            move |error| K6Error::System { cell: cell.id.clone(), attempt, error }
        };
        command::write_scripts(&self.out)
            .and_then(|()| command::write_config(&self.out))
            .map_err(system(format!("write k6's scripts to {}", self.out.display())))?;
        let stream = stream::Stream::new().map_err(system("make a pipe for k6".to_owned()))?;
        let call = Call { k6: self, order, stream: stream.path() };
        call.write_requests().map_err(system("write down what k6 is to ask for".to_owned()))?;
        let (sampling, summary) = (call.sampling(), call.summary());
        let started = supervisor.keep(call.program()).await;
        let part = started.map_err(|source| K6Error::Start {
            cell: cell.id.clone(),
            round: order.number,
            source: Box::new(source),
        })?;
        let root_spans = match (&self.otlp, sampling) {
            (Some(otlp), Some(sampling)) => {
                let nonce = self.nonce.clone();
                Some(spans::RootSpans::start(part.pid, otlp, &order, sampling, nonce)?)
            }
            _ => None,
        };
        Watch::new(order, WallClock::read(), sampling, part.pid, root_spans, summary)
            .over(part, stream, self.patience, halt, progress)
            .await
    }
}

/// `plan` as k6 is to carry it out.
#[must_use]
pub fn plan(plan: Plan) -> Plan {
    plan.without_turns(SHORTEST_NS)
}

/// Whether k6 can do what the cell asks for.
///
/// # Errors
/// [`K6Error::Unable`] says what it cannot.
pub fn check(cell: &Cell) -> Result<(), K6Error> {
    let unable = |reason: String| Err(K6Error::Unable { cell: cell.id.clone(), reason });
    if let Some(place) = cell.knobs.inject.keys().find(|place| place.starts_with("driver:")) {
        return unable(format!("only the built-in driver can inject a delay into {place}"));
    }
    if cell.arrivals != Arrivals::Constant {
        return unable("its scripts ask at equal distances only".to_owned());
    }
    if cell.workload.http == Http::Two {
        return unable("its workload asks by HTTP/2, which k6 speaks with TLS only".to_owned());
    }
    let whole_ns = cell.warmup_ns.saturating_add(cell.duration_ns);
    if whole_ns < SHORTEST_NS {
        let ms = whole_ns / 1_000_000;
        return unable(format!("warm-up and duration are {ms}ms, and k6 takes no less than 1s"));
    }
    Ok(())
}
