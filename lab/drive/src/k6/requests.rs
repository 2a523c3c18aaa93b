//! What `k6/requests.js` is to ask for, as JSON: the requests of a cell, with values to draw from.

use std::io;

use lab_model::Cell;
use lab_model::workload::{Draw, Request, Row};
use serde::Serialize;

use crate::builtin::Values;

/// The script that drives any workload that has none of its own.
pub(super) const SCRIPT: &str = "requests.js";

/// So many rows of a source that is computed: enough to look like it, and no file of megabytes.
const ROWS: usize = 10_000;

#[derive(Serialize)]
struct Asked {
    #[serde(flatten)]
    request: Request,
    /// Values, a row of which each request draws; empty if it draws none.
    rows: Vec<Row>,
}

/// What `cell` asks for.
pub(super) fn of(cell: &Cell) -> io::Result<Vec<u8>> {
    let asked = |request: Request| {
        let rows = match &request.draw {
            None => Vec::new(),
            Some(Draw::Rows(rows)) => rows.clone(),
            Some(computed) => {
                let values = Values::of(computed, cell);
                (0..ROWS).map(|_| values.next().into_owned()).collect()
            }
        };
        Asked { request, rows }
    };
    let all: Vec<Asked> = cell.requests().into_iter().map(asked).collect();
    serde_json::to_vec(&all).map_err(io::Error::other)
}
