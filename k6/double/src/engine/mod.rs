//! Scripts, run: each virtual user is a thread with a world of JavaScript of its own (QuickJS), as with k6 each has one.
//! What a script asks of k6's modules is answered by [`host`]; it waits meanwhile, as in k6.

mod host;
mod http;
mod modules;
mod script;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::SystemTime;

use serde_json::Value;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::options::Scenario;
use crate::refused::Refused;
use crate::world::World;
use host::Host;
use script::Script;

/// A scenario under way.
#[derive(Debug)]
pub(crate) struct Course {
    pub(crate) scenario: Scenario,
    /// When it began.
    pub(crate) began: SystemTime,
    /// Iterations of it that were begun.
    begun: AtomicU64,
    /// Cancelled when those that are under way are to be cut off.
    pub(crate) cut: CancellationToken,
}

impl Course {
    pub(crate) fn begin(scenario: Scenario, cut: CancellationToken) -> Course {
        Course { scenario, began: SystemTime::now(), begun: AtomicU64::new(0), cut }
    }

    /// Waits for the iterations that `iterations` has: as long as the scenario says after `end`, when no more begin. Those
    /// that are under way then are cut off.
    pub(crate) async fn end(&self, iterations: &TaskTracker, end: Instant) {
        iterations.close();
        tokio::select! {
            () = iterations.wait() => {}
            () = sleep_until(end + self.scenario.graceful_stop) => {}
            () = self.cut.cancelled() => {}
        }
        self.cut.cancel();
        iterations.wait().await;
    }
}

/// What a user is told to do.
enum Work {
    Iterate(Arc<Course>, u64),
    /// A function of the script, and what it is given, as JSON; nothing where it is empty.
    Call(&'static str, String),
}

/// What became of it.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// What the function answered, as JSON.
    Over(String),
    /// An exception, in words.
    Threw(String),
    /// It was cut off; the user is gone.
    Cut,
}

struct Order {
    work: Work,
    done: oneshot::Sender<Outcome>,
}

/// What a script exports.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Exports {
    pub(crate) functions: Vec<String>,
    pub(crate) options: Value,
}

/// A virtual user: a thread that does what it is told, and ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Vu(mpsc::Sender<Order>);

impl Vu {
    /// Makes a user: its world is there, and what its script does on being read is done.
    pub(crate) async fn make(
        world: &Arc<World>,
        id: u64,
        env: &BTreeMap<String, String>,
    ) -> Result<(Vu, Exports), Refused> {
        let (orders, come) = mpsc::channel();
        let (ready, made) = oneshot::channel();
        let env = world.env.iter().chain(env).map(|(name, value)| (name.clone(), value.clone()));
        let (world, env) = (Arc::clone(world), env.collect());
        let runtime = tokio::runtime::Handle::current();
        std::thread::spawn(move || live(Host::new(world, id, env, runtime), ready, &come));
        match made.await {
            Ok(exports) => Ok((Vu(orders), exports?)),
            Err(_) => Err(host::exception("a user of the script ended before it was made")),
        }
    }

    /// Runs an iteration.
    pub(crate) async fn iterate(&self, course: &Arc<Course>) -> Outcome {
        let number = course.begun.fetch_add(1, Ordering::Relaxed);
        self.work(Work::Iterate(Arc::clone(course), number)).await
    }

    /// Calls a function of the script outside of any scenario.
    pub(crate) async fn call(&self, function: &'static str, data: String) -> Outcome {
        self.work(Work::Call(function, data)).await
    }

    async fn work(&self, work: Work) -> Outcome {
        let (done, over) = oneshot::channel();
        if self.0.send(Order { work, done }).is_err() {
            return Outcome::Cut;
        }
        over.await.unwrap_or(Outcome::Cut)
    }
}

/// The life of a user.
fn live(
    host: Host,
    ready: oneshot::Sender<Result<Exports, Refused>>,
    orders: &mpsc::Receiver<Order>,
) {
    let made = Script::read(host);
    let script = match made {
        Ok((script, exports)) => {
            if ready.send(Ok(exports)).is_err() {
                return;
            }
            script
        }
        Err(refused) => {
            // Who made it is told, or is gone.
            let _ = ready.send(Err(refused));
            return;
        }
    };
    while let Ok(Order { work, done }) = orders.recv() {
        let outcome = match work {
            Work::Iterate(course, number) => script.iterate(course, number),
            Work::Call(function, data) => script.call_outside(function, &data),
        };
        let _ = done.send(outcome);
    }
}
