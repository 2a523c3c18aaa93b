//! The built-in driver keeps its books whatever its target does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lab_drive::builtin::{Arrival, Called, Driver, Earlier, Round, Sampling, Target};
use lab_model::{Requests, RoundMeasure};
use proptest::prelude::*;
use tokio_util::sync::CancellationToken;

/// A target whose n-th answer takes a time and has an outcome that the test chose.
struct Fake<F>(AtomicU64, F);

impl<F: Fn(u64) -> (Duration, bool) + Send + Sync + 'static> Target for Fake<F> {
    async fn call(&self, _: Arrival) -> Called {
        let (latency, ok) = self.1(self.0.fetch_add(1, Ordering::Relaxed));
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        Called { outcome: if ok { Ok(()) } else { Err("refused".into()) }, stopwatch: None }
    }
}

fn fake<F: Fn(u64) -> (Duration, bool) + Send + Sync + 'static>(answers: F) -> Arc<Fake<F>> {
    Arc::new(Fake(AtomicU64::new(0), answers))
}

fn round(rate: f64, duration_ms: u64, max_in_flight: usize) -> Round {
    Round {
        number: 0,
        rate,
        warmup_ns: 0,
        duration_ns: duration_ms * 1_000_000,
        earlier: Earlier::default(),
        max_in_flight,
        timeout: Duration::from_secs(60),
        sampling: Sampling::at_most(200.0, rate),
        arrivals: lab_model::Arrivals::Constant,
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

fn drive<T: Target>(target: Arc<T>, round: Round, cancel: &CancellationToken) -> RoundMeasure {
    let driver = Driver::start().expect("a thread");
    let running = driver.begin(target, round, cancel.clone()).expect("a thread");
    block_on(running.finish())
}

fn assert_conserved(requests: Requests) {
    assert_eq!(requests.planned, requests.started + requests.dropped, "{requests:?}");
    assert_eq!(
        requests.started,
        requests.ok + requests.error + requests.unfinished,
        "{requests:?}"
    );
    assert!(requests.late.is_some_and(|late| late <= requests.started), "{requests:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_books_balance_whatever_happens(
        answers in prop::collection::vec((0_u64..30, any::<bool>()), 1..40),
        rate in 100_f64..2_000.0,
        max_in_flight in 1_usize..20,
        cancel_after in prop::option::of(0_u64..40),
    ) {
        let expected = answers.clone();
        let target = fake(move |n| {
            let (ms, ok) = answers[n as usize % answers.len()];
            (Duration::from_millis(ms), ok)
        });
        let cancel = CancellationToken::new();
        if let Some(ms) = cancel_after {
            let cancel = cancel.clone();
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(ms));
                cancel.cancel();
            });
        }
        let measure = drive(target, round(rate, 33, max_in_flight), &cancel);
        let requests = measure.requests;
        assert_conserved(requests);
        prop_assert_eq!(measure.latency.len(), requests.ok);
        prop_assert!(measure.send_delay.len() <= requests.started);
        prop_assert_eq!(measure.errors.values().sum::<u64>(), requests.error);
        let (planned, completed) = measure.seconds.iter().fold((0, 0), |sum, s| (sum.0 + s.planned, sum.1 + s.completed));
        prop_assert_eq!((planned, completed), (requests.planned, requests.ok + requests.error));
        if cancel_after.is_none() {
            prop_assert_eq!(requests.unfinished, 0);
            prop_assert_eq!(measure.send_delay.len(), requests.started);
        }
        if expected.iter().all(|(_, ok)| *ok) {
            prop_assert_eq!(requests.error, 0);
        }
    }
}

#[test]
fn a_fast_target_answers_every_planned_request() {
    let measure =
        drive(fake(|_| (Duration::ZERO, true)), round(500.0, 200, 100), &CancellationToken::new());
    assert_eq!((measure.requests.planned, measure.requests.ok), (100, 100));
    // One of each three in a row, and of the one that is left over perhaps.
    assert!(matches!(measure.traced, 33 | 34) && measure.weight == 3.0, "{}", measure.traced);
    assert!(measure.end_ns - measure.start_ns >= 198_000_000);
    assert!(measure.driver_cpu_ns > 0);
}

#[test]
fn arrivals_at_random_are_all_answered_and_are_the_same_in_every_run() {
    let poisson = Round { arrivals: lab_model::Arrivals::Poisson, ..round(500.0, 400, 100) };
    let planned = || {
        let measure =
            drive(fake(|_| (Duration::ZERO, true)), poisson.clone(), &CancellationToken::new());
        assert_eq!(measure.requests.ok, measure.requests.planned);
        assert!(measure.end_ns - measure.start_ns >= 400_000_000);
        measure.requests.planned
    };
    // 200 are expected, with the root of that as standard deviation.
    let first = planned();
    assert!((130..270).contains(&first), "{first}");
    assert_eq!(planned(), first);
}

#[test]
fn a_round_in_turns_has_the_arrivals_of_a_whole_one_and_its_books_balance() {
    let whole = round(300.0, 200, 100);
    let planned = drive(fake(|_| (Duration::ZERO, true)), whole.clone(), &CancellationToken::new());
    let answers = fake(|n| (Duration::from_millis(n % 3), n % 7 != 0));
    let mut all: Option<RoundMeasure> = None;
    for (from, to) in [(0, 35), (35, 70), (70, 200)] {
        let arrivals = all.as_ref().map_or(0, |all| all.requests.planned);
        let until_ns = all.as_ref().map_or(0, |all| all.end_ns);
        let turn = Round {
            duration_ns: (to - from) * 1_000_000,
            earlier: Earlier { ns: from * 1_000_000, arrivals, until_ns },
            ..whole.clone()
        };
        let measured = drive(answers.clone(), turn, &CancellationToken::new());
        match &mut all {
            Some(all) => all.go_on(measured),
            None => all = Some(measured),
        }
    }
    let all = all.expect("three turns");
    assert_eq!(all.requests.planned, planned.requests.planned);
    assert_eq!((all.traced, all.weight), (planned.traced, planned.weight), "the same are chosen");
    assert_conserved(all.requests);
    assert_eq!(all.errors["refused"], all.requests.error);
    assert_eq!(all.latency.len(), all.requests.ok);
    assert_eq!(all.seconds.iter().map(|second| second.planned).sum::<u64>(), all.requests.planned);
    assert_eq!(all.rests.len(), 2);
    let spans: Vec<_> = all.spans().collect();
    assert!(spans.iter().all(|(from, to)| from < to), "{spans:?}");
    assert!(spans.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{spans:?}");
    assert!((198_000_000..all.end_ns - all.start_ns).contains(&all.elapsed_ns()));
}

#[test]
fn a_closed_loop_asks_when_it_was_answered_and_never_more_at_once() {
    let closed = Round { arrivals: lab_model::Arrivals::Closed(3), ..round(1e6, 200, 1) };
    let (now, most) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    struct Counted(Arc<AtomicU64>, Arc<AtomicU64>);
    impl Target for Counted {
        async fn call(&self, _: Arrival) -> Called {
            self.1.fetch_max(1 + self.0.fetch_add(1, Ordering::SeqCst), Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(5)).await;
            self.0.fetch_sub(1, Ordering::SeqCst);
            Called { outcome: Ok(()), stopwatch: None }
        }
    }
    let measure = drive(Arc::new(Counted(now, most.clone())), closed, &CancellationToken::new());
    assert_eq!(most.load(Ordering::SeqCst), 3);
    assert_conserved(measure.requests);
    // 3 × 200 / 5 at most, and a busy machine makes fewer.
    assert!((1..=123).contains(&measure.requests.ok), "{:?}", measure.requests);
    assert_eq!((measure.requests.dropped, measure.requests.late), (0, Some(0)));
}

#[test]
fn a_closed_loop_stops_when_it_is_told_to() {
    let closed = Round { arrivals: lab_model::Arrivals::Closed(2), ..round(1e6, 3_600_000, 1) };
    let cancel = CancellationToken::new();
    let soon = cancel.clone();
    let target = fake(move |n| {
        if n == 40 {
            soon.cancel();
        }
        (Duration::from_millis(1), true)
    });
    let measure = drive(target, closed, &cancel);
    assert_conserved(measure.requests);
    // Some of the forty came before the measured part.
    assert!(measure.requests.planned < 45, "{:?}", measure.requests);
}

#[test]
fn a_saturated_target_costs_arrivals_and_they_are_counted() {
    let cancel = CancellationToken::new();
    let driver = Driver::start().expect("a thread");
    let target = fake(|_| (Duration::from_secs(3_600), true));
    let running = driver.begin(target, round(1_000.0, 100, 3), cancel.clone()).expect("a thread");
    while running.progress().requests().0.planned < 100 {
        std::thread::yield_now();
    }
    cancel.cancel();
    let requests = block_on(running.finish()).requests;
    assert_conserved(requests);
    assert_eq!(
        (requests.planned, requests.started, requests.dropped, requests.unfinished),
        (100, 3, 97, 3)
    );
}

#[test]
fn a_slot_is_free_again_after_an_answer() {
    let measure =
        drive(fake(|_| (Duration::ZERO, true)), round(200.0, 100, 20), &CancellationToken::new());
    assert_eq!((measure.requests.planned, measure.requests.ok), (20, 20));
}

#[test]
fn an_answer_that_never_comes_is_an_error_after_the_time_out() {
    let target = fake(|_| (Duration::from_secs(3_600), true));
    let round = Round { timeout: Duration::from_millis(50), ..round(100.0, 30, 10) };
    let measure = drive(target, round, &CancellationToken::new());
    assert_eq!((measure.requests.planned, measure.requests.error), (3, 3));
    assert_eq!(measure.errors["no answer within 50ms"], 3);
}

/// A target that holds the only thread of the driver: requests behind it start late.
struct Blocking;

impl Target for Blocking {
    async fn call(&self, _: Arrival) -> Called {
        std::thread::sleep(Duration::from_millis(60));
        Called { outcome: Ok(()), stopwatch: None }
    }
}

#[test]
fn late_requests_are_counted_and_their_delay_is_part_of_their_latency() {
    let measure = drive(Arc::new(Blocking), round(1_000.0, 4, 10), &CancellationToken::new());
    assert_eq!((measure.requests.planned, measure.requests.ok), (4, 4));
    // The first is late too if the machine is.
    assert!(measure.requests.late >= Some(3));
    assert!(measure.latency.max() >= 230_000_000, "{}", measure.latency.max());
    assert!(measure.send_delay.max() >= 170_000_000, "{}", measure.send_delay.max());
}

#[test]
fn a_warm_up_is_made_but_not_counted() {
    let target = fake(|_| (Duration::ZERO, true));
    let round = Round { warmup_ns: 50_000_000, ..round(200.0, 50, 100) };
    let measure = drive(target.clone(), round, &CancellationToken::new());
    assert_eq!((measure.requests.planned, measure.latency.len()), (10, 10));
    assert_eq!(target.0.load(Ordering::Relaxed), 20);
}

#[test]
fn the_stopwatch_is_stopped_outside_the_call() {
    struct Watched(Arc<AtomicU64>);
    impl Target for Watched {
        async fn call(&self, arrival: Arrival) -> Called {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let seen = self.0.clone();
            let stop: Box<dyn FnOnce(u64) + Send> = Box::new(move |ns| {
                seen.store(ns, Ordering::Relaxed);
            });
            Called { outcome: Ok(()), stopwatch: arrival.traced.then_some(stop) }
        }
    }
    let seen = Arc::new(AtomicU64::new(0));
    let measure =
        drive(Arc::new(Watched(seen.clone())), round(100.0, 10, 1), &CancellationToken::new());
    assert_eq!(measure.requests.ok, 1);
    let stopped = seen.load(Ordering::Relaxed);
    assert!(stopped >= 5_000_000);
    assert!(measure.latency.equivalent(stopped, measure.latency.max()));
}
