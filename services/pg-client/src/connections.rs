//! Connections to the database: sqlx's pool, made to say quickly when there is no database.
//!
//! The pool takes a refused connection for a server that is starting and tries until its time is
//! up, and it hands out connections that died while they were idle. Testing each one before use
//! would cost a round trip per query, which is what is being measured here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use ledger::clock;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection, Postgres};

use crate::failure::Failure;

/// How long nobody may get a connection before somebody looks whether there is a database.
const PATIENCE: Duration = Duration::from_millis(250);
/// How long connecting may take.
const CONNECTING: Duration = Duration::from_secs(5);
/// How long a request may wait for a connection that others use.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The pool of connections of this process.
#[derive(Debug)]
pub(crate) struct Connections {
    pool: PgPool,
    options: PgConnectOptions,
    /// When a connection was last lost; those opened earlier are not to be trusted.
    lost: Arc<AtomicU64>,
    turns: Arc<Turns>,
}

/// Who has a connection and how many had one.
#[derive(Debug, Default)]
struct Turns {
    held: AtomicU64,
    taken: AtomicU64,
}

/// A connection on loan.
pub(crate) struct Lease {
    connection: PoolConnection<Postgres>,
    turns: Arc<Turns>,
}

impl Connections {
    /// A pool of at most `size` connections; none is opened yet.
    pub(crate) fn new(options: PgConnectOptions, size: u32) -> Self {
        let lost = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&lost);
        let pool = PgPoolOptions::new()
            .max_connections(size)
            .acquire_timeout(LONGEST_WAIT)
            .acquire_slow_threshold(LONGEST_WAIT)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .before_acquire(move |_, connection| {
                let opened = clock::now().saturating_sub(connection.age.as_nanos() as u64);
                let alive = opened > seen.load(Relaxed);
                Box::pin(std::future::ready(Ok(alive)))
            })
            .connect_lazy_with(options.clone());
        Connections { pool, options, lost, turns: Arc::default() }
    }

    /// Waits for a connection.
    ///
    /// # Errors
    /// [`Failure::Down`] if nobody gets one because the database takes none, [`Failure::Busy`] if all
    /// stayed in use.
    pub(crate) async fn acquire(&self) -> Result<Lease, Failure> {
        let mut acquiring = std::pin::pin!(self.pool.acquire());
        let mut taken = self.turns.taken.load(Relaxed);
        loop {
            tokio::select! {
                biased;
                acquired = &mut acquiring => return self.lend(acquired),
                () = tokio::time::sleep(PATIENCE) => {}
            }
            let before = std::mem::replace(&mut taken, self.turns.taken.load(Relaxed));
            if taken == before && self.turns.held.load(Relaxed) == 0 {
                // Nobody has one, and nobody had: the pool is connecting, or trying to.
                let _ = self.connect().await?.close().await;
            }
        }
    }

    fn lend(&self, acquired: sqlx::Result<PoolConnection<Postgres>>) -> Result<Lease, Failure> {
        let connection = acquired.map_err(|error| self.failed(error))?;
        self.turns.taken.fetch_add(1, Relaxed);
        self.turns.held.fetch_add(1, Relaxed);
        Ok(Lease { connection, turns: Arc::clone(&self.turns) })
    }

    /// Opens a connection beside the pool.
    pub(crate) async fn connect(&self) -> Result<PgConnection, Failure> {
        let slow = || {
            let error = format!("no connection within the limit of {CONNECTING:?}");
            sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, error))
        };
        let connected = tokio::time::timeout(CONNECTING, self.options.connect()).await;
        connected.unwrap_or_else(|_| Err(slow())).map_err(|error| self.failed(error))
    }

    /// What `error` means. Where a connection was lost, its idle neighbours are not used again.
    pub(crate) fn failed(&self, error: sqlx::Error) -> Failure {
        let address = format!("{}:{}", self.options.get_host(), self.options.get_port());
        let failure = Failure::of(error, address, LONGEST_WAIT);
        if failure.lost_connection() {
            self.lost.fetch_max(clock::now(), Relaxed);
        }
        failure
    }
}

impl Lease {
    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.turns.held.fetch_sub(1, Relaxed);
    }
}
