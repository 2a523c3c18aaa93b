//! The sidecar as a program: what it prints, when it stops, how it fails.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

fn sidecar() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sidecar"));
    command.args(["--otlp", "127.0.0.1:0", "--control", "127.0.0.1:0"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn it_says_where_it_listens_and_stops_when_its_standard_input_ends() {
    let mut child = sidecar().arg("--stop-with-stdin").spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let addresses: Vec<_> = line.trim().split(' ').collect();
    let ["listening", otlp, control] = addresses.as_slice() else { panic!("{line:?}") };
    for (address, prefix) in [(otlp, "otlp=127.0.0.1:"), (control, "control=127.0.0.1:")] {
        let port: u16 = address.strip_prefix(prefix).unwrap().parse().unwrap();
        assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    }
    // The C library is told to give freed memory back, and the process is the one that was started.
    let environment = std::fs::read(format!("/proc/{}/environ", child.id())).unwrap();
    let environment = String::from_utf8_lossy(&environment).into_owned();
    assert!(environment.contains("MALLOC_MMAP_THRESHOLD_=1048576"), "{environment}");
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_setting_that_cannot_be_used_is_a_usage_error() {
    for arguments in [["--max-traces", "0"], ["--join-window", "5"], ["--watch", "gateway"]] {
        let output = sidecar().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.contains(arguments[0]), "{message}");
        assert!(output.stdout.is_empty(), "nothing is bound, so nothing is said");
    }
}

#[test]
fn a_run_file_that_is_there_is_in_the_way_unless_it_is_to_be_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.db");
    std::fs::write(&file, "of an earlier sidecar").unwrap();
    let output = sidecar().arg("--run-file").arg(&file).output().unwrap();
    assert!(!output.status.success(), "nobody asked to lose it");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "of an earlier sidecar");
    let mut again = sidecar();
    again.arg("--run-file").arg(&file).args(["--replace-run-file", "--stop-with-stdin"]);
    let mut child = again.spawn().unwrap();
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    assert!(std::fs::read(&file).unwrap().starts_with(b"SQLite format 3"));
}

#[test]
fn every_setting_is_explained() {
    let output = sidecar().arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    // However wide the terminal is.
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for flag in [
        "--otlp",
        "--control",
        "--run-file",
        "--token-file",
        "--forward",
        "--forward-http",
        "--forward-queue",
        "--allow-origin",
        "--memory-limit",
        "--join-window",
        "--max-traces",
        "--sample-every",
        "--stop-with-stdin",
        "--watch",
        "--run",
        "--influxdb-url",
        "--influxdb-org",
        "--influxdb-bucket",
        "--spool",
        "--spool-limit",
    ] {
        assert!(help.contains(flag), "{flag} is missing:\n{help}");
    }
    assert!(help.contains("[default: 127.0.0.1:4317]") && help.contains("[default: 5s]"));
    assert!(!help.contains("--influxdb-token"), "a token is no argument:\n{help}");
}

#[test]
fn a_token_comes_by_the_environment_and_is_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let run_file = folder.path().join("run.db");
    let output = sidecar()
        .args(["--run-file", run_file.to_str().unwrap(), "--influxdb-url", "http://127.0.0.1:9"])
        .env("LAB_INFLUXDB_TOKEN", "s3cr\u{e9}t")
        .env("RUST_LOG", "trace")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("LAB_INFLUXDB_TOKEN must be of visible ASCII"), "{message}");
    assert!(!message.contains("s3cr"), "{message}");
    let refused = sidecar().args(["--influxdb-token", "x"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2), "a token is no argument");
}
