//! Grafana behind a run, by a double (`examples/grafana_double.rs`): it is told what it can find from its own home,
//! it asks nobody on the internet, and where it does not start only the boards are missing.

#[path = "../influxdb_double/mod.rs"]
mod influxdb_double;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use influxdb_double::InfluxDouble;
use lab_launch::{Dashboards, Store, start_grafana, withheld};
use lab_supervise::{Absolute, Supervisor};
use serde_json::Value;

/// A home in which nobody can write, not even root: the kernel makes what is in it.
const HOME: &str = "/proc";

const PLAN: &str = "protocol = [\"rest\"]\npayload = [10]\nrate = 50\nduration = \"300ms\"\n";

/// The double as a program called `grafana`, in `dir`.
fn grafana(dir: &Path) -> PathBuf {
    let run_lab = Path::new(env!("CARGO_BIN_EXE_run-lab"));
    let double = run_lab.with_file_name("examples").join("grafana_double");
    assert!(double.is_file(), "build it first: cargo build -p run-lab --example grafana_double");
    let program = dir.join("grafana/bin/grafana");
    fs::create_dir_all(program.parent().expect("a folder")).expect("a folder");
    fs::copy(double, &program).expect("a copy");
    program
}

/// `run-lab` in `dir` with the doubles of Grafana and InfluxDB, and no other real part.
fn lab(dir: &Path, influxdb: &InfluxDouble, fails: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_run-lab"));
    command.current_dir(dir).env("PATH", "/nonexistent").env("LAB_GRAFANA", grafana(dir));
    command.env("LAB_GRAFANA_HOME", HOME).env("GRAFANA_DOUBLE", fails);
    command.env("LAB_INFLUXDB_URL", influxdb.url()).env_remove("LAB_INFLUXDB_TOKEN");
    fs::write(dir.join("tiny.toml"), PLAN).expect("a file");
    command
}

/// A run of the tiny plan into the folder that `run-lab` names by itself.
fn run(dir: &Path, fails: &str, arguments: &[&str]) -> Output {
    let influxdb = InfluxDouble::start("1.8.10");
    let mut command = lab(dir, &influxdb, fails);
    command.args(["run", "--plan", "tiny.toml"]).args(arguments);
    command.output().expect("the program that was just built starts")
}

/// The folder that the only run in `dir` left.
fn left(dir: &Path) -> PathBuf {
    let mut runs = fs::read_dir(dir.join("lab-runs")).expect("a folder of runs");
    runs.next().expect("a run").expect("it can be read").path()
}

fn json(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    serde_json::from_str(&text).expect("JSON")
}

/// The dashboards of a run, as its result has them.
fn dashboards(run: &Path) -> Value {
    let result = json(&run.join("result.json"));
    let parts = result["components"].as_array().expect("components");
    parts.iter().find(|part| part["role"] == "dashboards").expect("dashboards").clone()
}

fn text(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// On a machine so busy that the stopwatch is held up a cell may be INVALID (3): that is not asked here.
fn went_on(output: &Output) -> bool {
    matches!(output.status.code(), Some(0 | 3))
}

#[test]
fn grafana_finds_its_datasource_and_boards_from_a_home_in_which_it_cannot_write() {
    let dir = tempfile::tempdir().expect("a folder");
    let output = run(dir.path(), "", &[]);
    let (out, err) = text(&output);
    assert!(went_on(&output), "{err}");
    let run = left(dir.path());
    let double = json(&run.join("grafana/data/double.json"));
    assert_eq!((&double["folder"], &double["home_can_be_written"]), (&HOME.into(), &false.into()));
    assert_eq!(double["datasources"][0]["uid"], "lab-influxdb");
    let url = double["datasources"][0]["url"].as_str().expect("a URL");
    assert!(url.starts_with("http://127.0.0.1:"), "{double}");
    let boards = double["boards"].as_array().expect("boards");
    assert_eq!(boards.len(), 5, "{double}");
    assert!(boards.iter().all(|board| board["uid"].as_str().expect("a uid").starts_with("lab-")));
    assert_eq!(double["home_board"], true);
    assert_eq!(double["asks"], Value::Array(Vec::new()), "Grafana would ask others");
    assert_eq!(dashboards(&run)["real"], true);
    assert!(err.contains("boards    http://127.0.0.1:"), "{err}");
    let files = run.canonicalize().expect("a path").join("grafana/dashboards");
    assert!(out.contains(&format!("boards: {}", files.display())), "{out}");
}

#[test]
fn a_grafana_that_ends_at_once_costs_the_boards_and_not_the_run() {
    let dir = tempfile::tempdir().expect("a folder");
    let output = run(dir.path(), "exits", &[]);
    let (out, err) = text(&output);
    assert!(went_on(&output), "{err}");
    assert!(err.contains("warning: there are no boards") && err.contains("told to exit"), "{err}");
    assert!(out.contains("warning: there were no boards, Grafana did not start"), "{out}");
    let dashboards = dashboards(&left(dir.path()));
    assert_eq!(dashboards["real"], false);
    let note = dashboards["note"].as_str().expect("a note");
    assert!(note.contains("Grafana is not used: it did not start"), "{note}");
}

#[test]
fn a_grafana_that_cannot_write_where_it_is_told_costs_the_boards_and_not_the_run() {
    let dir = tempfile::tempdir().expect("a folder");
    let influxdb = InfluxDouble::start("1.8.10");
    let mut command = lab(dir.path(), &influxdb, "");
    // Without a home of its own the double does not get as far as writing.
    command.env("LAB_GRAFANA_HOME", dir.path().join("tiny.toml"));
    let output = command.args(["run", "--plan", "tiny.toml"]).output().expect("it starts");
    let (out, err) = text(&output);
    assert!(went_on(&output), "{err}");
    assert!(err.contains("Not a directory"), "{err}");
    assert!(out.contains("there were no boards"), "{out}");
}

#[test]
fn a_grafana_that_dies_in_the_middle_costs_the_boards_and_not_the_run() {
    let dir = tempfile::tempdir().expect("a folder");
    let output = run(dir.path(), "dies", &[]);
    let (out, err) = text(&output);
    assert!(went_on(&output), "{err}");
    assert!(out.contains("there were no boards, Grafana ended before the run did"), "{out}");
    let result = json(&left(dir.path()).join("result.json"));
    assert_eq!(result["incomplete"], false);
    let required =
        run(tempfile::tempdir().expect("a folder").path(), "dies", &["--require", "grafana"]);
    assert_eq!(required.status.code(), Some(5), "{}", text(&required).1);
}

#[test]
fn a_grafana_that_is_required_and_does_not_start_ends_the_run() {
    let dir = tempfile::tempdir().expect("a folder");
    let output = run(dir.path(), "exits", &["--require", "grafana"]);
    let (_, err) = text(&output);
    assert_eq!(output.status.code(), Some(5), "{err}");
    assert!(err.contains("grafana ended before it was ready"), "{err}");
}

#[tokio::test]
async fn a_grafana_that_is_never_healthy_is_not_waited_for_forever() {
    let dir = tempfile::tempdir().expect("a folder");
    // The double of this test is told by its name what to be: a script that never answers.
    let program = dir.path().join("silent");
    fs::write(&program, "#!/bin/sh\nexec sleep 1000\n").expect("a script");
    make_executable(&program);
    let executable = PathBuf::from(env!("CARGO_BIN_EXE_run-lab"));
    let supervisor = Supervisor::new(executable, dir.path().to_owned(), withheld);
    let store = Store::elsewhere("http://127.0.0.1:1");
    let folder = Absolute::new(dir.path().join("grafana")).expect("a path");
    let listen = ([127, 0, 0, 1], 0).into();
    let patience = Duration::from_secs(1);
    let dashboards = Dashboards {
        program: &program,
        store: &store,
        folder: &folder,
        opening: None,
        listen,
        patience,
    };
    let error = start_grafana(&supervisor, dashboards).await.expect_err("it is never ready");
    assert!(error.to_string().contains("within 1 s"), "{error}");
}

fn make_executable(program: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(program, fs::Permissions::from_mode(0o755)).expect("it is ours");
}

mod up;
