//! Which real parts are found, which are refused, and what that says and costs.

#[path = "influxdb_double/mod.rs"]
mod influxdb_double;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use axum::http::StatusCode;
use influxdb_double::InfluxDouble;

/// `run-lab` in `dir`, whose folder `bin` is PATH.
fn run_lab(dir: &Path, env: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_run-lab"));
    for name in ["LAB_INFLUXDB_URL", "LAB_DATABASE_URL", "LAB_INFLUXD", "LAB_INFLUXDB_TOKEN"] {
        command.env_remove(name);
    }
    command.args(arguments).current_dir(dir).env("PATH", dir.join("bin")).envs(env.iter().copied());
    command.output().expect("the program that was just built starts")
}

/// Puts a program into `dir/bin` that answers `version` and `help` so.
fn program(dir: &Path, name: &str, version: &str, help: &str) {
    let bin = dir.join("bin");
    fs::create_dir_all(&bin).expect("a folder");
    let script = format!(
        "#!/bin/sh\ncase \"$1\" in *version) echo '{version}';; help) echo '{help}';; *) exit 9;; esac\n"
    );
    fs::write(bin.join(name), script).expect("a script");
    fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).expect("it is ours");
}

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const PLAN: &str = "protocol = [\"rest\"]\npayload = [10]\nrate = 50\nduration = \"200ms\"\n";

#[test]
fn the_version_of_a_program_is_told_as_the_program_tells_it() {
    for (version, help, told) in [
        ("InfluxDB v1.8.10 (git: 1.8 688e697)", "", "influxd (v1.8.10)"),
        ("InfluxDB v2.7.12 (git: x) build_date: 2024-01-01", "", "influxd (v2.7.12)"),
        (
            "InfluxDB dev (git: none) build_date: 2026-11-25T1",
            "--bolt-path string",
            "influxd (dev)",
        ),
        (
            "InfluxDB vunknown (git: unknown unknown)",
            "Usage: influxd [[command] [arguments]]",
            "influxd (of an unknown version)",
        ),
    ] {
        let dir = dir();
        program(dir.path(), "influxd", version, help);
        let output = run_lab(dir.path(), &[], &["doctor", "--require", "influxdb"]);
        assert_eq!(output.status.code(), Some(0), "{}", err(&output));
        assert!(out(&output).contains(told), "{}", out(&output));
    }
}

#[test]
fn an_influxdb_that_cannot_be_used_is_refused_by_name_and_version() {
    for (name, version, told) in [
        ("influxdb3", "influxdb3 3.0.1, revision 2026", "InfluxDB 3.0.1"),
        ("influxd", "InfluxDB v3.4.0 (git: x)", "InfluxDB v3.4.0"),
        ("influxd", "InfluxDB v1.6.7 (git: x)", "InfluxDB v1.6.7"),
        ("influxd", "InfluxDB next (git: x)", "InfluxDB next"),
    ] {
        let dir = dir();
        program(dir.path(), name, version, "nothing that is known");
        fs::write(dir.path().join("tiny.toml"), PLAN).expect("a file");
        let told = format!("{told} is not supported: 1.8 and 2.x are");
        let output = run_lab(dir.path(), &[], &["doctor"]);
        assert!(
            output.status.code() == Some(0) && out(&output).contains(&told),
            "{}",
            out(&output)
        );
        for words in [&["doctor", "--require", "influxdb"][..], &["run", "--require", "influxdb"]] {
            let output = run_lab(dir.path(), &[], words);
            assert_eq!(output.status.code(), Some(4), "{words:?}: {}", err(&output));
            assert!(err(&output).contains(&told), "{}", err(&output));
        }
    }
}

#[test]
fn a_run_goes_on_without_an_influxdb_that_cannot_be_used_and_says_so() {
    let dir = dir();
    program(dir.path(), "influxdb3", "influxdb3 3.0.1, revision 2026", "");
    fs::write(dir.path().join("tiny.toml"), PLAN).expect("a file");
    let output =
        run_lab(dir.path(), &[], &["run", "--plan", "tiny.toml", "--without", "grafana,k6"]);
    // On a machine so busy that the stopwatch is held up a cell may be INVALID (3): that is not asked here.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}", err(&output));
    let told = "InfluxDB is not used: InfluxDB 3.0.1 is not supported: 1.8 and 2.x are";
    assert!(err(&output).contains(told), "{}", err(&output));
}

#[test]
fn an_address_of_an_influxdb_that_cannot_be_used_is_an_error_at_start() {
    for version in ["3.0.1", "v4.1.0", "0.9.6"] {
        let influxdb = InfluxDouble::start(version);
        let (dir, url) = (dir(), influxdb.url());
        let env = [("LAB_INFLUXDB_URL", url.as_str())];
        let told =
            format!("LAB_INFLUXDB_URL: InfluxDB {version} is not supported: 1.8 and 2.x are");
        let output = run_lab(dir.path(), &env, &["run", "--plan", "smoke"]);
        assert_eq!(output.status.code(), Some(2), "{}", err(&output));
        assert!(err(&output).contains(&told), "{}", err(&output));
        let output = run_lab(dir.path(), &env, &["doctor"]);
        assert!(
            output.status.code() == Some(0) && out(&output).contains(&told),
            "{}",
            out(&output)
        );
    }
}

#[test]
fn an_address_that_cannot_be_connected_to_is_refused_at_start_by_its_variable() {
    for (name, value, why) in [
        ("LAB_INFLUXDB_URL", "http://127.0.0.1:99999", "\"99999\" is no port"),
        ("LAB_INFLUXDB_URL", "http://:8086", "names no host"),
        ("LAB_INFLUXDB_URL", "http://me:s3cret@127.0.0.1:8086", "a user or a password"),
        ("LAB_INFLUXDB_URL", "https://127.0.0.1:8086", "https is not built in"),
        ("LAB_DATABASE_URL", "mysql://me:s3cret@127.0.0.1/lab", "begin with postgres://"),
        ("LAB_DATABASE_URL", "postgres://me:s3cret@127.0.0.1:99999/lab", "cannot be read"),
    ] {
        let dir = dir();
        let output = run_lab(dir.path(), &[(name, value)], &["run", "--plan", "smoke"]);
        let error = err(&output);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(
            error.contains(name) && error.contains(why) && !error.contains("s3cret"),
            "{error}"
        );
        assert_eq!(fs::read_dir(dir.path()).expect("the folder").count(), 0, "nothing was begun");
    }
}

#[test]
fn a_database_that_we_may_not_make_is_an_error_that_is_told() {
    let refuse = |_: &str| (StatusCode::FORBIDDEN, r#"{"error":"w not authorized to execute it"}"#);
    let influxdb = InfluxDouble::answering("1.8.10", refuse, StatusCode::NO_CONTENT);
    let (dir, url) = (dir(), influxdb.url());
    let output = run_lab(dir.path(), &[("LAB_INFLUXDB_URL", &url)], &["run", "--plan", "smoke"]);
    let error = err(&output);
    assert_eq!(output.status.code(), Some(5), "{error}");
    for word in ["cannot make the database \"lab\"", "not authorized", "LAB_INFLUXDB_DATABASE"] {
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn the_doctor_says_by_its_exit_code_what_is_missing() {
    let dir = dir();
    let output = run_lab(dir.path(), &[], &["doctor", "--require", "k6,grafana"]);
    assert_eq!(output.status.code(), Some(4), "{}", err(&output));
    assert!(err(&output).contains("k6 is required") && out(&output).contains("driver"));
    // k6 is its user's own: nobody is told to build or download it.
    assert!(out(&output).contains("grafana.com/docs/k6") && !out(&output).contains("go.k6.io"));
    program(dir.path(), "k6", "k6 v2.2.0 (go1.26, linux/amd64)", "");
    let output = run_lab(dir.path(), &[], &["doctor", "--require", "k6"]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert!(out(&output).contains("(v2.2.0)"), "{}", out(&output));
}

#[test]
fn the_users_table_is_filled_by_the_words_that_the_documents_have() {
    let dir = dir();
    // Nobody listens there: it is asked, not refused as a wrong command line.
    let words = ["pg-client", "seed", "--database-url", "postgres://lab@127.0.0.1:1/lab"];
    let output = run_lab(dir.path(), &[], &words);
    let error = err(&output);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("refused"), "{error}");
    let help = out(&run_lab(dir.path(), &[], &["pg-client", "seed", "--help"]));
    assert!(help.contains("--users <N>") && help.contains("--email-index"), "{help}");
}
