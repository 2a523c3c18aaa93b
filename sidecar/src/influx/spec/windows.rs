//! Windows: what they sum, how they are written again, and what bounds them.

use std::collections::{BTreeMap, BTreeSet};

use ledger::wall::WallClock;
use ledger::{Kind, Stage, names};
use proptest::prelude::*;

use super::{OFFSET, START, START_S, hop, request, tags, windows};
use crate::influx::SECOND;
use crate::influx::parse::{Point, Value, point};
use crate::influx::windows::{Missed, Windows};
use crate::runfile::{ProcessSample, RequestKind, RequestRow};

pub(super) fn all(windows: &mut Windows, now: u64) -> Vec<Point> {
    read(windows.due(now, true).as_str())
}

fn read(lines: &str) -> Vec<Point> {
    lines.lines().map(|line| point(line).unwrap()).collect()
}

pub(super) fn tag<'a>(point: &'a Point, key: &str) -> &'a str {
    point.tags.iter().find(|(known, _)| known == key).map_or("", |(_, value)| value)
}

pub(super) fn field(point: &Point, key: &str) -> f64 {
    match point.fields.iter().find(|(known, _)| known == key) {
        Some((_, Value::Int(value))) => *value as f64,
        Some((_, Value::Float(value))) => *value,
        other => panic!("{key} of {point:?} is {other:?}"),
    }
}

pub(super) fn of<'a>(points: &'a [Point], measurement: &str) -> Vec<&'a Point> {
    points.iter().filter(|point| point.measurement == measurement).collect()
}

fn stage<'a>(points: &'a [Point], name: &str) -> &'a Point {
    let mut found = of(points, names::M_HOP).into_iter();
    found.find(|point| tag(point, names::T_STAGE) == name).unwrap()
}

#[test]
fn a_window_sums_its_requests_by_stage() {
    let mut windows = windows();
    let mut rows: Vec<_> = [2, 4, 9].map(|us| request(START + 1, us * 1_000)).into();
    rows[1].stopwatch_ns = Some(4_500);
    rows[2].out_of_order = 2;
    rows[2].hops[0].concurrent_ns = 3_000;
    rows[2].hops[0].detached_ns = 4_000;
    rows[2].hops[0].clipped_ns = 5_000;
    rows[2].hops[0].stages.add(Stage::BetweenSpans, 500, Kind::Inferred);
    rows[2].latency_ns += 500;
    rows.push(RequestRow { error: true, ..request(START + 1, 99_000_000) });
    rows.push(RequestRow { whole: false, cut: 3, ..request(START + 1, 99_000_000) });
    rows.push(RequestRow { kind: RequestKind::Message, ..request(START + 1, 99_000_000) });
    rows.push(RequestRow { amends: true, ..request(START + 1, 99_000_000) });
    windows.requests(&rows, START + 2);
    let points = all(&mut windows, START + 3);

    let [whole] = of(&points, names::M_REQUEST)[..] else { panic!("{points:?}") };
    assert_eq!(whole.at_ns as u64, START_S * SECOND);
    let expected = ["r", "rest-10B", "rest", "10", "GET /x"];
    let keys =
        [names::T_RUN, names::T_CELL, names::T_PROTOCOL, names::T_PAYLOAD, names::T_OPERATION];
    assert_eq!(keys.map(|key| tag(whole, key)), expected);
    for (key, value) in [
        (names::F_COUNT, 3.0),
        (names::F_ERROR, 1.0),
        (names::F_SUM_US, 16.0),
        (names::F_P50_US, 4.5),
        (names::F_P99_US, 9.5),
        (names::F_MAX_US, 9.5),
        (names::F_RESIDUAL_SUM_US, 0.5),
        (names::F_RESIDUAL_ABS_SUM_US, 0.5),
        (names::F_INFERRED_SUM_US, 0.5),
        (names::F_WIRE_BYTES, 900.0),
        (names::F_PAYLOAD_BYTES, 30.0),
        (names::F_UNJOINED, 1.0),
        (names::F_CUT, 1.0),
        (names::F_MESSAGES, 1.0),
        (names::F_OUT_OF_ORDER, 1.0),
        (names::F_CONCURRENT_SUM_US, 3.0),
        (names::F_DETACHED_SUM_US, 4.0),
        (names::F_CLIPPED_SUM_US, 5.0),
        (names::F_LATE, 0.0),
        (names::F_FRAGMENTS, 0.0),
    ] {
        assert_eq!(field(whole, key), value, "{key}");
    }
    check_stages(&points);
}

/// The stages of the requests above.
fn check_stages(points: &[Point]) {
    let handler = stage(points, "handler");
    assert_eq!(tag(handler, names::T_FAMILY), "backend");
    assert_eq!(tag(handler, names::T_HOP), "driver→gateway");
    for (key, value) in [
        (names::F_COUNT, 3.0),
        (names::F_SUM_US, 12.0),
        (names::F_MEAN_US, 4.0),
        (names::F_P50_US, 3.0),
        (names::F_P99_US, 8.0),
        (names::F_MAX_US, 8.0),
        (names::F_P50_BAND_US, 3.0),
        (names::F_P99_BAND_US, 8.0),
    ] {
        assert_eq!(field(handler, key), value, "{key}");
    }
    // A stage that one of three requests had counts as 0 in the others.
    let inferred = stage(points, "between_spans");
    assert_eq!(tag(inferred, names::T_FAMILY), "unseen");
    assert_eq!((field(inferred, names::F_COUNT), field(inferred, names::F_P50_US)), (3.0, 0.0));
}

#[test]
fn a_window_that_only_saw_failures_says_so() {
    let mut windows = windows();
    let row = RequestRow { error: true, ..request(START + 1, 1_000) };
    windows.requests(&[row], START + 2);
    let points = all(&mut windows, START + 3);
    assert_eq!(points.len(), 1);
    assert_eq!((field(&points[0], names::F_COUNT), field(&points[0], names::F_ERROR)), (0.0, 1.0));
}

proptest! {
    /// Means, bands and the sums of stages agree with what all requests of the window say.
    #[test]
    fn stages_of_a_band_add_up_to_its_latency(
        latencies in proptest::collection::vec(1_000..100_000_000_i64, 1..300),
    ) {
        let mut windows = windows();
        let rows: Vec<_> = latencies.iter().map(|&ns| request(START + 1, ns)).collect();
        windows.requests(&rows, START + 2);
        let points = all(&mut windows, START + 3);
        let mut sorted = latencies.clone();
        sorted.sort_unstable();
        let at = |percent: usize| sorted[(sorted.len() * percent).div_ceil(100).saturating_sub(1)];
        let mean = |of: Vec<i64>| of.iter().sum::<i64>() as f64 / of.len() as f64 / 1e3;
        let within = |from: i64, to: i64| {
            sorted.iter().copied().filter(|ns| (from..=to).contains(ns)).collect::<Vec<_>>()
        };
        for (key, expected) in [
            (names::F_MEAN_US, mean(sorted.clone())),
            (names::F_P50_BAND_US, mean(within(at(45), at(55)))),
            (names::F_P99_BAND_US, mean(within(at(99), i64::MAX))),
        ] {
            let sum: f64 = of(&points, names::M_HOP).iter().map(|point| field(point, key)).sum();
            prop_assert!((sum / expected - 1.0).abs() < 1e-6, "{}: {} {}", key, sum, expected);
        }
        let whole = of(&points, names::M_REQUEST)[0];
        prop_assert_eq!(field(whole, names::F_P99_US), at(99) as f64 / 1e3);
        prop_assert_eq!(field(whole, names::F_P50_US), at(50) as f64 / 1e3);
    }

    /// However requests arrive, the last point of each series and second holds all of them.
    #[test]
    fn a_point_is_only_overwritten_by_one_that_says_more(
        arrivals in proptest::collection::vec((0..5_u64, 0..1_500_u64), 1..80),
    ) {
        let mut windows = windows();
        let (mut now, mut latest, mut expected) = (START, BTreeMap::new(), BTreeMap::new());
        for (second, pause_ms) in arrivals {
            let start = START + second * SECOND;
            now = now.max(start) + pause_ms * 1_000_000;
            windows.requests(&[request(start + 7, 5_000)], now);
            if now < start + 10 * SECOND {
                *expected.entry((START_S + second) * SECOND).or_insert(0.0) += 1.0;
            }
            let due = windows.due(now, pause_ms % 7 == 0);
            for point in of(&read(due.as_str()), names::M_REQUEST) {
                let count = field(point, names::F_COUNT);
                let before = latest.insert(point.at_ns as u64, count).unwrap_or(0.0);
                prop_assert!(count > before, "{count} requests over {before}");
            }
        }
        for point in of(&all(&mut windows, now), names::M_REQUEST) {
            latest.insert(point.at_ns as u64, field(point, names::F_COUNT));
        }
        let written: f64 = latest.values().sum();
        let missed = windows.missed().late as f64;
        let offered: f64 = expected.values().sum();
        prop_assert!(written >= offered && written <= offered + missed + 80.0);
        for (second, count) in expected {
            prop_assert!(latest[&second] >= count, "{second}: {} of {count}", latest[&second]);
        }
    }
}

#[test]
fn the_number_of_points_does_not_depend_on_the_load() {
    let points = |requests: u64| {
        let mut windows = windows();
        let row = |n: u64| request(START + n % 3 * SECOND, 10_000 + n as i64);
        for n in 0..requests {
            windows.requests(&[row(n)], START + 3 * SECOND);
        }
        all(&mut windows, START + 4 * SECOND)
    };
    let (few, many) = (points(30), points(30_000));
    assert_eq!((few.len(), many.len()), (9, 9));
    // Past the sample's bound sums, counts and the largest stay exact; percentiles are of the sample.
    let sum = |points: &[Point]| -> f64 {
        of(points, names::M_REQUEST).iter().map(|point| field(point, names::F_SUM_US)).sum()
    };
    assert_eq!(sum(&many), (0..30_000).map(|n| 10.0 + f64::from(n) / 1e3).sum::<f64>().round());
    let whole = of(&many, names::M_REQUEST)[0];
    assert_eq!(field(whole, names::F_MAX_US), 39.997);
    let p50 = field(whole, names::F_P50_US);
    assert!((22.0..28.0).contains(&p50), "{p50}");
}

#[test]
fn a_window_is_written_when_it_is_quiet_or_has_waited_long() {
    let mut windows = windows();
    let ms = 1_000_000;
    windows.requests(&[request(START, 5_000)], START);
    assert_eq!(windows.due(START + 900 * ms, false).points(), 0);
    assert_eq!(windows.due(START + 1_000 * ms, false).points(), 3);
    assert_eq!(windows.due(START + 1_100 * ms, false).points(), 0, "nothing changed");
    for n in 0..49 {
        windows.requests(&[request(START, 5_000)], START + 2_000 * ms + n * 100 * ms);
        assert_eq!(windows.due(START + 2_000 * ms + n * 100 * ms, false).points(), 0);
    }
    let points = windows.due(START + 7_000 * ms, false);
    assert_eq!(field(of(&read(points.as_str()), names::M_REQUEST)[0], names::F_COUNT), 50.0);
}

#[test]
fn what_is_asked_without_end_is_shown_a_second_after_its_first_request() {
    let mut windows = windows();
    let ms = 1_000_000;
    let mut written = Vec::new();
    for tick in 0..60 {
        let now = START + tick * 100 * ms;
        windows.requests(&[request(START, 5_000)], now);
        let lines = windows.due(now, false);
        written.extend((lines.points() > 0).then_some(tick));
    }
    // Then it is complete soon enough.
    assert_eq!(written, [10]);
}

#[test]
fn what_is_too_late_is_counted_and_overwrites_nothing() {
    let mut windows = windows();
    // Before the second in which the sidecar began: an earlier sidecar may have written that one.
    windows.requests(&[request(START - 1, 5_000)], START + 1);
    windows.requests(&[request(START + 1, 5_000)], START + 2);
    assert_eq!(of(&all(&mut windows, START + 11 * SECOND), names::M_REQUEST).len(), 1);
    windows.requests(&[request(START + 1, 5_000)], START + 11 * SECOND);
    assert_eq!(all(&mut windows, START + 12 * SECOND), []);
    assert_eq!(windows.missed(), Missed { late: 2, misdated: 0 });
}

#[test]
fn requests_are_dated_by_the_wall_of_those_who_made_them_and_if_that_cannot_be_by_arrival() {
    let mut windows = windows();
    let now = START + 5 * SECOND;
    // Marks of another boot say nothing about when.
    let elsewhere = RequestRow { start_ns: 77, ..request(START + SECOND, 5_000) };
    let hours_away =
        RequestRow { wall_ns: START + OFFSET - 7_200 * SECOND, ..request(START, 5_000) };
    windows.requests(&[elsewhere, hours_away], now);
    let points = all(&mut windows, now);
    let seconds: Vec<_> =
        of(&points, names::M_REQUEST).iter().map(|p| p.at_ns as u64 / SECOND - START_S).collect();
    assert_eq!((seconds, windows.missed().misdated), (vec![1, 5], 1));
}

#[test]
fn when_the_wall_clock_is_set_requests_go_on_being_dated_by_it() {
    let mut windows = windows();
    // The machine slept for three hours, in which its monotonic clock stood still.
    let slept = 3 * 3_600 * SECOND;
    let mut row = request(START + SECOND, 5_000);
    row.wall_ns += slept;
    windows.set_clock(WallClock::ahead_by((OFFSET + slept) as i64));
    windows.requests(&[row], START + 2 * SECOND);
    let points = all(&mut windows, START + 3 * SECOND);
    let at = of(&points, names::M_REQUEST)[0].at_ns as u64 / SECOND;
    assert_eq!((at, windows.missed()), (START_S + 1 + 3 * 3_600, Missed::default()));
}

#[test]
fn cells_and_hops_that_peers_invent_do_not_make_series() {
    let mut windows = windows();
    for n in 0..200 {
        let mut row = request(START, 5_000);
        // Who does not know the nonce of a run is of none, whatever cell it names.
        (row.cell, row.unasked) = (format!("invented-{n}").into(), true);
        row.hops = vec![hop(&format!("a→{n}"), &[(Stage::Handler, 1)])];
        windows.requests(&[row], START + 1);
    }
    let points = all(&mut windows, START + 2);
    let series: BTreeSet<_> = points.iter().map(|point| format!("{:?}", point.tags)).collect();
    assert_eq!((points.len(), series.len()), (34, 34), "32 hops, others, and the request");
    for point in &points {
        assert_eq!([names::T_CELL, names::T_PROTOCOL].map(|key| tag(point, key)), ["none"; 2]);
    }
    let counted: f64 = of(&points, names::M_HOP).iter().map(|p| field(p, names::F_SUM_US)).sum();
    assert!((counted - 0.2).abs() < 1e-9, "{counted}");
    let most = (0..3_000).map(|n| windows.announce(vec![tags(&format!("c{n}"))]));
    assert_eq!(most.filter(Result::is_err).count(), 3_000 - 1_999);
}

#[test]
fn what_windows_hold_is_bounded_and_given_back() {
    let mut windows = windows();
    let wide: Vec<_> =
        (0..30).map(|n| hop(&format!("a→{n}"), &[(Stage::Handler, 1_000)])).collect();
    let mut row = request(START, 5_000);
    row.hops = wide;
    // 60 windows of 1,024 requests of 30 hops would hold 54 million stage times.
    for second in 0..9 {
        row.start_ns = START + second * SECOND;
        row.wall_ns = row.start_ns + OFFSET;
        for _ in 0..1_100 {
            windows.requests(std::slice::from_ref(&row), row.start_ns + 1);
        }
    }
    let held = windows.held();
    assert!(held <= (6 << 20) + 9 * 2_000, "{held}");
    let points = all(&mut windows, START + 9 * SECOND);
    for point in of(&points, names::M_REQUEST) {
        assert_eq!(field(point, names::F_COUNT), 1_100.0);
        assert_eq!(field(point, names::F_P50_US), 5.0);
    }
    assert_eq!(all(&mut windows, START + 60 * SECOND), []);
    assert_eq!(windows.held(), 0);
}

fn sample(at_ms: u64, pid: u32, cpu_ms: u64) -> ProcessSample {
    ProcessSample {
        at_ns: START + at_ms * 1_000_000,
        process: if pid == 0 { "host".into() } else { "echo".into() },
        pid,
        cpu_ns: cpu_ms * 1_000_000,
        rss_bytes: 1_000 + at_ms,
        threads: 3,
        voluntary_switches: cpu_ms,
        involuntary_switches: 2 * cpu_ms,
        run_queue_wait_ns: cpu_ms * 500_000,
    }
}

#[test]
fn processes_are_rates_laid_over_the_seconds_between_samples() {
    let mut windows = windows();
    // 0.5 cores from 0.5 s to 1.5 s, then idle to 2.5 s; a second process of the name at 0.1 cores.
    windows.samples(&[sample(500, 7, 1_000), sample(500, 8, 0), sample(500, 0, 9)], START);
    windows.samples(&[sample(1_500, 7, 1_500), sample(1_500, 8, 100), sample(1_500, 0, 9)], START);
    windows.samples(&[sample(2_500, 7, 1_500), sample(2_500, 8, 200)], START);
    let points = all(&mut windows, START + 3 * SECOND);
    let echo: Vec<_> = of(&points, names::M_PROCESS)
        .into_iter()
        .filter(|point| tag(point, names::T_PROCESS) == "echo")
        .collect();
    let cores: Vec<_> = echo.iter().map(|point| field(point, names::F_CPU_CORES)).collect();
    let expected = [0.6, 0.35, 0.1];
    assert!(cores.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{cores:?}");
    assert!((field(echo[0], names::F_VOLUNTARY_SWITCHES) - 600.0).abs() < 1e-3);
    assert!((field(echo[0], names::F_INVOLUNTARY_SWITCHES) - 1_200.0).abs() < 1e-3);
    assert!((field(echo[0], names::F_RUN_QUEUE_WAIT) - 0.3).abs() < 1e-6);
    assert_eq!(field(echo[1], names::F_RSS_BYTES), 3_500.0, "of the largest, as in result.json");
    assert_eq!(field(echo[1], names::F_THREADS), 3.0);
    let host = of(&points, names::M_PROCESS).into_iter().find(|p| tag(p, "process") == "host");
    assert!(host.unwrap().fields.iter().all(|(key, _)| key != names::F_INVOLUNTARY_SWITCHES));
}

#[test]
fn processes_of_one_name_that_come_and_go_count_for_the_time_they_were_there() {
    let mut windows = windows();
    // A backend that stays and does nothing; one of 1 core from 0 to 0.5 s; one of 0.5 cores after it.
    windows.samples(&[sample(0, 7, 0), sample(0, 8, 0)], START);
    windows.samples(&[sample(500, 7, 0), sample(500, 8, 500), sample(500, 9, 0)], START);
    windows.samples(&[sample(1_000, 7, 0), sample(1_000, 9, 250)], START);
    // In the next second only such as come and go, one after the other.
    windows.samples(&[sample(1_500, 9, 500), sample(1_500, 10, 0)], START);
    windows.samples(&[sample(2_000, 10, 500)], START);
    let points = all(&mut windows, START + 2 * SECOND);
    let echo = of(&points, names::M_PROCESS);
    let cores: Vec<_> = echo.iter().map(|point| field(point, names::F_CPU_CORES)).collect();
    let near = |(found, expected): (&f64, f64)| (found - expected).abs() < 1e-6;
    assert!(cores.len() == 2 && cores.iter().zip([0.75, 0.75]).all(near), "{cores:?}");
    assert_eq!(field(echo[0], names::F_RSS_BYTES), 2_000.0);
    assert_eq!(field(echo[0], names::F_THREADS), 3.0);
}

#[test]
fn a_counter_that_goes_back_makes_no_rate() {
    let mut windows = windows();
    windows.samples(&[sample(0, 7, 1_000)], START);
    windows.samples(&[sample(500, 7, 10)], START);
    windows.samples(&[sample(500, 7, 10)], START);
    assert_eq!(all(&mut windows, START + SECOND), []);
}
