//! The explanations: what a reader is told about where the time went.

use expect_test::{Expect, expect};
use lab_model::{Cell, PayloadSource, Protocol};
use ledger::{Kind, Stage, StageSet, Traffic};

use crate::fixture::{Fixture, cell, run};

fn check(expected: Expect, fixture: &Fixture) {
    expected.assert_eq(&sentences(&fixture.result().cells[0].explanation));
}

/// One sentence a line.
fn sentences(text: &str) -> String {
    text.replace(". ", ".\n") + "\n"
}

fn delayed(hop: usize, stage: Stage, ns: i64) -> Fixture {
    let mut fixture = run(vec![cell(Protocol::Grpc, 10_000)], 1);
    for row in &mut fixture.rows {
        row.hops[hop].stages.add(stage, ns, Kind::Measured);
        row.latency_ns += ns;
        row.stopwatch_ns = row.stopwatch_ns.map(|watch| watch + ns.unsigned_abs());
    }
    fixture
}

#[test]
fn a_small_request_waits_for_processes_to_wake() {
    check(
        expect![[r#"
            49 % of the mean is waiting for the other side to read (above all request wire of driver→gateway, 13 %), 18 % queueing (above all send queue of driver→gateway, 3.2 %), 13 % the load generator itself (above all driver lag of driver→gateway, 7.3 %); framing is 3.9 %; flow control is 0 %.
            Within one machine that waiting is not a wire but a process being woken, once for each message: no protocol changes it.
        "#]],
        &run(vec![cell(Protocol::Grpc, 10)], 1),
    );
}

#[test]
fn queueing_is_told_by_its_stages_and_framing_is_never_left_out() {
    check(
        expect![[r#"
            93 % of the mean is queueing before the gateway's handler (dispatch of driver→gateway); framing is 0.5 % and flow control is 0 %.
            Requests wait for the gateway, which is busy with others.
        "#]],
        &delayed(0, Stage::Dispatch, 4_000_000),
    );
}

#[test]
fn a_distance_is_told_as_the_relays_that_makes_it_and_no_process_is_said_to_wake() {
    let far = delayed(1, Stage::RequestRelay, 5_000_000).result();
    let text = &far.cells[0].explanation;
    assert!(
        text.contains("% of the mean is the relay on gateway→echo, with the distance"),
        "{text}"
    );
    assert!(!text.contains("being woken"), "{text}");
}

/// A service of somebody else behind the gateway, with a relay between: of the 10,000 bytes of each message 400 are its
/// head. The gateway takes nothing of the time.
fn relayed(stages: &[(Stage, i64)]) -> Fixture {
    let mut fixture = run(vec![cell(Protocol::Rest, 10)], 1);
    let message = Traffic { body: 9_600, wire: 10_000, headers: 400, ..Traffic::default() };
    for row in &mut fixture.rows {
        for hop in &mut row.hops {
            hop.stages = StageSet::default();
        }
        let hop = &mut row.hops[1];
        for &(stage, ns) in stages {
            hop.stages.add(stage, ns, Kind::Inferred);
        }
        (hop.request, hop.reply, hop.by_relay) = (Some(message), Some(message), true);
        row.latency_ns = hop.stages.total();
        row.stopwatch_ns = Some(row.latency_ns.unsigned_abs());
    }
    fixture
}

#[test]
fn what_waits_before_a_foreign_servers_span_is_said_to_and_is_no_network() {
    check(
        expect![[r#"
            90 % of the mean is waiting in the echo before its span begins (until it accepts, has a thread, or its interpreter's lock); framing is 4.0 % of the bytes that relays counted, at most 3.6 % of the mean and flow control is 0 %.
            The requests have arrived and wait for the echo, which is busy with others: that is no network.
        "#]],
        &relayed(&[(Stage::BeforeServerSpan, 9_000_000), (Stage::Handler, 1_000_000)]),
    );
}

#[test]
fn what_is_unseen_beside_a_relay_is_the_clients_side() {
    check(
        expect![[r#"
            90 % of the mean is unseen, on the gateway's side of gateway→echo (its libraries, its connection and the scheduler); framing is 4.0 % of the bytes that relays counted, at most 3.6 % of the mean and flow control is 0 %.
            A relay looked at the connection: it is the gateway's side that takes the time, and no network.
        "#]],
        &relayed(&[
            (Stage::RequestRelay, 10_000),
            (Stage::BetweenSpans, 9_000_000),
            (Stage::Handler, 990_000),
        ]),
    );
}

#[test]
fn framing_behind_a_relay_is_bytes_and_no_more_time_than_these_can_have_taken() {
    // Of what lies outside of the server's span, 2 of 10 ms, each byte takes as much: 4 % of it, and 0.8 % of all.
    let stages = [
        (Stage::BeforeServerSpan, 1_500_000),
        (Stage::AfterServerSpan, 500_000),
        (Stage::Handler, 8_000_000),
    ];
    let result = relayed(&stages).result();
    let text = &result.cells[0].explanation;
    let told = "framing is 4.0 % of the bytes that relays counted, at most 0.8 % of the mean";
    assert!(text.contains(told), "{text}");
}

#[test]
fn a_slow_handler_is_the_services_own() {
    check(
        expect![[r#"
            92 % of the mean is the echo's handler; framing is 0.5 % and flow control is 0 %.
            The service's own code is what costs, not the protocol.
        "#]],
        &delayed(1, Stage::Handler, 4_000_000),
    );
}

#[test]
fn exhausted_windows_are_named() {
    check(
        expect![[r#"
            92 % of the mean is waiting for HTTP/2 windows on gateway→echo; framing is 0.5 %.
            The windows are smaller than what is in flight: raise stream and connection window.
        "#]],
        &delayed(1, Stage::RequestWindowWait, 4_000_000),
    );
}

fn generating(threads: Option<usize>) -> Cell {
    let mut cell = cell(Protocol::Grpc, 1_000_000);
    cell.knobs.payload_source = PayloadSource::PerRequest;
    cell.knobs.worker_threads = threads;
    cell
}

/// The same with a gateway that used so many cores.
fn using(mut fixture: Fixture, cores: f64) -> Fixture {
    for sample in fixture.samples.iter_mut().filter(|sample| sample.process == "gateway") {
        sample.cpu_ns = (sample.at_ns as f64 * cores) as u64;
    }
    fixture
}

#[test]
fn a_service_without_cpu_is_named_with_the_capacity_that_follows_and_what_waits_for_it() {
    check(
        expect![[r#"
            84 % of the mean is between writing a request and the gateway reading it, 7.9 % between writing a reply and the gateway reading it; framing is <0.1 % and flow control is <0.1 %.
            The gateway is what is full: a request takes 109 ms of its CPU, and it got 0.97 cores, which is what one thread or one lock can use, enough for 8.92/s; it served 8.92/s of 100/s offered, and 68 % of the arrivals were dropped.
            98 % of the mean is waiting for it (5.33 s before it reads, starts or takes an answer back), which is no network, against 80.2 ms of its own time: not framing (<0.1 %), not flow control (<0.1 %).
            To serve more it takes more processes of it, or less under one lock, or a request that costs less of its CPU.
        "#]],
        &using(run(vec![generating(Some(1))], 1), 0.97),
    );
}

#[test]
fn what_a_setting_says_is_no_diagnosis_where_nothing_that_was_counted_is_full() {
    check(
        expect![[r#"
        84 % of the mean is between writing a request and the gateway reading it, 7.9 % between writing a reply and the gateway reading it; framing is <0.1 % and flow control is <0.1 %.
        The system is overloaded: it served 8.92/s of 100/s offered, and 68 % of the arrivals were dropped.
        98 % of the mean is waiting in queues, so the latency is mostly their length; no process whose CPU was counted is full.
    "#]],
        &run(vec![generating(None)], 1),
    );
}

#[test]
fn a_plan_that_allows_too_few_requests_in_flight_is_no_overload() {
    let mut fixture = delayed(1, Stage::Handler, 400_000_000);
    let measure = &mut fixture.run.cells[0];
    measure.cell.max_in_flight = 10;
    let round = &mut measure.rounds[0];
    (round.requests.planned, round.requests.dropped) = (round.requests.started + 300, 300);
    measure.cell.rate = 160.0;
    let mut latency = round.latency.clone();
    latency.reset();
    latency.saturating_record_n(401_000_000, round.requests.ok);
    round.latency = latency;
    check(
        expect![[r#"
        99.9 % of the mean is the echo's handler; framing is <0.1 % and flow control is 0 %.
        The plan allows 10 requests in flight, and 160/s of 401 ms each need 65: what was dropped is the plan's own limit (max_in_flight), and no queue of the system.
    "#]],
        &fixture,
    );
}

#[test]
fn windows_that_are_full_and_a_generator_that_is_are_named_and_no_queue_of_the_system() {
    let behind = |fixture: &mut Fixture| {
        let round = &mut fixture.run.cells[0].rounds[0];
        (round.requests.planned, round.requests.dropped) = (round.requests.started + 300, 300);
    };
    let mut stalled = delayed(1, Stage::RequestWindowWait, 4_000_000);
    behind(&mut stalled);
    check(
        expect![[r#"
        92 % of the mean is waiting for HTTP/2 windows on gateway→echo; framing is 0.5 %.
        Messages of gateway→echo stand still until a HTTP/2 window opens: raise stream and connection window, or ask for less than 100/s.
    "#]],
        &stalled,
    );
    let mut busy = run(vec![cell(Protocol::Rest, 10)], 1);
    behind(&mut busy);
    busy.run.cells[0].rounds[0].driver_cpu_ns = 4_900_000_000;
    check(
        expect![[r#"
        50 % of the mean is waiting for the other side to read (above all request wire of driver→gateway, 14 %), 18 % queueing (above all send queue of driver→gateway, 3.2 %), 13 % the load generator itself (above all driver lag of driver→gateway, 7.4 %); framing is 3.9 %; flow control is 0 %.
        The load generator is what is full: it used 0.98 cores, and 38 % of the arrivals were dropped.
        Of the system that says nothing: ask for less than 100/s, or drive from another machine.
    "#]],
        &busy,
    );
}

#[test]
fn what_waits_outside_a_foreign_span_is_not_called_network_and_is_told_against_its_own_time() {
    // As a server that tells no more than when its handler began and ended.
    let mut fixture = using(run(vec![generating(Some(1))], 1), 0.97);
    for row in &mut fixture.rows {
        let stages = &mut row.hops[0].stages;
        let outside: i64 = stages
            .iter()
            .filter(|(stage, _)| *stage != Stage::Handler)
            .map(|(_, time)| time.ns)
            .sum();
        let handler = stages.get(Stage::Handler).ns;
        *stages = ledger::StageSet::default();
        stages.add(Stage::BetweenSpans, outside, Kind::Inferred);
        stages.add(Stage::Handler, handler, Kind::Measured);
        (row.hops[0].request, row.hops[0].reply) = (None, None);
    }
    check(
        expect![[r#"
            87 % of the mean is unseen, between the two spans of driver→gateway (network, queues, libraries and the scheduler in one), 7.9 % between writing a reply and the gateway reading it; framing is <0.1 % and flow control is <0.1 %.
            The gateway is what is full: a request takes 109 ms of its CPU, and it got 0.97 cores, which is what one thread or one lock can use, enough for 8.92/s; it served 8.92/s of 100/s offered, and 68 % of the arrivals were dropped.
            98 % of the mean is waiting for it (590 ms before it reads, starts or takes an answer back, 4.74 s before and after its own span, where nobody else is busy), which its being full is enough to explain, though no relay looked for a network there, against 80.2 ms of its own time: not framing (<0.1 %), not flow control (<0.1 %).
            To serve more it takes more processes of it, or less under one lock, or a request that costs less of its CPU.
        "#]],
        &fixture,
    );
}

#[test]
fn requests_without_a_ledger_are_not_explained() {
    let mut fixture = run(vec![cell(Protocol::Grpc, 10)], 1);
    fixture.rows.clear();
    check(
        expect![[r#"
        The mean latency is 284 µs; no request was traced, so nothing says where it went.
    "#]],
        &fixture,
    );
}

#[test]
fn slow_requests_that_differ_are_told_apart() {
    let mut fixture = run(vec![cell(Protocol::Rest, 10)], 1);
    for row in fixture.rows.iter_mut().step_by(60) {
        row.hops[1].stages.add(Stage::SendQueue, 600_000, Kind::Measured);
        row.latency_ns += 600_000;
        row.stopwatch_ns = row.stopwatch_ns.map(|watch| watch + 600_000);
    }
    check(
        expect![[r#"
            48 % of the mean is waiting for the other side to read (above all request wire of driver→gateway, 13 %), 21 % queueing (above all send queue of gateway→echo, 6.5 %), 12 % the load generator itself (above all driver lag of driver→gateway, 7.2 %); framing is 3.8 %; flow control is 0 %.
            Within one machine that waiting is not a wire but a process being woken, once for each message: no protocol changes it.
            The slowest requests (901 µs) differ: 68 % of theirs is queueing before the echo's handler (send queue of gateway→echo).
        "#]],
        &fixture,
    );
}

#[test]
fn the_run_is_told_in_one_paragraph() {
    let fixture = run(
        vec![
            cell(Protocol::Rest, 10),
            cell(Protocol::Grpc, 10),
            cell(Protocol::Rest, 500_000),
            cell(Protocol::Grpc, 500_000),
        ],
        1,
    );
    expect![[r#"
        4 cells: 2 payloads from 10 B to 500 kB by REST and gRPC, 100 requests/s.
        At 10 B the mean is 282 µs by REST and 284 µs by gRPC (medians 281 µs and 283 µs): no comparison, since that takes two rounds of each at least.
        The largest part of both is waiting for the other side to read (50 % and 49 %).
        At 500 kB the mean is 3.27 ms by REST and 2.42 ms by gRPC (medians 3.24 ms and 2.41 ms): no comparison, since that takes two rounds of each at least.
        The largest part of both is encoding and decoding (64 % and 33 %).
        Nothing speaks against these numbers.
    "#]]
    .assert_eq(&sentences(&fixture.result().explanation));
}
