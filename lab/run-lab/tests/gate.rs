//! `run-lab gate` on real services: a delay is found, in its family and in no other; without one nothing is.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// `run-lab gate` with `arguments`, in `dir`: twelve short rounds of one small cell.
fn gate(dir: &Path, arguments: &[&str]) -> Output {
    gate_of(12, dir, arguments)
}

fn gate_of(rounds: u32, dir: &Path, arguments: &[&str]) -> Output {
    let cell = format!(
        "--protocol rest --size 1kB --rate 200 --duration 500ms --warmup 200ms --rounds {rounds}"
    );
    let mut command = Command::new(env!("CARGO_BIN_EXE_run-lab"));
    command.env_remove("LAB_INFLUXDB_URL").env_remove("LAB_DATABASE_URL");
    command.arg("gate").args(cell.split(' ')).args(["--out", "out"]).args(arguments);
    command.current_dir(dir).env("PATH", "/nonexistent");
    command.output().expect("the program that was just built starts")
}

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// What it told on standard output, as JSON.
fn told(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {}", String::from_utf8_lossy(&output.stderr));
    })
}

#[test]
fn a_delay_is_a_regression_in_its_family_and_in_no_other() {
    let dir = dir();
    // How long a request takes in all hangs on what else this machine does; what encoding takes hardly does.
    let limits = ["--fail-on", "serialization>20us", "--fail-on", "mean>1000%"];
    let arguments = [&["--new", "echo:reply_encode=50us", "--json"][..], &limits].concat();
    let mut output = gate(dir.path(), &arguments);
    // A machine that was busy with others is one on which it cannot be told: then, as is said, with more rounds.
    for rounds in [24, 48] {
        if output.status.code() == Some(7) {
            std::fs::remove_dir_all(dir.path().join("out")).expect("the folder of the first");
            output = gate_of(rounds, dir.path(), &arguments);
        }
    }
    let told = told(&output);
    assert_eq!(output.status.code(), Some(6), "{told:#}");
    let checks = told["gate"]["checks"].as_array().expect("checks");
    assert_eq!(checks.len(), 2, "{told:#}");
    let check = &checks[0];
    assert_eq!((&check["ruling"], &check["cell"]), (&"exceeded".into(), &"rest-1kB".into()));
    let families: Vec<&Value> = check["families"]
        .as_array()
        .expect("families")
        .iter()
        .map(|part| &part["family"])
        .collect();
    assert_eq!(families, ["serialization"], "{check:#}");
    let number = |value: &Value| value.as_f64().expect("a number");
    let (low, high) = (number(&check["interval"][0]), number(&check["interval"][1]));
    assert!(low > 20.0 && low <= number(&check["change"]) && number(&check["change"]) <= high);
    assert_eq!(checks[1]["ruling"], "kept", "{:#}", checks[1]);
    // The same is in the result, and each arm is a cell.
    let result = std::fs::read_to_string(dir.path().join("out/result.json")).expect("a result");
    let result: Value = serde_json::from_str(&result).expect("JSON");
    assert_eq!(result["gate"], told["gate"]);
    assert_eq!(result["arms"][1]["name"], "new");
    let cells = result["cells"].as_array().expect("cells").iter().map(|cell| &cell["id"]);
    assert_eq!(cells.collect::<Vec<_>>(), ["rest-1kB-base", "rest-1kB-new"]);
}

#[test]
fn two_arms_that_are_alike_are_never_told_apart() {
    let dir = dir();
    // At the limit itself one in forty of such runs errs by what an interval of 95 % is, so these are well above what
    // twelve short rounds differ by; how often it errs is asked by `.ci/gate`, of many.
    let limits = ["--fail-on", "mean>100%", "--fail-on", "serialization>20us"];
    let output = gate(dir.path(), &limits);
    let text = String::from_utf8_lossy(&output.stdout);
    // How sure it is hangs on what else this machine does.
    assert!(matches!(output.status.code(), Some(0 | 7)), "{:?} {text}", output.status);
    assert!(text.contains("rest-1kB  serialization>20us") && !text.contains("EXCEEDED"), "{text}");
}

#[test]
fn an_arm_of_another_program_is_started_from_it() {
    let dir = dir();
    // The same program at another place.
    let other = dir.path().join("other");
    std::fs::copy(env!("CARGO_BIN_EXE_run-lab"), &other).expect("a copy");
    let output = gate(dir.path(), &["--base", "other", "--fail-on", "mean>1000%", "--json"]);
    let told = told(&output);
    assert_eq!(output.status.code(), Some(0), "{told:#}");
    let programs = ["other", "run-lab"];
    for (arm, program) in std::iter::zip(told["arms"].as_array().expect("arms"), programs) {
        let path = arm["program"].as_str().expect("a path");
        assert!(path.ends_with(&format!("/{program}")), "{arm}");
    }
    assert_eq!(told["arms"][0]["sha256"], told["arms"][1]["sha256"]);
    // Logs say what each service was started as.
    let log = std::fs::read_to_string(dir.path().join("out/logs/echo.log")).expect("a log");
    let of = |program: &str| {
        log.lines().filter(|line| line.contains(&format!("/{program} echo"))).count()
    };
    assert_eq!((of("other"), of("run-lab")), (12, 12), "{log}");
}

#[test]
fn a_plan_of_few_rounds_is_refused_with_the_way_out() {
    let dir = dir();
    let mut command = Command::new(env!("CARGO_BIN_EXE_run-lab"));
    command.args(["gate", "--plan", "smoke", "--fail-on", "mean>5%"]).current_dir(dir.path());
    let output = command.output().expect("the program that was just built starts");
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("1 rounds") && error.contains("6 at least (--rounds)"), "{error}");
}

#[test]
fn what_could_not_be_decided_is_refused_before_it_is_run() {
    for (arguments, named) in [
        (&["--fail-on", "p99>5%"][..], &["1,000 answers", "rest-1kB-base has 100", "5s"][..]),
        (&[], &["--fail-on"]),
        (&["--fail-on", "median>5%"], &["median", "p50", "framing"]),
        (&["--fail-on", "mean>5%", "--new", "nowhere"], &["--new nowhere", "KNOB=VALUE"]),
    ] {
        let dir = dir();
        let output = gate(dir.path(), arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
        for name in named {
            assert!(error.contains(name), "{arguments:?} should name {name:?}: {error}");
        }
        assert!(!dir.path().join("out").exists(), "{arguments:?} left something behind");
    }
}
