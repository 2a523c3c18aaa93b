//! What a result holds: the arithmetic of bands, wires and resources, and its form in JSON.

use std::collections::BTreeMap;

use lab_judge::result::{RunResult, StageResult};
use lab_model::{Component, CpuUse, Protocol};
use ledger::{Kind, Stage};

use crate::fixture::{Dice, Fixture, cell, run, sample_run};

fn one_cell() -> Fixture {
    run(vec![cell(Protocol::Grpc, 10_000)], 1)
}

fn sum(stages: &[StageResult], value: fn(&StageResult) -> f64) -> f64 {
    stages.iter().map(value).sum()
}

/// Stages are rounded to a nanosecond each.
fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 0.1
}

#[test]
fn stages_and_residual_add_up_to_the_traced_mean_in_every_band() {
    for seed in 0..60 {
        let mut fixture = one_cell();
        let mut dice = Dice(seed);
        let keep = 1 + (dice.roll() * 300.0) as usize;
        fixture.rows.truncate(keep);
        for row in &mut fixture.rows {
            // Marks out of order, inferred stages, stopwatches that disagree or are missing.
            let stage = Stage::ALL[(dice.roll() * Stage::COUNT as f64) as usize];
            let kind = if dice.roll() < 0.5 { Kind::Inferred } else { Kind::Measured };
            let ns = (dice.roll() * 4e6 - 1e6) as i64;
            row.hops[1].stages.add(stage, ns, kind);
            row.latency_ns += ns;
            row.stopwatch_ns = (dice.roll() < 0.9).then(|| (row.latency_ns + 5_000).unsigned_abs());
        }
        let result = fixture.result();
        let cell = &result.cells[0];
        let (stages, left) = (&cell.stages, cell.residual);
        assert!(close(sum(stages, |s| s.mean_us) + left.mean_us, cell.traced.mean_us), "{seed}");
        assert!(close(sum(stages, |s| s.p50_us) + left.p50_us, cell.traced.p50_us), "{seed}");
        assert!(
            close(sum(stages, |s| s.p99_band_us) + left.p99_band_us, cell.traced.p99_band_us),
            "{seed}"
        );
        let families: f64 = cell.families.iter().map(|family| family.mean_us).sum();
        assert!(close(families, sum(stages, |s| s.mean_us)), "{seed}");
    }
}

#[test]
fn the_p99_band_holds_the_slowest_requests_and_at_least_one() {
    for (rows, expected) in [(1, 1), (50, 1), (100, 2), (101, 2), (500, 6)] {
        let mut fixture = one_cell();
        fixture.rows.truncate(rows);
        for (index, row) in fixture.rows.iter_mut().enumerate() {
            row.stopwatch_ns = Some(1_000_000 + index as u64);
        }
        let cell = &fixture.result().cells[0];
        assert_eq!(cell.traced.p99_band_count, expected, "of {rows}");
        assert!(cell.traced.p99_band_us >= cell.traced.p50_us);
    }
}

#[test]
fn warm_up_and_foreign_rows_are_left_out() {
    let mut fixture = one_cell();
    let before = fixture.result();
    let mut warm_up = fixture.rows[0].clone();
    warm_up.cell = "".into();
    fixture.rows.push(warm_up);
    assert_eq!(fixture.result(), before);
}

#[test]
fn one_wrong_payload_among_many_is_found() {
    let mut fixture = one_cell();
    fixture.rows[77].hops[1].request.as_mut().unwrap().payload = 9_999;
    let result = fixture.result();
    let inner = result.cells[0].wire.iter().find(|hop| hop.depth == 1).expect("the inner hop");
    assert_eq!((inner.payload_mismatches, inner.request_payload_range), (1, Some((9_999, 10_000))));
    let reason = &result.cells[0].verdict.reasons[0];
    assert_eq!(
        (reason.code.as_str(), reason.value, reason.limit),
        ("payload_bytes", 9_999.0, 10_000.0)
    );
}

#[test]
fn counters_are_interpolated_at_the_edges_of_a_round() {
    let mut fixture = one_cell();
    let round = &mut fixture.run.cells[0].rounds[0];
    // Samples at 0 s, 1 s, …: the round from 0.5 s to 1.75 s is charged 1.25 of the seconds.
    (round.start_ns, round.end_ns) =
        (fixture.samples[0].at_ns + 500_000_000, fixture.samples[0].at_ns + 1_750_000_000);
    let result = fixture.result();
    let process = |name: &str| {
        result.cells[0]
            .resources
            .iter()
            .find(|process| process.process == name)
            .expect("was sampled")
    };
    assert!((process("gateway").cpu_s - 1.25 * 0.11).abs() < 1e-4);
    assert!((process("gateway").cores - 0.11).abs() < 1e-4);
    assert_eq!(process("echo").rss_max_bytes, 17 << 20);
}

#[test]
fn what_was_read_at_the_edges_of_turns_is_known_better_than_samples_tell_it() {
    let mut fixture = one_cell();
    let round = &mut fixture.run.cells[0].rounds[0];
    let (start, end) = (round.start_ns, round.end_ns);
    // Half of the time is somebody else's.
    round.rests = vec![(start + (end - start) / 4, start + (end - start) * 3 / 4)];
    let used = CpuUse { cpu_ns: 123_000_000, wait_ns: 41_000_000 };
    round.processes = [("gateway".to_owned(), used)].into();
    let resources = fixture.result().cells[0].resources.clone();
    let process =
        |name: &str| resources.iter().find(|process| process.process == name).expect("was sampled");
    let elapsed_s = (end - start) as f64 / 2e9;
    assert_eq!((process("gateway").cpu_s, process("gateway").run_queue_wait_s), (0.123, 0.041));
    assert_eq!(process("gateway").run_queue_wait_share, 0.25);
    assert!((process("gateway").cores - 0.123 / elapsed_s).abs() < 1e-4);
    // Of the echo there are samples alone.
    assert!((process("echo").cores - 0.04).abs() < 0.02, "{:?}", process("echo"));
}

#[test]
fn injected_delays_are_reported_as_their_injector_measured_them() {
    let mut fixture = one_cell();
    for row in &mut fixture.rows {
        row.hops[1].injected.push((Stage::Handler, 5_000_000));
    }
    let injected = &fixture.result().cells[0].injected;
    assert_eq!(
        (injected.len(), injected[0].stage.as_str(), injected[0].mean_us),
        (1, "handler", 5_000.0)
    );
}

#[test]
fn a_result_survives_the_way_through_json() {
    let mut fixture = sample_run();
    fixture.run.incomplete = true;
    fixture.run.spans_lost = BTreeMap::from([("queue full".to_owned(), 3)]);
    let result = fixture.result();
    let read = RunResult::from_json(&lab_report::json(&result)).expect("what was written");
    assert_eq!(read, result);
}

#[test]
fn a_result_of_another_schema_is_refused_with_both_numbers() {
    let text = lab_report::json(&one_cell().result()).replace("\"schema\": 3", "\"schema\": 9");
    let error = RunResult::from_json(&text).expect_err("schema 9").to_string();
    assert_eq!(error, "result.json has schema 9; this version reads schemas 1 to 3");
}

#[test]
fn a_run_without_any_row_or_request_is_still_a_result() {
    let mut fixture = one_cell();
    fixture.rows.clear();
    fixture.samples.clear();
    fixture.run.cells[0].rounds.clear();
    let result = fixture.result();
    assert_eq!(RunResult::from_json(&lab_report::json(&result)).expect("JSON"), result);
    fixture.run.cells.clear();
    fixture.run.components = Vec::<Component>::new();
    let result = fixture.result();
    assert!(lab_report::terminal(&result, 100, false).contains("The run has no cells."));
    assert!(lab_report::html(&result).contains("The run has no cells."));
}

#[test]
fn what_the_order_of_two_cells_does_cancels_where_a_round_in_the_middle_is_missing() {
    let cells = [Protocol::Rest, Protocol::Grpc].map(|protocol| cell(protocol, 10_000));
    let mut fixture = run(cells.to_vec(), 8);
    let missing = |row: &sidecar::runfile::RequestRow| row.round == 3 && *row.cell == *cells[0].id;
    fixture.rows.retain(|row| !missing(row));
    let without = fixture.result().contrasts.remove(0);
    // Whichever runs second in its round is 2 ms slower.
    for row in
        fixture.rows.iter_mut().filter(|row| *row.cell == *cells[1 - row.round as usize % 2].id)
    {
        row.latency_ns += 2_000_000;
        row.stopwatch_ns = row.stopwatch_ns.map(|ns| ns + 2_000_000);
        row.hops[1].stages.add(Stage::Handler, 2_000_000, Kind::Measured);
    }
    let with = fixture.result().contrasts.remove(0);
    assert_eq!((with.pairs, without.pairs), (7, 7));
    assert!(close(with.mean.us, without.mean.us), "{:?} and {:?}", with.mean, without.mean);
    assert!(close(with.mean.alone.0, without.mean.alone.0), "{:?}", with.mean);
}

/// The public contract: these fields are what users and scripts hold on to.
#[test]
fn result_json_has_the_fields_that_are_promised() {
    let json: serde_json::Value =
        serde_json::from_str(&lab_report::json(&one_cell().result())).expect("JSON");
    let promised = [
        ("", "schema environment components cells probe_cost verdict"),
        ("/components/0", "role name version address real note"),
        ("/probe_cost", "ratio interval"),
        (
            "/cells/0",
            "factors requests traced wire latency_us stages inferred_share residual resources verdict",
        ),
        ("/cells/0/factors", "protocol payload_bytes"),
        ("/cells/0/requests", "planned started dropped late ok error"),
        ("/cells/0/traced", "count weight"),
        (
            "/cells/0/wire/0",
            "hop request_payload_bytes response_payload_bytes request_wire_bytes response_wire_bytes frames \
             framing_bytes header_bytes connections",
        ),
        ("/cells/0/latency_us", "mean p50 p90 p99 max"),
        ("/cells/0/stages/0", "hop family stage kind mean_us p50_us p99_band_us share"),
        ("/cells/0/residual", "mean_us p50_share p99_share"),
        ("/cells/0/resources/0", "process cpu_s rss_max_bytes"),
        ("/cells/0/verdict", "status reasons"),
    ];
    for (place, fields) in promised {
        let object = json.pointer(place).expect(place);
        for field in fields.split_whitespace() {
            assert!(object.get(field).is_some(), "{place} lacks {field}");
        }
    }
    assert_eq!(json["schema"], 3);
    assert_eq!(json["cells"][0]["verdict"]["status"], "VALID");
}
