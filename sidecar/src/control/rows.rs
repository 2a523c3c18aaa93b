//! Rows of the run file for a lab elsewhere: a line of JSON each, as they are read, some hundred held at once.

use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use serde::{Deserialize, Serialize};

use super::{Parts, Refusal, refuse, run_of};
use crate::runfile::{RunFile, RunFileError, Wanted};

/// Which requests.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WhichRows {
    /// Nonce of their run. Without one, those that belong to no run: load by hand.
    run: Option<String>,
    /// Their cell; all, if there is none.
    cell: Option<String>,
    /// Whether with their hops.
    #[serde(default = "yes")]
    hops: bool,
}

/// Which samples.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WhichSamples {
    /// Those from this time on, on the clock of the sidecar, in nanoseconds.
    #[serde(default)]
    from: u64,
}

fn yes() -> bool {
    true
}

/// Requests, in the order in which they were written.
pub(super) async fn rows(
    State(parts): State<Parts>,
    which: Result<Query<WhichRows>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(WhichRows { run, cell, hops }) = which.map_err(bad_query)?;
    let run = run_of(&parts, run.as_deref())?.number();
    let file = open(&parts).await?;
    let begin = (file, cell, 0);
    let lines = stream::try_unfold(begin, move |(mut file, cell, after)| async move {
        let wanted = Wanted { cell: cell.as_deref(), run: Some(run), alone: !hops };
        match file.requests_after(wanted, after).await? {
            Some((last, rows)) => Ok(Some((lines(&rows)?, (file, cell, last)))),
            None => file.close().await.map(|()| None).map_err(Broken::from),
        }
    });
    Ok(answer(Body::from_stream(lines)))
}

/// Samples of processes, in the order in which they were written.
pub(super) async fn samples(
    State(parts): State<Parts>,
    which: Result<Query<WhichSamples>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(WhichSamples { from }) = which.map_err(bad_query)?;
    let file = open(&parts).await?;
    let lines = stream::try_unfold((file, 0), move |(mut file, after)| async move {
        match file.samples_after(from, after).await? {
            Some((last, samples)) => Ok(Some((lines(&samples)?, (file, last)))),
            None => file.close().await.map(|()| None).map_err(Broken::from),
        }
    });
    Ok(answer(Body::from_stream(lines)))
}

/// Why an answer ends before its end. Whoever reads it sees it cut off, not complete.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    RunFile(#[from] RunFileError),
    #[error("cannot write a row as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

fn lines<R: Serialize>(rows: &[R]) -> Result<Bytes, Broken> {
    let mut lines = Vec::new();
    for row in rows {
        serde_json::to_writer(&mut lines, row)?;
        lines.push(b'\n');
    }
    Ok(lines.into())
}

fn answer(lines: Body) -> Response {
    ([(CONTENT_TYPE, "application/x-ndjson")], lines).into_response()
}

/// The run file, by a connection of its own: the writer is not kept.
async fn open(parts: &Parts) -> Result<RunFile, Refusal> {
    let Some(path) = &parts.run_file else {
        return Err(refuse(
            StatusCode::CONFLICT,
            "no rows are kept: the sidecar has no --run-file",
        ));
    };
    let opened = RunFile::open(path).await;
    opened.map_err(|error| refuse(StatusCode::INTERNAL_SERVER_ERROR, error))
}

fn bad_query(error: QueryRejection) -> Refusal {
    refuse(StatusCode::BAD_REQUEST, error.body_text())
}
