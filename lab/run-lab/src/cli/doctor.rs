//! `run-lab doctor`: which parts are on this machine, what they would do, and what stands in without them.

use std::fmt::Write as _;

use clap::Args;

use super::{Exit, Failure, terminal};
use crate::run::capture;
use lab_launch::{Found, Inventory, Place, Tool};
use lab_model::Environment;
use serde_json::{Value, json};

/// The version of the shape of `--json`.
const SCHEMA: u32 = 1;

/// What is to be there.
#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Real parts to insist on: the exit code is 4 if one of them is missing
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LIST")]
    require: Vec<Tool>,
    /// Print what was found as JSON
    #[arg(long)]
    json: bool,
}

/// Prints what was found.
pub(super) async fn doctor(arguments: DoctorArgs) -> Result<Exit, Failure> {
    let environment = capture();
    let inventory = Inventory::take(&[], &arguments.require).await.map_err(Failure::usage)?;
    if arguments.json {
        let parts: Vec<Value> = Tool::ALL.into_iter().map(|tool| part(tool, &inventory)).collect();
        let told = json!({ "schema": SCHEMA, "environment": environment, "parts": parts });
        terminal::print_json(&told)?;
    } else {
        terminal::print(text(&environment, &inventory))?;
    }
    match inventory.missing() {
        Some(missing) => Err(Failure::missing(missing)),
        None => Ok(Exit::Done),
    }
}

/// What was found, for people.
fn text(environment: &Environment, inventory: &Inventory) -> String {
    let mut text = format!(
        "run-lab {} ({})\n{} x {}, {} MiB, Linux {}, clock source {}, governor {}\n\n",
        environment.lab_version,
        environment.rustc,
        environment.cpus,
        environment.cpu_model,
        environment.memory_bytes >> 20,
        environment.kernel,
        environment.clocksource,
        environment.governor,
    );
    for tool in Tool::ALL {
        describe(tool, inventory, &mut text);
    }
    text.push_str(
        "\nParts are looked for on PATH, PostgreSQL in /usr/lib/postgresql too. What is found is used;\n\
         --without leaves a part out, --require insists on it. Variables name others:\n",
    );
    for tool in Tool::ALL {
        let address = tool.address_variable().map(|name| format!(" or {name} (one that runs)"));
        let _ = writeln!(
            text,
            "  {:<11} {} (its program){}",
            tool.name(),
            tool.variable(),
            address.unwrap_or_default()
        );
    }
    text
}

/// What was found of `tool`, for programs.
fn part(tool: Tool, inventory: &Inventory) -> Value {
    let found = inventory.of(tool);
    let (stand_in, _) = tool.stand_in();
    let path = found.and_then(|found| match &found.place {
        Place::Program(path) => Some(path.display().to_string()),
        Place::Elsewhere { .. } => None,
    });
    let variable = found.and_then(|found| match found.place {
        Place::Program(_) => None,
        Place::Elsewhere { variable, .. } => Some(variable),
    });
    json!({
        "role": tool.role(),
        "name": tool.name(),
        "used": found.is_some(),
        "version": found.map(|found| &found.version),
        "path": path,
        "named_by": variable,
        "why_not": found.is_none().then(|| inventory.why_not(tool)),
        "how_to_get": inventory.is_not_found(tool).then(|| tool.how_to_get()),
        "stand_in": stand_in,
    })
}

/// What was found of `tool`, what it does, and what stands in for it. Writing to a string cannot fail.
fn describe(tool: Tool, inventory: &Inventory, text: &mut String) {
    let found = inventory.of(tool);
    let (stand_in, what) = tool.stand_in();
    let head = format!("{:<11} {:<10}", tool.role(), tool.name());
    match found {
        Some(Found { place: Place::Program(path), version, .. }) => {
            let version = if version.is_empty() { "does not tell its version" } else { version };
            let _ = writeln!(text, "{head}  found at {} ({version})", path.display());
        }
        Some(Found { place: Place::Elsewhere { variable, .. }, version, .. }) => {
            let version = if version.is_empty() { "it tells no version" } else { version };
            let _ = writeln!(text, "{head}  the one that {variable} names ({version})");
        }
        None if inventory.is_not_found(tool) => {
            let _ = writeln!(text, "{head}  not found; to get it: {}", tool.how_to_get());
        }
        None => {
            let _ = writeln!(text, "{head}  {}", inventory.why_not(tool));
        }
    }
    let would = if found.is_some() { "is used" } else { "would be used" };
    let _ = writeln!(text, "{:22}  {would}: {}", "", tool.use_of());
    let stands = if found.is_some() { "without it" } else { "stands in" };
    let _ = writeln!(text, "{:22}  {stands}: {stand_in} ({what})", "");
}
