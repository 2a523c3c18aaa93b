//! Filling the database: the table as asked for, with or without its index, and nothing done twice.

use std::fmt;

use ledger::clock;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::config::{SeedConfig, Unreadable, connect_options};
use crate::fill::{self, Chunk};

/// Bytes handed to the server at a time.
const CHUNK_BYTES: usize = 256 * 1024;
/// Rows between two words about progress.
const REPORT_ROWS: u64 = 200_000;
/// The comment by which a table made here is known: no other is ever dropped.
const OURS: &str = "made by pg-client seed";
/// Any number: two that seed one database at a time take turns by it.
const LOCK: i64 = 0x6c61_6275_7365_7273;
/// How long to wait for the other's turn to end.
const LOCK_LIMIT: &str = "SET lock_timeout = '10min'";
/// The index on e-mail.
const ADD_INDEX: &str = "CREATE INDEX IF NOT EXISTS users_email ON users (email)";
const DROP_INDEX: &str = "DROP INDEX IF EXISTS users_email";

/// Something done while seeding.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SeedStep {
    /// `pg_stat_statements` cannot be had, with the reason: the lab does without the server's own times.
    NoStatements(String),
    /// The table was as asked for.
    AlreadyThere,
    /// So many of so many users are copied.
    Copied(u64, u64),
    /// The primary key is made.
    Keyed,
    /// The index on e-mail is there, or is not, as asked for.
    Index(bool),
    /// The server knows how the values are distributed.
    Analyzed,
}

impl fmt::Display for SeedStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SeedStep::NoStatements(why) => write!(f, "no pg_stat_statements: {why}"),
            SeedStep::AlreadyThere => f.write_str("the users are there already"),
            SeedStep::Copied(done, all) => write!(f, "copied {done} of {all} users"),
            SeedStep::Keyed => f.write_str("primary key made"),
            SeedStep::Index(true) => f.write_str("with an index on email"),
            SeedStep::Index(false) => f.write_str("without an index on email"),
            SeedStep::Analyzed => f.write_str("analyzed"),
        }
    }
}

/// What seeding did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seeded {
    /// Users in the table.
    pub users: u64,
    /// Whether they were copied now, and not there already.
    pub copied: bool,
    /// How long it all took, in nanoseconds.
    pub took_ns: u64,
}

impl fmt::Display for Seeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} users in {:.2} s", self.users, self.took_ns as f64 / 1e9)
    }
}

/// Why seeding failed. The database is as it was before, but for the index.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// The address of the database cannot be read.
    #[error(transparent)]
    Url(#[from] Unreadable),
    /// There is a table of that name that was not made here.
    #[error(
        "the database has a table users that was not made by this program; drop it, or name another \
         database"
    )]
    NotOurs,
    /// A statement failed, or the connection did.
    #[error("seeding the database: {attempt}: {source}")]
    Database {
        /// What was attempted.
        attempt: &'static str,
        /// What went wrong.
        source: sqlx::Error,
    },
}

/// Says what was attempted when a statement failed.
trait Attempt<T> {
    fn to(self, attempt: &'static str) -> Result<T, SeedError>;
}

impl<T> Attempt<T> for sqlx::Result<T> {
    fn to(self, attempt: &'static str) -> Result<T, SeedError> {
        self.map_err(|source| SeedError::Database { attempt, source })
    }
}

/// Makes the table users as asked for, and tells `said` of each step. Does nothing but the index
/// where the table is so already.
///
/// # Errors
/// [`SeedError`] names what was attempted. A table users of somebody else is left alone.
pub async fn seed(
    config: &SeedConfig,
    said: &mut (dyn FnMut(SeedStep) + Send),
) -> Result<Seeded, SeedError> {
    let began = clock::now();
    let options = connect_options(&config.database_url)?;
    let connection = &mut PgConnection::connect_with(&options).await.to("connecting")?;
    // Whoever else seeds is done in minutes; without an end this would wait for one that hangs.
    connection.execute(LOCK_LIMIT).await.to("limiting how long to wait for another that seeds")?;
    let lock = sqlx::query("SELECT pg_advisory_lock($1)").bind(LOCK);
    lock.execute(&mut *connection).await.to("waiting for another that seeds")?;
    if let Err(error) =
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements").await
    {
        said(SeedStep::NoStatements(error.to_string()));
    }
    let there = is_there(connection, config.users).await?;
    if there {
        said(SeedStep::AlreadyThere);
    } else {
        fill(connection, config.users, said).await?;
    }
    let index = if config.email_index { ADD_INDEX } else { DROP_INDEX };
    connection.execute(index).await.to("changing the index on email")?;
    said(SeedStep::Index(config.email_index));
    // VACUUM too, or the server would do it by itself while it is being measured.
    connection.execute("VACUUM (ANALYZE) users").await.to("analyzing")?;
    said(SeedStep::Analyzed);
    Ok(Seeded { users: config.users, copied: !there, took_ns: clock::now() - began })
}

/// Whether the table holds exactly the users asked for.
async fn is_there(connection: &mut PgConnection, users: u64) -> Result<bool, SeedError> {
    let comment = "SELECT obj_description(to_regclass('users'), 'pg_class') \
                   WHERE to_regclass('users') IS NOT NULL";
    let comment: Option<(Option<String>,)> =
        sqlx::query_as(comment).fetch_optional(&mut *connection).await.to("looking for users")?;
    match comment {
        None => Ok(false),
        Some((Some(comment),)) if comment == OURS => {
            let counts = sqlx::query_as(fill::VERIFY).bind(users as i64);
            let (all, right): (i64, i64) =
                counts.fetch_one(connection).await.to("checking the users")?;
            Ok(all == right && all.unsigned_abs() == users)
        }
        Some(_) => Err(SeedError::NotOurs),
    }
}

/// Makes the table anew, in one transaction: whoever looks meanwhile sees the one before.
async fn fill(
    connection: &mut PgConnection,
    users: u64,
    said: &mut (dyn FnMut(SeedStep) + Send),
) -> Result<(), SeedError> {
    let mut transaction = connection.begin().await.to("beginning")?;
    let comment = format!("COMMENT ON TABLE users IS '{OURS}'");
    for statement in ["DROP TABLE IF EXISTS users", fill::CREATE, &comment] {
        let statement = sqlx::raw_sql(AssertSqlSafe(statement));
        statement.execute(&mut *transaction).await.to("making the table")?;
    }
    copy(&mut transaction, users, said).await.to("copying users")?;
    let key = "ALTER TABLE users ADD PRIMARY KEY (id)";
    transaction.execute(key).await.to("making the primary key")?;
    said(SeedStep::Keyed);
    transaction.commit().await.to("committing")
}

async fn copy(
    connection: &mut PgConnection,
    users: u64,
    said: &mut (dyn FnMut(SeedStep) + Send),
) -> sqlx::Result<()> {
    let mut copy = connection.copy_in_raw(fill::COPY).await?;
    let mut chunk = Chunk::default();
    chunk.begin();
    for id in 1..=users {
        chunk.user(id);
        if chunk.bytes().len() >= CHUNK_BYTES {
            copy.send(chunk.bytes()).await?;
            chunk.clear();
        }
        if id.is_multiple_of(REPORT_ROWS) {
            said(SeedStep::Copied(id, users));
        }
    }
    chunk.end();
    copy.send(chunk.bytes()).await?;
    copy.finish().await?;
    if !users.is_multiple_of(REPORT_ROWS) {
        said(SeedStep::Copied(users, users));
    }
    Ok(())
}
