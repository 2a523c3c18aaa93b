//! Two results side by side.

use expect_test::expect;
use lab_judge::result::RunResult;
use lab_model::Protocol;
use lab_report::{self, compare};
use ledger::{Kind, Stage};

use crate::fixture::{cell, run};

#[test]
fn a_slower_handler_is_seen_where_it_is() {
    let a = run(vec![cell(Protocol::Rest, 10), cell(Protocol::Rest, 1_000)], 1);
    let mut b = run(vec![cell(Protocol::Rest, 10), cell(Protocol::Grpc, 10)], 1);
    for row in b.rows.iter_mut().filter(|row| &*row.cell == "rest-10B") {
        row.hops[1].stages.add(Stage::Handler, 300_000, Kind::Measured);
        row.latency_ns += 300_000;
        row.stopwatch_ns = row.stopwatch_ns.map(|ns| ns + 300_000);
    }
    b.run.environment.kernel = "6.8.0".to_owned();
    b.run.components[0].name = "k6".to_owned();
    expect![[r#"
        A  rest-vs-grpc-20261123T150000Z
        B  rest-vs-grpc-20261123T150000Z
        WARNING  kernel differs: A has 6.1.0, B has 6.8.0; differences below may come from that
        WARNING  driver differs: A has built-in driver 0.1.0, B has k6 0.1.0; differences below may come from that
        NOTE     one run of each is one session of each: these are numbers beside each other, and no claim that they
                 differ. To claim that, run both in one plan: its rounds take turns

        rest-10B  VALID → VALID
          mean                                                     282 µs             282 µs
          p50                                                      281 µs             281 µs
          p99                                                      336 µs             336 µs
          completed/s                                                 100                100
          driver→gateway driver_lag                        21.0 µs  7.4 %     21.0 µs  3.6 %
          driver→gateway send_queue                        9.12 µs  3.2 %     9.12 µs  1.6 %
          driver→gateway request_wire                      38.2 µs   14 %     38.2 µs  6.6 %
          driver→gateway reply_wire                        34.1 µs   12 %     34.1 µs  5.9 %
          gateway→echo request_wire                        36.4 µs   13 %     36.4 µs  6.3 %
          gateway→echo handler                             1.19 µs  0.4 %      301 µs   52 %
          gateway→echo reply_wire                          32.5 µs   12 %     32.5 µs  5.6 %

        rest-1kB: only in A

        grpc-10B: only in B

    "#]].assert_eq(&compare(&a.result(), &b.result()));
}

#[test]
fn other_locks_and_another_build_are_warned_about() {
    let a = run(vec![cell(Protocol::Rest, 10)], 1);
    let mut b = run(vec![cell(Protocol::Rest, 10)], 1);
    b.run.environment.build = "x86_64-unknown-linux-gnu debug".to_owned();
    b.run.environment.cargo_lock = "d1".repeat(32);
    b.run.environment.flake_lock = "unknown".to_owned();
    let text = compare(&a.result(), &b.result());
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for warning in [
        "build differs: A has x86_64-unknown-linux-gnu release, B has x86_64-unknown-linux-gnu debug;",
        "Cargo.lock differs: A has c0c0c0c0c0c0, B has d1d1d1d1d1d1;",
        "flake.lock differs: A has f1f1f1f1f1f1, B has unknown;",
    ] {
        assert!(text.contains(warning), "{warning}\n{text}");
    }
    assert_eq!(text.matches("WARNING").count(), 3, "{text}");
}

#[test]
fn a_result_of_an_earlier_version_does_not_know_its_locks() {
    let result = run(vec![cell(Protocol::Rest, 10)], 1).result();
    let mut json: serde_json::Value = serde_json::from_str(&lab_report::json(&result)).unwrap();
    let environment = json["environment"].as_object_mut().unwrap();
    for later in ["build", "cargo_lock", "flake_lock"] {
        environment.remove(later).unwrap();
    }
    let old = RunResult::from_json(&json.to_string()).unwrap();
    assert_eq!(old.environment.cargo_lock, "unknown");
    assert!(compare(&old, &result).contains("Cargo.lock differs: A has unknown"));
}

#[test]
fn equal_places_are_not_warned_about() {
    let result = run(vec![cell(Protocol::Rest, 10)], 1).result();
    assert!(!compare(&result, &result).contains("WARNING"));
}
