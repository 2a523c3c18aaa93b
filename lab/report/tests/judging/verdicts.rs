//! Every rule of judging speaks when it should, and only then.

use expect_test::{Expect, expect};
use lab_judge::verdict::rules;
use lab_model::{PayloadSource, Protocol, Status, Verdict};
use ledger::{Kind, Stage};

use crate::fixture::{Fixture, cell, run};

fn sound() -> Fixture {
    run(vec![cell(Protocol::Rest, 10)], 1)
}

/// Spoils a sound run and judges its only cell.
fn verdict(spoil: impl FnOnce(&mut Fixture)) -> Verdict {
    let mut fixture = sound();
    spoil(&mut fixture);
    fixture.result().cells.remove(0).verdict
}

/// The status and codes, notes in brackets, of a spoiled run.
fn check(expected: &str, spoil: impl FnOnce(&mut Fixture)) {
    let verdict = verdict(spoil);
    let mut found = vec![verdict.status.name().to_owned()];
    found.extend(verdict.reasons.iter().map(|reason| {
        assert!(reason.text.chars().count() > 30, "{}", reason.text);
        if reason.status == Status::Valid {
            format!("({})", reason.code)
        } else {
            reason.code.clone()
        }
    }));
    assert_eq!(found.join(" "), expected);
}

fn text(expected: Expect, spoil: impl FnOnce(&mut Fixture)) {
    let reasons = verdict(spoil).reasons;
    let first = reasons.first().map(|reason| reason.text.as_str());
    expected.assert_eq(&(first.unwrap_or_default().replace("; ", ";\n") + "\n"));
}

#[test]
fn a_sound_cell_is_valid_without_a_word() {
    check("VALID", |_| {});
}

#[test]
fn another_payload_than_declared_is_invalid() {
    let bug = |fixture: &mut Fixture| {
        for row in &mut fixture.rows {
            row.hops[0].reply.as_mut().unwrap().payload = 100_000;
        }
    };
    check("INVALID payload_bytes", bug);
    text(
        expect![[r#"
        declared 10 B, the wire carried 100,000 B in the reply of driver→gateway (every time);
        the number is that of another payload: mend the service
    "#]],
        bug,
    );
    check("INVALID payload_bytes", |fixture| {
        fixture.rows[3].hops[1].request.as_mut().unwrap().payload = 11;
    });
    check("INVALID payload_bytes", |fixture| {
        fixture.rows[3].hops[0].request.as_mut().unwrap().payload = 1;
    });
}

#[test]
fn another_protocol_than_declared_is_invalid() {
    check("INVALID protocol_on_the_wire", |fixture| fixture.rows[9].hops[1].http = 20);
}

#[test]
fn ends_that_disagree_are_invalid() {
    check("INVALID ends_disagree", |fixture| fixture.rows[9].hops[1].wire_disagrees = true);
}

#[test]
fn a_hop_that_no_tap_saw_is_unchecked_and_one_that_some_saw_is_suspect() {
    check("SUSPECT payload_unproved", |fixture| fixture.rows[3].hops[1].reply = None);
    check("UNCHECKED payload_untold", |fixture| {
        for row in &mut fixture.rows {
            row.hops[1].request = None;
            row.hops[1].reply = None;
        }
    });
}

#[test]
fn connections_are_as_many_as_the_cell_declares() {
    check("SUSPECT connections_pooled", |fixture| {
        for (index, row) in fixture.rows.iter_mut().enumerate() {
            row.hops[1].connection = 1 + index as u64;
        }
    });
    check("INVALID connection_per_request", |fixture| {
        fixture.run.cells[0].cell.knobs.connection_per_request = true;
    });
    check("VALID", |fixture| {
        fixture.run.cells[0].cell.knobs.connection_per_request = true;
        for (index, row) in fixture.rows.iter_mut().enumerate() {
            row.hops[1].connection = 1 + index as u64;
        }
    });
    check("VALID (retried)", |fixture| fixture.rows[0].hops[1].attempts = 2);
}

#[test]
fn accounting_that_does_not_add_up_is_invalid() {
    check("INVALID conservation", |fixture| {
        fixture.run.cells[0].rounds[0].requests.late = Some(501)
    });
    check("INVALID conservation", |fixture| fixture.run.cells[0].rounds[0].requests.planned += 2);
}

#[test]
fn a_plan_that_was_not_carried_out_is_suspect() {
    check("SUSPECT plan_not_carried_out", |fixture| fixture.run.cells[0].cell.rate = 110.0);
}

#[test]
fn an_overloaded_service_is_suspect_and_says_what_its_latency_is() {
    let saturate = |fixture: &mut Fixture| {
        let mut slow = cell(Protocol::Rest, 1_000_000);
        slow.knobs.payload_source = PayloadSource::PerRequest;
        *fixture = run(vec![slow], 1);
    };
    check("SUSPECT rate_not_kept falling_behind (dropped)", saturate);
    text(
        expect![[r#"
        161 of 500 planned requests succeeded (32 %, limit 99 %);
        339 (68 %) were dropped since 100 were in flight. Latency is that of an overloaded system: ask for less than 9.47/s to see the service itself
    "#]],
        saturate,
    );
}

#[test]
fn a_growing_queue_is_suspect_even_if_nothing_is_dropped() {
    check("SUSPECT falling_behind", |fixture| {
        for second in &mut fixture.run.cells[0].rounds[0].seconds {
            second.latency_sum_us += second.second as f64 * 20_000.0 * second.latency_count as f64;
        }
    });
}

#[test]
fn errors_are_suspect_and_many_are_invalid() {
    let fail = |count: u64| {
        move |fixture: &mut Fixture| {
            let round = &mut fixture.run.cells[0].rounds[0];
            round.requests.error = count;
            round.requests.ok -= count;
            round.errors.insert("502 echo is down".to_owned(), count);
            let mut latency = round.latency.clone();
            latency.reset();
            latency.saturating_record_n(300_000, round.requests.ok);
            round.latency = latency;
            for row in fixture.rows.iter_mut().take(count as usize) {
                row.error = true;
                row.hops.truncate(1);
            }
        }
    };
    check("SUSPECT errors", fail(5));
    check("INVALID errors rate_not_kept", fail(20));
    check("INVALID errors nothing_completed", fail(500));
    text(
        expect![[r#"
        5 of 500 requests failed (1.0 %, limit 0 %), mostly: 502 echo is down;
        latency is that of the others
    "#]],
        fail(5),
    );
}

#[test]
fn an_interrupted_cell_is_suspect() {
    check("SUSPECT interrupted (few_samples)", |fixture| {
        let kept = 50;
        let round = &mut fixture.run.cells[0].rounds[0];
        round.requests.planned = kept + 1;
        round.requests.started = kept + 1;
        (round.requests.ok, round.requests.unfinished, round.traced) = (kept, 1, kept);
        // One in 51 is more than 1 %, but that is the interruption.
        let mut latency = round.latency.clone();
        latency.reset();
        latency.saturating_record_n(300_000, kept);
        round.latency = latency;
        fixture.rows.truncate(kept as usize);
        fixture.run.incomplete = true;
    });
}

#[test]
fn a_saturated_generator_or_machine_is_suspect() {
    check("SUSPECT generator_late", |fixture| {
        fixture.run.cells[0].rounds[0].send_delay.saturating_record_n(5_000_000, 10);
    });
    check("SUSPECT generator_cpu", |fixture| {
        fixture.run.cells[0].rounds[0].driver_cpu_ns = 4_800_000_000
    });
    // Lateness is held to the latency: of a second it is nothing.
    check("VALID", |fixture| {
        let round = &mut fixture.run.cells[0].rounds[0];
        round.send_delay.saturating_record_n(5_000_000, 10);
        round.latency.reset();
        round.latency.saturating_record_n(1_000_000_000, 500);
    });
    check("SUSPECT host_saturated", |fixture| fixture.run.cells[0].rounds[0].host_cpu_share = 0.97);
    check("SUSPECT waiting_for_cpu", |fixture| {
        for sample in fixture.samples.iter_mut().filter(|sample| sample.process == "echo") {
            sample.run_queue_wait_ns = sample.cpu_ns * 2;
        }
    });
}

#[test]
fn a_late_send_is_told_with_what_is_known_of_it() {
    text(
        expect![[r#"
            one request in a hundred was sent 5.00 ms or more after its planned time, that is 1487 % of the p99 of 336 µs (limit 50 %): the load generator had too much to do (it used 0.01 cores) or waited for a CPU (the machine's were 7.0 % busy). That lateness is in the latency, as driver lag. Ask for less, or use more cores
        "#]],
        |fixture| {
            fixture.run.cells[0].rounds[0].send_delay.saturating_record_n(5_000_000, 10);
        },
    );
}

#[test]
fn what_follows_from_an_overload_is_a_note_beside_it() {
    check("SUSPECT rate_not_kept falling_behind (dropped) (waiting_for_cpu)", |fixture| {
        let mut slow = cell(Protocol::Rest, 1_000_000);
        slow.knobs.payload_source = PayloadSource::PerRequest;
        *fixture = run(vec![slow], 1);
        fixture.run.cells[0].rounds[0].send_delay.saturating_record_n(5_000_000, 10);
        for sample in fixture.samples.iter_mut().filter(|sample| sample.process == "echo") {
            sample.run_queue_wait_ns = sample.cpu_ns * 2;
        }
    });
}

#[test]
fn a_generator_that_does_not_tell_its_lateness_is_not_accused() {
    check("VALID", |fixture| fixture.run.cells[0].rounds[0].send_delay.reset());
}

#[test]
fn lost_traces_are_suspect_and_many_are_invalid() {
    check("SUSPECT traces_lost", |fixture| {
        fixture.rows.pop();
    });
    check("INVALID traces_lost", |fixture| fixture.rows.truncate(400));
    check("INVALID no_traces traces_lost", |fixture| fixture.rows.clear());
    check("INVALID traces_unexpected", |fixture| {
        let again = fixture.rows[0].clone();
        fixture.rows.push(again);
    });
}

#[test]
fn a_missing_side_or_hop_is_suspect_and_many_are_invalid() {
    check("SUSPECT unjoined_hops", |fixture| fixture.rows[0].whole = false);
    check("INVALID unjoined_hops", |fixture| {
        for row in fixture.rows.iter_mut().take(6) {
            row.hops.truncate(1);
            row.latency_ns = row.hops[0].stages.total();
            row.stopwatch_ns = Some(row.latency_ns.unsigned_abs());
        }
    });
}

#[test]
fn books_that_do_not_close_are_invalid() {
    check("INVALID unexplained residual_p50 (residual_p99)", |fixture| {
        for row in &mut fixture.rows {
            row.stopwatch_ns = Some((row.latency_ns as f64 * 1.03) as u64);
        }
    });
    check("SUSPECT no_stopwatch", |fixture| fixture.rows[0].stopwatch_ns = None);
    check("UNCHECKED latency_untold", |fixture| {
        fixture.rows.iter_mut().for_each(|row| row.stopwatch_ns = None);
    });
}

#[test]
fn inferred_time_is_suspect_with_the_built_in_driver_only() {
    let infer = |fixture: &mut Fixture| {
        for row in &mut fixture.rows {
            row.hops[1].stages.add(Stage::BetweenSpans, 30_000, Kind::Inferred);
            row.latency_ns += 30_000;
            row.stopwatch_ns = row.stopwatch_ns.map(|ns| ns + 30_000);
        }
    };
    check("SUSPECT measured_share", infer);
    check("VALID", |fixture| {
        infer(fixture);
        fixture.run.components[0].name = "k6".to_owned();
    });
}

#[test]
fn marks_out_of_order_are_suspect_and_early_replies_noted() {
    check("SUSPECT out_of_order", |fixture| fixture.rows[0].out_of_order = 2);
    check("INVALID out_of_order", |fixture| {
        fixture.rows.iter_mut().take(6).for_each(|row| row.out_of_order = 1);
    });
    check("VALID (early_replies)", |fixture| fixture.rows[0].early = true);
}

#[test]
fn a_cell_without_probes_is_not_asked_for_a_ledger() {
    check("UNCHECKED probes_off", |fixture| {
        fixture.run.cells[0].cell.knobs.probes_off = true;
        fixture.rows.clear();
    });
}

#[test]
fn the_run_is_as_good_as_its_worst_cell_and_its_spans() {
    let mut fixture = sound();
    assert_eq!(fixture.result().verdict.status, Status::Valid);
    fixture.run.spans_lost.insert("queue full".to_owned(), 12);
    let verdict = fixture.result().verdict;
    assert_eq!(verdict.codes().collect::<Vec<_>>(), ["spans_lost"]);
    assert_eq!(
        verdict.reasons[0].text,
        "12 spans were lost on their way (limit 0; queue full: 12); trace fewer requests"
    );
    fixture.rows[0].hops[1].http = 20;
    assert_eq!(fixture.result().verdict.status, Status::Invalid);
    fixture.run.incomplete = true;
    assert_eq!(fixture.result().verdict.reasons.len(), 2);
}

#[test]
fn no_two_rules_share_a_code() {
    let mut codes: Vec<_> = rules::ALL.iter().map(|rule| rule.code).collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), rules::ALL.len());
}
