//! What the command line refuses, how, and with which exit code.

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// `run-lab` with `arguments`, in `dir`.
fn run_lab(dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_run-lab"));
    // Parts that whoever runs the tests has named are not asked here.
    let named = std::env::vars_os().map(|(name, _)| name);
    named.filter(|name| name.to_string_lossy().starts_with("LAB_")).for_each(|name| {
        command.env_remove(name);
    });
    command.args(arguments).current_dir(dir).env("PATH", "/nonexistent");
    command.output().expect("the program that was just built starts")
}

#[track_caller]
fn refused(arguments: &[&str], code: i32, named: &[&str]) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let output = run_lab(dir.path(), arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
    for text in named {
        assert!(error.contains(text), "{arguments:?} should name {text:?}: {error}");
    }
    let left = std::fs::read_dir(dir.path()).expect("the folder").count();
    assert_eq!(left, 0, "{arguments:?} left something behind");
}

#[test]
fn wrong_arguments_are_usage_errors_that_name_the_value_and_the_limit() {
    refused(&["run", "--size", "17MiB"], 2, &["--size", "17825792", "16777216"]);
    refused(&["run", "--size", "10,1QB"], 2, &["1QB", "KiB"]);
    refused(&["run", "--duration", "5"], 2, &["--duration", "500ms"]);
    refused(&["run", "--duration", "1ms"], 2, &["duration", "1ms", "100ms"]);
    refused(&["run", "--rate", "0"], 2, &["--rate", "0.01 to 1000000"]);
    refused(&["certify", "--pairs", "1"], 2, &["--pairs", "2..=200"]);
    refused(&["certify", "--round", "1ms"], 2, &["--round 1ms", "100ms"]);
    refused(&["certify", "--out", "nowhere/costs.json"], 2, &["no folder nowhere"]);
    refused(&["run", "--rounds", "0"], 2, &["`rounds`", "1 to 1000"]);
    refused(&["run", "--script", "x.js", "--rate", "5"], 2, &["--script", "--rate"]);
    refused(&["run", "--script", "x.js", "--size", "5"], 2, &["--script", "--size"]);
    refused(&["run", "--script", "nowhere.js"], 2, &["--script nowhere.js"]);
    refused(&["run", "--target", "http://127.0.0.1:1"], 2, &["--sidecar"]);
    refused(&["up", "--without", "servers"], 2, &["--without", "services, k6"]);
    refused(&["up", "--without", "services", "--set", "nagle=true"], 2, &["are left out"]);
    refused(&["run", "--protocol", "soap"], 2, &["soap", "rest", "grpc"]);
    refused(&["run", "--inject", "encoding=1ms"], 2, &["--inject", "encoding", "request_encode"]);
    refused(&["run", "--inject", "handler"], 2, &["STAGE=DURATION"]);
    refused(&["run", "--inject", "driver:handler=1ms"], 2, &["driver:handler", "send_queue"]);
    refused(&["run", "--inject", "handler=1ms,gateway:handler=2ms"], 2, &["handler", "twice"]);
    refused(&["run", "--set", "nagle=true", "--set", "nagle=false"], 2, &["nagle", "twice"]);
    refused(&["run", "--out", "/dev/null/run"], 2, &["/dev/null/run", "cannot make the folder"]);
    refused(&["run", "--set", "window=1"], 2, &["--set", "window", "stream_window"]);
    refused(&["run", "--set", "frame_size=1"], 2, &["frame_size", "16384"]);
    refused(&["run", "--plan", "no-such-plan"], 2, &["no-such-plan", "rest-vs-grpc"]);
    refused(&["run", "--thresholds", "p(99)<1"], 2, &["--thresholds", "not a JSON object"]);
    let thresholds = ["run", "--driver", "builtin", "--thresholds", "{}"];
    refused(&thresholds, 2, &["--thresholds", "k6 is left out by choice"]);
    let unable = ["run", "--require", "k6", "--inject", "driver:request_encode=1ms"];
    refused(&unable, 2, &["only the built-in driver can inject", "driver:request_encode"]);
    refused(&["run", "--objective", "p99<200"], 2, &["--objective", "p99<200", "500ms"]);
    refused(&["run", "--until", "5"], 2, &["--until", "5%"]);
    refused(&["run", "--pin", "sidecar=0"], 2, &["--pin", "driver=0 services=1"]);
    refused(&["run", "--pin", "driver=1023"], 2, &["CPU 1023", "may use"]);
    refused(&["run", "--concurrency", "4", "--rate", "9"], 2, &["--concurrency", "--rate"]);
    refused(&["run", "--like", "nowhere"], 2, &["--like nowhere", "bundle.json"]);
    refused(&["run", "--driver", "k6", "--arrivals", "poisson"], 2, &["equal distances"]);
    refused(&["trace", "no-id"], 2, &["no-id", "hexadecimal"]);
    refused(&["trace", "--slowest", "0"], 2, &["--slowest", "1..=1000"]);
    refused(&["trace", "4b", "--slowest", "3"], 2, &["--slowest"]);
    refused(&["trace"], 2, &["lab-runs", "--run", "--sidecar"]);
    refused(&["trace", "--run", "."], 2, &["is no run", "run.sqlite"]);
    refused(&["trace", "--sidecar", "http://127.0.0.1:1"], 1, &["/rows", "127.0.0.1:1"]);
    refused(&["frobnicate"], 2, &["frobnicate"]);
}

#[test]
fn the_flags_of_a_run_need_no_subcommand() {
    refused(&["--plan", "no-such-plan"], 2, &["no-such-plan"]);
}

#[test]
fn a_required_part_that_cannot_be_used_is_missing() {
    refused(&["run", "--driver", "k6"], 4, &["k6", "built-in driver"]);
    refused(&["run", "--require", "influxdb,grafana"], 4, &["InfluxDB", "run file", "influxd@"]);
    refused(&["run", "--driver", "k6", "--without", "k6"], 2, &["k6", "both"]);
    refused(&["run", "--plan", "users", "--without", "postgres"], 4, &["users", "PostgreSQL"]);
    refused(&["run", "--plan", "users", "--size", "10"], 2, &["users", "payload", "--size"]);
    refused(&["up", "--show", "nowhere"], 2, &["--show nowhere", "influxdb"]);
    refused(&["run", "--require", "mysql"], 2, &["mysql", "postgres"]);
}

#[test]
fn a_plan_file_is_refused_with_its_name_and_key() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(dir.path().join("mine.toml"), "protocol = [\"rest\"]\ncrowd = 3\n")
        .expect("a file");
    let output = run_lab(dir.path(), &["run", "--plan", "mine.toml"]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(error.contains("mine.toml") && error.contains("`crowd`"), "{error}");
}

#[test]
fn an_existing_folder_is_never_written_over() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let out = dir.path().join("out");
    std::fs::create_dir(&out).expect("a folder");
    let output = run_lab(dir.path(), &["run", "--plan", "smoke", "--out", "out"]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(error.contains("--out out") && error.contains("exists already"), "{error}");
    assert_eq!(std::fs::read_dir(&out).expect("the folder").count(), 0);
}

#[test]
fn what_is_no_run_cannot_be_shown_or_compared() {
    refused(&["report", "nowhere"], 2, &["nowhere", "result.json"]);
    refused(&["compare", "nowhere", "elsewhere"], 2, &["nowhere"]);
    refused(&["compare", "a", "b", "c"], 2, &["after --"]);
}

#[test]
fn a_reader_who_goes_away_is_no_error_and_a_full_disk_is() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let doctor = |out: Stdio| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_run-lab"));
        command.arg("doctor").stdout(out).output().expect("the program that was just built starts")
    };
    let output = doctor(writer.into());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let full = std::fs::File::options().write(true).open("/dev/full").expect("/dev/full");
    let output = doctor(full.into());
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("standard output") && error.contains("No space left"), "{error}");
}

#[test]
fn plans_and_help_teach() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    for (arguments, named) in [
        (&["plans"][..], &["rest-vs-grpc", "blog-as-published", "12 cells", "100 requests/s"][..]),
        (&["-h"], &["Begin with:", "Commands:", "Every command:", "--color", "--quiet"]),
        (&["--help"], &["Examples:", "Exit codes:", "130", "run-lab compare", "run-lab certify"]),
        (&["run", "-h"], &["Cells and load:", "Real parts:", "Services:", "--help has examples"]),
        (&["certify", "--help"], &["--traces-per-second", "1000/s", "[default: 10]", "1MB", "130"]),
        (
            &["gate", "--help"],
            &["--fail-on", "exceeded", "unknown", "framing>20us", "--json", "  7 "],
        ),
        (&["compare", "--help"], &["-- lab-runs/b", "three"]),
        (
            &["run", "--help"],
            &["--objective", "--like", "--pin", "--inject", "16777216", "Exit codes:"],
        ),
        (&["doctor"], &["k6", "InfluxDB", "PostgreSQL", "Grafana", "built-in driver", "run file"]),
    ] {
        let output = run_lab(dir.path(), arguments);
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        for name in named {
            assert!(text.contains(name), "{arguments:?} should name {name:?}: {text}");
        }
        assert!(!text.contains("Run the gateway"), "services are hidden subcommands");
    }
}

/// What `run-lab` prints when all goes well.
fn told(arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_run-lab"));
    command.args(arguments).envs(variables.iter().copied()).env("PATH", "/nonexistent");
    let output = command.output().expect("the program that was just built starts");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn what_is_told_to_people_is_told_to_programs() {
    let json = |arguments: &[&str]| -> serde_json::Value {
        serde_json::from_str(&told(arguments, &[])).expect("JSON")
    };
    let doctor = json(&["doctor", "--json"]);
    assert_eq!(doctor["schema"], 1);
    let parts = doctor["parts"].as_array().expect("parts");
    let names: Vec<_> = parts.iter().map(|part| part["name"].as_str().expect("a name")).collect();
    assert_eq!(names, ["k6", "InfluxDB", "PostgreSQL", "Grafana"]);
    assert!(parts[0]["why_not"].as_str().is_some_and(|why| why.contains("PATH")), "{parts:?}");
    let plans = json(&["plans", "--json"]);
    let smoke = plans["plans"].as_array().expect("plans").iter().find(|one| one["name"] == "smoke");
    assert_eq!(smoke.expect("a plan")["cells"], serde_json::json!(["rest-1kB", "grpc-1kB"]));
    assert_eq!(json(&["plans", "--show", "smoke", "--json"])["rate"], 100);
    assert!(json(&["plans", "--schema"])["properties"]["rate"].is_object());
}

#[test]
fn a_plan_is_shown_as_it_is_written() {
    for (name, text) in lab_model::plan::BUILT_IN {
        assert_eq!(told(&["plans", "--show", name], &[]), text);
    }
    let schema = include_str!("../../../docs/plan.schema.json");
    assert_eq!(told(&["plans", "--schema"], &[]), schema);
    refused(&["plans", "--show", "no-such-plan"], 2, &["no-such-plan", "rest-vs-grpc"]);
}

#[test]
fn colour_is_as_it_is_asked_for() {
    let coloured = |arguments: &[&str], variables: &[(&str, &str)]| {
        told(arguments, variables).contains('\u{1b}')
    };
    let quiet: &[(&str, &str)] = &[("NO_COLOR", "1")];
    // A pipe is not coloured unless somebody insists.
    assert!(!coloured(&["--help"], &[]));
    assert!(coloured(&["--help", "--color", "always"], &[]));
    assert!(coloured(&["--color=always", "--help"], quiet), "the option comes before the variable");
    assert!(!coloured(&["--color", "never", "--help"], &[]));
    refused(&["doctor", "--color", "perhaps"], 2, &["--color", "always"]);
    let dir = tempfile::tempdir().expect("a temporary folder");
    for (choice, coloured) in [("always", true), ("never", false), ("auto", false)] {
        let output = run_lab(dir.path(), &["report", "nowhere", "--color", choice]);
        assert_eq!(output.stderr.contains(&0x1b), coloured, "an error with {choice}");
    }
}

#[test]
fn shells_and_man_know_every_command_and_no_part_of_the_lab() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let text = told(&["completions", shell], &[]);
        for word in ["doctor", "certify", "fail-on"] {
            assert!(text.contains(word), "{shell}: {word}");
        }
        for hidden in ["pg-client", "sidecar", "shim"] {
            assert!(!text.contains(&format!("run-lab {hidden}")), "{shell}: {hidden}");
        }
    }
    let page = told(&["man"], &[]);
    assert!(page.contains(".TH run\\-lab 1") || page.contains(".TH run-lab 1"), "{page}");
    let dir = tempfile::tempdir().expect("a temporary folder");
    let out = dir.path().join("man1");
    told(&["man", "--out", out.to_str().expect("a path")], &[]);
    for name in ["run-lab.1", "run-lab-run.1", "run-lab-gate.1", "run-lab-doctor.1"] {
        assert!(out.join(name).is_file(), "{name}");
    }
    assert!(!out.join("run-lab-gateway.1").exists());
}

#[test]
fn quiet_and_verbose_exclude_each_other_and_quiet_gives_no_hints() {
    refused(&["plans", "-q", "-v"], 2, &["--quiet", "--verbose"]);
    assert!(told(&["plans"], &[]).contains("run-lab plans --show"));
    assert!(!told(&["plans", "-q"], &[]).contains("run-lab plans --show"));
}

#[test]
fn the_page_of_the_command_line_has_every_exit_code_and_every_command() {
    const PAGE: &str = include_str!("../../../docs/command-line.md");
    for exit in run_lab::cli::Exit::ALL {
        let row = format!("| {} | {} |", exit as u8, exit.meaning());
        assert!(PAGE.contains(&row), "docs/command-line.md should have {row}");
    }
    let help = told(&["-h"], &[]);
    let commands = help.split("Commands:").nth(1).and_then(|text| text.split("\n\n").next());
    let mut known = 0;
    for line in commands.expect("commands").lines().filter(|line| line.starts_with("  ")) {
        let Some(name) = line.split_whitespace().next().filter(|_| !line.starts_with("   ")) else {
            continue;
        };
        let named = PAGE.contains(&format!("`run-lab {name}`")) || name == "help";
        assert!(named, "docs/command-line.md does not name `run-lab {name}`");
        known += 1;
    }
    assert!(known > 9, "{help}");
}

#[test]
fn a_reader_that_has_gone_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_run-lab"))
        .arg("plans")
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program that was just built starts");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}
