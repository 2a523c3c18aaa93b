//! Connections to the database: sqlx's pool, made to say quickly when there is no database.
//!
//! The pool takes a refused connection for a server that is starting and tries until its time is
//! up, and it hands out connections that died while they were idle. Testing each one before use
//! would cost a round trip per query, which is what is being measured here.
//!
//! Who waits, waits in a queue of ours and not in the pool's: so those whose turn it is can give up an
//! attempt of the pool and begin another without losing their place.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use ledger::clock;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{PgConnection, Postgres};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::availability::{Availability, CONNECTING, Seen, connect};
use crate::failure::Failure;

/// How long nobody may get a connection before somebody looks whether there is a database.
const PATIENCE: Duration = Duration::from_millis(250);
/// How large the pool is, and how long a request may wait for a connection that others use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pool {
    pub(crate) size: u32,
    pub(crate) wait: Duration,
}

/// The pool of connections of this process.
#[derive(Debug)]
pub(crate) struct Connections {
    pool: PgPool,
    options: PgConnectOptions,
    /// When a connection was last lost; those opened earlier are not to be trusted.
    lost: Arc<AtomicU64>,
    /// As many turns as there are connections, first come, first served.
    queue: Arc<Semaphore>,
    turns: Arc<Turns>,
    availability: Availability,
    wait: Duration,
    /// A pooler stands between, that gives each transaction another connection of the server.
    pooled: AtomicBool,
}

/// Who has a connection and how many had one.
#[derive(Debug, Default)]
struct Turns {
    /// A connection whose query was given up is not held, but the pool has it only when the query ends.
    held: AtomicU64,
    taken: AtomicU64,
}

/// A connection on loan.
pub(crate) struct Lease {
    connection: PoolConnection<Postgres>,
    turns: Arc<Turns>,
    /// Given up after the connection.
    _turn: OwnedSemaphorePermit,
}

impl Connections {
    /// A pool; none of its connections is opened yet.
    pub(crate) fn new(options: PgConnectOptions, Pool { size, wait }: Pool) -> Self {
        let lost = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&lost);
        let pool = PgPoolOptions::new()
            .max_connections(size)
            // Refused for too many connections, the pool tries again after ever longer pauses, up to a
            // fifth of this, and takes no connection that others give back meanwhile.
            .acquire_timeout(CONNECTING)
            .acquire_slow_threshold(wait)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .before_acquire(move |_, connection| {
                let opened = clock::now().saturating_sub(connection.age.as_nanos() as u64);
                let alive = opened > seen.load(Relaxed);
                Box::pin(std::future::ready(Ok(alive)))
            })
            .connect_lazy_with(options.clone());
        let queue = Arc::new(Semaphore::new(size as usize));
        let availability = Availability::new(options.clone(), PATIENCE);
        let (turns, pooled) = (Arc::default(), AtomicBool::new(false));
        Connections { pool, options, lost, queue, turns, availability, wait, pooled }
    }

    /// Whether statements with names are safe: those of a pooler's connections are others'.
    pub(crate) fn behind_a_pooler(&self) -> bool {
        self.pooled.load(Relaxed)
    }

    /// A statement was not found, or another one was.
    pub(crate) fn found_a_pooler(&self) {
        if !self.pooled.swap(true, Relaxed) {
            tracing::warn!(
                "a pooler gives each transaction another connection: statements have no names from now on"
            );
        }
    }

    /// Waits for a connection.
    ///
    /// # Errors
    /// [`Failure::Down`] if nobody gets one because the database takes none, [`Failure::Busy`] if all
    /// stayed in use, [`Failure::Full`] if the database took no more of them.
    pub(crate) async fn acquire(&self) -> Result<Lease, Failure> {
        let mut full = None;
        let waited = tokio::time::timeout(self.wait, self.wait_for_one(&mut full)).await;
        waited.unwrap_or_else(|_| Err(full.unwrap_or(Failure::Busy(self.wait))))
    }

    /// Waits for as long as there is a database; `full` is what it last said if it takes no more
    /// connections, which passes as they are closed.
    async fn wait_for_one(&self, full: &mut Option<Failure>) -> Result<Lease, Failure> {
        let stuck = AtomicBool::new(false);
        let mut taking = std::pin::pin!(self.take(&stuck));
        let mut taken = self.turns.taken.load(Relaxed);
        loop {
            tokio::select! {
                biased;
                lease = &mut taking => return lease,
                () = tokio::time::sleep(PATIENCE) => {}
            }
            let before = std::mem::replace(&mut taken, self.turns.taken.load(Relaxed));
            // Nobody has one, and nobody had: the pool is connecting, or trying to, or waits for the
            // end of a query that was given up.
            let nobody = taken == before && self.turns.held.load(Relaxed) == 0;
            if !stuck.swap(false, Relaxed) && !nobody {
                continue;
            }
            let seen = tokio::select! {
                biased;
                seen = self.availability.check() => seen,
                lease = &mut taking => return lease,
            };
            *full = match seen {
                Seen::Up => None,
                Seen::Full(error) => Some(self.failed(error)),
                Seen::Down(error) => return Err(self.failed(error)),
            };
        }
    }

    /// Waits for its turn and then for the pool, again and again; says when it is `stuck`.
    async fn take(&self, stuck: &AtomicBool) -> Result<Lease, Failure> {
        let turn = Arc::clone(&self.queue).acquire_owned().await;
        let turn = turn.map_err(|_| self.failed(sqlx::Error::PoolClosed))?;
        loop {
            match self.ask_pool().await {
                Ok(connection) => return Ok(self.lend(connection, turn)),
                Err(sqlx::Error::PoolTimedOut) => stuck.store(true, Relaxed),
                Err(error) => return Err(self.failed(error)),
            }
        }
    }

    /// A connection of the pool, one that is idle if there is such.
    async fn ask_pool(&self) -> sqlx::Result<PoolConnection<Postgres>> {
        let mut acquiring = std::pin::pin!(self.pool.acquire());
        loop {
            tokio::select! {
                biased;
                acquired = &mut acquiring => return acquired,
                () = tokio::time::sleep(PATIENCE) => {}
            }
            if self.pool.num_idle() > 0 {
                // The pool is opening another. It looks at idle ones only when it is asked.
                acquiring.set(self.pool.acquire());
            }
        }
    }

    fn lend(&self, connection: PoolConnection<Postgres>, turn: OwnedSemaphorePermit) -> Lease {
        self.turns.taken.fetch_add(1, Relaxed);
        self.turns.held.fetch_add(1, Relaxed);
        Lease { connection, turns: Arc::clone(&self.turns), _turn: turn }
    }

    /// Opens a connection beside the pool.
    pub(crate) async fn connect(&self) -> Result<PgConnection, Failure> {
        connect(&self.options).await.map_err(|error| self.failed(error))
    }

    /// What `error` means. Where a connection was lost, its idle neighbours are not used again.
    pub(crate) fn failed(&self, error: impl Into<Arc<sqlx::Error>>) -> Failure {
        let address = format!("{}:{}", self.options.get_host(), self.options.get_port());
        let failure = Failure::of(error.into(), address);
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
