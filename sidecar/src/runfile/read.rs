//! Reading a run file back into rows.

use std::collections::HashMap;

use ledger::{Kind, Stage, StageSet, Traffic};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::file::{RunFile, RunFileError};
use super::rows::{HopRow, ProcessSample, RequestRow};
use super::schema::{TRAFFIC, stage_column};

impl RunFile {
    /// Every request with its hops, in the order in which they were written.
    ///
    /// # Errors
    /// [`RunFileError::Sqlite`] if the tables cannot be read.
    pub async fn read_requests(&mut self) -> Result<Vec<RequestRow>, RunFileError> {
        let read: Result<_, sqlx::Error> = async {
            let connection = &mut self.connection;
            let rows = sqlx::query("SELECT * FROM request ORDER BY id");
            let rows = rows.fetch_all(&mut *connection).await?;
            let mut places = HashMap::with_capacity(rows.len());
            let mut requests = Vec::with_capacity(rows.len());
            for row in &rows {
                places.insert(row.try_get::<i64, _>("id")?, requests.len());
                requests.push(request(row)?);
            }
            let rows = sqlx::query("SELECT * FROM hop ORDER BY rowid");
            for row in rows.fetch_all(&mut *connection).await? {
                if let Some(&place) = places.get(&row.try_get::<i64, _>("request_id")?) {
                    requests[place].hops.push(hop(&row)?);
                }
            }
            Ok(requests)
        }
        .await;
        read.map_err(|source| self.error("read", source))
    }

    /// Every process sample, in the order in which they were written.
    ///
    /// # Errors
    /// [`RunFileError::Sqlite`] if the table cannot be read.
    pub async fn read_samples(&mut self) -> Result<Vec<ProcessSample>, RunFileError> {
        let rows = sqlx::query("SELECT * FROM process_sample ORDER BY rowid");
        let rows = rows.fetch_all(&mut self.connection).await;
        let read = rows.and_then(|rows| rows.iter().map(sample).collect());
        read.map_err(|source| self.error("read", source))
    }
}

/// Writers store nothing below zero in these columns.
fn unsigned(row: &SqliteRow, column: &str) -> Result<u64, sqlx::Error> {
    row.try_get::<i64, _>(column).map(|value| u64::try_from(value).unwrap_or(0))
}

fn request(row: &SqliteRow) -> Result<RequestRow, sqlx::Error> {
    let stopwatch: Option<i64> = row.try_get("stopwatch_ns")?;
    Ok(RequestRow {
        trace_id: row.try_get("trace_id")?,
        cell: row.try_get("cell")?,
        round: row.try_get("round")?,
        start_ns: unsigned(row, "start_ns")?,
        latency_ns: row.try_get("latency_ns")?,
        stopwatch_ns: stopwatch.and_then(|ns| u64::try_from(ns).ok()),
        weight: row.try_get("weight")?,
        out_of_order: row.try_get("out_of_order")?,
        early: row.try_get("early")?,
        error: row.try_get("error")?,
        hops: Vec::new(),
    })
}

fn hop(row: &SqliteRow) -> Result<HopRow, sqlx::Error> {
    let inferred: &str = row.try_get("inferred")?;
    let injected: &str = row.try_get("injected")?;
    let mut stages = StageSet::default();
    for &stage in Stage::ALL {
        // A file written before there was such a stage has no column for it.
        let ns = match row.try_get::<Option<i64>, _>(stage_column(stage).as_str()) {
            Err(sqlx::Error::ColumnNotFound(_)) => None,
            read => read?,
        };
        let is_inferred = inferred.split(' ').any(|name| name == stage.name());
        if let Some(ns) = ns {
            stages.add(stage, ns, if is_inferred { Kind::Inferred } else { Kind::Measured });
        }
    }
    Ok(HopRow {
        hop: row.try_get("hop")?,
        depth: row.try_get("depth")?,
        unjoined: row.try_get("unjoined")?,
        stages,
        request: traffic(row, "request")?,
        reply: traffic(row, "reply")?,
        wire_disagrees: row.try_get("wire_disagrees")?,
        connection: unsigned(row, "connection")?,
        http: unsigned(row, "http")?,
        attempts: unsigned(row, "attempts")?,
        injected: injected.split(' ').filter_map(delay).collect(),
    })
}

/// Reads `stage=nanoseconds`.
fn delay(text: &str) -> Option<(Stage, u64)> {
    let (stage, ns) = text.split_once('=')?;
    Some((Stage::from_name(stage).ok()?, ns.parse().ok()?))
}

fn traffic(row: &SqliteRow, message: &str) -> Result<Traffic, sqlx::Error> {
    let mut values = [0; TRAFFIC.len()];
    for (value, part) in values.iter_mut().zip(TRAFFIC) {
        *value = unsigned(row, &format!("{message}_{part}"))?;
    }
    let [payload, body, wire, frames, framing, headers] = values;
    Ok(Traffic { payload, body, wire, frames, framing, headers })
}

fn sample(row: &SqliteRow) -> Result<ProcessSample, sqlx::Error> {
    Ok(ProcessSample {
        at_ns: unsigned(row, "at_ns")?,
        process: row.try_get("process")?,
        pid: row.try_get("pid")?,
        cpu_ns: unsigned(row, "cpu_ns")?,
        rss_bytes: unsigned(row, "rss_bytes")?,
        threads: unsigned(row, "threads")?,
        voluntary_switches: unsigned(row, "voluntary_switches")?,
        involuntary_switches: unsigned(row, "involuntary_switches")?,
        run_queue_wait_ns: unsigned(row, "run_queue_wait_ns")?,
    })
}
