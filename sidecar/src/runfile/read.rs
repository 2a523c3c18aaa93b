//! Reading a run file back into rows.

use std::collections::HashMap;

use ledger::{Kind, Stage, StageSet, Traffic};
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row as _};

use super::file::{RunFile, RunFileError};
use super::rows::{Aside, Attempt, Claimed, HopRow, ProcessSample, RequestKind, RequestRow};
use super::schema::{TRAFFIC, stage_column};
use super::trace_id::{NoTraceId, TraceId};

/// Requests that are read at once.
const CHUNK: i64 = 512;

/// Which requests are read.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wanted<'a> {
    /// Those of this cell; of all, if there is none.
    pub(crate) cell: Option<&'a str>,
    /// Those of the run with this number; of all, if there is none.
    pub(crate) run: Option<u32>,
    /// Without their hops.
    pub(crate) alone: bool,
}

impl Wanted<'_> {
    /// Asks for requests of the cell `?1` after the one numbered `?2`, and of the run `?4`.
    fn sql(self) -> String {
        // Cells are found by their index; there is a column of runs in files that are new enough alone.
        let (index, cell) = match self.cell {
            Some(_) => ("INDEXED BY request_cell", "request.cell = ?1"),
            None => ("", "?1 IS NULL"),
        };
        let run = if self.run.is_some() { "AND request.run = ?4" } else { "" };
        format!(
            "SELECT request.*, coalesce(aside.late, 0) AS came_late
            FROM request {index} LEFT JOIN aside USING (trace_id)
            WHERE {cell} AND id > ?2 {run} ORDER BY id LIMIT ?3"
        )
    }
}

/// Their hops, up to the request numbered `?3`.
const HOPS: &str = "SELECT hop.* FROM request JOIN hop ON hop.request_id = request.id
    WHERE (?1 IS NULL OR request.cell = ?1) AND request.id > ?2 AND request.id <= ?3
    ORDER BY request.id, hop.rowid";

/// Samples after the one numbered `?1` of the time from `?2` on.
const SAMPLES: &str = "SELECT rowid AS id, * FROM process_sample WHERE rowid > ?1 AND at_ns >= ?2 ORDER BY rowid LIMIT ?3";

impl RunFile {
    /// Every request with its hops, in the order in which they were written. Holds all of them: of a long run
    /// ask for cell after cell ([`Self::each_request`]).
    ///
    /// # Errors
    /// [`RunFileError::Sqlite`] if the tables cannot be read.
    pub async fn read_requests(&mut self) -> Result<Vec<RequestRow>, RunFileError> {
        let mut requests = Vec::new();
        self.each_request(None, |row| requests.push(row)).await?;
        Ok(requests)
    }

    /// Gives `take` every request of `cell` (of all cells, if there is none) with its hops, in the order in which
    /// they were written. Some hundred are held at once.
    ///
    /// # Errors
    /// [`RunFileError::Sqlite`] if the tables cannot be read; `take` may have been given some.
    pub async fn each_request(
        &mut self,
        cell: Option<&str>,
        mut take: impl FnMut(RequestRow),
    ) -> Result<(), RunFileError> {
        self.each(Wanted { cell, ..Wanted::default() }, &mut take).await
    }

    /// The same of `cell` without their hops.
    ///
    /// # Errors
    /// As [`Self::each_request`].
    pub async fn each_request_alone(
        &mut self,
        cell: &str,
        mut take: impl FnMut(RequestRow),
    ) -> Result<(), RunFileError> {
        self.each(Wanted { cell: Some(cell), alone: true, run: None }, &mut take).await
    }

    async fn each(
        &mut self,
        wanted: Wanted<'_>,
        take: &mut impl FnMut(RequestRow),
    ) -> Result<(), RunFileError> {
        let mut after = 0;
        while let Some((last, requests)) = self.requests_after(wanted, after).await? {
            after = last;
            requests.into_iter().for_each(&mut *take);
        }
        Ok(())
    }

    /// Some hundred requests after the one numbered `after`, and the number of the last of them; nothing where there are
    /// no more.
    pub(crate) async fn requests_after(
        &mut self,
        wanted: Wanted<'_>,
        after: i64,
    ) -> Result<Option<(i64, Vec<RequestRow>)>, RunFileError> {
        let chunk = self.chunk(wanted, after).await;
        let (last, requests) = chunk.map_err(|source| self.error("read", source))?;
        Ok(last.map(|last| (last, requests)))
    }

    async fn chunk(
        &mut self,
        wanted: Wanted<'_>,
        after: i64,
    ) -> Result<(Option<i64>, Vec<RequestRow>), sqlx::Error> {
        let Wanted { cell, run, alone } = wanted;
        let rows = sqlx::query(AssertSqlSafe(wanted.sql())).bind(cell).bind(after).bind(CHUNK);
        let rows = if run.is_some() { rows.bind(run) } else { rows };
        let rows = rows.fetch_all(&mut self.connection).await?;
        let mut places = HashMap::with_capacity(rows.len());
        let mut requests = Vec::with_capacity(rows.len());
        let mut last = None;
        for row in &rows {
            let id = row.try_get::<i64, _>("id")?;
            last = Some(id);
            places.insert(id, requests.len());
            requests.push(request(row)?);
        }
        if alone {
            return Ok((last, requests));
        }
        let hops = sqlx::query(HOPS).bind(cell).bind(after).bind(last.unwrap_or(after));
        for row in hops.fetch_all(&mut self.connection).await? {
            if let Some(&place) = places.get(&row.try_get::<i64, _>("request_id")?) {
                requests[place].hops.push(hop(&row)?);
            }
        }
        Ok((last, requests))
    }

    /// What is known of traces beside their requests, by trace id.
    ///
    /// # Errors
    /// [`RunFileError::Sqlite`] if the table cannot be read.
    pub async fn read_asides(&mut self) -> Result<Vec<Aside>, RunFileError> {
        let rows = sqlx::query("SELECT * FROM aside ORDER BY trace_id");
        let rows = rows.fetch_all(&mut self.connection).await;
        let read = rows.and_then(|rows| rows.iter().map(aside).collect());
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

    /// Some hundred samples after the one numbered `after` of the time from `from_ns` on, and the number of the last of
    /// them; nothing where there are no more.
    pub(crate) async fn samples_after(
        &mut self,
        from_ns: u64,
        after: i64,
    ) -> Result<Option<(i64, Vec<ProcessSample>)>, RunFileError> {
        let read = async {
            let rows = sqlx::query(SAMPLES)
                .bind(after)
                .bind(i64::try_from(from_ns).unwrap_or(i64::MAX))
                .bind(CHUNK);
            let rows = rows.fetch_all(&mut self.connection).await?;
            let last = rows.last().map(|row| row.try_get::<i64, _>("id")).transpose()?;
            let samples = rows.iter().map(sample).collect::<Result<_, _>>()?;
            Ok(last.map(|last| (last, samples)))
        };
        let read = read.await;
        read.map_err(|source| self.error("read", source))
    }
}

/// Writers store nothing below zero in these columns.
pub(super) fn unsigned(row: &SqliteRow, column: &str) -> Result<u64, sqlx::Error> {
    row.try_get::<i64, _>(column).map(|value| u64::try_from(value).unwrap_or(0))
}

/// A column that files written before it was thought of do not have.
fn newer(row: &SqliteRow, column: &str) -> Result<Option<i64>, sqlx::Error> {
    match row.try_get(column) {
        Err(sqlx::Error::ColumnNotFound(_)) => Ok(None),
        read => read,
    }
}

pub(super) fn request(row: &SqliteRow) -> Result<RequestRow, sqlx::Error> {
    let stopwatch: Option<i64> = row.try_get("stopwatch_ns")?;
    let late: u32 = row.try_get("late")?;
    Ok(RequestRow {
        trace_id: trace_id(row)?,
        root_id: u64::from_str_radix(row.try_get("root_id")?, 16).unwrap_or(0),
        kind: RequestKind::from_name(row.try_get("kind")?),
        cell: row.try_get("cell")?,
        round: row.try_get("round")?,
        run: newer(row, "run")?.and_then(|run| u32::try_from(run).ok()).unwrap_or_default(),
        operation: row.try_get::<&str, _>("operation")?.into(),
        linked: row.try_get("linked")?,
        start_ns: unsigned(row, "start_ns")?,
        wall_ns: unsigned(row, "wall_ns")?,
        latency_ns: row.try_get("latency_ns")?,
        stopwatch_ns: stopwatch.and_then(|ns| u64::try_from(ns).ok()),
        margin_ns: newer(row, "margin_ns")?,
        weight: row.try_get("weight")?,
        out_of_order: row.try_get("out_of_order")?,
        early: row.try_get("early")?,
        error: row.try_get("error")?,
        whole: row.try_get("whole")?,
        edge_assumed: row.try_get("edge_assumed")?,
        cut: row.try_get("cut")?,
        // Of spans that came after the trace was closed for good, only their number was written.
        late: late.max(row.try_get("came_late")?),
        provisional: row.try_get("provisional")?,
        amends: false,
        unasked: false,
        hops: Vec::new(),
    })
}

fn trace_id(row: &SqliteRow) -> Result<TraceId, sqlx::Error> {
    let parsed = row.try_get::<&str, _>("trace_id")?.parse();
    parsed.map_err(|error: NoTraceId| sqlx::Error::Decode(error.into()))
}

fn aside(row: &SqliteRow) -> Result<Aside, sqlx::Error> {
    Ok(Aside {
        trace_id: trace_id(row)?,
        cell: row.try_get("cell")?,
        fragments: Some(unsigned(row, "fragments")?),
        new_fragments: 0,
        late: unsigned(row, "late")?,
        again: false,
    })
}

pub(super) fn hop(row: &SqliteRow) -> Result<HopRow, sqlx::Error> {
    let inferred: &str = row.try_get("inferred")?;
    let injected: &str = row.try_get("injected")?;
    let others: &str = row.try_get("others")?;
    let mut stages = StageSet::default();
    for &stage in Stage::ALL {
        let ns = newer(row, &stage_column(stage))?;
        let is_inferred = inferred.split(' ').any(|name| name == stage.name());
        if let Some(ns) = ns {
            stages.add(stage, ns, if is_inferred { Kind::Inferred } else { Kind::Measured });
        }
    }
    let claim = |column| {
        let bytes = newer(row, column)?;
        Ok::<_, sqlx::Error>(bytes.and_then(|bytes| u64::try_from(bytes).ok()))
    };
    Ok(HopRow {
        hop: row.try_get("hop")?,
        depth: row.try_get("depth")?,
        unjoined: row.try_get("unjoined")?,
        at_ns: newer(row, "at_ns")?,
        stages,
        concurrent_ns: row.try_get("concurrent_ns")?,
        detached_ns: row.try_get("detached_ns")?,
        clipped_ns: row.try_get("clipped_ns")?,
        request: traffic(row, "request")?,
        reply: traffic(row, "reply")?,
        claimed: Claimed {
            request: claim("claimed_request_bytes")?,
            reply: claim("claimed_reply_bytes")?,
        },
        by_relay: newer(row, "by_relay")?.is_some_and(|yes: i64| yes != 0),
        wire_disagrees: row.try_get("wire_disagrees")?,
        connection: unsigned(row, "connection")?,
        http: unsigned(row, "http")?,
        attempts: unsigned(row, "attempts")?,
        others: others.lines().filter_map(attempt).collect(),
        injected: injected.split(' ').filter_map(delay).collect(),
    })
}

/// Reads `stage=nanoseconds`.
fn delay(text: &str) -> Option<(Stage, u64)> {
    let (stage, ns) = text.split_once('=')?;
    Some((Stage::from_name(stage).ok()?, ns.parse().ok()?))
}

/// Reads `NANOSECONDS ERROR SERVICE`.
fn attempt(text: &str) -> Option<Attempt> {
    let (length, rest) = text.split_once(' ')?;
    let (error, service) = rest.split_once(' ')?;
    let length_ns = length.parse().ok()?;
    Some(Attempt { service: service.to_owned(), length_ns, error: error == "1" })
}

fn traffic(row: &SqliteRow, message: &str) -> Result<Option<Traffic>, sqlx::Error> {
    let mut values = [0; TRAFFIC.len()];
    for (value, part) in values.iter_mut().zip(TRAFFIC) {
        match row.try_get::<Option<i64>, _>(format!("{message}_{part}").as_str())? {
            Some(counted) => *value = u64::try_from(counted).unwrap_or(0),
            None => return Ok(None),
        }
    }
    let [payload, body, wire, frames, framing, headers] = values;
    Ok(Some(Traffic { payload, body, wire, frames, framing, headers }))
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
