//! How a run is told: to programs as JSON that `docs/command-line.md` describes, to people quietly or at length.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::process::dir;
use crate::process::up::Up;

const PAGE: &str = include_str!("../../../../docs/command-line.md");
/// Parts that these runs do without.
const WITHOUT: &str = "k6,influxdb,postgres,grafana";

fn run_lab(dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_run-lab"));
    command.args(arguments).current_dir(dir).output().expect("the program starts")
}

fn json(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Every key of `told`, at any depth, is named on the page; what is below those in `elsewhere` is described elsewhere.
#[track_caller]
fn described(told: &Value, elsewhere: &[&str]) {
    match told {
        Value::Object(object) => {
            for (key, value) in object {
                assert!(PAGE.contains(&format!("`{key}`")), "docs/command-line.md has no `{key}`");
                if !elsewhere.contains(&key.as_str()) {
                    described(value, elsewhere);
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| described(value, elsewhere)),
        _ => {}
    }
}

#[test]
fn a_run_is_told_to_programs_as_it_is_kept() {
    let dir = dir();
    let quiet = ["--plan", "smoke", "--duration", "300ms", "--without", WITHOUT, "--json", "-q"];
    for out in ["a", "b"] {
        let arguments = [&["run", "--out", out], &quiet[..]].concat();
        let output = run_lab(dir.path(), &arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), &*error), (Some(0), ""), "nothing but the result");
        let kept = std::fs::read_to_string(dir.path().join(out).join("result.json"));
        assert_eq!(String::from_utf8_lossy(&output.stdout), kept.expect("a result"));
    }
    let again = run_lab(dir.path(), &["report", "a", "--json"]);
    let kept = std::fs::read_to_string(dir.path().join("a/result.json")).expect("a result");
    assert_eq!(String::from_utf8_lossy(&again.stdout), kept);
    let compared = run_lab(dir.path(), &["compare", "a", "b", "--json"]);
    assert_eq!(compared.status.code(), Some(7), "one run of each is no claim");
    let compared = json(&compared);
    assert_eq!(compared["beside"].as_array().map(Vec::len), Some(2), "{compared}");
    described(&compared, &[]);
    described(&json(&run_lab(dir.path(), &["doctor", "--json"])), &["environment"]);
    described(&json(&run_lab(dir.path(), &["plans", "--json"])), &[]);
}

#[test]
fn a_report_is_read_and_not_written_again_unless_that_is_asked_for() {
    let dir = dir();
    let run = ["run", "--plan", "smoke", "--duration", "300ms", "--without", WITHOUT, "--out", "a"];
    assert_eq!(run_lab(dir.path(), &run).status.code(), Some(0));
    let page = dir.path().join("a/report.html");
    std::fs::write(&page, "mine").expect("a file");
    assert_eq!(run_lab(dir.path(), &["report", "a"]).status.code(), Some(0));
    assert_eq!(std::fs::read_to_string(&page).expect("a page"), "mine");
    assert_eq!(run_lab(dir.path(), &["report", "a", "--write"]).status.code(), Some(0));
    assert!(std::fs::read_to_string(&page).expect("a page").contains("<html"));
    std::fs::remove_file(&page).expect("a page");
    assert_eq!(run_lab(dir.path(), &["report", "a"]).status.code(), Some(0));
    assert!(page.exists(), "where there was none it is written");
}

#[test]
fn at_length_each_second_of_a_round_is_told() {
    let dir = dir();
    let run = ["run", "--plan", "smoke", "--protocol", "rest", "--duration", "2s", "--out", "a"];
    let output = run_lab(dir.path(), &[&run[..], &["--without", WITHOUT, "-v"]].concat());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("round 1 begins") && error.contains("in flight"), "{error}");
}

#[test]
fn where_everything_listens_is_told_to_programs() {
    let dir = dir();
    let up = Up::start(dir.path(), &["--without", "influxdb,postgres,grafana", "--json"], &[]);
    let told: Value = serde_json::from_str(&up.text).expect("JSON");
    described(&told, &[]);
    let processes = told["processes"].as_array().expect("processes");
    let parts: Vec<_> = processes.iter().map(|one| one["part"].as_str().expect("a name")).collect();
    assert!(parts.contains(&"gateway") && parts.contains(&"echo"), "{parts:?}");
    assert!(told["entry"].as_str().is_some_and(|url| url.starts_with("http://127.0.0.1:")));
    assert!(told["grafana"].is_null() && told["influxdb"].is_null(), "{told}");
    assert_eq!(up.stop(), Some(0));
}
