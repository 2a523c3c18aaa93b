//! k6's executor `constant-arrival-rate`: arrivals at their times, each taken by the user that has waited longest, or
//! dropped if none is free.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::collector::Samples;
use crate::fault::{Fault, Faults};
use crate::iteration::{User, World};
use crate::line::Labels;
use crate::log::Log;
use crate::metric::Metric;
use crate::script::Options;

/// What making a user takes. With k6 it is its own copy of the script's world.
const MAKING: Duration = Duration::from_millis(1);
/// How often the number of users is told.
const GAUGE: Duration = Duration::from_secs(1);
/// Iterations after which a double that is to die does.
const UNTIL_DEATH: u64 = 30;
/// What a Go program ends with when it panics.
const PANIC: i32 = 2;

/// The load of a run.
pub(crate) struct Load {
    world: World,
    dies: bool,
}

/// How it ended.
pub(crate) struct Ended {
    pub(crate) lasted: Duration,
    /// The signal that stopped it, in k6's words.
    pub(crate) signal: Option<&'static str>,
    pub(crate) signals: Signals,
}

/// The signals that stop a run in order; a second one ends k6 at once.
pub(crate) struct Signals {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
}

impl Signals {
    fn listen() -> Signals {
        // Without them it ends as any program does.
        let listen = |kind| signal(kind).ok();
        Signals {
            interrupt: listen(SignalKind::interrupt()),
            terminate: listen(SignalKind::terminate()),
        }
    }

    async fn next(&mut self) -> &'static str {
        async fn come(signal: &mut Option<Signal>) {
            match signal {
                Some(signal) => _ = signal.recv().await,
                None => std::future::pending().await,
            }
        }
        tokio::select! {
            () = come(&mut self.interrupt) => "interrupt",
            () = come(&mut self.terminate) => "terminated",
        }
    }

    /// Waits for two more: the first of them would only stop what is over.
    pub(crate) async fn second(mut self) {
        self.next().await;
        self.next().await;
    }
}

/// The users that are free, and how many there are.
struct Users {
    free: Mutex<VecDeque<User>>,
    all: AtomicUsize,
    active: AtomicUsize,
}

impl Users {
    fn take(&self) -> Option<User> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    fn put(&self, user: User) {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push_back(user);
    }
}

impl Load {
    pub(crate) fn new(
        options: Options,
        tags: &[(String, String)],
        samples: Samples,
        faults: &Faults,
        log: Arc<Log>,
    ) -> Load {
        let tags = Labels { tags: tags.iter().cloned().collect(), ..Labels::default() };
        let world = World {
            options,
            faults: faults.clone(),
            tags,
            samples,
            log,
            origin: SystemTime::UNIX_EPOCH,
            begun: AtomicU64::new(0),
            cut: CancellationToken::new(),
        };
        Load { world, dies: faults.has(Fault::Die) }
    }

    /// Makes all arrivals, and waits for the requests that are under way.
    pub(crate) async fn run(mut self, log: &Log) -> Ended {
        let mut signals = Signals::listen();
        let users =
            Users { free: Mutex::default(), all: AtomicUsize::new(0), active: AtomicUsize::new(0) };
        let first_gauge = Instant::now() + GAUGE;
        for _ in 0..self.world.options.preallocated {
            tokio::time::sleep(MAKING).await;
            users.put(User::default());
            users.all.fetch_add(1, Ordering::Relaxed);
        }
        let start = Instant::now();
        self.world.origin = SystemTime::now();
        let (world, users) = (Arc::new(self.world), Arc::new(users));
        let tracker = TaskTracker::new();
        let gauge = tokio::spawn(tell_users(Arc::clone(&world), Arc::clone(&users), first_gauge));
        let signal = tokio::select! {
            signal = signals.next() => Some(signal),
            () = drive(&world, &users, &tracker, start, self.dies, log) => None,
        };
        tracker.close();
        if signal.is_none() {
            // Requests have as long as one may take to end after the last arrival.
            let until = start + world.options.duration() + world.options.timeout;
            tokio::select! {
                () = tracker.wait() => {}
                () = sleep_until(until) => {}
            }
        }
        world.cut.cancel();
        tracker.wait().await;
        gauge.abort();
        // It holds an end of the collector's channel until it is gone.
        let _ = gauge.await;
        Ended { lasted: start.elapsed(), signal, signals }
    }
}

/// Makes arrivals until they are over.
async fn drive(
    world: &Arc<World>,
    users: &Arc<Users>,
    tracker: &TaskTracker,
    start: Instant,
    dies: bool,
    log: &Log,
) {
    let (period, end) = (world.options.period(), start + world.options.duration());
    let dropped = world.of_scenario();
    let mut short = false;
    for index in 0_u32.. {
        let at = start + period * index;
        if at > end {
            break;
        }
        sleep_until(at).await;
        if let Some(user) = users.take() {
            let (world, users) = (Arc::clone(world), Arc::clone(users));
            tracker.spawn(async move {
                users.active.fetch_add(1, Ordering::Relaxed);
                let user = world.iterate(user).await;
                users.active.fetch_sub(1, Ordering::Relaxed);
                if dies && world.begun.load(Ordering::Relaxed) >= UNTIL_DEATH {
                    std::process::exit(PANIC);
                }
                user.into_iter().for_each(|user| users.put(user));
            });
            continue;
        }
        world.tell(SystemTime::now(), &dropped, &[(Metric::Dropped, 1.0)]);
        let all = users.all.load(Ordering::Relaxed);
        if all < world.options.max_vus {
            // One at a time: the next arrival that finds nobody makes the next.
            users.all.store(all + 1, Ordering::Relaxed);
            let users = Arc::clone(users);
            tracker.spawn(async move {
                tokio::time::sleep(MAKING).await;
                users.put(User::default());
            });
        } else if !short {
            short = true;
            log.warning(&format!(
                "Insufficient VUs, reached {all} active VUs and cannot initialize more"
            ));
        }
    }
    sleep_until(end).await;
}

/// Tells once a second how many users there are, and how many have something to do.
async fn tell_users(world: Arc<World>, users: Arc<Users>, first: Instant) {
    let labels = Arc::new(world.tags.clone());
    for index in 0_u32.. {
        sleep_until(first + GAUGE * index).await;
        let active = users.active.load(Ordering::Relaxed) as f64;
        let all = users.all.load(Ordering::Relaxed) as f64;
        world.tell(SystemTime::now(), &labels, &[(Metric::Vus, active), (Metric::VusMax, all)]);
    }
}
