//! Ground truth: a delay, as measured by its injector, is found in its stage and in no other.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod lab;
mod relay;

use std::collections::BTreeMap;
use std::time::Duration;

use lab::{Closed, Setup, Who, in_turn, median};
use ledger::{Kind, Stage};

const PROTOCOLS: [&str; 2] = ["rest", "grpc"];
const REQUESTS: usize = 50;

/// Where delays can be injected: by whom, into which stage, and of which hop that is.
const SITES: [(Who, Stage, usize); 18] = [
    (Who::Driver, Stage::SendQueue, 0),
    (Who::Driver, Stage::RequestEncode, 0),
    (Who::Gateway, Stage::RequestDecode, 0),
    (Who::Gateway, Stage::Dispatch, 0),
    (Who::Gateway, Stage::Handler, 0),
    (Who::Gateway, Stage::SendQueue, 1),
    (Who::Gateway, Stage::RequestEncode, 1),
    (Who::Echo, Stage::RequestDecode, 1),
    (Who::Echo, Stage::Dispatch, 1),
    (Who::Echo, Stage::Handler, 1),
    (Who::Echo, Stage::ReplySendQueue, 1),
    (Who::Echo, Stage::ReplyEncode, 1),
    (Who::Gateway, Stage::ReplyDecode, 1),
    (Who::Gateway, Stage::WakeUp, 1),
    (Who::Gateway, Stage::ReplySendQueue, 0),
    (Who::Gateway, Stage::ReplyEncode, 0),
    (Who::Driver, Stage::ReplyDecode, 0),
    (Who::Driver, Stage::WakeUp, 0),
];

type Medians = BTreeMap<(usize, Stage), i64>;

/// `of` every stage of both hops.
fn of_stages(of: impl Fn(usize, Stage) -> i64) -> Medians {
    let stages = (0..2).flat_map(|hop| Stage::ALL.iter().map(move |&stage| (hop, stage)));
    stages.map(|(hop, stage)| ((hop, stage), of(hop, stage))).collect()
}

/// The median of every stage.
fn medians<'a>(ledgers: impl Iterator<Item = &'a Closed> + Clone) -> Medians {
    of_stages(|hop, stage| median(ledgers.clone().map(|closed| closed.stage(hop, stage))))
}

/// By how much every stage was longer in the first of a pair than in the second: the median of all pairs, after taking
/// what was injected from the stage it was injected into.
fn moved(pairs: &[[Closed; 2]]) -> Medians {
    let time = |closed: &Closed, hop, stage| closed.stage(hop, stage) - closed.injected(hop, stage);
    let longer =
        |[one, other]: &[Closed; 2], hop, stage| time(one, hop, stage) - time(other, hop, stage);
    of_stages(|hop, stage| median(pairs.iter().map(|pair| longer(pair, hop, stage))))
}

/// How often a site is tried: other work on the machine may disturb one try, but a time booked
/// under the wrong stage is wrong every time.
const TRIES: usize = 10;

/// No other stage may move by more than this part of what was injected.
const PART: i64 = 20;

/// One measurement at a time: the sites would disturb each other.
static QUIET: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Injects `delay` at every site in turn and compares with a lab that does not.
async fn check_injection(protocol: &str, delay: Duration) {
    let _quiet = QUIET.lock().await;
    for site in SITES {
        let mut result = Ok(());
        for _ in 0..TRIES {
            result = try_site(protocol, delay, site).await;
            if result.is_ok() {
                break;
            }
        }
        if let Err(moved) = result {
            panic!("{protocol}, {delay:?} at {site:?}: {moved}");
        }
    }
}

async fn try_site(
    protocol: &str,
    delay: Duration,
    (who, stage, hop): (Who, Stage, usize),
) -> Result<(), String> {
    let delay_ns = delay.as_nanos() as i64;
    let mut delayed = Setup { inject: vec![(who, stage, delay)], ..Setup::default() }.start().await;
    let mut plain = Setup::default().start().await;
    let pairs = in_turn([&mut delayed, &mut plain], protocol, 100, REQUESTS).await;

    let injected = median(pairs.iter().map(|[delayed, _]| delayed.injected(hop, stage)));
    assert!(injected >= delay_ns, "the injector took {injected} ns");
    let found = median(pairs.iter().map(|[delayed, _]| delayed.stage(hop, stage)));
    assert!(found >= delay_ns, "{stage} of hop {hop} shows {found} ns of {injected}");
    for (at, moved) in moved(&pairs) {
        if moved.abs() > injected / PART {
            return Err(format!("{} of hop {} moved by {moved} ns", at.1, at.0));
        }
    }
    Ok(())
}

// One thread runs the whole lab here, so that a delay does not change which thread wakes which.

#[tokio::test]
async fn one_millisecond_is_found_where_it_was_injected_rest() {
    check_injection("rest", Duration::from_millis(1)).await;
}

#[tokio::test]
async fn one_millisecond_is_found_where_it_was_injected_grpc() {
    check_injection("grpc", Duration::from_millis(1)).await;
}

#[tokio::test]
async fn five_milliseconds_are_found_where_they_were_injected_rest() {
    check_injection("rest", Duration::from_millis(5)).await;
}

#[tokio::test]
async fn five_milliseconds_are_found_where_they_were_injected_grpc() {
    check_injection("grpc", Duration::from_millis(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_is_measured_whole_and_its_books_close() {
    for protocol in PROTOCOLS {
        for size in [0, 10, 1_000_000] {
            let mut lab = Setup::default().start().await;
            let ledgers = lab.ledgers(protocol, size, REQUESTS).await;
            for closed in &ledgers {
                let books = &closed.books;
                assert_eq!(books.hops.len(), 2);
                assert_eq!(books.total_of(Kind::Measured), books.total(), "{protocol} {size}");
                assert!(books.hops.iter().all(|hop| hop.out_of_order == 0 && !hop.unjoined));
                let inner = closed.hop.children[0].client.as_ref().unwrap();
                assert_eq!(inner.outbound.payload, size);
                assert_eq!(inner.inbound.payload, size);
                assert_eq!(inner.http, if protocol == "rest" { 11 } else { 20 });
            }
            let residual = median(ledgers.iter().map(|closed| {
                closed.books.residual(closed.stopwatch) * 10_000 / closed.stopwatch as i64
            }));
            assert!((0..=100).contains(&residual), "{protocol} {size}: {residual} in 10,000");
        }
    }
}

/// The time of the inner hop.
fn whole(closed: &Closed) -> i64 {
    closed.books.hops[1].stages.total()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_delays_is_found_on_the_wire() {
    let delay = Duration::from_millis(5);
    let wire = [Stage::RequestWire, Stage::ReplyWire];
    for protocol in PROTOCOLS {
        let behind = |delay| {
            let relay = relay::Relay { delay, ..relay::Relay::default() };
            Setup { relay: Some(relay), ..Setup::default() }.start()
        };
        let (mut slow, mut plain) = (behind(delay).await, behind(Duration::ZERO).await);
        let pairs = in_turn([&mut slow, &mut plain], protocol, 100, 10).await;
        let stages = medians(pairs.iter().map(|[slow, _]| slow));
        for wire in wire {
            assert!(stages[&(1, wire)] >= 5_000_000, "{protocol} {wire}: {stages:?}");
        }
        // Nothing of it is found anywhere else.
        let off_the_wire = |closed: &Closed| {
            whole(closed) - wire.iter().map(|wire| closed.stage(1, *wire)).sum::<i64>()
        };
        let pair = |[slow, plain]: &[Closed; 2]| off_the_wire(slow) - off_the_wire(plain);
        let grown = median(pairs.iter().map(pair));
        assert!(grown < 2_500_000, "{protocol}: {grown} ns of two times 5 ms off the wire");
        assert_eq!(stages[&(1, Stage::RequestWindowWait)], 0);
        assert_eq!(stages[&(1, Stage::ReplyWindowWait)], 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn small_windows_behind_a_relay_are_found_as_window_wait() {
    let delay = Duration::from_millis(5);
    let behind = |window| {
        let relay = relay::Relay { delay, ..relay::Relay::default() };
        let service = probe::ServiceArgs {
            stream_window: Some(window),
            connection_window: Some(window.max(65_535)),
            ..Default::default()
        };
        Setup { relay: Some(relay), service, ..Setup::default() }.start()
    };
    let (mut small, mut large) = (behind(65_535).await, behind(16 << 20).await);
    let pairs = in_turn([&mut small, &mut large], "grpc", 1 << 20, 10).await;
    let grown = median(pairs.iter().map(|[small, large]| whole(small) - whole(large)));
    let small = medians(pairs.iter().map(|[small, _]| small));
    let large = medians(pairs.iter().map(|[_, large]| large));
    for (wait, framing) in [
        (Stage::RequestWindowWait, Stage::RequestFraming),
        (Stage::ReplyWindowWait, Stage::ReplyFraming),
    ] {
        // 1 MiB through 64 KiB windows: at least 15 round trips of 10 ms each way.
        let waited = small[&(1, wait)];
        assert!(waited >= 150_000_000, "{wait}: {waited} ns");
        assert!(large[&(1, wait)] < waited / 10, "{wait}: {} ns of {waited}", large[&(1, wait)]);
        let framed = small[&(1, framing)];
        assert!(framed < waited / 4, "{framing}: {framed} ns beside {waited} of {wait}");
    }
    let waited = small[&(1, Stage::RequestWindowWait)] + small[&(1, Stage::ReplyWindowWait)];
    assert!(waited * 10 > grown * 9, "{waited} ns of window wait explain {grown} ns of growth");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_send_buffer_is_found_as_socket_wait() {
    for protocol in PROTOCOLS {
        let relay = relay::Relay {
            pause: Duration::from_millis(4),
            read_size: 256 * 1024,
            receive_buffer: Some(64 * 1024),
            ..relay::Relay::default()
        };
        let service = probe::ServiceArgs {
            stream_window: Some(64 << 20),
            connection_window: Some(64 << 20),
            ..Default::default()
        };
        let setup = Setup { relay: Some(relay), service, ..Setup::default() };
        let ledgers = setup.start().await.ledgers(protocol, 16_000_000, 10).await;
        let stages = medians(ledgers.iter());
        let waited = stages[&(1, Stage::RequestSocketWait)];
        let other = [Stage::RequestFraming, Stage::RequestWindowWait, Stage::SendQueue];
        assert!(waited > 50_000_000, "{protocol}: {waited} ns; {stages:?}");
        for stage in other {
            assert!(stages[&(1, stage)] < waited / 4, "{protocol} {stage}: {stages:?}");
        }
    }
}

#[tokio::test]
async fn connecting_for_each_request_is_found_in_the_send_queue() {
    const PAIRS: usize = 200;
    let _quiet = QUIET.lock().await;
    for protocol in PROTOCOLS {
        let mut fresh = Setup { connection_per_request: true, ..Setup::default() }.start().await;
        let mut pooled = Setup::default().start().await;
        let pairs = in_turn([&mut fresh, &mut pooled], protocol, 100, PAIRS).await;
        assert_eq!(connections(pairs.iter().map(|[fresh, _]| fresh)), PAIRS, "{protocol}");
        assert_eq!(connections(pairs.iter().map(|[_, pooled]| pooled)), 1, "{protocol}");
        let queue = |closed: &Closed| closed.stage(1, Stage::SendQueue);
        let longer = pairs.iter().filter(|[fresh, pooled]| queue(fresh) > queue(pooled)).count();
        // If it made no difference, one in two would be longer, and as many as this by chance once in 10^12.
        assert!(longer * 4 >= PAIRS * 3, "{protocol}: {longer} of {PAIRS} waited longer");
    }
}

/// How many connections the inner hop used.
fn connections<'a>(ledgers: impl Iterator<Item = &'a Closed>) -> usize {
    let number = |closed: &Closed| closed.hop.children[0].client.as_ref().unwrap().connection;
    ledgers.map(number).collect::<std::collections::BTreeSet<_>>().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_calls_in_flight_are_told_apart_and_wait_in_queues_not_in_framing() {
    for protocol in PROTOCOLS {
        let mut lab = Setup::default().start().await;
        lab.ping(protocol, 10).await.unwrap();
        lab.hops(1).await;
        let began = ledger::clock::now();
        let calls: Vec<_> = (0..64_u64)
            .map(|call| tokio::spawn(lab.ping(protocol, 50_000 + 1_000 * call)))
            .collect();
        for call in calls {
            call.await.unwrap().unwrap();
        }
        let whole = (ledger::clock::now() - began) as i64;
        let ledgers: Vec<_> = lab.hops(64).await.into_iter().map(Closed::new).collect();

        let mut sizes = Vec::new();
        let mut framing = 0;
        let mut queueing = 0;
        for closed in &ledgers {
            let inner = &closed.hop.children[0];
            let (client, server) = (inner.client.as_ref().unwrap(), inner.server.as_ref().unwrap());
            // All four halves of the request agree on its size: each is of the same call.
            let outer = closed.hop.client.as_ref().unwrap().inbound.payload;
            assert_eq!(client.outbound.payload, outer);
            assert_eq!(server.inbound.payload, outer);
            assert_eq!(client.inbound.payload, outer);
            assert!(closed.books.hops.iter().all(|hop| hop.out_of_order == 0), "{protocol}");
            sizes.push(outer);
            framing += closed.stage(1, Stage::RequestFraming);
            queueing +=
                closed.stage(1, Stage::SendQueue) + closed.stage(1, Stage::RequestReceiverQueue);
        }
        sizes.sort_unstable();
        assert_eq!(sizes, (0..64).map(|call| 50_000 + 1_000 * call).collect::<Vec<_>>());
        if protocol == "grpc" {
            // One connection frames one message at a time: all framing together fits into the
            // time the burst took. Waiting for 63 others, added up over 64 calls, would not.
            assert!(framing < whole, "{framing} ns of framing in {whole} ns");
            assert!(framing < queueing, "{framing} ns of framing, {queueing} ns of queueing");
        }
    }
}
