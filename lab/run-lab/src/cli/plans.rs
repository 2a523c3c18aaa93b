//! `run-lab plans`: the built-in plans as a list, one as it is written, and what a plan file may say.

use clap::Args;
use serde_json::{Value, json};

use super::{Exit, Failure, terminal};
use lab_model::plan::{self, BUILT_IN, Overrides, Plan, PlanError, Size, Span};

/// What to tell of plans.
#[derive(Debug, Args)]
pub(super) struct PlansArgs {
    /// Print this plan as it is written: a file to change and to give to `run-lab run --plan`
    #[arg(long, value_name = "NAME", conflicts_with = "schema")]
    show: Option<String>,
    /// Print the JSON schema of plan files, for editors that check TOML
    #[arg(long)]
    schema: bool,
    /// Print it as JSON: the list, or the plan that is shown
    #[arg(long, conflicts_with = "schema")]
    json: bool,
}

/// Tells of plans.
pub(super) fn plans(arguments: &PlansArgs) -> Result<Exit, Failure> {
    if arguments.schema {
        terminal::print_json(&plan::schema())?;
    } else if let Some(name) = &arguments.show {
        show(name, arguments.json)?;
    } else {
        let all = BUILT_IN.map(|(name, _)| plan::load(name, &Overrides::default()));
        list(&all.into_iter().collect::<Result<Vec<_>, PlanError>>()?, arguments.json)?;
    }
    Ok(Exit::Done)
}

/// The plan called `name` as it is written.
fn show(name: &str, json: bool) -> Result<(), Failure> {
    let text = plan::text(name)?;
    // What is no plan is refused here as a run would refuse it.
    Plan::read(name, &text, &Overrides::default())?;
    if !json {
        return terminal::print(text);
    }
    let written: Value = toml::from_str(&text).map_err(|error| Failure::other(error.into()))?;
    terminal::print_json(&written)
}

fn list(plans: &[Plan], json: bool) -> Result<(), Failure> {
    if json {
        let plans: Vec<Value> = plans.iter().map(told).collect();
        return terminal::print_json(&json!({ "schema": SCHEMA, "plans": plans }));
    }
    for plan in plans {
        terminal::print(format_args!("{}\n", describe(plan)))?;
    }
    terminal::hint(
        "A plan of your own is a TOML file: run-lab run --plan FILE. To begin with one of these:\n  \
         run-lab plans --show smoke > mine.toml\n",
    );
    Ok(())
}

/// The version of the shape of `--json`.
const SCHEMA: u32 = 1;

/// A plan for programs.
fn told(plan: &Plan) -> Value {
    json!({
        "name": plan.name,
        "about": plan.about,
        "cells": plan.cells.iter().map(|cell| cell.id.as_str()).collect::<Vec<_>>(),
        "rounds": plan.rounds,
        "expected_s": plan.expected_ns() as f64 / 1e9,
        "certifies": plan.certify.is_some(),
    })
}

/// A plan in a few lines.
fn describe(plan: &Plan) -> String {
    let distinct = |values: Vec<String>| {
        let mut seen: Vec<String> = Vec::new();
        values.into_iter().for_each(|value| {
            if !seen.contains(&value) {
                seen.push(value)
            }
        });
        seen.join(", ")
    };
    let cells = &plan.cells;
    let protocols = distinct(cells.iter().map(|cell| cell.protocol.name().to_owned()).collect());
    let subjects = distinct(
        cells
            .iter()
            .map(|cell| match (cell.workload.payload, cell.workload.label()) {
                (false, _) => cell.workload.asks().to_owned(),
                (true, None) => format!("payload {}", Size(cell.payload_bytes)),
                (true, Some(label)) => format!("{label} {}", Size(cell.payload_bytes)),
            })
            .collect(),
    )
    .replace(", payload", ",");
    let rates = distinct(cells.iter().map(|cell| cell.rate.to_string()).collect());
    let durations = distinct(cells.iter().map(|cell| Span(cell.duration_ns).to_string()).collect());
    let certified = if plan.certify.is_some() { ", probe certified first" } else { "" };
    format!(
        "{}\n  {}\n  {}: protocol {protocols}; {subjects}; {rates} requests/s\n  \
         {} of {durations} a cell, about {} s in all{certified}\n",
        plan.name,
        plan.about,
        several(cells.len() as u64, "cell"),
        several(u64::from(plan.rounds), "round"),
        plan.expected_ns().div_ceil(1_000_000_000),
    )
}

/// So many of what is called `name`.
fn several(count: u64, name: &str) -> String {
    format!("{count} {name}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn a_plan_is_told_by_its_factors() {
        let plan = plan::load("smoke", &Overrides::default()).unwrap();
        expect![[r#"
            smoke
              Two cells of one second each: a quick look whether everything works.
              2 cells: protocol rest, grpc; payload 1kB; 100 requests/s
              1 round of 1s a cell, about 3 s in all
        "#]]
        .assert_eq(&describe(&plan));
    }
}
