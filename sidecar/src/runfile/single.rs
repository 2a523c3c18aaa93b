//! Single requests of a run file: those of one trace, the slowest, and how many there are of each cell.

use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row as _};

use super::file::{RunFile, RunFileError};
use super::read;
use super::rows::{RequestKind, RequestRow};

/// The most requests that are read as single ones.
pub const MOST_SINGLE: u32 = 1_000;

/// Which single requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Single {
    /// Those of the traces whose id begins so, as they were written.
    Trace(String),
    /// So many, the slowest first, of this cell, else of every cell. Where there are cells, what belongs to none
    /// (certifications, load by hand) is not asked for.
    Slowest {
        /// How many.
        most: u32,
        /// Of which cell.
        cell: Option<String>,
    },
}

impl RunFile {
    /// These requests with their hops: of the run with the number `run`, else of all. At most [`MOST_SINGLE`] are read.
    ///
    /// # Errors
    /// [`RunFileError::Sqlite`] if the tables cannot be read.
    pub async fn read_single(
        &mut self,
        which: &Single,
        run: Option<u32>,
    ) -> Result<Vec<RequestRow>, RunFileError> {
        let read = self.single(which, run).await;
        read.map_err(|source| self.error("read", source))
    }

    /// How many requests there are of each cell; `""` are those of none.
    ///
    /// # Errors
    /// [`RunFileError::Sqlite`] if the table cannot be read.
    pub async fn count_by_cell(&mut self) -> Result<Vec<(String, u64)>, RunFileError> {
        let rows = sqlx::query("SELECT cell, count(*) AS requests FROM request GROUP BY cell");
        let read = rows.fetch_all(&mut self.connection).await.and_then(|rows| {
            let one =
                |row: &SqliteRow| Ok((row.try_get("cell")?, read::unsigned(row, "requests")?));
            rows.iter().map(one).collect()
        });
        read.map_err(|source| self.error("read", source))
    }

    async fn single(
        &mut self,
        which: &Single,
        run: Option<u32>,
    ) -> Result<Vec<RequestRow>, sqlx::Error> {
        let (wanted, order, most) = match which {
            Single::Trace(_) => ("substr(trace_id, 1, length(?1)) = ?1", "id", MOST_SINGLE),
            Single::Slowest { cell, most } => {
                let wanted = match cell {
                    Some(_) => "cell = ?1",
                    None => "(cell <> '' OR NOT EXISTS (SELECT 1 FROM request WHERE cell <> ''))",
                };
                (wanted, "latency_ns DESC, id", (*most).min(MOST_SINGLE))
            }
        };
        let asked = match which {
            Single::Trace(prefix) => Some(prefix),
            Single::Slowest { cell, .. } => cell.as_ref(),
        };
        // There is a column of runs in files that are new enough alone. Work that nobody waited for is no request.
        let of_run = if run.is_some() { "AND run = ?3" } else { "" };
        let kind = match which {
            Single::Trace(_) => String::new(),
            Single::Slowest { .. } => format!("AND kind = '{}'", RequestKind::Request.name()),
        };
        let sql = format!(
            "SELECT id FROM request WHERE {wanted} {kind} {of_run} ORDER BY {order} LIMIT ?2"
        );
        let ids = sqlx::query(AssertSqlSafe(sql)).bind(asked).bind(most);
        let ids = if run.is_some() { ids.bind(run) } else { ids };
        let mut requests = Vec::new();
        for row in ids.fetch_all(&mut self.connection).await? {
            requests.push(self.numbered(row.try_get("id")?).await?);
        }
        Ok(requests)
    }

    /// The request with this number.
    async fn numbered(&mut self, id: i64) -> Result<RequestRow, sqlx::Error> {
        let row = sqlx::query(
            "SELECT request.*, coalesce(aside.late, 0) AS came_late
             FROM request LEFT JOIN aside USING (trace_id) WHERE id = ?1",
        );
        let mut request = read::request(&row.bind(id).fetch_one(&mut self.connection).await?)?;
        let hops = sqlx::query("SELECT * FROM hop WHERE request_id = ?1 ORDER BY rowid").bind(id);
        let hops = hops.fetch_all(&mut self.connection).await?;
        request.hops = hops.iter().map(read::hop).collect::<Result<_, _>>()?;
        Ok(request)
    }
}
