//! What was asked of a system and of a change: objectives, a gate, runs that were made apart.

use std::sync::Arc;

use expect_test::expect;
use lab_judge::result::{GateResult, Ruling, RunResult, compare_runs, gate};
use lab_model::{Arm, Cell, Protocol};
use ledger::{Kind, Stage};

use crate::fixture::{Fixture, cell, run};

/// A cell of the arm called `name`.
fn arm(name: &str, mut cell: Cell) -> Cell {
    cell.id = format!("{}-{name}", cell.id);
    cell.arm = Some(Arc::new(Arm { name: name.to_owned(), program: None }));
    cell
}

/// Ten rounds of two arms; encoding the reply takes the second `longer_us` more.
fn arms(longer_us: u64) -> Fixture {
    let both = ["base", "new"].map(|name| arm(name, cell(Protocol::Rest, 1_000)));
    let mut fixture = run(both.into(), 10);
    let ns = longer_us * 1_000;
    for row in fixture.rows.iter_mut().filter(|row| &*row.cell == "rest-1kB-new") {
        row.hops[1].stages.add(Stage::ReplyEncode, ns as i64, Kind::Measured);
        row.latency_ns += ns as i64;
        row.stopwatch_ns = row.stopwatch_ns.map(|took| took + ns);
    }
    for round in &mut fixture.run.cells[1].rounds {
        let before = std::mem::replace(&mut round.latency, crate::fixture::histogram());
        for value in before.iter_recorded() {
            round
                .latency
                .saturating_record_n(value.value_iterated_to() + ns, value.count_at_value());
        }
    }
    fixture
}

fn held(fixture: &Fixture, limits: &[&str]) -> (RunResult, GateResult) {
    let limits: Vec<_> = limits.iter().map(|limit| limit.parse().expect("a limit")).collect();
    let mut result = fixture.result();
    let held = gate(&result, &limits).expect("two arms");
    result.gate = Some(held.clone());
    (result, held)
}

#[test]
fn what_an_arm_takes_longer_is_found_in_its_family_and_in_no_other() {
    let (result, held) =
        held(&arms(50), &["mean>5%", "serialization>20us", "framing>20us", "cpu>5%"]);
    let rulings: Vec<Ruling> = held.checks.iter().map(|check| check.ruling).collect();
    assert_eq!(rulings, [Ruling::Exceeded, Ruling::Exceeded, Ruling::Kept, Ruling::Kept]);
    assert_eq!((held.ruling, held.rounds_needed), (Ruling::Exceeded, None));
    for check in &held.checks[..2] {
        let families: Vec<&str> = check.families.iter().map(|part| part.family.as_str()).collect();
        assert_eq!(families, ["serialization"], "{check:#?}");
    }
    assert!((held.checks[1].change.unwrap() - 50.0).abs() < 1.0);
    // Arms are compared with each other, and protocols are not.
    assert_eq!(result.contrasts.len(), 1);
    assert_eq!((&*held.checks[0].cell, &*held.checks[0].new), ("rest-1kB", "rest-1kB-new"));
}

#[test]
fn a_gate_reads_as_what_was_asked_what_came_and_where_it_sits() {
    let (result, _) = held(&arms(50), &["mean>5%", "p99>5%", "mean>60us"]);
    expect![[r#"

        EXCEEDED  rest-1kB  mean>5%  +17.2 % [+16.8, +17.6 %], 10 pairs
                  it sits in serialization 50.0 µs [49.9, 50.1 µs]
        unknown   rest-1kB  p99>5%  a p99 takes 1000 answers a round: at 100/s, rounds of 10 s
        kept      rest-1kB  mean>60us  +49.7 µs [+48.6, +50.8 µs], 10 pairs

        EXCEEDED: 1 of 3 limits lie below the whole interval
    "#]]
    .assert_eq(&lab_report::gate(&result));
    let page = lab_report::html(&result);
    assert!(page.contains("EXCEEDED") && page.contains("What was asked of the system"));
    let told: serde_json::Value = serde_json::from_str(&lab_report::gate_json(&result)).unwrap();
    assert_eq!(told["gate"]["ruling"], "exceeded");
    assert_eq!(told["gate"]["checks"][1]["limit"], "p99>5%");
}

#[test]
fn two_arms_that_are_alike_are_kept_or_not_told_apart() {
    let (_, held) = held(&arms(0), &["mean>20%", "mean>0%"]);
    assert_eq!(held.checks[0].ruling, Ruling::Kept);
    assert_eq!(held.checks[1].ruling, Ruling::Unknown);
    assert!(held.checks[1].families.is_empty(), "{:#?}", held.checks[1]);
}

#[test]
fn a_run_without_arms_and_one_of_five_rounds_decide_nothing() {
    let plain = run(vec![cell(Protocol::Rest, 1_000), cell(Protocol::Grpc, 1_000)], 6).result();
    assert_eq!(gate(&plain, &["mean>5%".parse().unwrap()]), None);
    let both = ["base", "new"].map(|name| arm(name, cell(Protocol::Rest, 1_000)));
    let few = run(both.into(), 5).result();
    let held = gate(&few, &["mean>1000%".parse().unwrap()]).unwrap();
    assert_eq!((held.ruling, held.rounds_needed), (Ruling::Unknown, Some(6)));
}

#[test]
fn objectives_are_told_and_change_no_verdict() {
    let mut fixture = run(vec![cell(Protocol::Rest, 1_000), cell(Protocol::Grpc, 1_000)], 2);
    let before = fixture.result();
    let aim = |holds: &str, cells: &str| lab_model::plan::Aim {
        holds: holds.parse().expect("an objective"),
        cells: cells.to_owned(),
    };
    fixture.run.asked.objectives =
        vec![aim("p99<1ms", ""), aim("p50<1us", "grpc"), aim("errors<1%", "rest")];
    let after = fixture.result();
    let told: Vec<(&str, &str, bool)> = after
        .objectives
        .iter()
        .map(|one| (one.cell.as_str(), one.objective.as_str(), one.met))
        .collect();
    let expected = [
        ("rest-1kB", "p99<1ms", true),
        ("rest-1kB", "errors<1%", true),
        ("grpc-1kB", "p99<1ms", true),
        ("grpc-1kB", "p50<1us", false),
    ];
    assert_eq!(told, expected);
    assert_eq!(before.verdict, after.verdict);
    let text = lab_report::terminal(&after, 100, false);
    assert!(text.contains("MISSED     grpc-1kB  p50<1us: ") && text.contains("3 of 4"), "{text}");
    assert!(lab_report::html(&after).contains("missed ✕"));
    assert!(!lab_report::html(&before).contains("What was asked of the system"));
}

#[test]
fn runs_that_were_made_apart_are_units_and_fewer_than_three_tell_nothing() {
    let of = |longer_us: u64| {
        let mut result = arms(longer_us).result();
        result.cells.iter_mut().for_each(|cell| cell.id = cell.id.replace("-new", "-other"));
        result
    };
    // Runs of one side differ a little, as runs do.
    let a = [of(0), of(1), of(2)];
    let b = [of(100), of(101), of(102)];
    let compared = compare_runs(&a, &b);
    let mean = |cell: &str| {
        let found = compared.iter().find(|one| one.cell == cell).expect("the cell");
        found.changes.iter().find(|change| change.of == "mean").expect("a change").clone()
    };
    assert!(mean("rest-1kB-other").found() && mean("rest-1kB-other").ratio > 1.2);
    assert!(!mean("rest-1kB-base").found());
    let text = lab_report::compare_runs(&a, &b, &compared);
    assert!(text.contains("B takes more") && text.contains("no difference seen"), "{text}");
    let few = compare_runs(&a[..2], &b);
    assert!(few.iter().all(|cell| cell.changes.is_empty()));
    let text = lab_report::compare_runs(&a[..2], &b, &few);
    assert!(text.contains("three runs of each side") && !text.contains("B/A"), "{text}");
}
