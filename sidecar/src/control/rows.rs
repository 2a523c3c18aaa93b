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
use crate::runfile::{MOST_SINGLE, RunFile, RunFileError, Single, Wanted};

/// Which requests.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WhichRows {
    /// Nonce of their run, or [`ALL`]. Without one, those that belong to no run: load by hand.
    run: Option<String>,
    /// Their cell; all, if there is none.
    cell: Option<String>,
    /// Whether with their hops.
    #[serde(default = "yes")]
    hops: bool,
    /// Those of the traces whose id begins so.
    trace: Option<String>,
    /// So many, the slowest first.
    slowest: Option<u32>,
}

/// In the place of a nonce: whatever run they belong to, and those of none.
const ALL: &str = "all";

impl WhichRows {
    /// The single requests that are asked for, if it is single ones.
    fn single(&self) -> Result<Option<Single>, String> {
        match (&self.trace, self.slowest) {
            (Some(_), Some(_)) => Err("trace= or slowest=, not both".to_owned()),
            (Some(id), None) if is_id(id) => Ok(Some(Single::Trace(id.to_ascii_lowercase()))),
            (Some(_), None) => Err("trace= is 1 to 32 hexadecimal digits".to_owned()),
            (None, Some(most)) if (1..=MOST_SINGLE).contains(&most) => {
                Ok(Some(Single::Slowest { most, cell: self.cell.clone() }))
            }
            (None, Some(_)) => Err(format!("slowest= is 1 to {MOST_SINGLE}")),
            (None, None) => Ok(None),
        }
    }
}

fn is_id(text: &str) -> bool {
    (1..=32).contains(&text.len()) && text.bytes().all(|digit| digit.is_ascii_hexdigit())
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
    let Query(which) = which.map_err(bad_query)?;
    let single = which.single().map_err(|why| refuse(StatusCode::BAD_REQUEST, why))?;
    let run = match which.run.as_deref() {
        Some(ALL) => None,
        run => Some(run_of(&parts, run)?.number()),
    };
    let mut file = open(&parts).await?;
    if let Some(single) = single {
        let broken = |error: Broken| refuse(StatusCode::INTERNAL_SERVER_ERROR, error);
        let rows = file.read_single(&single, run).await.map_err(|error| broken(error.into()))?;
        return Ok(answer(lines(&rows).map_err(broken)?.into()));
    }
    let WhichRows { cell, hops, .. } = which;
    let begin = (file, cell, 0);
    let lines = stream::try_unfold(begin, move |(mut file, cell, after)| async move {
        let wanted = Wanted { cell: cell.as_deref(), run, alone: !hops };
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
