//! `run-lab up` where no real part is: it says so, serves, and stops without leaving anything behind.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use crate::process::up::Up;
use crate::process::{dir, gone};

/// What the server at `address` answers to a ping by `protocol`.
fn ping(address: &str, protocol: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let body = r#"{"size": 10}"#;
    let head = format!(
        "POST /{protocol}/ping HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer
}

/// The same by REST with a trace of its own, which is recorded.
fn traced(address: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let head = "POST /rest/ping HTTP/1.1\r\nHost: lab\r\nConnection: close\r\nContent-Type: application/json\r\n\
                traceparent: 00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01\r\nContent-Length: 12\r\n\r\n\
                {\"size\": 10}";
    stream.write_all(head.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer
}

#[test]
fn services_are_left_out_for_somebody_elses_whose_process_is_watched() {
    let dir = dir();
    let watch = format!("mine={}", std::process::id());
    let without = "services,influxdb,postgres,grafana";
    let arguments = ["--without", without, "--watch", &watch, "--join-window", "2s"];
    let up = Up::start(dir.path(), &arguments, &[]);
    assert!(up.text.contains("OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:"), "{}", up.text);
    assert!(!up.text.contains("gateway"), "{}", up.text);
    assert_eq!(up.stop(), Some(0));
    // Nothing was asked, so there is nothing to tell.
    assert!(!dir.path().join("up/report.html").exists());
}

#[test]
fn everything_that_is_not_there_is_said_and_the_rest_serves_until_it_is_stopped() {
    let dir = dir();
    let up = Up::start(dir.path(), &["--without", "influxdb,postgres,grafana"], &[]);
    for absent in ["InfluxDB", "PostgreSQL", "Grafana"] {
        assert!(up.text.contains(&format!("{absent} is left out by choice")), "{}", up.text);
    }
    let (address, gateway) = up.part("gateway");
    let (_, echo) = up.part("echo");
    for protocol in ["rest", "grpc"] {
        let answer = ping(address, protocol);
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"size\":10"), "{answer}");
    }
    let load = up.says("load");
    let script = load.split(' ').next_back().expect("a script");
    assert!(dir.path().join(script).is_file(), "{load}");
    let traced = traced(address);
    assert!(traced.starts_with("HTTP/1.1 200"), "{traced}");
    assert_eq!(up.stop(), Some(0));
    let result = std::fs::read_to_string(dir.path().join("up/result.json")).expect("a result");
    let result: serde_json::Value = serde_json::from_str(&result).expect("JSON");
    let cell = &result["cells"][0];
    assert!(cell["id"].as_str().is_some_and(|id| id.ends_with("/rest/ping")), "{cell:#}");
    assert_eq!(cell["traced"]["count"], 1, "{cell:#}");
    assert!(dir.path().join("up/report.html").is_file());
    assert!(gone(gateway) && gone(echo));
    assert!(dir.path().join("up/run.sqlite").is_file());
}

#[test]
fn a_port_that_is_taken_is_named_with_the_part_that_wanted_it() {
    let dir = dir();
    let held = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = held.local_addr().expect("an address");
    let output = Command::new(env!("CARGO_BIN_EXE_run-lab"))
        .args(["up", "--out", "up", "--without", "influxdb,postgres,grafana"])
        .args(["--gateway", &taken.to_string()])
        .current_dir(dir.path())
        .output()
        .expect("the program starts");
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{error}");
    let named = taken.to_string();
    let holder = format!("is held by process {} (", std::process::id());
    for text in ["gateway", named.as_str(), "in use", &holder] {
        assert!(error.contains(text), "should name {text:?}: {error}");
    }
}
