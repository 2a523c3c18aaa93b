//! Two results side by side, cell by cell, and whether they may be compared at all.

use std::fmt::Write as _;

use super::text::wrap;
use lab_judge::result::units::{memory, percent, rate, time};
use lab_judge::result::{CellResult, RunResult, RunsChange, RunsCompared};
use lab_model::Environment;
use serde_json::{Value, json};

/// The version of the shape of [`compare_json`].
const SCHEMA: u32 = 1;

/// Stages below this share of the mean in both runs are left out.
const SMALLEST_SHARE: f64 = 0.03;
const WIDTH: usize = 110;
/// What one run of each can show.
const ONE_EACH: &str = "one run of each is one session of each: these are numbers beside each other, and no claim that \
                        they differ. To claim that, run both in one plan: its rounds take turns";
/// What runs that were made apart can show.
const OF_RUNS: &str = "these runs were made apart, so each run is one value: what differs between two runs of one system \
                       is in the intervals. Run both in one session (run-lab gate), and they are narrower";

/// `a` and `b` as text: latencies, rates and verdicts of the cells they share, and where the time went
/// in each. Where the runs were made differently, that is said first.
#[must_use]
pub fn compare(a: &RunResult, b: &RunResult) -> String {
    let mut text = format!("A  {}\nB  {}\n", a.run_id, b.run_id);
    for warning in differences(a, b) {
        let _ = writeln!(text, "{}", wrap(&format!("WARNING  {warning}"), WIDTH, 9));
    }
    let _ = writeln!(text, "{}", wrap(&format!("NOTE     {ONE_EACH}"), WIDTH, 9));
    text.push('\n');
    for left in &a.cells {
        match b.cells.iter().find(|right| right.id == left.id) {
            Some(right) => cell(&mut text, left, right),
            None => {
                let _ = writeln!(text, "{}: only in A\n", left.id);
            }
        }
    }
    let known = |cell: &&CellResult| a.cells.iter().any(|left| left.id == cell.id);
    for right in b.cells.iter().filter(|cell| !known(cell)) {
        let _ = writeln!(text, "{}: only in B\n", right.id);
    }
    text
}

/// Runs `a` beside runs `b` as text: what `compared` says of each cell, a ratio only with its interval.
#[must_use]
pub fn compare_runs(a: &[RunResult], b: &[RunResult], compared: &[RunsCompared]) -> String {
    let mut text = String::new();
    for (letter, runs) in [('A', a), ('B', b)] {
        let names: Vec<&str> = runs.iter().map(|run| run.run_id.as_str()).collect();
        let _ = writeln!(text, "{}", wrap(&format!("{letter}  {}", names.join(", ")), WIDTH, 3));
    }
    for warning in warnings(a, b) {
        let _ = writeln!(text, "{}", wrap(&format!("WARNING  {warning}"), WIDTH, 9));
    }
    let units = format!("NOTE     {}", OF_RUNS);
    let _ = writeln!(text, "{}\n", wrap(&units, WIDTH, 9));
    if compared.is_empty() {
        text.push_str("no cell is in all of them\n");
    }
    for cell in compared {
        let _ = writeln!(text, "{}, {} and {} runs", cell.cell, cell.runs.0, cell.runs.1);
        if cell.changes.is_empty() {
            let _ = writeln!(text, "  nothing can be told: it takes three runs of each side");
        }
        cell.changes.iter().for_each(|change| _ = writeln!(text, "  {}", of_runs(change)));
    }
    text
}

/// The same for programs; where one run is beside one, with the numbers of both and no claim.
#[must_use]
pub fn compare_json(a: &[RunResult], b: &[RunResult], compared: &[RunsCompared]) -> String {
    let names = |runs: &[RunResult]| runs.iter().map(|run| run.run_id.clone()).collect::<Vec<_>>();
    let beside = match (a, b) {
        ([a], [b]) => beside(a, b),
        _ => Vec::new(),
    };
    let told = json!({
        "schema": SCHEMA,
        "a": names(a),
        "b": names(b),
        "warnings": warnings(a, b),
        "cells": compared,
        "beside": beside,
    });
    format!("{told:#}\n")
}

/// The cells of both, beside each other.
fn beside(a: &RunResult, b: &RunResult) -> Vec<Value> {
    let side = |cell: &CellResult| {
        json!({
            "status": cell.verdict.status.name(),
            "codes": cell.verdict.codes().collect::<Vec<_>>(),
            "mean_us": cell.latency_us.mean,
            "p50_us": cell.latency_us.p50,
            "p99_us": cell.latency_us.p99,
            "completed_per_s": cell.load.completed_per_s,
        })
    };
    let other = |id: &str| b.cells.iter().find(|cell| cell.id == id);
    let both = a.cells.iter().filter_map(|left| Some((left, other(&left.id)?)));
    both.map(|(left, right)| json!({ "cell": left.id, "a": side(left), "b": side(right) }))
        .collect()
}

/// What differs between the first of the runs and any other, once each.
fn warnings(a: &[RunResult], b: &[RunResult]) -> Vec<String> {
    let mut all = a.iter().chain(b);
    let Some(first) = all.next() else { return Vec::new() };
    let mut warnings: Vec<String> = all.flat_map(|other| differences(first, other)).collect();
    warnings.sort_unstable();
    warnings.dedup();
    warnings
}

fn of_runs(change: &RunsChange) -> String {
    let (low, high) = change.interval;
    let found = match change.found() {
        true if change.ratio > 1.0 => "B takes more",
        true => "B takes less",
        false => "no difference seen",
    };
    format!("{:<6} B/A {:.3} [{low:.3}, {high:.3}]  {found}", change.of, change.ratio)
}

/// What is otherwise at one place than at another, and may change a number.
#[must_use]
pub fn places_differ(there: &Environment, here: &Environment) -> Vec<String> {
    let pairs = std::iter::zip(place(there), place(here));
    pairs
        .filter(|((_, there), (_, here))| there != here)
        .map(|((what, there), (_, here))| format!("{what}: it was {there}, here it is {here}"))
        .collect()
}

/// What differs between the places and the parts the two runs were made with.
fn differences(a: &RunResult, b: &RunResult) -> Vec<String> {
    let places = place(&a.environment).into_iter().zip(place(&b.environment));
    let mut pairs: Vec<(&str, String, String)> =
        places.map(|((what, left), (_, right))| (what, left, right)).collect();
    let both = a.components.iter().chain(&b.components);
    let mut roles: Vec<&str> = both.map(|part| part.role.as_str()).collect();
    roles.sort_unstable();
    roles.dedup();
    pairs.extend(roles.into_iter().map(|role| (role, part(a, role), part(b, role))));
    pairs
        .into_iter()
        .filter(|(_, left, right)| left != right)
        .map(|(what, left, right)| {
            format!(
                "{what} differs: A has {left}, B has {right}; differences below may come from that"
            )
        })
        .collect()
}

/// Everything about a place that may change a number; not when it was.
fn place(at: &Environment) -> [(&'static str, String); 14] {
    // Enough of a digest to tell two files apart, and to find one in a history.
    let short = |digest: &str| digest.chars().take(12).collect();
    [
        ("lab version", at.lab_version.clone()),
        ("CPU", at.cpu_model.clone()),
        ("number of CPUs", at.cpus.to_string()),
        ("memory", memory(at.memory_bytes)),
        ("kernel", at.kernel.clone()),
        ("frequency governor", at.governor.clone()),
        ("two threads a core", at.smt.clone()),
        ("turbo", at.turbo.clone()),
        ("pinned to CPUs", at.pinned.clone()),
        ("compiler", at.rustc.clone()),
        ("build", at.build.clone()),
        ("Cargo.lock", short(&at.cargo_lock)),
        ("flake.lock", short(&at.flake_lock)),
        ("clock source", at.clocksource.clone()),
    ]
}

fn part(result: &RunResult, role: &str) -> String {
    let found = result.components.iter().find(|part| part.role == role);
    let name = found.map(|part| format!("{} {}", part.name, part.version));
    name.map_or_else(|| "nothing".to_owned(), |name| name.trim_end().to_owned())
}

fn cell(text: &mut String, a: &CellResult, b: &CellResult) {
    let (left, right) = (a.verdict.status.name(), b.verdict.status.name());
    let _ = writeln!(text, "{}  {left} → {right}", a.id);
    if a.factors != b.factors {
        let _ = writeln!(text, "  WARNING  the cell was not asked the same in both runs");
    }
    for (letter, cell) in [('A', a), ('B', b)] {
        let codes: Vec<&str> = cell.verdict.codes().collect();
        if !codes.is_empty() {
            let status = cell.verdict.status.name();
            let _ = writeln!(text, "  {letter} is {status}: {}", codes.join(", "));
        }
    }
    let (left, right) = (a.latency_us, b.latency_us);
    line(text, "mean", (left.mean, right.mean), time);
    line(text, "p50", (left.p50, right.p50), time);
    let p99 = |us: Option<f64>| us.map_or_else(|| "–".to_owned(), time);
    row(text, "p99", &p99(left.p99), &p99(right.p99));
    let (left, right) = (a.load.completed_per_s, b.load.completed_per_s);
    line(text, "completed/s", (left, right), rate);
    for (name, left, right) in stages(a, b) {
        let both = |(us, share): Shares| format!("{} {:>6}", time(us), percent(share));
        row(text, &name, &both(left), &both(right));
    }
    text.push('\n');
}

fn line(text: &mut String, name: &str, (a, b): (f64, f64), write: fn(f64) -> String) {
    row(text, name, &write(a), &write(b));
}

fn row(text: &mut String, name: &str, a: &str, b: &str) {
    let _ = writeln!(text, "  {name:<44} {a:>18} {b:>18}");
}

type Shares = (f64, f64);

/// The stages that matter in either cell, in the order in which a request passes them.
fn stages(a: &CellResult, b: &CellResult) -> Vec<(String, Shares, Shares)> {
    let mut keys: Vec<(u32, &str, &str)> = Vec::new();
    for stage in a.stages.iter().chain(&b.stages) {
        let key = (stage.depth, stage.hop.as_str(), stage.stage.as_str());
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    let of = |cell: &CellResult, hop: &str, name: &str| {
        let found = cell.stages.iter().filter(|stage| stage.hop == hop && stage.stage == name);
        found.fold((0.0, 0.0), |sum, stage| (sum.0 + stage.mean_us, sum.1 + stage.share))
    };
    keys.into_iter()
        .map(|(_, hop, name)| (format!("{hop} {name}"), of(a, hop, name), of(b, hop, name)))
        .filter(|(_, a, b)| a.1.abs().max(b.1.abs()) >= SMALLEST_SHARE)
        .collect()
}
