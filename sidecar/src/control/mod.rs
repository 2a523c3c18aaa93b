//! The control endpoint: health, counters, flush, what to watch, and points of the lab itself. For the lab on
//! the same machine, or for whoever has the token ([`guard`]).

mod guard;
mod rows;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use serde::{Deserialize, Serialize};

use crate::forward::Forward;
use crate::influx::{BadLine, InfluxSink, PlanError, Tags};
use crate::listen::{Answers, Unserved};
use crate::pipeline::Pipeline;
use crate::process::WatchError;
use crate::runs::Run;
use crate::stats::Stats;

pub use guard::TokenError;
pub(crate) use guard::{ControlToken, Guard};

/// Largest body of `POST /points`, in bytes.
const LARGEST: usize = 1 << 20;

/// Whoever speaks to the control endpoint.
pub(crate) struct Control {
    routes: TowerToHyperService<Router>,
    guard: Arc<Guard>,
}

impl Control {
    pub(crate) fn new(parts: Parts) -> Control {
        let guard = Arc::clone(&parts.guard);
        Control { routes: TowerToHyperService::new(routes(parts)), guard }
    }
}

impl Answers for Control {
    type Body = Body;

    async fn answer(self: Arc<Self>, request: Request<Incoming>, _: SocketAddr) -> Response<Body> {
        match self.routes.call(request).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        }
    }

    fn unserved(&self, why: Unserved, from: SocketAddr) {
        let why = match why {
            Unserved::Full(most) => format!("{most} connections are at work"),
            Unserved::Tls => "there is no TLS here".to_owned(),
            Unserved::NotHttp(error) => format!("it spoke no HTTP: {error}"),
        };
        self.guard.refuse(&format!("{from}: {why}"));
    }
}

/// What the routes speak to.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) influxdb: Option<Arc<InfluxSink>>,
    pub(crate) forward: Option<Arc<Forward>>,
    pub(crate) guard: Arc<Guard>,
    /// Where rows are kept, if they are.
    pub(crate) run_file: Option<Arc<Path>>,
    /// Port where spans are received.
    pub(crate) otlp: u16,
    /// The tag `run` of every point.
    pub(crate) tag: Arc<str>,
}

impl Parts {
    fn stats(&self) -> Json<Stats> {
        let influxdb = self.influxdb.as_ref().map(|sink| sink.stats());
        let forward = self.forward.as_ref().map(|forward| forward.stats());
        let control_refused = self.guard.refused();
        Json(Stats { influxdb, forward, control_refused, ..self.pipeline.stats() })
    }
}

/// The routes of the control endpoint.
fn routes(parts: Parts) -> Router {
    let guarded = middleware::from_fn_with_state(Arc::clone(&parts.guard), guard::guard);
    Router::new()
        .route("/stats", get(stats))
        .route("/flush", post(flush))
        .route("/watch", post(watch))
        .route("/plan", post(plan))
        .route("/rows", get(rows::rows))
        .route("/samples", get(rows::samples))
        .route("/points", post(points).layer(DefaultBodyLimit::max(LARGEST)))
        .route_layer(guarded)
        .route("/healthz", get(health))
        .with_state(parts)
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
    service: &'static str,
    version: &'static str,
}

async fn health() -> Json<Health> {
    Json(Health { status: "ok", service: "sidecar", version: env!("CARGO_PKG_VERSION") })
}

async fn stats(State(parts): State<Parts>) -> Json<Stats> {
    parts.stats()
}

/// Which run to close.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Flush {
    /// That of `POST /plan`. Without one, what belongs to no run: load by hand.
    nonce: Option<String>,
}

/// Closes the traces of one run, and answers the counters when all that is closed is stored.
async fn flush(
    State(parts): State<Parts>,
    body: axum::body::Bytes,
) -> Result<Json<Stats>, Refusal> {
    let asked: Option<Flush> = match &*body {
        [] => None,
        body => serde_json::from_slice(body).map_err(|error| {
            refuse(StatusCode::BAD_REQUEST, format!("no {{\"nonce\"}}: {error}"))
        })?,
    };
    let run = run_of(&parts, asked.and_then(|asked| asked.nonce).as_deref())?;
    // A task of its own: rows on their way must arrive even if the asker hangs up.
    let flushing = Arc::clone(&parts.pipeline);
    if let Err(error) = tokio::spawn(async move { flushing.flush_run(run).await }).await {
        tracing::error!(%error, "flush did not finish");
    }
    Ok(parts.stats())
}

/// The run that has `nonce`; without one, what belongs to no run.
fn run_of(parts: &Parts, nonce: Option<&str>) -> Result<Run, Refusal> {
    let Some(nonce) = nonce else { return Ok(Run::NONE) };
    let found = parts.pipeline.runs().find(nonce);
    found.map(|(run, _)| run).ok_or_else(|| refuse(StatusCode::NOT_FOUND, "no run has this nonce"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Watch {
    name: String,
    pid: u32,
    /// Whether the processes that it starts are watched under its name too.
    #[serde(default)]
    children: bool,
}

#[derive(Serialize)]
struct Refused {
    error: String,
}

/// What a refused request is answered with.
type Refusal = (StatusCode, Json<Refused>);

fn refuse(status: StatusCode, error: impl ToString) -> Refusal {
    (status, Json(Refused { error: error.to_string() }))
}

async fn watch(
    State(parts): State<Parts>,
    Json(Watch { name, pid, children }): Json<Watch>,
) -> Result<StatusCode, Refusal> {
    let added = parts.pipeline.watched().add(&name, pid, children);
    added.map(|()| StatusCode::NO_CONTENT).map_err(|error| {
        let status = match error {
            WatchError::NoSuchProcess { .. } => StatusCode::NOT_FOUND,
            WatchError::Name { .. } | WatchError::Reserved { .. } => StatusCode::BAD_REQUEST,
            WatchError::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
        };
        refuse(status, error)
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Plan {
    cells: Vec<Tags>,
}

/// A run that was opened, and what whoever did so has to know of this sidecar.
#[derive(Serialize)]
struct Opened {
    nonce: String,
    /// Its number: [`Stats::runs_opened`] is greater when another one has been opened.
    number: u32,
    /// The port where spans are received.
    otlp: u16,
    /// The tag `run` of every point.
    run: String,
    /// Whether points go anywhere.
    influxdb: bool,
    /// Whether rows are kept ([`rows`]).
    rows: bool,
    /// The clock of its samples.
    clock: String,
    /// The namespace in which it knows processes by their ids.
    processes: String,
}

/// Opens a run, and says which tags the points of its cells get. Where there is no InfluxDB, none get any.
async fn plan(
    State(parts): State<Parts>,
    Json(Plan { cells }): Json<Plan>,
) -> Result<Json<Opened>, Refusal> {
    let planned = parts.influxdb.as_ref().map_or(Ok(()), |sink| sink.plan(cells));
    planned.map_err(|error| {
        let status = match error {
            PlanError::Tag { .. } | PlanError::Reserved => StatusCode::BAD_REQUEST,
            PlanError::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
        };
        refuse(status, error)
    })?;
    let (run, nonce) = parts.pipeline.runs().open().map_err(|error| {
        let error = format!("cannot make a nonce for the run: {error}");
        refuse(StatusCode::INTERNAL_SERVER_ERROR, error)
    })?;
    Ok(Json(Opened {
        nonce,
        number: run.number(),
        otlp: parts.otlp,
        run: parts.tag.to_string(),
        influxdb: parts.influxdb.is_some(),
        rows: parts.run_file.is_some(),
        clock: ledger::clock::identity(),
        processes: ledger::clock::processes(),
    }))
}

/// Takes points of the lab itself: load, cells, verdicts.
async fn points(State(parts): State<Parts>, body: String) -> Result<StatusCode, Refusal> {
    let Some(sink) = parts.influxdb else {
        return Err(refuse(StatusCode::CONFLICT, "no InfluxDB is configured (--influxdb-url)"));
    };
    // A task of its own: points that were taken arrive even if the asker hangs up.
    let taken = tokio::spawn(async move { sink.points(&body).await }).await;
    match taken {
        Ok(Ok(())) => Ok(StatusCode::NO_CONTENT),
        Ok(Err(error @ BadLine { .. })) => Err(refuse(StatusCode::BAD_REQUEST, error)),
        Err(error) => Err(refuse(StatusCode::INTERNAL_SERVER_ERROR, error)),
    }
}
