//! `run-lab certify`: a cell is measured, given up or stopped, and no process is left in any case.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// Environment variable that tells the processes of one test from all others; children inherit it.
const MARK: &str = "CERTIFY_TEST";

fn certify(dir: &Path, mark: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_run-lab"));
    command.arg("certify").args(arguments).current_dir(dir).env(MARK, mark);
    command
}

/// A text that no other test, nor another run of this one, has.
fn mark(test: &str) -> String {
    format!("{test}-{}", std::process::id())
}

/// Processes that were started with `mark`.
fn left(mark: &str) -> Vec<String> {
    let wanted = format!("{MARK}={mark}");
    let processes = fs::read_dir("/proc").expect("Linux").flatten().map(|entry| entry.path());
    processes
        .filter(|path| {
            let environment = fs::read(path.join("environ")).unwrap_or_default();
            environment.split(|&byte| byte == 0).any(|entry| entry == wanted.as_bytes())
        })
        .map(|path| fs::read_to_string(path.join("cmdline")).unwrap_or_default())
        .collect()
}

#[test]
fn a_cell_is_measured_and_no_process_is_left() {
    let (dir, mark) = (tempfile::tempdir().expect("a folder"), mark("measured"));
    let arguments = "--protocol rest --size 10 --rate 100 --pairs 4 --round 100ms --out costs.json";
    let arguments: Vec<&str> = arguments.split(' ').collect();
    let output = certify(dir.path(), &mark, &arguments).output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{text}{error}");
    assert_eq!(left(&mark), Vec::<String>::new());
    assert!(error.contains("rest-10B: the probe costs "), "{error}");
    for name in ["ratio", "95 % interval", "10 B REST", "mean of 1 cell: "] {
        assert!(text.contains(name), "should have {name:?}: {text}");
    }
    let json = fs::read_to_string(dir.path().join("costs.json")).expect("a file");
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let cell = &json["cells"][0];
    let number = |value: &serde_json::Value| value.as_f64().expect("a number");
    let (low, high) = (number(&cell["interval"][0]), number(&cell["interval"][1]));
    assert!(low <= number(&cell["ratio"]) && number(&cell["ratio"]) <= high, "{cell}");
    assert!(number(&cell["on_us"]) > 0.0 && number(&cell["off_us"]) > 0.0, "{cell}");
    // Latency by the driver's own stopwatch, which there is without probes too.
    let (ratio, ends) = (number(&cell["latency"][0]), &cell["latency"][1]);
    assert!(number(&ends[0]) <= ratio && ratio <= number(&ends[1]), "{cell}");
    assert!(number(&cell["latency_off_us"]) > 0.0, "{cell}");
    assert_eq!((&cell["pairs"], &cell["traced_share"]), (&4.into(), &1.0.into()), "{cell}");
    let again = certify(dir.path(), &mark, &["--out", "costs.json"]).output().expect("it starts");
    assert_eq!(again.status.code(), Some(2), "an existing file is never written over");
}

#[test]
fn a_cell_that_was_not_answered_is_given_up_with_the_reason() {
    let (dir, mark) = (tempfile::tempdir().expect("a folder"), mark("given-up"));
    // Five gigabytes a second: more than one thread of load generator can move anywhere.
    let arguments = "--protocol rest --size 1MB --rate 5000 --pairs 2 --round 100ms";
    let arguments: Vec<&str> = arguments.split(' ').collect();
    let output = certify(dir.path(), &mark, &arguments).output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}{error}");
    assert!(text.contains("rest-1MB  not measured: of 500 requests of a round"), "{text}");
    assert!(error.contains("rest-1MB: the probe could not be certified: of 500"), "{error}");
    assert_eq!(left(&mark), Vec::<String>::new());
}

#[test]
fn an_interrupt_stops_everything() {
    let (dir, mark) = (tempfile::tempdir().expect("a folder"), mark("interrupted"));
    let mut child = certify(dir.path(), &mark, &["--pairs", "200"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    let line = lines.by_ref().map(|line| line.expect("text")).find(|line| line.contains("[1 of"));
    assert!(line.is_some_and(|line| line.contains("[1 of 12] certifying the probe on rest-10B")));
    kill_process(Pid::from_child(&child), Signal::INT).expect("it runs");
    let rest: Vec<String> = lines.map(|line| line.expect("text")).collect();
    assert_eq!(child.wait().expect("it ends").code(), Some(130), "{rest:#?}");
    assert_eq!(left(&mark), Vec::<String>::new());
}
