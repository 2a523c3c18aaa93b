//! What verdicts rest on: five questions about every cell, and what would show that the answer is no.

use std::sync::Arc;

use expect_test::{Expect, expect};
use lab_judge::result::CellResult;
use lab_model::{K6Measure, Protocol, Question, Status};
use ledger::Traffic;
use serde_json::Value;
use sidecar::runfile::{Claimed, ProcessSample};

use crate::fixture::{Fixture, cell, run};

/// Spoils a run of `rounds` rounds of one cell.
fn spoilt(rounds: u32, spoil: impl FnOnce(&mut Fixture)) -> CellResult {
    let mut fixture = run(vec![cell(Protocol::Rest, 10)], rounds);
    spoil(&mut fixture);
    fixture.result().cells.remove(0)
}

fn check(expected: Expect, cell: &CellResult) {
    let line = |evidence: &lab_model::Evidence| {
        let words = (evidence.question.words(), evidence.answer.words());
        format!("{} {}: {}\n", words.0, words.1, evidence.text)
    };
    let all: String = cell.evidence.iter().map(line).collect();
    expected.assert_eq(&format!("{}\n{all}", cell.verdict.status.name()));
}

/// The verdict and its codes, notes in brackets.
fn verdict(cell: &CellResult) -> String {
    let code = |reason: &lab_model::Reason| match reason.status {
        Status::Valid => format!(" ({})", reason.code),
        _ => format!(" {}", reason.code),
    };
    let codes: String = cell.verdict.reasons.iter().map(code).collect();
    format!("{}{codes}", cell.verdict.status.name())
}

/// As if k6 had driven, and told times that are right.
fn by_k6(fixture: &mut Fixture) {
    fixture.run.components[0].name = "k6".to_owned();
    for round in &mut fixture.run.cells[0].rounds {
        round.send_delay.reset();
        round.k6 = Some(K6Measure { joined: round.requests.started, ..K6Measure::default() });
    }
}

#[test]
fn five_questions_are_answered_each_with_a_number() {
    check(
        expect![[r#"
            VALID
            Was the declared workload sent? yes: of 3,000 requests 0 carried another payload than declared, counted on the connections (driver→gateway HTTP/1.1; gateway→echo HTTP/1.1); limit 0
            Are all requests there? yes: 3,000 planned = 3,000 started + 0 dropped, all ended; of 3,000 traced requests 0 are missing (limit 0)
            Was the whole latency explained? yes: a stopwatch that knows no marks saw 0.4 % of the time that no stage explains (1.23 µs at the median; limit 1 %)
            Are the marks right? yes: 0 stages out of order in 3,000 requests (limit 0); certified by this build's tests (commit c1c1c1c1c1c1), which put delays into services, wire, windows and send buffers and find each in its place
            Was it undisturbed? yes: the machine was 7.0 % busy (limit 95 %), requests were sent late by 12 % of the p99 (limit 50 %), the second half of a round took <0.1 % longer than its first
        "#]],
        &spoilt(6, |_| {}),
    );
}

/// As if foreign services had been asked, whose spans claim bodies and on whose connections no tap looked: at both
/// hops, or at the inner one alone.
fn foreign(fixture: &mut Fixture, hops: std::ops::Range<usize>, request: u64, reply: u64) {
    for row in &mut fixture.rows {
        for hop in &mut row.hops[hops.clone()] {
            (hop.request, hop.reply, hop.connection, hop.http) = (None, None, 0, 0);
            hop.claimed = Claimed { request: Some(request), reply: Some(reply) };
        }
    }
}

/// The answer to the first question.
fn workload(expected: Expect, cell: &CellResult) {
    let of = |evidence: &&lab_model::Evidence| evidence.question == Question::Workload;
    let evidence = cell.evidence.iter().find(of).expect("every question is answered");
    let all = format!("{} {}: {}", verdict(cell), evidence.answer.words(), evidence.text);
    expected.assert_eq(&(all.replace("; ", ";\n") + "\n"));
}

#[test]
fn where_no_tap_looked_the_sizes_that_spans_claim_say_what_was_sent() {
    workload(
        expect![[r#"
            VALID yes: of 500 requests 0 carried another payload than declared, claimed by spans where nobody counted (bodies at driver→gateway of 24 B for the request and 68 B for the reply, of which up to 1,024 B are envelope;
            gateway→echo of 24 B for the request and 68 B for the reply, of which up to 1,024 B are envelope);
            limit 0
        "#]],
        &spoilt(1, |fixture| foreign(fixture, 0..2, 24, 68)),
    );
    workload(
        expect![[r#"
            VALID yes: of 500 requests 0 carried another payload than declared, counted on the connections (driver→gateway HTTP/1.1), and claimed by spans where nobody counted (bodies at gateway→echo of 24 B for the request and 24 to 1,034 B for the reply, of which up to 1,024 B are envelope);
            limit 0
        "#]],
        &spoilt(1, |fixture| {
            foreign(fixture, 1..2, 24, 24);
            fixture.rows[7].hops[1].claimed.reply = Some(1_034);
        }),
    );
}

#[test]
fn another_payload_than_declared_is_invalid_by_claims_too() {
    workload(
        expect![[r#"
        INVALID payload_claimed no: declared 10 B, the spans claimed bodies of 100,237 B in the reply of driver→gateway (every time), 100,237 B in the reply of gateway→echo (every time), where nobody counted;
        the number is that of another payload: mend the service
    "#]],
        &spoilt(1, |fixture| foreign(fixture, 0..2, 14, 100_237)),
    );
    // One among many is enough, too short as well as too long.
    for bytes in [9, 1_035] {
        let cell = spoilt(1, |fixture| {
            foreign(fixture, 1..2, 24, 24);
            fixture.rows[7].hops[1].claimed.request = Some(bytes);
        });
        assert_eq!(verdict(&cell), "INVALID payload_claimed");
        let claimed = cell.wire[1].claimed.unwrap();
        assert_eq!((claimed.checked, claimed.mismatches), (500, 1));
        assert_eq!(cell.verdict.reasons[0].value, bytes as f64);
        assert_eq!(cell.verdict.reasons[0].limit, 10.0);
    }
}

/// As if a relay had been put before the inner service, and nothing else known of that: bodies of so many bytes.
fn relayed(fixture: &mut Fixture, request: u64, reply: u64) {
    for row in &mut fixture.rows {
        let hop = &mut row.hops[1];
        let counted = |body| Some(Traffic { body, wire: body + 150, ..Traffic::default() });
        (hop.request, hop.reply, hop.by_relay) = (counted(request), counted(reply), true);
    }
}

/// The same where the plan says how much of a body is no payload.
fn declaring(fixture: &mut Fixture, envelope: u64) {
    for measure in &mut fixture.run.cells {
        let workload = Arc::make_mut(&mut measure.cell.workload);
        workload.carries[1].envelope = Some(envelope);
    }
}

#[test]
fn the_bodies_that_a_relay_counts_are_the_proof_of_a_foreign_hop() {
    let cell = spoilt(1, |fixture| relayed(fixture, 22, 68));
    workload(
        expect![[r#"
            VALID yes: of 500 requests 0 carried another payload than declared, counted on the connections (driver→gateway HTTP/1.1), and counted by a relay (bodies at gateway→echo of 22 B for the request and 68 B for the reply, of which up to 1,024 B are envelope);
            limit 0
        "#]],
        &cell,
    );
    let hop = &cell.wire[1];
    assert_eq!((hop.seen, hop.unseen, hop.request_payload_bytes), (500, 0, None));
    assert_eq!(hop.request_body_bytes, Some(22.0));
    workload(
        expect![[r#"
            INVALID payload_relayed no: declared 10 B, the relay counted bodies of 100,012 B in the request of gateway→echo (every time);
            the number is that of another payload: mend the service
        "#]],
        &spoilt(1, |fixture| relayed(fixture, 100_012, 22)),
    );
}

#[test]
fn a_declared_envelope_is_all_that_a_body_may_have_beside_its_payload() {
    for (envelope, bytes, expected) in [
        (12, 22, "VALID"),
        (11, 22, "INVALID payload_relayed"),
        (12, 9, "INVALID payload_relayed"),
        (2_000, 2_010, "VALID"),
        (0, 10, "VALID"),
    ] {
        let cell = spoilt(1, |fixture| {
            relayed(fixture, bytes, bytes);
            declaring(fixture, envelope);
        });
        assert_eq!(verdict(&cell), expected, "{bytes} B with {envelope} B of envelope");
        let cell = spoilt(1, |fixture| {
            foreign(fixture, 1..2, bytes, bytes);
            declaring(fixture, envelope);
        });
        assert_eq!(verdict(&cell), expected.replace("relayed", "claimed"));
    }
}

#[test]
fn what_is_claimed_speaks_only_where_nothing_was_counted() {
    let cell = spoilt(1, |fixture| {
        for row in &mut fixture.rows {
            row.hops[1].claimed = Claimed { request: Some(24), reply: Some(100_237) };
        }
    });
    assert_eq!(verdict(&cell), "VALID");
    let wire = serde_json::to_value(&cell.wire).unwrap();
    assert_eq!(wire[0].get("claimed"), None, "nobody claimed anything of the edge");
    let (counted, claimed) = (&wire[1]["response_body_bytes"], &wire[1]["claimed"]);
    assert_eq!((counted, &claimed["response_body_bytes"]), (&24.0.into(), &100_237.0.into()));
    assert_eq!(
        (&claimed["mismatches"], &claimed["response_body_range"]),
        (&0.into(), &Value::Null)
    );
}

#[test]
fn a_hop_of_which_taps_saw_some_requests_is_judged_by_the_claims_of_the_others() {
    let mixed = |reply| {
        spoilt(1, |fixture| {
            let tapped = fixture.rows[..250].to_vec();
            foreign(fixture, 1..2, 24, reply);
            fixture.rows[..250].clone_from_slice(&tapped);
        })
    };
    assert_eq!(verdict(&mixed(24)), "VALID");
    assert_eq!(verdict(&mixed(100_237)), "INVALID payload_claimed");
}

#[test]
fn what_nobody_counted_and_not_everybody_claims_cannot_be_checked() {
    // An empty payload has often no body, of which nothing is claimed.
    let cell = spoilt(1, |fixture| {
        foreign(fixture, 0..1, 0, 68);
        fixture.rows.iter_mut().for_each(|row| row.hops[0].claimed.request = None);
    });
    assert_eq!(verdict(&cell), "VALID");
    workload(
        expect![[r#"
            UNCHECKED payload_untold cannot be checked here: gateway→echo: no tap looked at its connections, so nothing here can tell what 20 of 500 requests sent: their spans claim no sizes either
        "#]],
        &spoilt(1, |fixture| {
            foreign(fixture, 1..2, 24, 24);
            fixture.rows.iter_mut().take(20).for_each(|row| row.hops[1].claimed.reply = None);
        }),
    );
    workload(
        expect![[r#"
            UNCHECKED payload_untold cannot be checked here: gateway→echo: no tap looked at its connections, so nothing here can tell what 500 requests sent
        "#]],
        &spoilt(1, |fixture| {
            foreign(fixture, 1..2, 0, 0);
            fixture.rows.iter_mut().for_each(|row| row.hops[1].claimed = Claimed::default());
        }),
    );
}

#[test]
fn the_worst_answer_comes_first() {
    let cell = spoilt(1, |fixture| {
        fixture.run.cells[0].rounds[0].host_cpu_share = 0.97;
        fixture.rows[9].hops[1].http = 20;
        fixture.run.environment.commit = "unknown".to_owned();
    });
    let found: Vec<_> =
        cell.evidence.iter().map(|one| (one.question.name(), one.answer.words())).collect();
    assert_eq!(
        found,
        [
            ("workload", "no"),
            ("undisturbed", "no"),
            ("marks", "cannot be checked here"),
            ("requests", "yes"),
            ("latency", "yes")
        ]
    );
    assert_eq!(cell.verdict.status, Status::Invalid);
}

#[test]
fn a_build_that_no_tests_certify_is_told_and_doubts_no_number() {
    for (commit, told) in [
        ("unknown", "the commit that it was built from is not known"),
        ("c1c1-dirty", "something was changed since commit c1c1"),
    ] {
        let cell = spoilt(1, |fixture| fixture.run.environment.commit = commit.to_owned());
        assert_eq!(verdict(&cell), "VALID (not_certified)");
        assert!(cell.verdict.reasons[0].text.ends_with(told), "{}", cell.verdict.reasons[0].text);
    }
}

#[test]
fn k6_is_checked_by_what_the_gateway_read_and_wrote() {
    check(
        expect![[r#"
            VALID
            Was it undisturbed? cannot be checked here: the load generator does not tell when it meant to send a request, so whether it was on time cannot be checked
            Was the declared workload sent? yes: of 500 requests 0 carried another payload than declared, counted on the connections (driver→gateway HTTP/1.1; gateway→echo HTTP/1.1); limit 0
            Are all requests there? yes: 500 planned = 500 started + 0 dropped, all ended; of 500 traced requests 0 are missing (limit 0)
            Was the whole latency explained? yes: checked by containment: the load generator's times hold the first service's first read to its last write in 500 of 500 requests (100 %, limit 99.9 %)
            Are the marks right? yes: 0 stages out of order in 500 requests (limit 0); certified by this build's tests (commit c1c1c1c1c1c1), which put delays into services, wire, windows and send buffers and find each in its place
        "#]],
        &spoilt(1, by_k6),
    );
}

#[test]
fn the_word_of_k6_alone_makes_no_cell_valid() {
    let cell = spoilt(1, |fixture| {
        by_k6(fixture);
        fixture.rows.iter_mut().for_each(|row| row.margin_ns = None);
    });
    assert_eq!(verdict(&cell), "UNCHECKED latency_untold (lateness_untold)");
}

#[test]
fn times_that_cannot_be_are_caught() {
    let outside = |count: usize| {
        spoilt(1, |fixture| {
            by_k6(fixture);
            fixture.rows.iter_mut().take(count).for_each(|row| row.margin_ns = Some(-1));
        })
    };
    assert_eq!(verdict(&outside(500)), "INVALID containment (lateness_untold)");
    assert_eq!(verdict(&outside(1)), "SUSPECT containment (lateness_untold)");
    let cell = spoilt(1, |fixture| {
        by_k6(fixture);
        let k6 = fixture.run.cells[0].rounds[0].k6.as_mut().unwrap();
        k6.misplaced = k6.joined;
    });
    assert_eq!(verdict(&cell), "INVALID own_words (lateness_untold)");
    // Of the built-in driver too: its stopwatch is not asked alone.
    let cell = spoilt(1, |fixture| {
        fixture.rows.iter_mut().for_each(|row| row.margin_ns = Some(-1));
    });
    assert_eq!(verdict(&cell), "INVALID containment");
}

#[test]
fn a_request_that_lost_the_cpu_between_stopwatch_and_mark_makes_no_cell_invalid() {
    let held_up = |count: usize| {
        spoilt(1, |fixture| {
            for row in fixture.rows.iter_mut().take(count) {
                row.stopwatch_ns = row.stopwatch_ns.map(|ns| ns + 5_000_000);
            }
        })
    };
    assert_eq!(verdict(&held_up(1)), "VALID (residual_p99)");
    assert_eq!(verdict(&held_up(30)), "SUSPECT unexplained (residual_p99)");
    assert!(held_up(300).verdict.codes().any(|code| code == "unexplained"));
    assert_eq!(held_up(300).verdict.status, Status::Invalid);
}

#[test]
fn few_requests_make_no_cell_invalid_for_their_tail() {
    let cell = spoilt(1, |fixture| {
        let round = &mut fixture.run.cells[0].rounds[0];
        fixture.rows.truncate(60);
        round.traced = 60;
        fixture.rows.iter_mut().for_each(|row| {
            row.stopwatch_ns = row.stopwatch_ns.map(|ns| ns + 5_000_000);
        });
    });
    assert_eq!(verdict(&cell), "SUSPECT residual_p50 unexplained (residual_p99)");
}

#[test]
fn what_a_busy_machine_loses_is_suspect_for_the_right_reason() {
    let lost = |busy: f64| {
        spoilt(1, |fixture| {
            fixture.rows.truncate(400);
            fixture.run.cells[0].rounds[0].host_cpu_share = busy;
        })
    };
    assert_eq!(verdict(&lost(0.1)), "INVALID traces_lost");
    assert_eq!(verdict(&lost(1.0)), "SUSPECT host_saturated traces_lost");
}

#[test]
fn dropped_arrivals_are_noted_and_from_one_in_a_thousand_there_is_no_p99() {
    let dropped = |count: u64| {
        spoilt(1, |fixture| {
            let round = &mut fixture.run.cells[0].rounds[0];
            round.requests.planned += count;
            round.requests.dropped += count;
            // As the plan had it.
            fixture.run.cells[0].cell.rate += count as f64 / 5.0;
        })
    };
    let cell = dropped(4);
    assert_eq!(verdict(&cell), "VALID (dropped)");
    assert_eq!((cell.latency_us.p99, cell.rounds[0].p99_us), (None, None));
    assert!(cell.curve.iter().all(|point| point.quantile < 0.99), "{:?}", cell.curve.last());
    assert!(dropped(0).latency_us.p99.is_some());
}

/// Six rounds of five seconds in which the latency rises from one end of each `stretch_ns` to the other by 1.5 times the
/// mean, or falls.
fn sloped(fixture: &mut Fixture, stretch_ns: u64, sign: i64) {
    let starts: Vec<u64> = fixture.run.cells[0].rounds.iter().map(|round| round.start_ns).collect();
    for row in &mut fixture.rows {
        let since = (row.start_ns - starts[row.round as usize]) % stretch_ns;
        let more = (since as f64 / stretch_ns as f64 - 0.5) * 1.5 * sign as f64;
        let shift = (row.latency_ns as f64 * more) as i64;
        row.hops[1].stages.add(ledger::Stage::Handler, shift, ledger::Kind::Measured);
        row.latency_ns += shift;
        row.stopwatch_ns = row.stopwatch_ns.map(|ns| ns.saturating_add_signed(shift));
    }
}

const ROUND_NS: u64 = 5_000_000_000;

#[test]
fn latency_that_rises_or_falls_over_a_round_is_judged_however_short_the_round() {
    for sign in [1, -1] {
        let cell = spoilt(6, |fixture| sloped(fixture, ROUND_NS, sign));
        assert_eq!(verdict(&cell), "SUSPECT not_steady", "{sign}");
    }
    assert_eq!(verdict(&spoilt(6, |_| {})), "VALID");
}

#[test]
fn latency_that_rises_in_each_turn_is_judged_though_it_is_the_same_all_through_the_round() {
    const TURN_NS: u64 = ROUND_NS / 10;
    let in_turns = |fixture: &mut Fixture| {
        for round in &mut fixture.run.cells[0].rounds {
            let turns = (1..10).map(|turn| round.start_ns + turn * TURN_NS);
            round.rests = turns.map(|at| (at, at)).collect();
        }
    };
    let rising = spoilt(6, |fixture| {
        in_turns(fixture);
        sloped(fixture, TURN_NS, 1);
    });
    assert_eq!(verdict(&rising), "SUSPECT not_steady");
    let told = rising.verdict.reasons[0].text.as_str();
    assert!(told.starts_with("the second half of a turn took "), "{told}");
    assert_eq!(verdict(&spoilt(6, in_turns)), "VALID");
    // Without turns nobody would know: both halves of the round are alike.
    assert_eq!(verdict(&spoilt(6, |fixture| sloped(fixture, TURN_NS, 1))), "VALID");
}

#[test]
fn turns_that_outlive_their_time_are_a_service_that_falls_behind() {
    // Each of ten turns takes so much longer than the half second that it was to take.
    let outlived = |ns: u64| {
        spoilt(6, |fixture| {
            for round in &mut fixture.run.cells[0].rounds {
                let (start, turn) = (round.start_ns, ROUND_NS / 10 + ns);
                round.rests = (1..10).map(|at| (start + at * turn, start + at * turn)).collect();
                round.end_ns = start + 10 * turn;
            }
        })
    };
    // No longer than an answer takes.
    assert_eq!(outlived(200_000).load.latency_growth, 0.0);
    let behind = outlived(100_000_000);
    assert!((0.19..0.2).contains(&behind.load.latency_growth), "{:?}", behind.load);
    assert!(behind.verdict.codes().any(|code| code == "falling_behind"), "{}", verdict(&behind));
}

#[test]
fn a_machine_that_others_use_is_said_to_be_that_and_no_overload_of_the_system() {
    let busy = |theirs: f64| {
        spoilt(6, |fixture| {
            for round in &mut fixture.run.cells[0].rounds {
                round.host_cpu_share = 0.99;
                for second in &mut round.seconds {
                    second.latency_sum_us +=
                        second.second as f64 * 20_000.0 * second.latency_count as f64;
                }
            }
            let own =
                |sample: &&mut ProcessSample| sample.process == "echo" || sample.process == "host";
            for sample in fixture.samples.iter_mut().filter(own) {
                let more = if sample.process == "host" { 1.95 } else { 1.95 - theirs };
                sample.cpu_ns = (sample.at_ns as f64 * more) as u64;
            }
        })
    };
    let others = busy(1.9);
    assert_eq!(verdict(&others), "SUSPECT host_saturated (falling_behind)");
    let said =
        others.verdict.reasons.iter().map(|reason| &*reason.text).collect::<Vec<_>>().join("\n");
    assert!(said.contains("cores were used by processes that are no part of this run"), "{said}");
    assert!(!said.contains("came faster than they were served"), "{said}");
    // The same where it is the system's own.
    assert_eq!(verdict(&busy(0.9)), "SUSPECT falling_behind host_saturated");
}

#[test]
fn seconds_of_falling_latency_are_judged_as_rising_ones_are() {
    let cell = spoilt(1, |fixture| {
        for second in &mut fixture.run.cells[0].rounds[0].seconds {
            let later = 5 - second.second.min(5);
            second.latency_sum_us += later as f64 * 20_000.0 * second.latency_count as f64;
        }
    });
    assert_eq!(verdict(&cell), "SUSPECT settling");
}
