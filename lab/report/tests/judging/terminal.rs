//! The terminal report, at the widths that terminals have.

use expect_test::expect;
use lab_model::Protocol;
use lab_report::terminal;

use crate::fixture::{cell, run, sample_run};

#[expect(clippy::too_many_lines, reason = "what is expected, in full")]
#[test]
fn a_report_in_120_columns() {
    let result = sample_run().result();
    expect![[r#"
        Where did the time go?  rest-vs-grpc-20261123T150000Z
        No difference was seen at 1 kB, 10 kB, 100 kB and 500 kB; the system was overloaded at 1 MB; a cell is INVALID at 10 B.

        10 B (REST always 100 kB)  no comparison, since a cell of it is INVALID
        1 kB        no difference seen; one of 292 µs or more would have been (2 pairs of rounds)
        10 kB       no difference seen; one of 229 µs or more would have been (2 pairs of rounds)
        100 kB      no difference seen; one of 1.40 ms or more would have been (2 pairs of rounds)
        500 kB      no difference seen; one of 3.70 ms or more would have been (2 pairs of rounds)
        1 MB (payload made per request, 1 worker thread)  no comparison: of 100/s offered 8.83/s were served by REST and 8.61/s
                    by gRPC, so the means of 5.39 s and 5.44 s are what overload makes of them, not the cost of a protocol

        Brackets: 95 % intervals; those of differences are wide enough that all of them hold at once. Steps add up; their
        intervals do not.

        12 cells: 6 payloads from 10 B to 1 MB by REST and gRPC, 100 requests/s. At 10 B no comparison, since a cell of it is
        INVALID. At 1 kB the mean is 288 µs by REST and 290 µs by gRPC (medians 286 µs and 288 µs): no difference seen; one of
        292 µs or more would have been (2 pairs of rounds). The largest part of both is waiting for the other side to read (49 %
        and 49 %). At 1 MB no comparison: of 100/s offered 8.83/s were served by REST and 8.61/s by gRPC, so the means of 5.39 s
        and 5.44 s are what overload makes of them, not the cost of a protocol. 1 cell is INVALID and must not be used:
        rest-10B. 2 cells are SUSPECT, to be used only with the reason in mind: rest-1MB, grpc-1MB.

          payload      asked → done/s     mean      p50      p99 where it went             largest, %             resid. verdict
        ── REST always 100 kB
             10 B REST      100 → 100   282 µs   280 µs   338 µs gggqqqqqsfkknnnnnnnnnnnnb network 50 queue 18     0.4 % INVALID
             10 B gRPC      100 → 100   286 µs   283 µs   348 µs gggqqqqqsfkknnnnnnnnnnnnb network 50 queue 18     0.4 % VALID
        ── default settings
             1 kB REST      100 → 100   288 µs   286 µs   345 µs gggqqqqqsfkknnnnnnnnnnnnb network 49 queue 18     0.4 % VALID
             1 kB gRPC      100 → 100   290 µs   288 µs   339 µs gggqqqqqsfkknnnnnnnnnnnnb network 49 queue 18     0.4 % VALID
            10 kB REST      100 → 100   343 µs   339 µs   402 µs gggqqqqssssfkknnnnnnnnnnn network 43 queue 15     0.4 % VALID
            10 kB gRPC      100 → 100   328 µs   326 µs   385 µs gggqqqqssffkknnnnnnnnnnnb network 45 queue 16     0.4 % VALID
           100 kB REST      100 → 100   878 µs   871 µs  1.03 ms ggqqssssssssssssfkknnnnnn serial 48 network 22    0.3 % VALID
           100 kB gRPC      100 → 100   713 µs   708 µs   813 µs gggqqssssssffffkkknnnnnnn network 27 serial 24    0.4 % VALID
           500 kB REST      100 → 100  3.28 ms  3.26 ms  4.01 ms ggssssssssssssssssfkkknnn serial 64 network 13    0.3 % VALID
           500 kB gRPC      100 → 100  2.43 ms  2.41 ms  2.82 ms ggqssssssssffffffkkkknnnn serial 33 framing 23    0.3 % VALID
        ── payload made per request, 1 worker thread
             1 MB REST     100 → 8.83   5.39 s   5.56 s        - qqnnnnnnnnnnnnnnnnnnnnnnn network 92 queue 6      0.3 % SUSPECT
             1 MB gRPC     100 → 8.61   5.44 s   5.79 s        - qqnnnnnnnnnnnnnnnnnnnnnnn network 92 queue 6      0.3 % SUSPECT
                  g load generator · q queue · s serialization · f framing · c flow control · k socket
                  n network and receive wait · d delivery · b backend

        rest-10B    50 % of the mean is waiting for the other side to read (above all request wire of driver→gateway, 14 %),
                    18 % queueing (above all send queue of driver→gateway, 3.2 %), 13 % the load generator itself (above all
                    driver lag of driver→gateway, 7.4 %); framing is 4.0 %; flow control is 0 %. Within one machine that waiting
                    is not a wire but a process being woken, once for each message: no protocol changes it.
        grpc-10B    50 % of the mean is waiting for the other side to read (above all request wire of driver→gateway, 13 %),
                    18 % queueing (above all send queue of driver→gateway, 3.1 %), 13 % the load generator itself (above all
                    driver lag of driver→gateway, 7.4 %); framing is 3.9 %; flow control is 0 %. Within one machine that waiting
                    is not a wire but a process being woken, once for each message: no protocol changes it.
        rest-1kB    49 % of the mean is waiting for the other side to read (above all request wire of driver→gateway, 13 %),
                    18 % queueing (above all send queue of driver→gateway, 3.1 %), 13 % the load generator itself (above all
                    driver lag of driver→gateway, 7.3 %); framing is 3.9 %; flow control is 0 %. Within one machine that waiting
                    is not a wire but a process being woken, once for each message: no protocol changes it.
        grpc-1kB    49 % of the mean is waiting for the other side to read (above all request wire of driver→gateway, 13 %),
                    18 % queueing (above all send queue of driver→gateway, 3.1 %), 13 % the load generator itself (above all
                    driver lag of driver→gateway, 7.4 %); framing is 4.3 %; flow control is 0 %. Within one machine that waiting
                    is not a wire but a process being woken, once for each message: no protocol changes it.
        rest-10kB   43 % of the mean is waiting for the other side to read (above all request wire of gateway→echo, 11 %), 15 %
                    queueing (above all send queue of driver→gateway, 2.6 %), 15 % encoding and decoding (above all request
                    encode of gateway→echo, 3.1 %); framing is 3.8 %; flow control is 0 %. Within one machine that waiting is
                    not a wire but a process being woken, once for each message: no protocol changes it.
        grpc-10kB   45 % of the mean is waiting for the other side to read (above all request wire of driver→gateway, 12 %),
                    16 % queueing (above all send queue of driver→gateway, 2.8 %), 12 % the load generator itself (above all
                    driver lag of driver→gateway, 6.5 %); framing is 6.7 %; flow control is 0 %. Within one machine that waiting
                    is not a wire but a process being woken, once for each message: no protocol changes it.
        rest-100kB  41 % of the mean is encoding and decoding on gateway→echo, 8.7 % the load generator itself (reply decode,
                    driver lag, wake up of driver→gateway), 7.3 % encoding and decoding on driver→gateway, 6.4 % between writing
                    a request and the echo reading it; framing is 3.3 % and flow control is 0 %. Making and reading messages is
                    what costs.
        grpc-100kB  27 % of the mean is waiting for the other side to read (above all request wire of gateway→echo, 7.8 %), 24 %
                    encoding and decoding (above all reply encode of driver→gateway, 8.6 %), 17 % framing (above all request
                    framing of gateway→echo, 5.1 %); flow control is 0 %.
        rest-500kB  55 % of the mean is encoding and decoding on gateway→echo, 9.3 % encoding and decoding on driver→gateway,
                    7.2 % the load generator itself (reply decode of driver→gateway), 6.5 % writing to the sockets of
                    gateway→echo; framing is 3.1 % and flow control is 0 %. Making and reading messages is what costs.
        grpc-500kB  33 % of the mean is encoding and decoding (above all reply encode of driver→gateway, 12 %), 23 % framing
                    (above all request framing of gateway→echo, 7.4 %), 17 % waiting for the other side to read (above all
                    request wire of gateway→echo, 5.5 %); flow control is 0 %.
        rest-1MB    84 % of the mean is between writing a request and the gateway reading it, 8.0 % between writing a reply and
                    the gateway reading it; framing is <0.1 % and flow control is 0 %. The system is overloaded: it served
                    8.83/s of 100/s offered, and 68 % of the arrivals were dropped. 98 % of the mean is waiting in queues, so
                    the latency is mostly their length; no process whose CPU was counted is full.
        grpc-1MB    84 % of the mean is between writing a request and the gateway reading it, 8.0 % between writing a reply and
                    the gateway reading it; framing is <0.1 % and flow control is <0.1 %. The system is overloaded: it served
                    8.61/s of 100/s offered, and 68 % of the arrivals were dropped. 98 % of the mean is waiting in queues, so
                    the latency is mostly their length; no process whose CPU was counted is full.

        no         Was the declared workload sent? 1 of 12 cells, worst rest-10B: payload_bytes
        no         Was it undisturbed? 2 of 12 cells, worst rest-1MB: rate_not_kept
        yes        Are all requests there? all 12 cells, worst rest-10B: 1,000 planned = 1,000 started + 0 dropped, all ended;
                   of 1,000 traced requests 0 are missing (limit 0)
        yes        Was the whole latency explained? all 12 cells, worst rest-10B: a stopwatch that knows no marks saw 0.4 % of
                   the time that no stage explains (1.23 µs at the median; limit 1 %)
        yes        Are the marks right? all 12 cells, worst rest-10B: 0 stages out of order in 1,000 requests (limit 0);
                   certified by this build's tests (commit c1c1c1c1c1c1), which put delays into services, wire, windows and send
                   buffers and find each in its place

        INVALID    rest-10B    payload_bytes: declared 10 B, the wire carried 100,000 B in the reply of driver→gateway (every
                               time), 100,000 B in the request of gateway→echo (every time), 100,000 B in the reply of
                               gateway→echo (every time); the number is that of another payload: mend the service
        SUSPECT    rest-1MB    rate_not_kept: 322 of 1,000 planned requests succeeded (32 %, limit 99 %); 678 (68 %) were
                               dropped since 100 were in flight. Latency is that of an overloaded system: ask for less than
                               8.83/s to see the service itself
        SUSPECT    rest-1MB    falling_behind: latency grew by 938 ms in each second (limit 10.0 ms): requests came faster than
                               they were served, and a longer round would show more. Ask for less than 8.83/s
        SUSPECT    grpc-1MB    rate_not_kept: 322 of 1,000 planned requests succeeded (32 %, limit 99 %); 678 (68 %) were
                               dropped since 100 were in flight. Latency is that of an overloaded system: ask for less than
                               8.61/s to see the service itself
        SUSPECT    grpc-1MB    falling_behind: latency grew by 1.05 s in each second (limit 10.0 ms): requests came faster than
                               they were served, and a longer round would show more. Ask for less than 8.61/s
        note       rest-1MB    dropped: 678 of 1,000 arrivals (68 %) were dropped since 100 were in flight: they are in no
                               latency; with one in a thousand or more of them gone there is no p99
        note       grpc-1MB    dropped: 678 of 1,000 arrivals (68 %) were dropped since 100 were in flight: they are in no
                               latency; with one in a thousand or more of them gone there is no p99

        probe cost 1.021× [0.99, 1.05] CPU per request, probes on over off: 10 pairs of rounds on rest-10kB, 10 % of the
                   requests traced
        residual   at most 0.4 % of the p99 band (1.43 µs on rest-10B); that is what the stopwatch saw and no stage explains. At
                   least 99.6 % of each mean is measured, not inferred
        spans lost 0
        real       gateway = gateway 0.1.0, echo = echo 0.1.0
        stand-ins  driver = built-in driver 0.1.0, store = run file 0.1.0
        repeat     run-lab run --plan rest-vs-grpc --out results/today
    "#]].assert_eq(&terminal(&result, 120, false));
}

#[test]
fn a_report_begins_with_which_is_faster_by_how_much_and_why() {
    let cells = [Protocol::Rest, Protocol::Grpc].map(|protocol| cell(protocol, 100_000));
    let small = [Protocol::Rest, Protocol::Grpc].map(|protocol| cell(protocol, 10));
    let result = run([small, cells].concat(), 6).result();
    let text = terminal(&result, 120, false);
    let first: Vec<&str> = text.lines().take_while(|line| !line.starts_with("Brackets")).collect();
    expect![[r#"
        Where did the time go?  rest-vs-grpc-20261123T150000Z
        gRPC is faster at 100 kB; no difference was seen at 10 B.

        10 B        no difference of the means seen, though of their parts; one of 3.66 µs or more would have been (6 pairs of
                    rounds; without pairing, halves of one side's own rounds differ by up to 1.61 µs)
                    REST                             |                                    283 µs
                    waiting for the ends of messages ddddddddddddddddddddddddddddddddddd  +3.01 µs [+2.90, +3.12 µs]
                    9 others, each unclear                                         ·····  -0.44 µs
                    gRPC                                                           |      285 µs
        100 kB      REST takes 167 µs longer [155, 179 µs], 1.23× [1.23, 1.24]
                    REST                                                          | 881 µs
                    encoding and decoding      sssssssssssssssssssssssssssssssssss  -257 µs [-266, -248 µs]
                    framing                    ffffffffffff                         +89.8 µs [+87.7, +92.0 µs]
                    8 others, small or unclear             ·                        +0.36 µs
                    gRPC                                   |                        714 µs

    "#]].assert_eq(&format!("{}\n", first.join("\n")));
    // The steps add up to the difference of the means.
    let claim = result.contrasts.iter().find(|claim| claim.first == "rest-100kB").unwrap();
    let parts: f64 = claim.parts.iter().map(|part| part.difference.us).sum();
    assert!((parts - claim.mean.us).abs() < 0.05, "{parts} and {}", claim.mean.us);
    assert!((claim.second_us - claim.first_us - claim.mean.us).abs() < 0.01);
}

#[test]
fn a_table_in_100_columns() {
    let result = run(vec![cell(Protocol::Rest, 10), cell(Protocol::Grpc, 10)], 1).result();
    let text = terminal(&result, 100, false);
    let table: Vec<&str> =
        text.lines().skip_while(|line| !line.contains("payload  ")).take(4).collect();
    expect![[r#"
        table
          payload      asked → done/s     mean      p50      p99 where it went    largest, %  resid. verdict
             10 B REST      100 → 100   282 µs   281 µs   336 µs ggqqqsfknnnnnnnn network 50   0.4 % VALID
             10 B gRPC      100 → 100   284 µs   283 µs   338 µs ggqqqsfknnnnnnnn network 49   0.4 % VALID
                  g load gen · q queue · s serial · f framing · c flow · k socket · n network · d delivery
    "#]].assert_eq(&format!("table\n{}\n", table.join("\n")));
}

#[test]
fn a_note_that_many_cells_share_is_told_once() {
    let cells = [10, 100, 1_000, 10_000].map(|bytes| cell(Protocol::Rest, bytes));
    let mut fixture = run(cells.to_vec(), 1);
    for sample in fixture.samples.iter_mut().filter(|sample| sample.process == "echo") {
        sample.run_queue_wait_ns = sample.cpu_ns / 2;
    }
    let text = terminal(&fixture.result(), 120, false);
    let notes: Vec<&str> = text
        .lines()
        .skip_while(|line| !line.starts_with("note"))
        .take_while(|line| !line.is_empty())
        .collect();
    expect![[r#"
        note       the run    waiting_for_cpu: in all 4 cells, the most in rest-10kB: processes were ready but waited for a CPU,
                              of the time they wanted one: echo 33 %, driver 7.4 %, gateway 7.4 % (limit 25 %); that waiting is
                              inside their stages. Leave the machine to the lab, or use more cores
        VALID      every cell
    "#]].assert_eq(&format!("{}\n", notes.join("\n")));
    fixture.run.cells.truncate(2);
    let text = terminal(&fixture.result(), 120, false);
    assert_eq!(text.lines().filter(|line| line.starts_with("note")).count(), 2, "{text}");
}

#[test]
fn no_line_is_wider_than_asked() {
    let result = sample_run().result();
    for width in [100, 120, 160] {
        for line in terminal(&result, width, false).lines() {
            assert!(line.chars().count() <= width, "{width}: {line}");
        }
    }
}

#[test]
fn colour_changes_nothing_but_colour() {
    let result = sample_run().result();
    assert!(!terminal(&result, 120, false).contains('\x1b'));
    let coloured = terminal(&result, 120, true);
    assert!(coloured.contains("\x1b[1;31mINVALID\x1b[0m") && coloured.contains('█'));
    let plain = |text: &str| {
        let mut pieces = text.split('\x1b');
        let mut plain = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            plain.push_str(piece.split_once('m').map_or("", |(_, rest)| rest));
        }
        plain.lines().map(|line| line.chars().count()).collect::<Vec<_>>()
    };
    let widths: Vec<_> =
        terminal(&result, 120, false).lines().map(|line| line.chars().count()).collect();
    assert_eq!(plain(&coloured), widths);
}
