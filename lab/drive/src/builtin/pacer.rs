//! When each request starts: absolute times, so that no delay shifts the arrivals after it.
//!
//! The pacer is a task of the driver's own thread, woken by a timer of the kernel. Tokio's timer will
//! not do, its wheel turns once a millisecond; a thread that sleeps will, but handing every arrival
//! to another thread took more CPU than making the request.

use std::io;
use std::os::fd::OwnedFd;

use ledger::clock;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio_util::sync::CancellationToken;

use super::usage::Usage;
use super::values::mix;
use super::{Earlier, Round};
use lab_model::Arrivals;

/// Overdue arrivals started in a row before answers get a turn: an overloaded driver still listens.
const BATCH: u64 = 32;
/// The counters of CPU are read so long before the measured part that it delays no arrival, in
/// nanoseconds.
const AHEAD_NS: u64 = 2_000_000;

/// The planned times of a round's arrivals, on [`ledger::clock`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Schedule {
    /// The begin of the warm-up.
    pub(super) warmup_ns: u64,
    /// The begin of the measured part.
    pub(super) start_ns: u64,
    /// Its end.
    pub(super) end_ns: u64,
    /// Arrivals per second.
    pub(super) rate: f64,
    /// From which arrivals at random follow; without it they come at equal distances.
    pub(super) seed: Option<u64>,
    /// What earlier turns of the round had.
    pub(super) earlier: Earlier,
}

impl Schedule {
    /// The schedule of `round`, whose warm-up begins at `warmup_ns`.
    pub(super) fn new(warmup_ns: u64, round: &Round) -> Schedule {
        let start_ns = warmup_ns + round.warmup_ns;
        Schedule {
            warmup_ns,
            start_ns,
            end_ns: start_ns + round.duration_ns,
            rate: round.rate,
            // The same for all cells of a round: what is compared is asked at the same times.
            seed: (round.arrivals == Arrivals::Poisson)
                .then(|| mix(u64::from(round.number) ^ (round.earlier.ns << 32))),
            earlier: round.earlier,
        }
    }

    /// When the measured part of the round would have begun, had there been no rest between its turns.
    pub(super) fn origin_ns(&self) -> u64 {
        self.start_ns.saturating_sub(self.earlier.ns)
    }

    /// Arrivals of the warm-up.
    fn warmup(&self) -> Times {
        self.times(self.warmup_ns, (self.warmup_ns, self.start_ns), 1)
    }

    /// Arrivals of the measured part, each with its number in the round.
    fn measured(&self) -> impl Iterator<Item = (u64, u64)> {
        let mut all = self.times(self.origin_ns(), (self.start_ns, self.end_ns), 2);
        let first = self.earlier.arrivals;
        // Those at random are drawn anew in each turn, the others go on at their distance.
        if self.seed.is_none() {
            all.index = first;
        }
        all.zip(first..)
    }

    /// Arrivals from `from_ns` to `end_ns`; those at equal distances are counted from `origin_ns`.
    fn times(&self, origin_ns: u64, (from_ns, end_ns): (u64, u64), part: u64) -> Times {
        // An arrival on the very end of a span belongs to the next; the rounding keeps a product such
        // as 0.1 × 30 from making one arrival more.
        let within = ((end_ns - origin_ns) as f64 * 1e-9 * self.rate) - 1e-6;
        Times {
            from_ns: if self.seed.is_some() { from_ns } else { origin_ns },
            end_ns,
            rate: self.rate,
            index: 0,
            count: within.ceil().max(0.0) as u64,
            random: self.seed.map(|seed| (mix(seed ^ part), 0.0)),
        }
    }
}

/// Planned times, one after the other.
struct Times {
    from_ns: u64,
    end_ns: u64,
    rate: f64,
    index: u64,
    /// Of arrivals at equal distances.
    count: u64,
    /// Of arrivals at random: their dice, and seconds up to the one before.
    random: Option<(u64, f64)>,
}

impl Iterator for Times {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let index = self.index;
        self.index += 1;
        if let Some((seed, at)) = &mut self.random {
            // Times between arrivals that are independent of each other are exponential.
            let even = (mix(seed.wrapping_add(index)) >> 11) as f64 / (1_u64 << 53) as f64;
            *at -= (1.0 - even).ln() / self.rate;
            let planned = self.from_ns + (*at * 1e9).round() as u64;
            return (planned < self.end_ns).then_some(planned);
        }
        // Exact to the nanosecond for 104 days of it: f64 carries 53 bits.
        (index < self.count).then(|| self.from_ns + (index as f64 * 1e9 / self.rate).round() as u64)
    }
}

/// A timer of the kernel that wakes a task at an absolute time.
#[derive(Debug)]
pub(super) struct Alarm(AsyncFd<OwnedFd>);

impl Alarm {
    /// A timer for tasks of the current runtime.
    pub(super) fn new() -> io::Result<Alarm> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        // Deprecated for types whose descriptor could change under it, which an `OwnedFd`'s cannot; what
        // replaces it is `unsafe` to call.
        #[expect(deprecated, reason = "the only safe constructor, and sound for an OwnedFd")]
        let alarm = AsyncFd::with_interest(timer, Interest::READABLE)?;
        Ok(Alarm(alarm))
    }

    /// Waits until `deadline` on [`ledger::clock`].
    async fn at(&self, deadline: u64) -> io::Result<()> {
        let once = Itimerspec {
            it_interval: Timespec::default(),
            it_value: Timespec {
                tv_sec: (deadline / 1_000_000_000) as i64,
                tv_nsec: (deadline % 1_000_000_000) as _,
            },
        };
        timerfd_settime(&self.0, TimerfdTimerFlags::ABSTIME, &once)?;
        while clock::now() < deadline {
            // Never read: setting the timer anew takes its readiness back.
            self.0.readable().await?.clear_ready();
        }
        Ok(())
    }
}

/// What came of pacing.
#[derive(Debug)]
pub(super) struct Paced {
    /// The use of CPU at the start of the measured part.
    pub(super) usage: Usage,
    /// Every arrival had its time: nobody stopped it before.
    pub(super) whole: bool,
}

/// Calls `arrive(planned, index)` for every arrival at its planned time; warm-up arrivals have no index.
///
/// Arrivals that are overdue follow each other at once: the plan is caught up with, not shifted.
/// Stops when `cancel` is cancelled; `None` if that was before the measured part.
pub(super) async fn pace(
    alarm: Alarm,
    schedule: Schedule,
    cancel: CancellationToken,
    mut arrive: impl FnMut(u64, Option<u64>),
) -> Option<Paced> {
    let pacer = Pacer { alarm, cancel };
    for (planned, index) in schedule.warmup().zip(0..) {
        pacer.wait(planned, index).await?;
        arrive(planned, None);
    }
    let usage = pacer.begin(schedule).await?;
    for (planned, index) in schedule.measured() {
        if pacer.wait(planned, index).await.is_none() {
            return Some(Paced { usage, whole: false });
        }
        arrive(planned, Some(index));
    }
    Some(Paced { usage, whole: true })
}

/// Waits for the measured part of `schedule` to begin and to end, while others make the requests.
pub(super) async fn pass(
    alarm: Alarm,
    schedule: Schedule,
    cancel: CancellationToken,
) -> Option<Paced> {
    let pacer = Pacer { alarm, cancel };
    let usage = pacer.begin(schedule).await?;
    let whole = pacer.wait(schedule.end_ns, 1).await.is_some();
    Some(Paced { usage, whole })
}

struct Pacer {
    alarm: Alarm,
    cancel: CancellationToken,
}

impl Pacer {
    /// Waits until the measured part is about to begin; the use of CPU then.
    async fn begin(&self, schedule: Schedule) -> Option<Usage> {
        self.wait(schedule.start_ns.saturating_sub(AHEAD_NS), 1).await?;
        Some(Usage::now())
    }

    /// Waits until arrival number `index` is due; `None` if cancelled before.
    async fn wait(&self, planned: u64, index: u64) -> Option<()> {
        if clock::now() < planned {
            // A timer that cannot be set leaves the arrivals after it without their times: stop.
            return self.cancel.run_until_cancelled(self.alarm.at(planned)).await?.ok();
        }
        if index.is_multiple_of(BATCH) {
            tokio::task::yield_now().await;
        }
        (!self.cancel.is_cancelled()).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtin::Sampling;

    const MS: u64 = 1_000_000;

    fn schedule(rate: f64, warmup_ns: u64, duration_ns: u64) -> Schedule {
        Schedule::new(clock::now(), &round(rate, warmup_ns, duration_ns))
    }

    fn round(rate: f64, warmup_ns: u64, duration_ns: u64) -> Round {
        Round {
            number: 0,
            rate,
            warmup_ns,
            duration_ns,
            earlier: Earlier::default(),
            max_in_flight: 1,
            timeout: std::time::Duration::from_secs(1),
            sampling: Sampling::at_most(200.0, rate),
            arrivals: Arrivals::Constant,
        }
    }

    #[test]
    fn arrivals_are_planned_without_drift() {
        let schedule = schedule(3.0, 0, 1_000_000_000_000);
        assert_eq!(schedule.warmup().count(), 0);
        let times: Vec<u64> = schedule.measured().map(|(at, _)| at - schedule.start_ns).collect();
        assert_eq!((times.len(), times[1], times[2_999]), (3_000, 333_333_333, 999_666_666_667));
    }

    #[test]
    fn arrivals_of_turns_are_those_of_the_round_without_its_rests() {
        let whole = schedule(37.0, 0, 1_000_000_000);
        let expected: Vec<_> =
            whole.measured().map(|(at, index)| (at - whole.start_ns, index)).collect();
        let (mut all, mut earlier) = (Vec::new(), Earlier::default());
        for (from, to) in
            [(0, 50), (50, 60), (60, 333), (333, 1_000)].map(|(a, b)| (a * MS, b * MS))
        {
            let start_ns = whole.start_ns + 10 * from;
            let turn = Schedule { start_ns, end_ns: start_ns + to - from, earlier, ..whole };
            let own: Vec<_> =
                turn.measured().map(|(at, index)| (at - turn.origin_ns(), index)).collect();
            earlier =
                Earlier { ns: to, arrivals: earlier.arrivals + own.len() as u64, until_ns: 0 };
            all.extend(own);
        }
        assert_eq!(all, expected);
    }

    #[test]
    fn arrivals_at_random_are_others_in_each_turn() {
        let turn = |earlier| {
            let round =
                Round { earlier, arrivals: Arrivals::Poisson, ..round(1_000.0, 0, 50 * MS) };
            let schedule = Schedule::new(clock::now(), &round);
            schedule
                .measured()
                .map(|(at, index)| (at - schedule.start_ns, index))
                .collect::<Vec<_>>()
        };
        let (first, second) =
            (turn(Earlier::default()), turn(Earlier { ns: 50 * MS, arrivals: 51, until_ns: 0 }));
        assert!(
            first.iter().all(|(at, _)| *at < 50 * MS) && second.iter().all(|(at, _)| *at < 50 * MS)
        );
        assert_eq!((first[0].1, second[0].1), (0, 51));
        assert_ne!(first[0].0, second[0].0);
    }

    #[test]
    fn a_span_holds_as_many_arrivals_as_begin_in_it() {
        assert_eq!(schedule(100.0, 0, 1_000_000_000).measured().count(), 100);
        assert_eq!(schedule(0.1, 0, 30_000_000_000).measured().count(), 3);
        assert_eq!(schedule(0.1, 0, 31_000_000_000).measured().count(), 4);
        assert_eq!(schedule(1.0, 0, 500_000_000).measured().count(), 1);
    }

    /// The pacer in a runtime of its own.
    fn run(
        schedule: Schedule,
        cancel: &CancellationToken,
        arrive: impl FnMut(u64, Option<u64>),
    ) -> Option<Paced> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime
            .block_on(async { pace(Alarm::new().unwrap(), schedule, cancel.clone(), arrive).await })
    }

    #[test]
    fn nothing_arrives_before_its_time() {
        let schedule = schedule(1_000.0, 10_000_000, 20_000_000);
        let mut seen = Vec::new();
        let usage = run(schedule, &CancellationToken::new(), |planned, index| {
            assert!(clock::now() >= planned);
            seen.push(index);
        });
        let expected = std::iter::repeat_n(None, 10).chain((0..20).map(Some));
        assert_eq!(seen, expected.collect::<Vec<_>>());
        assert!(usage.is_some_and(|paced| paced.whole));
    }

    #[test]
    fn an_overdue_plan_is_caught_up_with() {
        let late = Schedule {
            warmup_ns: 1,
            start_ns: 1,
            end_ns: 100_000_001,
            ..schedule(1_000.0, 0, 100_000_000)
        };
        let mut count = 0;
        run(late, &CancellationToken::new(), |_, _| count += 1);
        assert_eq!(count, 100);
    }

    #[test]
    fn a_cancelled_pacer_stops_at_once() {
        let cancel = CancellationToken::new();
        let mut count = 0;
        run(schedule(100.0, 0, 3_600_000_000_000), &cancel, |_, _| {
            count += 1;
            cancel.cancel();
        });
        assert_eq!(count, 1);
    }

    #[test]
    fn arrivals_at_random_are_as_many_as_exponential_and_the_same_in_every_run() {
        let schedule = Schedule { seed: Some(7), ..schedule(1_000.0, 0, 10_000_000_000) };
        let times = || schedule.measured().map(|(at, _)| at - schedule.start_ns);
        let again: Vec<u64> = times().collect();
        let times: Vec<u64> = times().collect();
        assert_eq!(times, again);
        // 10,000 expected, with the root of that as standard deviation.
        assert!((9_500..10_500).contains(&times.len()), "{}", times.len());
        assert!(times.is_sorted() && times.last().is_some_and(|at| *at < 10_000_000_000));
        // Of exponential distances a share of 1/e is longer than the mean.
        let long = times.windows(2).filter(|pair| pair[1] - pair[0] > 1_000_000).count();
        let share = long as f64 / times.len() as f64;
        assert!((0.34..0.40).contains(&share), "{share}");
    }
}
