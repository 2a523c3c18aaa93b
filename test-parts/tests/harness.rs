//! What becomes of tests whose parts are here, and of those whose parts are not: seen on a small test program, which is
//! this one, started again with `TEST_PARTS_INNER` set.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output, Stdio};
use std::time::{Duration, Instant};

use test_parts::{InfluxDb, Part};

const INNER: &str = "TEST_PARTS_INNER";

/// The small test program.
mod inner {
    use super::{InfluxDb, Part};

    pub(super) async fn needs_nothing() {}

    pub(super) async fn needs_k6() {
        println!("ran with {}", Part::K6.program().display());
    }

    pub(super) async fn fails_with_k6() {
        assert!(Part::K6.find().is_err(), "on purpose");
    }

    pub(super) async fn says_of(part: Part) {
        println!("{} is {}", part.name(), part.program().display());
    }

    /// Starts an InfluxDB, says its process, and waits to be killed.
    pub(super) async fn never_ends() {
        let influxdb = InfluxDb::start(Part::Influxdb).await;
        println!("started {} in its folder", influxdb.process());
        std::future::pending().await
    }

    test_parts::main! {
        needs [] { needs_nothing }
        needs [K6] { needs_k6, fails_with_k6 }
        each [Influxdb, Influxdb2] { says_of }
        needs [Influxdb] { never_ends }
    }

    pub(super) fn run() -> std::process::ExitCode {
        main()
    }
}

/// The small test program with `arguments`, on a machine whose PATH is `path`.
fn program(path: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(arguments).env(INNER, "1").env("PATH", path);
    let named = ["LAB_INFLUXD", "LAB_INFLUXD_2", "LAB_POSTGRES", "LAB_PGBOUNCER", "LAB_K6"];
    for variable in named.into_iter().chain(["LAB_REQUIRE_PARTS"]) {
        command.env_remove(variable);
    }
    command
}

/// All that it printed.
fn said(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8(text).expect("text")
}

/// A folder with a program `name` that writes `said`.
fn folder_with(name: &str, said: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join(name);
    let mut file = std::fs::File::create(&program).expect("a file");
    write!(file, "#!/bin/sh\necho '{said}'\n").expect("a script");
    drop(file);
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("a program");
    (folder, program)
}

async fn without_its_part_a_test_is_ignored_by_name_with_the_way_to_get_it() {
    let nothing = tempfile::tempdir().expect("a folder");
    let output = program(nothing.path(), &["needs_"]).output().expect("it runs");
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    let line = text.lines().find(|line| line.starts_with("test needs_k6 ")).expect("its line");
    assert!(line.contains("... ignored (needs k6") && line.contains("https://"), "{line}");
    assert!(text.contains("part k6: not here"), "{text}");
    assert!(text.contains("1 passed; 0 failed; 1 ignored;"), "{text}");
}

async fn a_part_that_is_required_and_not_here_fails_the_test_by_name() {
    let nothing = tempfile::tempdir().expect("a folder");
    let required = |list: &str| {
        let mut command = program(nothing.path(), &["needs_"]);
        let output = command.env("LAB_REQUIRE_PARTS", list).output().expect("it runs");
        (output.status.code(), said(&output))
    };
    let (code, text) = required("k6");
    assert_eq!(code, Some(101), "{text}");
    assert!(
        text.contains("---- needs_k6 ----\nLAB_REQUIRE_PARTS names k6, which is not here"),
        "{text}"
    );
    assert!(text.contains("1 passed; 1 failed; 0 ignored;"), "{text}");
    assert_eq!(required("postgres").0, Some(0));
    let (code, text) = required("k7");
    assert_eq!(code, Some(101), "{text}");
    assert!(text.contains("there is no part \"k7\"") && text.contains("influxdb2"), "{text}");
}

async fn with_its_part_a_test_runs_and_fails_as_others_do() {
    let (folder, k6) = folder_with("k6", "k6 v2.2.0");
    let output = program(folder.path(), &["k6"]).output().expect("it runs");
    let text = said(&output);
    assert_eq!(output.status.code(), Some(101), "{text}");
    assert!(text.contains(&format!("part k6: k6 v2.2.0, {}", k6.display())), "{text}");
    assert!(text.contains(&format!("ran with {}", k6.display())), "{text}");
    assert!(text.contains("fails_with_k6 ----\ntest panicked: on purpose"), "{text}");
    assert!(text.contains("1 passed; 1 failed; 0 ignored;"), "{text}");

    let mut named = program(Path::new("/"), &["--exact", "needs_k6"]);
    let text = said(&named.env("LAB_K6", &k6).output().expect("it runs"));
    assert!(text.contains("1 passed; 0 failed; 0 ignored;"), "{text}");
    let output = named.env("LAB_K6", folder.path()).output().expect("it runs");
    let text = said(&output);
    assert_eq!(output.status.code(), Some(101), "{text}");
    assert!(text.contains("not a program that can be run"), "{text}");
    let text = said(&named.env("LAB_K6", "").output().expect("it runs"));
    assert!(text.contains("0 passed; 0 failed; 1 ignored;"), "{text}");
}

async fn tests_are_listed_filtered_and_skipped_as_others_are() {
    let nothing = tempfile::tempdir().expect("a folder");
    let lines = |arguments: &[&str]| {
        let output = program(nothing.path(), arguments).output().expect("it runs");
        said(&output).lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let all = [
        "needs_nothing: test",
        "needs_k6: test",
        "fails_with_k6: test",
        "says_of::influxdb: test",
        "says_of::influxdb2: test",
        "never_ends: test",
    ];
    assert_eq!(lines(&["--list"]), all);
    assert_eq!(lines(&["--list", "--exact", "needs_k6"]), all[1..2]);
    assert_eq!(lines(&["--list", "says", "--skip", "influxdb2"]), all[3..4]);
    // None of them is ignored by itself, so there is none to run.
    assert!(
        lines(&["--ignored"]).iter().any(|line| line.contains("0 passed; 0 failed; 0 ignored"))
    );
}

async fn the_generation_of_an_influxd_is_found_by_asking_it() {
    for (name, words, found, other) in [
        ("influxd", "InfluxDB dev (git: none) build_date: 2026-11-25", "influxdb2", "influxdb"),
        ("influxd", "InfluxDB vunknown (git: unknown unknown)", "influxdb", "influxdb2"),
    ] {
        let (folder, influxd) = folder_with(name, words);
        let arguments = ["--exact", &format!("says_of::{found}")];
        let text = said(&program(folder.path(), &arguments).output().expect("it runs"));
        assert!(text.contains(&format!("{found} is {}", influxd.display())), "{text}");
        let arguments = ["--exact", &format!("says_of::{other}")];
        let text = said(&program(folder.path(), &arguments).output().expect("it runs"));
        assert!(!text.contains(&format!("{other} is {}", influxd.display())), "{text}");
    }
    let (_folder, influxd) = folder_with("influxd", "InfluxDB vunknown (git: unknown unknown)");
    let mut named = program(Path::new("/"), &["--exact", "says_of::influxdb2"]);
    let text = said(&named.env("LAB_INFLUXD_2", &influxd).output().expect("it runs"));
    assert!(text.contains("is no influxdb2: it says \"InfluxDB vunknown"), "{text}");
}

async fn a_part_and_its_data_do_not_outlive_a_test_that_is_killed() {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = program(Path::new(&path), &["--exact", "never_ends"]);
    command.env("LAB_INFLUXD", Part::Influxdb.program()).env("TMPDIR", folder.path());
    let mut test = command.stdout(Stdio::piped()).spawn().expect("it runs");
    let lines = BufReader::new(test.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
    let started = lines.into_iter().find(|line| line.starts_with("started ")).expect("a process");
    let process = started.split(' ').nth(1).expect("a number").to_owned();
    let data = || {
        let entries = std::fs::read_dir(folder.path()).expect("its temporary folder").flatten();
        entries
            .filter(|entry| entry.file_name().to_string_lossy().starts_with("test-influxdb-"))
            .count()
    };
    assert_eq!(data(), 1);
    test.kill().expect("it runs");
    test.wait().expect("it ends");
    let deadline = Instant::now() + Duration::from_secs(60);
    while !gone(&process) || data() > 0 {
        assert!(Instant::now() < deadline, "process {process} or its data is still there");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Ended, though in a container without an init nobody may have asked for its exit status.
fn gone(process: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_none_or(|rest| rest.is_empty() || rest.trim_start().starts_with('Z'))
}

mod outer {
    use super::*;

    test_parts::main! {
        needs [] {
            without_its_part_a_test_is_ignored_by_name_with_the_way_to_get_it,
            a_part_that_is_required_and_not_here_fails_the_test_by_name,
            with_its_part_a_test_runs_and_fails_as_others_do,
            tests_are_listed_filtered_and_skipped_as_others_are,
            the_generation_of_an_influxd_is_found_by_asking_it,
        }
        needs [Influxdb] { a_part_and_its_data_do_not_outlive_a_test_that_is_killed }
    }

    pub(super) fn run() -> ExitCode {
        main()
    }
}

fn main() -> ExitCode {
    if std::env::var_os(INNER).is_some() { inner::run() } else { outer::run() }
}
