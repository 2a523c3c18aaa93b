//! The same of `run-lab up`: it says where the boards are, or why there are none.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use super::{InfluxDouble, lab};

/// What `up` prints until it is ready, and its exit code when it has been stopped.
fn up(fails: &str) -> (String, Option<i32>) {
    let dir = tempfile::tempdir().expect("a folder");
    let influxdb = InfluxDouble::start("1.8.10");
    let mut command = lab(dir.path(), &influxdb, fails);
    command.args(["up", "--gateway", "127.0.0.1:0"]).stdout(Stdio::piped());
    let mut child = command.spawn().expect("the program that was just built starts");
    let stdout = child.stdout.take().expect("a pipe");
    let mut text = String::new();
    for line in BufReader::new(stdout).lines() {
        let line = line.expect("text");
        text.push_str(&line);
        text.push('\n');
        if line == "stop with Ctrl-C" {
            break;
        }
    }
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid")).expect("not 0");
    kill_process(pid, Signal::INT).expect("it runs");
    (text, child.wait().expect("it ends").code())
}

#[test]
fn up_says_where_the_boards_are() {
    let (text, code) = up("");
    let open = text.lines().find(|line| line.starts_with("open     http://127.0.0.1:"));
    let open = open.unwrap_or_else(|| panic!("{text}"));
    assert!(open.contains("/d/lab-breakdown?from=now-5m&to=now&refresh=5s&var-run=up-"), "{open}");
    let edit = text.lines().find(|line| line.starts_with("edit     sign in at http://127.0.0.1:"));
    assert!(edit.is_some_and(|line| line.ends_with("/grafana/secret-of-admin")), "{text}");
    assert_eq!(code, Some(0));
}

#[test]
fn up_goes_on_without_a_grafana_that_does_not_start_and_says_why_there_are_no_boards() {
    let (text, code) = up("exits");
    assert!(text.contains("told to exit at once"), "{text}");
    assert!(text.contains("\nboards   none: Grafana is not used: it did not start"), "{text}");
    assert_eq!(code, Some(0));
}
