//! k6's executors of closed loops: each user begins an iteration when its last is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::engine::Vu;
use crate::load::Run;

/// How long users go on, and how many iterations there are: of all users together, or of each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Loops {
    pub(crate) most: Duration,
    pub(crate) shared: Option<u64>,
    pub(crate) each: Option<u64>,
}

/// Has all users of a scenario go on, and waits for what is under way at the end.
pub(crate) async fn drive(run: Arc<Run>, users: Vec<Vu>, loops: Loops) {
    let (end, tracker) = (Instant::now() + loops.most, TaskTracker::new());
    let taken = Arc::new(AtomicU64::new(0));
    for user in users {
        let (run, taken) = (Arc::clone(&run), Arc::clone(&taken));
        tracker.spawn(async move { go_on(&run, user, loops, end, &taken).await });
    }
    run.course.end(&tracker, end).await;
}

async fn go_on(run: &Run, user: Vu, loops: Loops, end: Instant, taken: &AtomicU64) {
    let (mut user, mut own) = (Some(user), 0);
    while let Some(free) = user.take() {
        let ours = loops.shared.is_none_or(|all| taken.fetch_add(1, Ordering::Relaxed) < all);
        let left = loops.each.is_none_or(|all| own < all);
        if !ours || !left || Instant::now() >= end || run.course.cut.is_cancelled() {
            return;
        }
        own += 1;
        user = run.iterate(free).await;
    }
}
