//! Opening and closing run files.

use std::path::{Path, PathBuf};

use sqlx::AssertSqlSafe;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};

use super::schema;

/// A run file, open for writing ([`RunFile::create`]) or for reading ([`RunFile::open`]).
#[derive(Debug)]
pub struct RunFile {
    pub(super) connection: SqliteConnection,
    pub(super) path: PathBuf,
    /// Requests written so far.
    pub(super) requests: i64,
}

/// What went wrong with a run file.
#[derive(Debug, thiserror::Error)]
pub enum RunFileError {
    /// There is something already.
    #[error("cannot create the run file {}: it exists and is not empty", .0.display())]
    Exists(PathBuf),
    /// SQLite refused.
    #[error("cannot {action} the run file {}: {source}", .path.display())]
    Sqlite {
        /// What was attempted.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// SQLite's answer.
        source: sqlx::Error,
    },
    /// The file was written by another version of the lab.
    #[error("cannot read the run file {}: its schema is {found:?}, this program reads {}",
            .path.display(), schema::VERSION)]
    Schema {
        /// The file.
        path: PathBuf,
        /// The schema it says it has.
        found: String,
    },
}

impl RunFile {
    /// Creates a run file with empty tables. An empty file may be there already.
    ///
    /// # Errors
    /// [`RunFileError::Exists`] if the file holds anything; [`RunFileError::Sqlite`] if it cannot be
    /// made.
    pub async fn create(path: impl AsRef<Path>) -> Result<RunFile, RunFileError> {
        let path = path.as_ref();
        if std::fs::metadata(path).is_ok_and(|file| file.len() > 0) {
            return Err(RunFileError::Exists(path.to_owned()));
        }
        // A run that is cut off by a power failure is run again: the file need not survive it. A
        // rollback journal, unlike a write-ahead log, leaves one file that read-only media can hold.
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Delete)
            .synchronous(SqliteSynchronous::Off);
        let mut file = Self::connect(options, path, "create").await?;
        let created: Result<(), sqlx::Error> = async {
            let mut transaction = file.connection.begin().await?;
            for statement in schema::create_all() {
                sqlx::query(AssertSqlSafe(statement)).execute(&mut *transaction).await?;
            }
            transaction.commit().await
        }
        .await;
        created.map_err(|source| file.error("create", source))?;
        Ok(file)
    }

    /// Opens a run file read-only; it may still be being written.
    ///
    /// # Errors
    /// [`RunFileError::Sqlite`] if there is none, [`RunFileError::Schema`] if it is of a version that
    /// this program does not read.
    pub async fn open(path: impl AsRef<Path>) -> Result<RunFile, RunFileError> {
        let path = path.as_ref();
        let options = SqliteConnectOptions::new().filename(path).read_only(true);
        let mut file = Self::connect(options, path, "open").await?;
        let found: String = sqlx::query_scalar("SELECT value FROM meta WHERE key = 'schema'")
            .fetch_one(&mut file.connection)
            .await
            .map_err(|source| file.error("open", source))?;
        if found != schema::VERSION.to_string() {
            return Err(RunFileError::Schema { path: path.to_owned(), found });
        }
        Ok(file)
    }

    /// Closes the file, so that nothing is left beside it.
    ///
    /// # Errors
    /// [`RunFileError::Sqlite`] if SQLite could not finish.
    pub async fn close(self) -> Result<(), RunFileError> {
        let RunFile { connection, path, .. } = self;
        let closed = connection.close().await;
        closed.map_err(|source| RunFileError::Sqlite { action: "close", path, source })
    }

    async fn connect(
        options: SqliteConnectOptions,
        path: &Path,
        action: &'static str,
    ) -> Result<RunFile, RunFileError> {
        // Readers wait for the writer's transactions, which take milliseconds.
        let options = options.busy_timeout(std::time::Duration::from_secs(10));
        match options.disable_statement_logging().connect().await {
            Ok(connection) => Ok(RunFile { connection, path: path.to_owned(), requests: 0 }),
            Err(source) => Err(RunFileError::Sqlite { action, path: path.to_owned(), source }),
        }
    }

    pub(super) fn error(&self, action: &'static str, source: sqlx::Error) -> RunFileError {
        RunFileError::Sqlite { action, path: self.path.clone(), source }
    }
}
