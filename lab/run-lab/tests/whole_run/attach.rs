//! A system that runs already is measured as well as it tells of itself, by a plan alone; what cannot be done with it is
//! refused before anything is.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Query;
use axum::routing::get;
use rustix::process::{Pid, Signal, kill_process};

use crate::lone_sidecar::Sidecar;
use crate::process::up::Up;
use crate::process::{self, dir, result};

/// How long a run waits for spans that have not come, unless somebody interrupts it.
const LAST_SPANS: Duration = Duration::from_secs(12);

/// A service of somebody else: it makes a payload of `bytes(n)` where `n` were asked for, and tells nothing of itself.
fn shop(bytes: fn(usize) -> usize) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("a listener");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async move {
            let order = get(async move |Query(asked): Query<Vec<(String, usize)>>| {
                let text = "x".repeat(bytes(asked[0].1));
                axum::Json(serde_json::json!({ "text": text }))
            });
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            axum::serve(listener, Router::new().route("/order", order)).await
        })
    });
    address
}

/// Two cells of a workload that no other plan has.
const ORDERS: &str = r#"
workload = "orders"
payload = [10, 1000]
rate = 100
duration = "1s"
warmup = "200ms"
[workloads.orders]
payload = true
carries = [{ request = 0, reply = "{size}" }]
[[workloads.orders.request]]
method = "GET"
path = "/order?n={size}"
headers = { Accept = "application/json" }
answer = { payload = "text" }
"#;

/// What a run with `arguments` of the system at `target` ends with: its code and all that it says.
fn run(dir: &Path, target: &str, control: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let given =
        [&["run", "--driver", "builtin", "--target", target, "--sidecar", control], arguments];
    process::Run::start(dir, &given.concat(), &[("PATH", "/nonexistent")]).end()
}

/// Codes of the reasons of a cell.
fn codes(cell: &serde_json::Value) -> Vec<&str> {
    let reasons = cell["verdict"]["reasons"].as_array().expect("reasons");
    reasons.iter().map(|reason| reason["code"].as_str().expect("a code")).collect()
}

#[test]
fn a_foreign_service_is_driven_with_a_plan_file_alone() {
    let dir = dir();
    std::fs::write(dir.path().join("orders.toml"), ORDERS).expect("a file");
    let sidecar = Sidecar::start(dir.path(), ["sidecar", "--run-file", "rows.sqlite"], |_| {});
    let target = format!("http://{}", shop(|n| n));
    let (code, text) = run(dir.path(), &target, &sidecar.control, &["--plan", "orders.toml"]);
    let result = result(dir.path());
    assert_eq!(code, Some(0), "{text} {result:#}");
    assert_eq!(result["system"]["attached"]["target"], *target);
    let hop = format!("driver→{}", target.trim_start_matches("http://"));
    for (cell, bytes) in result["cells"].as_array().expect("cells").iter().zip([10, 1_000]) {
        assert_eq!(
            (&cell["requests"]["planned"], &cell["requests"]["ok"]),
            (&100.into(), &100.into())
        );
        assert_eq!(cell["traced"]["count"], 100, "{}", cell["traced"]);
        let wire = &cell["wire"][0];
        assert_eq!((&wire["hop"], &wire["seen"]), (&(*hop).into(), &100.into()), "{wire}");
        assert_eq!(wire["response_payload_bytes"].as_f64(), Some(f64::from(bytes)), "{wire}");
        // Nothing is missing of what a system of one hop can tell, whatever the lab's own system would have told.
        let codes = codes(cell);
        for code in ["unjoined_hops", "measured_share", "payload_untold", "protocol_on_the_wire"] {
            assert!(!codes.contains(&code), "{codes:?}");
        }
    }
    assert!(result["probe_cost"].is_null(), "{}", result["probe_cost"]);
}

#[test]
fn a_foreign_service_that_lies_about_its_payload_is_invalid_with_both_numbers() {
    let dir = dir();
    std::fs::write(dir.path().join("orders.toml"), ORDERS).expect("a file");
    let sidecar = Sidecar::start(dir.path(), ["sidecar", "--run-file", "rows.sqlite"], |_| {});
    let target = format!("http://{}", shop(|_| 100_000));
    let (code, text) = run(dir.path(), &target, &sidecar.control, &["--plan", "orders.toml"]);
    assert_eq!(code, Some(3), "{text}");
    let result = result(dir.path());
    let reasons = result["cells"][0]["verdict"]["reasons"].to_string();
    assert!(reasons.contains("declared 10 B") && reasons.contains("100,000 B"), "{reasons}");
}

#[test]
fn the_labs_own_services_are_attached_to_as_anybody_elses_run_after_run() {
    let dir = dir();
    let up = Up::start(dir.path(), &["--without", "influxdb,postgres,grafana"], &[]);
    let target = format!("http://{}", up.part("gateway").0);
    let control = up.says("sidecar").split("http://").nth(2).expect("an address");
    let control = format!("http://{}", control.split(' ').next().expect("an address"));
    for number in 1..=2 {
        let place = dir.path().join(format!("run-{number}"));
        std::fs::create_dir(&place).expect("a folder");
        let (code, text) = run(&place, &target, &control, &["--plan", "smoke"]);
        let result = result(&place);
        assert_eq!(code, Some(0), "{text} {:#}", result["cells"][0]["verdict"]);
        for cell in result["cells"].as_array().expect("cells") {
            // Rows of the run before have the same names.
            assert_eq!(cell["traced"]["count"], 100, "{}", cell["traced"]);
            let hops: Vec<_> =
                cell["wire"].as_array().expect("hops").iter().map(|hop| &hop["hop"]).collect();
            assert_eq!(hops, ["driver→gateway", "gateway→echo"]);
            let processes = cell["resources"].as_array().expect("resources");
            let gateway = processes
                .iter()
                .find(|one| one["process"] == "gateway")
                .expect("the gateway's CPU");
            assert!(gateway["cpu_us_per_request"].as_f64() > Some(0.0), "{gateway}");
        }
    }
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn what_cannot_be_done_with_a_system_that_is_not_ours_is_refused_before_anything_is() {
    let dir = dir();
    let (target, control) = ("http://127.0.0.1:1", "http://127.0.0.1:2");
    for (arguments, named) in [
        (&["--inject", "echo:handler=1ms"][..], "a delay to inject into echo:handler"),
        (&["--set", "nagle=true"], "the setting nagle"),
        (&["--plan", "one-connection"], "the setting"),
        (&["--pin", "services=0"], "--pin services"),
        (&["--require", "influxdb"], "--require influxdb"),
    ] {
        let (code, text) = run(dir.path(), target, control, arguments);
        assert_eq!(code, Some(2), "{arguments:?} {text}");
        assert!(text.contains(named) && text.contains(target), "{arguments:?} {text}");
    }
    let alone =
        Command::new(env!("CARGO_BIN_EXE_run-lab")).args(["run", "--target", target]).output();
    let alone = alone.expect("it starts");
    assert_eq!(alone.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&alone.stderr).contains("--sidecar"));
}

#[test]
fn who_does_not_want_to_wait_for_the_last_spans_is_not_kept() {
    let dir = dir();
    std::fs::write(dir.path().join("orders.toml"), ORDERS).expect("a file");
    // A trace is held for longer than anybody waits.
    let held = ["sidecar", "--run-file", "rows.sqlite", "--join-window", "60s"];
    let sidecar = Sidecar::start(dir.path(), held, |_| {});
    let target = format!("http://{}", shop(|n| n));
    let given = ["--driver", "builtin", "--target", &target, "--sidecar", &sidecar.control];
    let given = [&["run", "--plan", "orders.toml"], &given[..]].concat();
    let mut run = process::Run::start(dir.path(), &given, &[("PATH", "/nonexistent")]);
    run.line("closing the books");
    let (own, asked) = (Pid::from_child(&run.child), Instant::now());
    kill_process(own, Signal::INT).expect("it waits for spans");
    let (code, text) = run.end();
    assert_eq!(code, Some(130), "{text}");
    assert!(asked.elapsed() < LAST_SPANS, "{:?}", asked.elapsed());
    // What there was by then is told.
    let result = result(dir.path());
    assert_eq!(result["cells"][0]["requests"]["ok"], 100, "{}", result["cells"][0]["requests"]);
}

#[test]
fn a_sidecar_that_does_not_do_says_why() {
    let dir = dir();
    let target = format!("http://{}", shop(|n| n));
    let without_rows = Sidecar::start(dir.path(), ["sidecar"], |_| {});
    std::fs::write(dir.path().join("token"), "0123456789abcdef").expect("a file");
    let guarded = Sidecar::start(
        dir.path(),
        ["sidecar", "--run-file", "rows", "--token-file", "token"],
        |_| {},
    );
    for (place, control, token, named) in [
        ("nobody", "http://127.0.0.1:1", "", "127.0.0.1:1"),
        ("without-rows", &without_rows.control, "", "--run-file"),
        ("without-token", &guarded.control, "", "401"),
    ] {
        let place = dir.path().join(place);
        std::fs::create_dir(&place).expect("a folder");
        let given = if token.is_empty() { vec![] } else { vec!["--token-file", token] };
        let (code, text) =
            run(&place, &target, control, &[&["--plan", "smoke"], &given[..]].concat());
        assert_eq!(code, Some(5), "{text}");
        assert!(text.contains("sidecar") && text.contains(named), "{text}");
    }
    std::fs::write(dir.path().join("orders.toml"), ORDERS).expect("a file");
    let given = ["--plan", "orders.toml", "--token-file", "token"];
    let (code, text) = run(dir.path(), &target, &guarded.control, &given);
    assert_eq!(code, Some(0), "{text}");
}
