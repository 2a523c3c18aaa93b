//! The connections of a server: how many there are, what each is at, and which go when there are too many.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};

use futures_util::task::AtomicWaker;
use ledger::clock;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::limits::{Limits, Reason, Tally};

/// What one connection is at. The tasks that serve it write it; whoever looks for the idlest reads it.
#[derive(Debug)]
pub(crate) struct Standing {
    /// Requests that were begun, ever.
    begun: AtomicU64,
    /// Requests whose reply is not over.
    open: AtomicUsize,
    /// Replies that handlers made, ever.
    replied: AtomicU64,
    /// Replies that the peer has not begun to take, and since when there are any (0: there are none).
    untaken: AtomicUsize,
    untaken_since: AtomicU64,
    /// Since when there is no request.
    idle_since: AtomicU64,
    /// It is to be closed, for others need the room.
    leave: AtomicBool,
    waker: AtomicWaker,
}

impl Standing {
    fn new() -> Self {
        Standing {
            begun: AtomicU64::new(0),
            open: AtomicUsize::new(0),
            replied: AtomicU64::new(0),
            untaken: AtomicUsize::new(0),
            untaken_since: AtomicU64::new(0),
            idle_since: AtomicU64::new(clock::now()),
            leave: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        }
    }

    pub(crate) fn begun(&self) -> u64 {
        self.begun.load(Relaxed)
    }

    pub(crate) fn replied(&self) -> u64 {
        self.replied.load(Relaxed)
    }

    pub(crate) fn idle(&self) -> bool {
        self.open.load(Relaxed) == 0
    }

    pub(crate) fn idle_since(&self) -> u64 {
        self.idle_since.load(Relaxed)
    }

    /// Since when replies wait that the peer does not begin to take.
    pub(crate) fn untaken_since(&self) -> Option<u64> {
        // Two threads that end replies at a time may leave a time behind where nothing waits any more.
        let waits = self.untaken.load(Relaxed) > 0;
        Some(self.untaken_since.load(Relaxed)).filter(|&since| waits && since != 0)
    }

    /// Whether it is to be closed; if not, the task is woken when it is.
    pub(crate) fn leaves(&self, cx: &std::task::Context<'_>) -> bool {
        self.waker.register(cx.waker());
        self.leave.load(Relaxed)
    }

    fn dismiss(&self) {
        self.leave.store(true, Relaxed);
        self.waker.wake();
    }
}

/// A request that is being answered, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Flight {
    standing: Arc<Standing>,
    untaken: bool,
}

impl Flight {
    pub(crate) fn begin(standing: &Arc<Standing>) -> Flight {
        standing.begun.fetch_add(1, Relaxed);
        standing.open.fetch_add(1, Relaxed);
        Flight { standing: Arc::clone(standing), untaken: false }
    }

    /// The reply is there to be taken.
    pub(crate) fn replied(&mut self) {
        self.untaken = true;
        self.standing.replied.fetch_add(1, Relaxed);
        if self.standing.untaken.fetch_add(1, Relaxed) == 0 {
            self.standing.untaken_since.store(clock::now(), Relaxed);
        }
    }

    /// The peer takes it.
    pub(crate) fn taken(&mut self) {
        if std::mem::take(&mut self.untaken) {
            let left = self.standing.untaken.fetch_sub(1, Relaxed) - 1;
            let since = if left == 0 { 0 } else { clock::now() };
            self.standing.untaken_since.store(since, Relaxed);
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.taken();
        if self.standing.open.fetch_sub(1, Relaxed) == 1 {
            self.standing.idle_since.store(clock::now(), Relaxed);
        }
    }
}

/// All connections of a server, whichever thread serves them.
#[derive(Debug)]
pub(crate) struct Crowd {
    pub(crate) limits: Limits,
    pub(crate) tally: Arc<Tally>,
    present: Mutex<Present>,
    left: Notify,
}

#[derive(Debug, Default)]
struct Present {
    next: u64,
    all: HashMap<u64, Arc<Standing>>,
}

/// A connection's place among the others, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Place {
    crowd: Arc<Crowd>,
    number: u64,
    pub(crate) standing: Arc<Standing>,
}

impl Crowd {
    pub(crate) fn new(limits: Limits) -> Arc<Crowd> {
        Arc::new(Crowd {
            limits,
            tally: Arc::default(),
            present: Mutex::default(),
            left: Notify::new(),
        })
    }

    /// A connection is there.
    pub(crate) fn enter(self: &Arc<Crowd>) -> Place {
        let standing = Arc::new(Standing::new());
        let mut present = self.present.lock();
        let number = present.next;
        present.next += 1;
        present.all.insert(number, Arc::clone(&standing));
        Place { crowd: Arc::clone(self), number, standing }
    }

    /// How many there are.
    pub(crate) fn present(&self) -> usize {
        self.present.lock().all.len()
    }

    /// Whether no more are taken for now.
    pub(crate) fn full(&self) -> bool {
        self.present() >= self.limits.connections
    }

    /// Asks the idlest to leave: a sixteenth of all, so that not every newcomer has to ask. Those with a request stay.
    pub(crate) fn make_room(&self) {
        let present = self.present.lock();
        let mut idle: Vec<_> =
            present.all.values().filter(|one| one.idle() && !one.leave.load(Relaxed)).collect();
        idle.sort_unstable_by_key(|one| one.idle_since());
        for one in idle.into_iter().take((present.all.len() / 16).max(1)) {
            one.dismiss();
            self.tally.count(Reason::Crowd);
        }
    }

    /// Completes when one has left since.
    pub(crate) async fn one_left(&self) {
        self.left.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.crowd.present.lock().all.remove(&self.number);
        self.crowd.left.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_idlest_go_first_and_nobody_who_waits_for_a_reply() {
        let crowd = Crowd::new(Limits { connections: 4, ..Limits::default() });
        let places: Vec<_> = (0..4).map(|_| crowd.enter()).collect();
        let busy = Flight::begin(&places[0].standing);
        drop(Flight::begin(&places[1].standing));
        assert!(crowd.full());
        crowd.make_room();
        crowd.make_room();
        let left: Vec<_> = places.iter().map(|one| one.standing.leave.load(Relaxed)).collect();
        assert_eq!(left, [false, false, true, true]);
        crowd.make_room();
        assert!(places[1].standing.leave.load(Relaxed) && !places[0].standing.leave.load(Relaxed));
        drop((busy, places));
        assert_eq!(crowd.present(), 0);
    }
}
