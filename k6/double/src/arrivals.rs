//! k6's executor `constant-arrival-rate`: arrivals at their times, each taken by the user that has waited longest, or
//! dropped if none is free.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep_until};
use tokio_util::task::TaskTracker;

use crate::engine::Vu;
use crate::line::Labels;
use crate::load::Run;
use crate::metric::Metric;

/// When arrivals come, and how many users there may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrivals {
    pub(crate) period: Duration,
    pub(crate) duration: Duration,
    pub(crate) max_vus: usize,
}

/// The users that are free.
#[derive(Default)]
struct Free(Mutex<VecDeque<Vu>>);

impl Free {
    fn take(&self) -> Option<Vu> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    fn put(&self, user: Vu) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(user);
    }
}

/// Makes all arrivals of a scenario, and waits for what is under way.
pub(crate) async fn drive(run: Arc<Run>, users: Vec<Vu>, arrivals: Arrivals) {
    let (start, tracker) = (Instant::now(), TaskTracker::new());
    let end = start + arrivals.duration;
    let course = Arc::clone(&run.course);
    let arrive = arrive(&run, users, arrivals, &tracker, start);
    course.cut.run_until_cancelled(arrive).await;
    course.end(&tracker, end).await;
}

async fn arrive(
    run: &Arc<Run>,
    users: Vec<Vu>,
    Arrivals { period, duration, max_vus }: Arrivals,
    tracker: &TaskTracker,
    start: Instant,
) {
    let end = start + duration;
    let dropped = Arc::new(of_scenario(run));
    let (mut all, mut short) = (users.len(), false);
    let free = Arc::new(Free::default());
    users.into_iter().for_each(|user| free.put(user));
    for index in 0_u32.. {
        let at = start + period * index;
        if at > end {
            break;
        }
        sleep_until(at).await;
        let (run, free) = (Arc::clone(run), Arc::clone(&free));
        if let Some(user) = free.take() {
            tracker.spawn(async move {
                let user = run.iterate(user).await;
                user.into_iter().for_each(|user| free.put(user));
            });
            continue;
        }
        run.world.tell(SystemTime::now(), &dropped, &[(Metric::DROPPED, 1.0)]);
        if all < max_vus {
            // One at a time: the next arrival that finds nobody makes the next.
            all += 1;
            tracker.spawn(async move {
                match run.another().await {
                    Ok(user) => free.put(user),
                    Err(refused) => run.world.stop(refused),
                }
            });
        } else if !short {
            short = true;
            run.world.log.warning(&format!(
                "Insufficient VUs, reached {all} active VUs and cannot initialize more"
            ));
        }
    }
    sleep_until(end).await;
}

/// The labels of samples that belong to the scenario and to no iteration.
fn of_scenario(run: &Run) -> Labels {
    let (mut tags, scenario) = (run.world.tags(), &run.course.scenario);
    tags.extend(scenario.tags.clone());
    tags.insert("scenario".to_owned(), scenario.name.clone());
    Labels { tags, ..Labels::default() }
}
