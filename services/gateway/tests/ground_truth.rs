//! Ground truth: a delay, as measured by its injector, is found in its stage and in no other.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod lab;
mod relay;

use std::collections::BTreeMap;
use std::time::Duration;

use lab::{Closed, Setup, Who, median};
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

/// The median of every stage, after taking what was injected from the stage it was injected into.
fn medians(ledgers: &[Closed]) -> Medians {
    let stages = (0..2).flat_map(|hop| Stage::ALL.iter().map(move |&stage| (hop, stage)));
    stages
        .map(|(hop, stage)| {
            let time = |closed: &Closed| closed.stage(hop, stage) - closed.injected(hop, stage);
            ((hop, stage), median(ledgers.iter().map(time)))
        })
        .collect()
}

/// How often a site is tried: other work on the machine may disturb one try, but a time booked
/// under the wrong stage is wrong every time.
const TRIES: usize = 10;

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
    let tolerance = (delay_ns / 50).max(50_000);
    let mut delayed = Setup { inject: vec![(who, stage, delay)], ..Setup::default() }.start().await;
    let mut plain = Setup::default().start().await;
    let ledgers = delayed.ledgers(protocol, 100, REQUESTS).await;
    let baseline = medians(&plain.ledgers(protocol, 100, REQUESTS).await);

    let injected = median(ledgers.iter().map(|closed| closed.injected(hop, stage)));
    assert!(injected >= delay_ns, "the injector took {injected} ns");
    let found = median(ledgers.iter().map(|closed| closed.stage(hop, stage)));
    assert!(found >= delay_ns, "{stage} of hop {hop} shows {found} ns of {injected}");
    for (at, time) in medians(&ledgers) {
        let moved = time - baseline[&at];
        if moved.abs() > tolerance {
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

/// Medians of the inner hop's stages in microseconds, behind a relay or with other settings.
async fn inner(protocol: &str, size: u64, setup: Setup) -> (Medians, i64) {
    let mut lab = setup.start().await;
    let ledgers = lab.ledgers(protocol, size, 10).await;
    let whole = median(ledgers.iter().map(|closed| closed.books.hops[1].stages.total()));
    (medians(&ledgers), whole)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_delays_is_found_on_the_wire() {
    let delay = Duration::from_millis(5);
    for protocol in PROTOCOLS {
        let relay = relay::Relay { delay, ..relay::Relay::default() };
        let setup = Setup { relay: Some(relay), ..Setup::default() };
        let (stages, whole) = inner(protocol, 100, setup).await;
        for wire in [Stage::RequestWire, Stage::ReplyWire] {
            assert!(stages[&(1, wire)] >= 5_000_000, "{protocol} {wire}: {stages:?}");
        }
        let wire = stages[&(1, Stage::RequestWire)] + stages[&(1, Stage::ReplyWire)];
        assert!(whole - wire < 2_000_000, "{protocol}: {wire} of {whole} ns on the wire");
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
        Setup { relay: Some(relay), service, ..Setup::default() }
    };
    let (large, large_whole) = inner("grpc", 1 << 20, behind(16 << 20)).await;
    let (small, small_whole) = inner("grpc", 1 << 20, behind(65_535)).await;
    for (wait, framing) in [
        (Stage::RequestWindowWait, Stage::RequestFraming),
        (Stage::ReplyWindowWait, Stage::ReplyFraming),
    ] {
        // 1 MiB through 64 KiB windows: at least 15 round trips of 10 ms each way.
        assert!(small[&(1, wait)] >= 150_000_000, "{wait}: {} ns", small[&(1, wait)]);
        assert!(large[&(1, wait)] < 1_000_000, "{wait}: {} ns", large[&(1, wait)]);
        assert!(small[&(1, framing)] < 20_000_000, "{framing}: {} ns", small[&(1, framing)]);
    }
    let waited = small[&(1, Stage::RequestWindowWait)] + small[&(1, Stage::ReplyWindowWait)];
    let grown = small_whole - large_whole;
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
        let (stages, _) = inner(protocol, 16_000_000, setup).await;
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
    let _quiet = QUIET.lock().await;
    for protocol in PROTOCOLS {
        let mut waited = (0, 0);
        for _ in 0..TRIES {
            let mut pooled = Setup::default().start().await;
            let mut fresh =
                Setup { connection_per_request: true, ..Setup::default() }.start().await;
            let pooled = pooled.ledgers(protocol, 100, REQUESTS).await;
            let fresh = fresh.ledgers(protocol, 100, REQUESTS).await;
            assert_eq!(connections(&pooled), 1, "{protocol}");
            assert_eq!(connections(&fresh), REQUESTS, "{protocol}");
            let queue = (1, Stage::SendQueue);
            waited = (medians(&pooled)[&queue], medians(&fresh)[&queue]);
            if waited.1 > waited.0 + 20_000 {
                break;
            }
        }
        let (pooled, fresh) = waited;
        assert!(fresh > pooled + 20_000, "{protocol}: {fresh} ns against {pooled} ns pooled");
    }
}

/// How many connections the inner hop used.
fn connections(ledgers: &[Closed]) -> usize {
    let number = |closed: &Closed| closed.hop.children[0].client.as_ref().unwrap().connection;
    ledgers.iter().map(number).collect::<std::collections::BTreeSet<_>>().len()
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
