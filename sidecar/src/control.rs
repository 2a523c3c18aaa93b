//! The control endpoint: health, counters, flush, and what to watch. For the lab on the same machine.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use crate::pipeline::Pipeline;
use crate::process::WatchError;
use crate::stats::Stats;

/// The routes of the control endpoint.
pub(crate) fn routes(pipeline: Arc<Pipeline>) -> Router {
    Router::new()
        .route("/healthz", get(health))
        .route("/stats", get(stats))
        .route("/flush", post(flush))
        .route("/watch", post(watch))
        .with_state(pipeline)
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

async fn stats(State(pipeline): State<Arc<Pipeline>>) -> Json<Stats> {
    Json(pipeline.stats())
}

async fn flush(State(pipeline): State<Arc<Pipeline>>) -> Json<Stats> {
    // A task of its own: rows on their way must arrive even if the asker hangs up.
    let flushing = Arc::clone(&pipeline);
    if let Err(error) = tokio::spawn(async move { flushing.flush().await }).await {
        tracing::error!(%error, "flush did not finish");
    }
    Json(pipeline.stats())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Watch {
    name: String,
    pid: u32,
}

#[derive(Serialize)]
struct Refused {
    error: String,
}

async fn watch(
    State(pipeline): State<Arc<Pipeline>>,
    Json(Watch { name, pid }): Json<Watch>,
) -> Result<StatusCode, (StatusCode, Json<Refused>)> {
    pipeline.watched().add(&name, pid).map(|()| StatusCode::NO_CONTENT).map_err(|error| {
        let status = match error {
            WatchError::NoSuchProcess { .. } => StatusCode::NOT_FOUND,
            WatchError::Name { .. } => StatusCode::BAD_REQUEST,
            WatchError::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
        };
        (status, Json(Refused { error: error.to_string() }))
    })
}
