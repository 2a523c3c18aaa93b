//! Writing rows into a run file: one transaction per call, many rows per statement.

use ledger::{Kind, Stage, Traffic};
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, Connection as _, Sqlite, SqliteConnection};

use super::file::{RunFile, RunFileError};
use super::rows::{Aside, HopRow, ProcessSample, RequestRow};
use super::schema::{self, Table};

/// Rows per statement, largest first. SQLite takes 32,766 values; each size is prepared once.
const CHUNKS: [usize; 3] = [64, 8, 1];

type Insert<'q> = Query<'q, Sqlite, SqliteArguments>;

impl RunFile {
    /// Writes requests with their hops, and samples: all of them, or on an error none.
    ///
    /// # Errors
    /// [`RunFileError::Sqlite`], for example because the disk is full. The file can be used on.
    pub async fn write(
        &mut self,
        requests: &[RequestRow],
        samples: &[ProcessSample],
    ) -> Result<(), RunFileError> {
        let first = self.requests + 1;
        let written = write_all(&mut self.connection, first, requests, samples).await;
        written.map_err(|source| self.error("write", source))?;
        self.requests += requests.len() as i64;
        Ok(())
    }
}

impl RunFile {
    /// Writes what is known of traces beside their requests, and takes away the rows of those that are closed again:
    /// all of it, or on an error nothing. Answers how many requests were taken away.
    ///
    /// # Errors
    /// As for [`Self::write`].
    pub async fn write_asides(&mut self, asides: &[Aside]) -> Result<u64, RunFileError> {
        let written: Result<u64, sqlx::Error> = async {
            let mut transaction = self.connection.begin().await?;
            let mut gone = 0;
            for aside in asides {
                if aside.again {
                    let [hops, requests] =
                        schema::AMEND.map(|sql| sqlx::query(sql).bind(aside.trace_id.to_string()));
                    hops.execute(&mut *transaction).await?;
                    gone += requests.execute(&mut *transaction).await?.rows_affected();
                }
                sqlx::query(schema::ASIDE)
                    .bind(aside.trace_id.to_string())
                    .bind(&aside.cell)
                    .bind(aside.fragments.map(int))
                    .bind(int(aside.late))
                    .execute(&mut *transaction)
                    .await?;
            }
            transaction.commit().await?;
            Ok(gone)
        }
        .await;
        written.map_err(|source| self.error("write", source))
    }
}

async fn write_all(
    connection: &mut SqliteConnection,
    first: i64,
    requests: &[RequestRow],
    samples: &[ProcessSample],
) -> Result<(), sqlx::Error> {
    let requests: Vec<_> = (first..).zip(requests).collect();
    let hops: Vec<_> = requests
        .iter()
        .flat_map(|(id, request)| request.hops.iter().map(move |hop| (*id, hop)))
        .collect();
    let samples: Vec<_> = samples.iter().collect();
    let mut transaction = connection.begin().await?;
    insert(&mut transaction, &schema::request(), &requests, bind_request).await?;
    insert(&mut transaction, &schema::hop(), &hops, bind_hop).await?;
    insert(&mut transaction, &schema::process_sample(), &samples, bind_sample).await?;
    transaction.commit().await
}

async fn insert<R: Copy>(
    connection: &mut SqliteConnection,
    table: &Table,
    mut rows: &[R],
    bind: for<'q> fn(Insert<'q>, R) -> Insert<'q>,
) -> Result<(), sqlx::Error> {
    for size in CHUNKS {
        if rows.len() < size {
            continue;
        }
        let sql = table.insert_sql(size);
        while let Some((chunk, rest)) = rows.split_at_checked(size) {
            let query = sqlx::query(AssertSqlSafe(sql.clone()));
            chunk
                .iter()
                .fold(query, |query, row| bind(query, *row))
                .execute(&mut *connection)
                .await?;
            rows = rest;
        }
    }
    Ok(())
}

/// SQLite's integers are signed. Everything counted here is below 2^63.
fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn bind_request<'q>(query: Insert<'q>, (id, row): (i64, &RequestRow)) -> Insert<'q> {
    query
        .bind(id)
        .bind(row.trace_id.to_string())
        .bind(format!("{:016x}", row.root_id))
        .bind(row.kind.name())
        .bind(row.cell.clone())
        .bind(row.round)
        .bind(row.run)
        .bind(row.operation.to_string())
        .bind(row.linked.clone())
        .bind(int(row.start_ns))
        .bind(int(row.wall_ns))
        .bind(row.latency_ns)
        .bind(row.stopwatch_ns.map(int))
        .bind(row.margin_ns)
        .bind(row.weight)
        .bind(row.out_of_order)
        .bind(row.early)
        .bind(row.error)
        .bind(row.whole)
        .bind(row.edge_assumed)
        .bind(row.cut)
        .bind(row.late)
        .bind(row.provisional)
}

fn bind_hop<'q>(query: Insert<'q>, (request, row): (i64, &HopRow)) -> Insert<'q> {
    let inferred = row.stages.iter().filter(|(_, time)| time.kind == Kind::Inferred);
    let inferred: Vec<_> = inferred.map(|(stage, _)| stage.name()).collect();
    let injected: Vec<_> = row.injected.iter().map(|(stage, ns)| format!("{stage}={ns}")).collect();
    // Names of services may have anything in them but the end of a line: it is last.
    let others: Vec<_> = row
        .others
        .iter()
        .map(|other| {
            let service = other.service.replace('\n', " ");
            format!("{} {} {service}", other.length_ns, u8::from(other.error))
        })
        .collect();
    let mut query = query
        .bind(request)
        .bind(row.hop.clone())
        .bind(row.depth)
        .bind(row.unjoined)
        .bind(row.at_ns)
        .bind(row.concurrent_ns)
        .bind(row.detached_ns)
        .bind(row.clipped_ns)
        .bind(row.wire_disagrees)
        .bind(int(row.connection))
        .bind(int(row.http))
        .bind(int(row.attempts))
        .bind(others.join("\n"))
        .bind(injected.join(" "))
        .bind(inferred.join(" "))
        .bind(row.claimed.request.map(int))
        .bind(row.claimed.reply.map(int))
        .bind(row.by_relay);
    for traffic in [&row.request, &row.reply] {
        let values = traffic.map(|traffic| {
            let Traffic { payload, body, wire, frames, framing, headers } = traffic;
            [payload, body, wire, frames, framing, headers]
        });
        for at in 0..schema::TRAFFIC.len() {
            query = query.bind(values.map(|values| int(values[at])));
        }
    }
    for &stage in Stage::ALL {
        let time = row.stages.get(stage);
        query = query.bind((time.kind != Kind::Absent).then_some(time.ns));
    }
    query
}

fn bind_sample<'q>(query: Insert<'q>, row: &ProcessSample) -> Insert<'q> {
    let counters = [
        row.cpu_ns,
        row.rss_bytes,
        row.threads,
        row.voluntary_switches,
        row.involuntary_switches,
        row.run_queue_wait_ns,
    ];
    let query = query.bind(int(row.at_ns)).bind(row.process.clone()).bind(row.pid);
    counters.into_iter().fold(query, |query, value| query.bind(int(value)))
}
