//! Single requests: the slowest of a run, and one drawn in time.

use expect_test::expect;
use lab_judge::result::{RequestResult, RunResult, SLOWEST};
use lab_report::{html, json, single, slowest};

use crate::fixture::sample_run;

#[test]
fn a_result_has_the_slowest_of_all_its_cells_and_keeps_them() {
    let fixture = sample_run();
    let result = fixture.result();
    let mut latencies: Vec<_> = fixture.rows.iter().map(|row| row.latency_ns).collect();
    latencies.sort_unstable_by_key(|ns| std::cmp::Reverse(*ns));
    let expected: Vec<_> = latencies[..SLOWEST].iter().map(|&ns| ns as f64 / 1e3).collect();
    let found: Vec<_> = result.slowest.iter().map(|one| one.latency_us).collect();
    assert_eq!(found, expected);
    for one in &result.slowest {
        let booked: f64 = one.hops.iter().flat_map(|hop| &hop.pieces).map(|piece| piece.us).sum();
        assert!((booked - one.latency_us).abs() < 0.01, "{booked} of {}", one.latency_us);
    }
    assert_eq!(RunResult::from_json(&json(&result)).unwrap().slowest, result.slowest);
}

/// The slowest request of the cell `rest-10kB`.
fn request() -> RequestResult {
    let fixture = sample_run();
    let own = fixture.rows.iter().filter(|row| &*row.cell == "rest-10kB");
    lab_judge::result::in_time(own.max_by_key(|row| row.latency_ns).expect("it has some"))
}

#[test]
fn a_request_is_drawn_in_time() {
    expect![[r#"
        trace 00000000000000000000000000001291  rest-10kB, round 1  1970-01-01T00:00:00Z
        438 µs: 100 % measured, 0 % inferred, 0 % unseen; a stopwatch outside the probe: 439 µs, residual 1.71 µs

        hop, and its stages                      from       took   share known    0 ─────────────────────────────────── 438 µs
        driver→gateway                           0 µs     438 µs    54 %          gggqknnnnnnnnnqs····················skfnnnngg
          HTTP/1.1 · bodies 14 B there, 10,058 B back
          driver lag                             0 µs    31.7 µs   7.3 % measured ████
          send queue                          31.7 µs    7.78 µs   1.8 % measured    ██
          request socket write                40.8 µs    7.06 µs   1.6 % measured     █
          request wire                        49.4 µs    81.9 µs    19 % measured      █████████
          request receiver queue               133 µs    5.29 µs   1.2 % measured              ██
          handler                              143 µs    4.73 µs   1.1 % measured               ██
          reply encode                         147 µs    6.87 µs   1.6 % measured                █                    █
          reply send queue                     357 µs    4.61 µs   1.1 % measured                                     ██
          reply socket write                   362 µs    11.5 µs   2.6 % measured                                      ██
          reply wire                           375 µs    44.9 µs    10 % measured                                       ██████
          reply decode                         424 µs    6.77 µs   1.5 % measured                                            ██
          wake up                              431 µs    6.39 µs   1.5 % measured                                             █
          gateway→echo                         151 µs     203 µs    46 %                          sknnnnnnqssqknnnnnns
            HTTP/1.1 · bodies 10,014 B there, 10,014 B back
            send queue                         151 µs    7.63 µs   1.7 % measured                ██
            request encode                     159 µs    8.82 µs   2.0 % measured                 ██
            request socket write               168 µs    8.77 µs   2.0 % measured                  ██
            request wire                       179 µs    51.1 µs    12 % measured                   ██████
            request receiver queue             232 µs    7.84 µs   1.8 % measured                        ██
            request decode                     239 µs    11.5 µs   2.6 % measured                         ██
            reply encode                       254 µs    12.8 µs   2.9 % measured                           ██
            reply socket write                 270 µs    13.3 µs   3.0 % measured                            ███
            reply wire                         284 µs    51.4 µs    12 % measured                              ██████
            reply receiver queue               336 µs    4.54 µs   1.0 % measured                                   ██
            reply decode                       341 µs    7.72 µs   1.8 % measured                                    █
            wake up                            349 µs    5.41 µs   1.2 % measured                                    ██
        15 more of less than 1.0 % each, together 27.2 µs (--all shows them)

        hops: g load gen, q queue, k socket, f framing, n network, s serial, b backend; · waiting for a call of its own
        stages: █ measured (two marks on one clock) · ▒ inferred (a difference of durations) · ░ unseen (nobody told: network,
                queues, libraries and the scheduler in one). What is known of both ways over a wire together is drawn half
                before the server and half behind it.
    "#]].assert_eq(&single(&request(), 120, false, false));
}

#[test]
fn a_request_is_as_wide_as_the_terminal_and_all_its_stages_can_be_had() {
    let request = request();
    for width in [100, 140] {
        let drawn = single(&request, width, false, true);
        let widest = drawn.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(width), "{widest:?}: {drawn}");
        for piece in request.hops.iter().flat_map(|hop| &hop.pieces) {
            assert!(drawn.contains(&piece.stage.replace('_', " ")), "{}: {drawn}", piece.stage);
        }
        assert!(!drawn.contains("more of less than"), "{drawn}");
    }
    assert!(single(&request, 120, true, false).contains("\x1b["));
}

#[test]
fn what_speaks_against_a_request_is_said() {
    let mut request = request();
    (request.error, request.whole, request.out_of_order) = (true, false, 2);
    request.hops[1].placed = false;
    let drawn = single(&request, 120, false, false);
    let drawn = drawn.split_whitespace().collect::<Vec<_>>().join(" ");
    for said in
        ["ended with an error", "not whole", "2 marks are out of order", "when it was is not known"]
    {
        assert!(drawn.contains(said), "{said}: {drawn}");
    }
    assert!(slowest(&[request], 120, false).ends_with(" !\n"));
}

#[test]
fn the_slowest_are_listed_with_their_largest_stage() {
    expect![[r#"
          latency cell     round trace                             largest stage
        15.4 s grpc-1MB     1 0000000000000000000000000000295a  driver→gateway request wire, 14.3 s (93 %)
        15.2 s rest-1MB     0 0000000000000000000000000000279f  driver→gateway request wire, 14.0 s (93 %)
        14.8 s grpc-1MB     0 000000000000000000000000000028ed  driver→gateway request wire, 13.5 s (91 %)
    "#]].assert_eq(&slowest(&sample_run().result().slowest[..3], 120, false));
}

#[test]
fn a_page_has_the_slowest_closed_and_none_where_nothing_was_traced() {
    let mut result = sample_run().result();
    let page = html(&result);
    assert_eq!(page.matches("<details class=\"single\">").count(), SLOWEST);
    assert!(page.contains(&result.slowest[9].trace_id) && page.contains("href=\"#slowest\""));
    result.slowest.clear();
    assert!(!html(&result).contains("id=\"slowest\""));
}
