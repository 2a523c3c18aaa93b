//! Whether a change kept its limits, for a terminal and for other programs.

use std::fmt::Write as _;

use lab_judge::result::units::{interval, time};
use lab_judge::result::{Check, GateResult, Part, Ruling, RunResult};
use lab_model::{ArmProgram, Environment, More, Status, Verdict};
use serde::Serialize;

use super::label::knobs;

/// What other programs are told of a gate.
#[derive(Serialize)]
struct Told<'a> {
    run_id: &'a str,
    command: &'a str,
    incomplete: bool,
    /// Whether the numbers can be believed.
    verdict: &'a Verdict,
    environment: &'a Environment,
    arms: &'a [ArmProgram],
    gate: Option<&'a GateResult>,
}

/// The gate of `result` as JSON.
#[must_use]
pub fn gate_json(result: &RunResult) -> String {
    let told = Told {
        run_id: &result.run_id,
        command: &result.command,
        incomplete: result.incomplete,
        verdict: &result.verdict,
        environment: &result.environment,
        arms: &result.arms,
        gate: result.gate.as_ref(),
    };
    let mut text = serde_json::to_string_pretty(&told)
        .expect("plain data with text keys always has a JSON form");
    text.push('\n');
    text
}

/// The gate of `result` as text: the arms, each check, and what follows.
#[must_use]
pub fn gate(result: &RunResult) -> String {
    let mut text = String::new();
    for arm in &result.arms {
        let _ = writeln!(text, "{:<5} {}", arm.name, described(result, arm));
    }
    text.push('\n');
    let Some(gate) = &result.gate else {
        text.push_str("nothing was compared: no cell ran by both arms\n");
        return text;
    };
    for check in &gate.checks {
        let _ = writeln!(text, "{}", line(check));
    }
    let invalid: Vec<&str> = result
        .cells
        .iter()
        .filter(|cell| cell.verdict.status == Status::Invalid)
        .map(|cell| cell.id.as_str())
        .collect();
    if !invalid.is_empty() {
        let _ =
            writeln!(text, "\nINVALID: {}; nothing follows from their numbers", invalid.join(", "));
    }
    let _ = writeln!(text, "\n{}", sentence(gate));
    text
}

/// Where an arm comes from, and what is set in it alone.
fn described(result: &RunResult, arm: &ArmProgram) -> String {
    let digest: String = arm.sha256.chars().take(12).collect();
    let own = result.cells.iter().find(|cell| cell.factors.arm.as_deref() == Some(&arm.name));
    let set = own.map(|cell| knobs(&cell.factors.knobs)).unwrap_or_default();
    let set = if set.is_empty() { "default settings".to_owned() } else { set.join(", ") };
    format!("{} {} ({digest}), {set}", arm.program, arm.version)
}

/// What became of one limit in one cell.
pub(super) fn line(check: &Check) -> String {
    let ruling = match check.ruling {
        Ruling::Kept => "kept",
        Ruling::Unknown => "unknown",
        Ruling::Exceeded => "EXCEEDED",
    };
    let mut line = format!("{:<9} {}  {}", ruling, check.cell, check.limit);
    match (check.change, check.interval) {
        (Some(change), Some(ends)) => {
            let [change, ends] = [signed(check, change), interval(ends, |end| signed(check, end))];
            let _ = write!(line, "  {change} {ends}, {} pairs", check.pairs);
        }
        _ => {
            let _ = write!(line, "  {}", check.why.as_deref().unwrap_or("not known"));
        }
    }
    if check.ruling == Ruling::Exceeded {
        let _ = write!(line, "\n          {}", sits(&check.families));
    }
    if let Some(rounds) = check.rounds_needed {
        let _ = write!(line, "\n          {rounds} rounds would tell, if what was seen goes on");
    }
    line
}

/// In which families the new arm takes longer.
fn sits(families: &[Part]) -> String {
    if families.is_empty() {
        return "of no family alone can it be said that it sits there".to_owned();
    }
    let one = |part: &Part| {
        let ends = interval(part.difference.together, time);
        format!("{} {} {ends}", part.family, time(part.difference.us))
    };
    format!("it sits in {}", families.iter().map(one).collect::<Vec<_>>().join(", "))
}

fn signed(check: &Check, value: f64) -> String {
    let sign = if value < 0.0 { "" } else { "+" };
    match check.limit.more {
        More::Share(_) => format!("{sign}{:.1} %", value * 100.0),
        More::Us(_) => format!("{sign}{}", time(value)),
    }
}

/// What follows from all of them.
pub(super) fn sentence(gate: &GateResult) -> String {
    let of = |ruling| gate.checks.iter().filter(move |check| check.ruling == ruling).count();
    match gate.ruling {
        Ruling::Kept => "kept: every limit lies above the whole interval".to_owned(),
        Ruling::Exceeded => format!(
            "EXCEEDED: {} of {} limits lie below the whole interval",
            of(Ruling::Exceeded),
            gate.checks.len()
        ),
        Ruling::Unknown => {
            let rounds = gate.rounds_needed.map_or_else(
                || "no number of rounds is known that would".to_owned(),
                |rounds| {
                    format!("{rounds} rounds would (--rounds {rounds}), if what was seen goes on")
                },
            );
            format!(
                "unknown: {} of {} limits cannot be told; {rounds}",
                of(Ruling::Unknown),
                gate.checks.len()
            )
        }
    }
}
