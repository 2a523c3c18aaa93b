//! Durations and sizes in the environment of a script are what they are in plans and for flags: the table that holds
//! `settings` to its grammar holds `load.js` and `ping.js` too.

use serde_json::{Value, json};

use crate::world::World;

pub(crate) fn the_scripts_read_and_refuse_what_the_table_of_the_grammar_says() {
    let mut table: Value =
        serde_json::from_str(include_str!("../../../../settings/tests/grammar.json"))
            .expect("a table");
    let rows = table.as_array_mut().expect("a list");
    let above = "a payload of 16777217 bytes is above the limit of 16777216 bytes (16 MiB)";
    rows.push(json!({ "size": "16777217", "error": above }));
    let rows = rows.clone();
    let world = World::new();
    world.write("grammar.js", include_str!("grammar.js"));
    world.write("grammar.json", &table.to_string());
    let told = world.node("grammar.js");
    let told = told.as_array().expect("a list");
    assert_eq!(rows.len(), told.len());
    for (row, told) in rows.iter().zip(told) {
        assert_eq!(told, &expected(row), "{row}");
    }
}

/// What a script is to make of a row: whole milliseconds, bytes, or an error that names the variable.
fn expected(row: &Value) -> Value {
    let variable = if row["duration"].is_null() { "SIZE" } else { "WARMUP" };
    match (row["ns"].as_u64(), row["bytes"].as_u64(), row["error"].as_str()) {
        (Some(ns), None, None) => ((ns + 500_000) / 1_000_000).into(),
        (None, Some(bytes), None) => bytes.into(),
        (None, None, Some(error)) => format!("{variable}: {error}").into(),
        _ => panic!("neither right nor wrong: {row}"),
    }
}
