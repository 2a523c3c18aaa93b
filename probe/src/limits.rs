//! The limits of a server: how long it waits for its peers and how many it keeps, and how often each limit was the reason
//! for closing a connection or refusing a request.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use serde::Serialize;

/// What a peer must keep to. A pace below [`SLOWEST`] counts as standing still.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Time for the head of a request, from its first byte to its last.
    pub head: Duration,
    /// Time for the body of a request, from its beginning to its end; more where it comes at a pace. A body by gRPC may
    /// take as long as it likes, but no pause in it may be longer than this.
    pub body: Duration,
    /// How long a connection may be without a request.
    pub idle: Duration,
    /// Time for a peer to take a piece of a reply.
    pub write: Duration,
    /// Connections at a time.
    pub connections: usize,
}

/// Bytes a second that are a pace: what Apache's mod_reqtimeout asks for by default.
pub(crate) const SLOWEST: u64 = 500;

/// How many quarters of the process's file descriptors connections from others may take. The rest is for connections to
/// others, for files and for telemetry.
const QUARTERS: usize = 3;
/// What is taken for the number of descriptors where the kernel says that there is no limit.
const MANY: u64 = 1 << 20;

impl Default for Limits {
    fn default() -> Self {
        Limits {
            head: Duration::from_secs(10),
            body: Duration::from_secs(20),
            idle: Duration::from_secs(60),
            write: Duration::from_secs(30),
            connections: affordable(),
        }
    }
}

fn affordable() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let descriptors = limit.unwrap_or(MANY).min(MANY) as usize;
    (descriptors / 4 * QUARTERS).max(1)
}

/// Why a connection was closed, or a request refused, that its peer would have kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    Head,
    Body,
    Idle,
    Write,
    /// There were too many, or no descriptor was left, and it was the idlest.
    Crowd,
}

impl Reason {
    const ALL: [Reason; 5] =
        [Reason::Head, Reason::Body, Reason::Idle, Reason::Write, Reason::Crowd];

    fn name(self) -> &'static str {
        match self {
            Reason::Head => "slow_head",
            Reason::Body => "slow_body",
            Reason::Idle => "idle",
            Reason::Write => "slow_reader",
            Reason::Crowd => "crowd",
        }
    }

    fn said(self) -> &'static str {
        match self {
            Reason::Head => "its request's head did not come within the limit (--head-timeout)",
            Reason::Body => "its request's body did not come within the limit (--body-timeout)",
            Reason::Idle => "it made no request within the limit (--idle-timeout)",
            Reason::Write => "it did not take a reply within the limit (--write-timeout)",
            Reason::Crowd => {
                "there were too many connections (--max-connections, ulimit -n), and it was the idlest"
            }
        }
    }
}

/// How often each reason applied.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    counts: [AtomicU64; Reason::ALL.len()],
    told: [AtomicBool; Reason::ALL.len()],
}

impl Tally {
    /// Counts one; the first of its kind is logged.
    pub(crate) fn count(&self, reason: Reason) {
        self.counts[reason as usize].fetch_add(1, Relaxed);
        if self.told[reason as usize].swap(true, Relaxed) {
            return;
        }
        let said = reason.said();
        // Idle connections end every day.
        if reason == Reason::Idle {
            tracing::debug!("a connection was closed: {said}; others are counted");
        } else {
            tracing::warn!("a peer was cut off: {said}; others are counted in GET /connections");
        }
    }

    /// What there is to tell.
    pub(crate) fn told(&self) -> Vec<(&'static str, u64)> {
        Reason::ALL.map(|reason| (reason.name(), self.counts[reason as usize].load(Relaxed))).into()
    }
}

/// The limits as they are told, in seconds.
#[derive(Debug, Serialize)]
pub(crate) struct LimitsTold {
    head_s: f64,
    body_s: f64,
    idle_s: f64,
    write_s: f64,
    connections: usize,
}

impl From<&Limits> for LimitsTold {
    fn from(limits: &Limits) -> Self {
        LimitsTold {
            head_s: limits.head.as_secs_f64(),
            body_s: limits.body.as_secs_f64(),
            idle_s: limits.idle.as_secs_f64(),
            write_s: limits.write.as_secs_f64(),
            connections: limits.connections,
        }
    }
}
