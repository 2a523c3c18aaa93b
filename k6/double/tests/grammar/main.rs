//! Durations and sizes in the environment of a script are what they are in plans and for flags: the table that holds
//! `settings` to its grammar holds `load.js` and `ping.js` too, by node, with stand-ins for what k6 itself brings.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::{fs, io};

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::{Value, json};

fn main() -> ExitCode {
    let name = "the_scripts_read_and_refuse_what_the_table_of_the_grammar_says";
    // Where there is no node the test is said to be ignored, not passed.
    let absent = Command::new("node").arg("--version").output().is_err();
    let trial = Trial::test(name, scripts_read_the_table).with_ignored_flag(absent);
    libtest_mimic::run(&Arguments::from_args(), vec![trial]).exit_code()
}

fn scripts_read_the_table() -> Result<(), Failed> {
    let mut table: Value =
        serde_json::from_str(include_str!("../../../../settings/tests/grammar.json"))?;
    let rows = table.as_array_mut().ok_or("the table is no list")?;
    let above = "a payload of 16777217 bytes is above the limit of 16777216 bytes (16 MiB)";
    rows.push(json!({ "size": "16777217", "error": above }));
    let rows = rows.clone();
    let folder = tempfile::tempdir()?;
    lay_out(folder.path(), &table)?;
    let run = Command::new("node").arg("read.js").current_dir(folder.path()).output()?;
    if !run.status.success() {
        return Err(String::from_utf8_lossy(&run.stderr).into_owned().into());
    }
    let told: Vec<Value> = serde_json::from_slice(&run.stdout)?;
    assert_eq!(rows.len(), told.len());
    for (row, told) in rows.iter().zip(&told) {
        assert_eq!(told, &expected(row), "{row}");
    }
    Ok(())
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

/// The scripts beside what imports them, and modules in k6's place.
fn lay_out(folder: &Path, table: &Value) -> io::Result<()> {
    let modules = folder.join("node_modules/k6");
    fs::create_dir_all(&modules)?;
    let write = |name: &str, text: &str| fs::write(folder.join(name), text);
    write("package.json", r#"{"type": "module"}"#)?;
    write("load.js", include_str!("../../../load.js"))?;
    write("ping.js", include_str!("../../../ping.js"))?;
    write("read.js", include_str!("read.js"))?;
    write("grammar.json", &table.to_string())?;
    let exports = r#"{"type": "module", "exports": {".": "./stub.js", "./*": "./stub.js"}}"#;
    fs::write(modules.join("package.json"), exports)?;
    fs::write(modules.join("stub.js"), include_str!("stub.js"))
}
