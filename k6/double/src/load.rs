//! The load of a run: users are made, all scenarios go on beside each other, and what is under way at their end is waited
//! for. Each scenario has users of its own, where k6 lets those that follow each other share them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::engine::{Course, Outcome, Vu};
use crate::fault::Fault;
use crate::line::Labels;
use crate::metric::Metric;
use crate::options::Scenario;
use crate::refused::Refused;
use crate::world::World;

/// How often the number of users is told.
const GAUGE: Duration = Duration::from_secs(1);
/// Iterations after which a double that is to die does.
const UNTIL_DEATH: u64 = 30;
/// What a Go program ends with when it panics.
const PANIC: i32 = 2;

/// The signals that stop a run in order; a second one ends k6 at once.
pub(crate) struct Signals {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
}

impl Signals {
    pub(crate) fn listen() -> Signals {
        // Without them it ends as any program does.
        let listen = |kind| signal(kind).ok();
        Signals {
            interrupt: listen(SignalKind::interrupt()),
            terminate: listen(SignalKind::terminate()),
        }
    }

    /// The next one, in k6's words.
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

/// How many users there are.
#[derive(Default)]
struct Users {
    all: AtomicUsize,
    active: AtomicUsize,
    /// Numbers that were given.
    numbers: AtomicU64,
}

/// A scenario, and all that it needs.
pub(crate) struct Run {
    pub(crate) world: Arc<World>,
    pub(crate) course: Arc<Course>,
    users: Arc<Users>,
}

impl Run {
    /// Runs an iteration; the user can go on unless it was cut off.
    pub(crate) async fn iterate(&self, user: Vu) -> Option<Vu> {
        self.users.active.fetch_add(1, Ordering::Relaxed);
        let outcome = user.iterate(&self.course).await;
        self.users.active.fetch_sub(1, Ordering::Relaxed);
        let world = &self.world;
        if world.faults.has(Fault::Die) && world.begun.load(Ordering::Relaxed) >= UNTIL_DEATH {
            std::process::exit(PANIC);
        }
        match outcome {
            Outcome::Over(_) => Some(user),
            Outcome::Threw(text) => {
                world.log.error(&text, "");
                Some(user)
            }
            Outcome::Cut => None,
        }
    }

    /// Makes one user more.
    pub(crate) async fn another(&self) -> Result<Vu, Refused> {
        self.users.all.fetch_add(1, Ordering::Relaxed);
        make(&self.world, &self.users, &self.course.scenario.env).await
    }
}

async fn make(
    world: &Arc<World>,
    users: &Users,
    env: &BTreeMap<String, String>,
) -> Result<Vu, Refused> {
    let number = users.numbers.fetch_add(1, Ordering::Relaxed) + 1;
    Ok(Vu::make(world, number, env).await?.0)
}

/// How a load ended.
pub(crate) struct Ended {
    pub(crate) lasted: Duration,
    /// The signal that stopped it, in k6's words.
    pub(crate) signal: Option<&'static str>,
}

/// Carries all scenarios out, `drive` each of them.
pub(crate) async fn run<F>(
    world: &Arc<World>,
    scenarios: Vec<Scenario>,
    signals: &mut Signals,
    drive: impl FnOnce(Arc<Run>, Vec<Vu>) -> F + Clone + Send + 'static,
) -> Result<Ended, Refused>
where
    F: Future<Output = ()> + Send + 'static,
{
    let users = Arc::new(Users::default());
    let first_gauge = Instant::now() + GAUGE;
    let mut crews = Vec::new();
    for scenario in scenarios {
        let mut crew = Vec::new();
        for _ in 0..scenario.executor.users() {
            crew.push(make(world, &users, &scenario.env).await?);
        }
        users.all.fetch_add(crew.len(), Ordering::Relaxed);
        crews.push((scenario, crew));
    }
    let start = Instant::now();
    let gauge = tokio::spawn(tell_users(Arc::clone(world), Arc::clone(&users), first_gauge));
    let mut all = JoinSet::new();
    for (scenario, crew) in crews {
        let (world, users, drive) = (Arc::clone(world), Arc::clone(&users), drive.clone());
        let (at, cut) = (start + scenario.start_time, world.cut.child_token());
        all.spawn(async move {
            if cut.run_until_cancelled(sleep_until(at)).await.is_some() {
                let course = Arc::new(Course::begin(scenario, cut));
                drive(Arc::new(Run { world, course, users }), crew).await;
            }
        });
    }
    let over = async { while all.join_next().await.is_some() {} };
    let signal = tokio::select! {
        signal = signals.next() => Some(signal),
        () = over => None,
    };
    world.cut.cancel();
    while all.join_next().await.is_some() {}
    gauge.abort();
    let _ = gauge.await;
    Ok(Ended { lasted: start.elapsed(), signal })
}

/// Tells once a second how many users there are, and how many have something to do.
async fn tell_users(world: Arc<World>, users: Arc<Users>, first: Instant) {
    let labels = Arc::new(Labels { tags: world.tags(), ..Labels::default() });
    for index in 0_u32.. {
        sleep_until(first + GAUGE * index).await;
        let active = users.active.load(Ordering::Relaxed) as f64;
        let all = users.all.load(Ordering::Relaxed) as f64;
        world.tell(SystemTime::now(), &labels, &[(Metric::VUS, active), (Metric::VUS_MAX, all)]);
    }
}
