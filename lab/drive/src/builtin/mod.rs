//! The built-in open-loop load generator: requests start when the plan says, whatever became of those before.
//!
//! A closed loop waits for slow replies and so measures fewer of them (coordinated omission). Here
//! requests arrive at their planned times, latency counts from the plan, and an arrival for which no
//! slot is free is dropped and counted. What is asked of whom is the
//! [`Target`]'s business; what is made of the numbers, the reports'.

mod gateway;
mod pacer;
mod reply;
mod request;
mod sampling;
mod tally;
mod target;
mod usage;
mod values;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ledger::clock;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use gateway::{Connections, Gateway, SERVICE};
use lab_model::{Arrivals, Requests, RoundMeasure};
use pacer::{Alarm, Paced, Schedule};
pub use sampling::Sampling;
pub(crate) use tally::Entries;
use tally::{InFlight, Slots, Tally};
pub use target::{Arrival, Called, Target};
pub(crate) use usage::Usage;
pub use usage::{child_cpu_ns, process_cpu_ns, threads_cpu_ns, threads_use};
pub(crate) use values::Values;

/// Time between the order to start a round, or a turn of it, and its first planned arrival: it must have been taken up.
const LEAD_NS: u64 = 10_000_000;
/// The same before a turn that is not the first: the thread is awake.
const LEAD_OF_TURN_NS: u64 = 5_000_000;

/// What a round of load is.
#[derive(Debug, Clone)]
pub struct Round {
    /// Its number, from 0.
    pub number: u32,
    /// Planned arrivals per second.
    pub rate: f64,
    /// Arrivals before the measured part: made alike, but neither counted nor traced; in nanoseconds.
    pub warmup_ns: u64,
    /// The measured part, in nanoseconds.
    pub duration_ns: u64,
    /// What earlier turns of the round had, where it is measured in turns. Arrivals go on as if there had been no rest.
    pub earlier: Earlier,
    /// Requests in flight at most; an arrival past it is dropped.
    pub max_in_flight: usize,
    /// A request that is not answered for so long is an error.
    pub timeout: Duration,
    /// Which requests are traced.
    pub sampling: Sampling,
    /// When requests begin. In a closed loop there is no planned time: latency counts from the moment of asking.
    pub arrivals: Arrivals,
}

/// The measured part of the turns of a round before this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Earlier {
    /// Their time together, in nanoseconds.
    pub ns: u64,
    /// Their arrivals.
    pub arrivals: u64,
    /// When the latest turn of any cell ends by its plan, on [`ledger::clock`]: nothing that counts is asked before.
    pub until_ns: u64,
}

/// The load generator: one thread that paces and makes the requests.
///
/// One thread, because on a small machine the generator must leave the cores to what it measures.
#[derive(Debug)]
pub struct Driver {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Driver {
    /// Starts the thread that makes the requests.
    ///
    /// # Errors
    /// If the system gives no thread or no event queue.
    pub fn start() -> io::Result<Driver> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("driver".to_owned()).spawn(move || {
            // A dropped sender means the same as a message: stop.
            let _ = runtime.block_on(stopped);
        })?;
        Ok(Driver { handle, stop: Some(stop), thread: Some(thread) })
    }

    /// Starts a round. It ends by itself, or unfinished as soon as `cancel` is cancelled.
    ///
    /// # Errors
    /// If the system gives no timer.
    pub fn begin<T: Target>(
        &self,
        target: Arc<T>,
        round: Round,
        cancel: CancellationToken,
    ) -> io::Result<Running> {
        let lead_ns = if round.earlier.ns > 0 { LEAD_OF_TURN_NS } else { LEAD_NS };
        let earliest_ns = round.earlier.until_ns.saturating_sub(round.warmup_ns);
        let schedule = Schedule::new((clock::now() + lead_ns).max(earliest_ns), &round);
        let tally = Arc::new(Tally::new(schedule.origin_ns()));
        let tracker = TaskTracker::new();
        let (done, paced) = oneshot::channel();
        let asking = Asking {
            target,
            tally: tally.clone(),
            slots: Arc::new(Slots::new(match round.arrivals {
                Arrivals::Closed(users) => users,
                _ => round.max_in_flight,
            })),
            tracker: tracker.clone(),
            timeout: round.timeout,
            cancel: cancel.clone(),
        };
        let sampling = round.sampling;
        let alarm = {
            let _runtime = self.handle.enter();
            Alarm::new()?
        };
        let closed = match round.arrivals {
            Arrivals::Closed(users) => Some(users),
            _ => None,
        };
        self.handle.spawn(async move {
            let paced = match closed {
                Some(users) => {
                    asking.closed(users, schedule, sampling);
                    pacer::pass(alarm, schedule, cancel).await
                }
                None => {
                    let arrive = |planned, index: Option<u64>| match index {
                        None => asking.arrive(Arrival { planned, traced: false }, None),
                        Some(index) => {
                            let arrival = Arrival { planned, traced: sampling.traces(index) };
                            asking.arrive(arrival, Some(&asking.tally));
                        }
                    };
                    pacer::pace(alarm, schedule, cancel, arrive).await
                }
            };
            // Nobody listens once the round was abandoned.
            let _ = done.send(paced);
        });
        Ok(Running { round, schedule, tally, tracker, paced })
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported when it happened.
            let _ = thread.join();
        }
    }
}

/// Everything that turns an arrival into a request.
#[derive(Debug)]
struct Asking<T> {
    target: Arc<T>,
    tally: Arc<Tally>,
    slots: Arc<Slots>,
    tracker: TaskTracker,
    timeout: Duration,
    cancel: CancellationToken,
}

impl<T: Target> Asking<T> {
    /// Starts the request, or drops it if no slot is free. Without tally it is not counted.
    fn arrive(&self, arrival: Arrival, tally: Option<&Arc<Tally>>) {
        let slot = self.slots.take();
        if let Some(tally) = tally {
            tally.arrived(arrival.planned, slot.is_some());
        }
        let Some(slot) = slot else { return };
        let in_flight = InFlight::new(slot, arrival, tally.cloned());
        let request = request(self.target.clone(), in_flight, self.timeout, self.cancel.clone());
        self.tracker.spawn(request);
    }

    /// Starts `users` who ask, wait for the answer, and ask again, until the round is over.
    fn closed(self, users: usize, schedule: Schedule, sampling: Sampling) {
        let asked = Arc::new(AtomicU64::new(schedule.earlier.arrivals));
        let asking = Arc::new(self);
        for _ in 0..users {
            let (asked, own) = (asked.clone(), asking.clone());
            asking.tracker.spawn(async move {
                while let Some(request) = own.ask(&asked, schedule, sampling) {
                    request.await;
                }
            });
        }
    }

    /// The next request of a user, if it is time for one.
    fn ask(
        &self,
        asked: &AtomicU64,
        schedule: Schedule,
        sampling: Sampling,
    ) -> Option<impl Future<Output = ()> + use<T>> {
        let planned = clock::now();
        if planned >= schedule.end_ns || self.cancel.is_cancelled() {
            return None;
        }
        let measured = planned >= schedule.start_ns;
        let traced = measured && sampling.traces(asked.fetch_add(1, Ordering::Relaxed));
        let slot = self.slots.take()?;
        if measured {
            self.tally.arrived(planned, true);
        }
        let tally = measured.then(|| self.tally.clone());
        let in_flight = InFlight::new(slot, Arrival { planned, traced }, tally);
        Some(request(self.target.clone(), in_flight, self.timeout, self.cancel.clone()))
    }
}

/// Makes one request and enters what became of it. Dropped half-way, it is booked as unfinished.
async fn request<T: Target>(
    target: Arc<T>,
    mut in_flight: InFlight,
    timeout: Duration,
    cancel: CancellationToken,
) {
    in_flight.call_starts(clock::now());
    let call = tokio::time::timeout(timeout, target.call(in_flight.arrival()));
    match cancel.run_until_cancelled(call).await {
        None => {}
        Some(Err(_)) => {
            in_flight.end(clock::now(), Err(format!("no answer within {timeout:?}").into()));
        }
        Some(Ok(called)) => {
            let now = clock::now();
            if let Some(stop) = called.stopwatch {
                stop(now.saturating_sub(in_flight.arrival().planned));
            }
            in_flight.end(now, called.outcome);
        }
    }
}

/// A round under way.
#[derive(Debug)]
pub struct Running {
    round: Round,
    schedule: Schedule,
    tally: Arc<Tally>,
    tracker: TaskTracker,
    paced: oneshot::Receiver<Option<Paced>>,
}

impl Running {
    /// A view of the round that outlives [`Running::finish`].
    #[must_use]
    pub fn progress(&self) -> Progress {
        Progress(self.tally.clone())
    }

    /// Start of the measured part, on [`ledger::clock`].
    #[must_use]
    pub fn start_ns(&self) -> u64 {
        self.schedule.start_ns
    }

    /// Waits until every request has ended and returns what was measured.
    pub async fn finish(mut self) -> RoundMeasure {
        let paced = (&mut self.paced).await.ok().flatten();
        self.tracker.close();
        self.tracker.wait().await;
        let end_ns = self.end_ns(paced.as_ref().is_some_and(|paced| paced.whole));
        let (driver_cpu_ns, host_cpu_share) =
            paced.map_or((0, 0.0), |paced| paced.usage.until_now());
        let closed = self.tally.close();
        RoundMeasure {
            round: self.round.number,
            start_ns: self.schedule.start_ns,
            end_ns,
            rests: Vec::new(),
            requests: closed.requests,
            traced: closed.traced,
            weight: self.round.sampling.weight(),
            latency: closed.latency,
            send_delay: closed.send_delay,
            seconds: closed.seconds,
            errors: closed.errors,
            statements: None,
            k6: None,
            processes: BTreeMap::new(),
            services_cpu_ns: None,
            driver_cpu_ns,
            host_cpu_share,
        }
    }
}

impl Running {
    /// The end of the measured part, now that every request has ended: as planned, or later if
    /// requests outlived it, or earlier if the round was cancelled.
    fn end_ns(&self, whole: bool) -> u64 {
        let planned =
            if whole { self.schedule.end_ns } else { clock::now().max(self.schedule.start_ns) };
        planned.max(self.tally.last_end())
    }
}

/// A view of a round under way.
#[derive(Debug, Clone)]
pub struct Progress(Arc<Tally>);

impl Progress {
    /// What became of the requests so far, and how many are in flight.
    #[must_use]
    pub fn requests(&self) -> (Requests, u64) {
        self.0.requests()
    }
}
