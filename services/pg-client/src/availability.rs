//! Whether there is a database: one attempt to connect at a time, whose outcome all who wait share.
//!
//! Very many may wait. If each of them tried for itself, they would use up the connections that the server
//! has, and then take its refusal for an outage.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use ledger::clock;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};

use crate::failure::is_full;

/// How long connecting may take.
pub(crate) const CONNECTING: Duration = Duration::from_secs(5);

/// What an attempt to connect showed.
#[derive(Debug, Clone)]
pub(crate) enum Seen {
    /// The database takes connections.
    Up,
    /// It is there, but takes no more of them.
    Full(Arc<sqlx::Error>),
    /// It takes none.
    Down(Arc<sqlx::Error>),
}

/// Looks whether there is a database.
#[derive(Debug)]
pub(crate) struct Availability {
    options: PgConnectOptions,
    /// How long it is believed that a database which was there still is.
    believed: Duration,
    latest: Mutex<Latest>,
}

#[derive(Debug, Default)]
struct Latest {
    /// Gone when nobody waits for it any more: nobody would drive it either.
    attempt: Option<WeakShared<BoxFuture<'static, Seen>>>,
    /// When a database was last seen, on [`ledger::clock`], and how it was.
    seen: Option<(u64, Seen)>,
}

impl Availability {
    pub(crate) fn new(options: PgConnectOptions, believed: Duration) -> Self {
        Availability { options, believed, latest: Mutex::default() }
    }

    /// Looks, or waits for what the one who is looking sees.
    pub(crate) async fn check(&self) -> Seen {
        let attempt = match self.attempt() {
            Ok(attempt) => attempt,
            Err(seen) => return seen,
        };
        let seen = attempt.await;
        if !matches!(seen, Seen::Down(_)) {
            self.latest().seen = Some((clock::now(), seen.clone()));
        }
        seen
    }

    /// The attempt that is on its way, a new one, or what was seen a moment ago.
    fn attempt(&self) -> Result<Shared<BoxFuture<'static, Seen>>, Seen> {
        let mut latest = self.latest();
        if let Some(running) = latest.attempt.as_ref().and_then(WeakShared::upgrade) {
            return Ok(running);
        }
        if let Some((at, seen)) = &latest.seen {
            let age = Duration::from_nanos(clock::now().saturating_sub(*at));
            if age < self.believed {
                return Err(seen.clone());
            }
        }
        let attempt = attempt(self.options.clone()).boxed().shared();
        latest.attempt = attempt.downgrade();
        Ok(attempt)
    }

    fn latest(&self) -> MutexGuard<'_, Latest> {
        // Each change of it is one assignment, so that nobody who panics leaves half of one.
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn attempt(options: PgConnectOptions) -> Seen {
    match connect(&options).await {
        Ok(connection) => {
            let _ = connection.close().await;
            Seen::Up
        }
        Err(error) if is_full(&error) => Seen::Full(error.into()),
        Err(error) => Seen::Down(error.into()),
    }
}

/// Opens a connection, within [`CONNECTING`].
pub(crate) async fn connect(options: &PgConnectOptions) -> sqlx::Result<PgConnection> {
    let slow = |_| {
        let error = format!("no connection within the limit of {CONNECTING:?}");
        sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, error))
    };
    tokio::time::timeout(CONNECTING, options.connect()).await.map_err(slow)?
}
