//! A distance between gateway and services as a setting of a plan: it is found on the wire's own stages and in no service,
//! windows that wait for it are told apart from it, and the relay that makes it is a part as any other.

use std::fs;

use rustix::process::{Signal, kill_process};
use serde_json::Value;

use crate::Run;
use crate::process::{dir, gone, pid, result};

/// Far more than what a busy machine makes of the median of a stage.
const WAY_US: f64 = 200_000.0;

/// Both protocols over a distance; and by HTTP/2 a message that is larger than the windows of one cell.
const PLAN: &str = r#"
protocol = ["rest", "grpc"]
payload = ["1kB"]
# One request after another, each of them traced: those of one connection share its windows.
concurrency = 1
rate = 1
traces_per_second = 2000
duration = "3s"
warmup = "1s"
[knobs]
rtt = "400ms"
[[variant]]
[[variant]]
name = "narrow"
protocol = ["grpc"]
payload = ["100kB"]
knobs = { stream_window = "64KiB", connection_window = "64KiB" }
"#;

/// The stages of the hop to the echo: names, and microseconds at the median.
fn stages(cell: &Value) -> Vec<(&str, f64)> {
    let all = cell["stages"].as_array().expect("stages").iter();
    let inner = all.filter(|stage| stage["hop"] == "gateway→echo");
    let told = |at: &Value| at["p50_us"].as_f64().expect("a time");
    inner.map(|at| (at["stage"].as_str().expect("a name"), told(at))).collect()
}

#[test]
fn a_distance_is_found_on_the_wire_and_windows_that_wait_for_it_beside_it() {
    let dir = dir();
    fs::write(dir.path().join("far.toml"), PLAN).expect("a file");
    let mut run = Run::start(dir.path(), &["run", "--plan", "far.toml"]);
    let relay = pid(&run.line("relay-echo listens"));
    let (code, text) = run.end();
    assert_eq!(code, Some(0), "{text}");
    assert!(gone(relay), "a relay outlives its run");
    let result = result(dir.path());
    for (id, waits) in [
        ("rest-1kB", &[][..]),
        ("grpc-1kB", &[]),
        // The second window of each message opens when the first has gone there and been answered.
        ("grpc-100kB-narrow", &["request_window_wait", "reply_window_wait"]),
    ] {
        let mut cells = result["cells"].as_array().expect("cells").iter();
        let cell = cells.find(|cell| cell["id"] == id).unwrap_or_else(|| panic!("no {id}"));
        assert_eq!(cell["factors"]["knobs"]["rtt"], 400_000_000);
        let far = ["request_relay", "reply_relay"];
        for (stage, us) in stages(cell) {
            let late = far.contains(&stage) || waits.contains(&stage);
            let right = if late { us >= WAY_US } else { us < WAY_US / 2.0 };
            assert!(right, "{id}: {stage} takes {us} us: {:#}", cell["stages"]);
        }
        let there = stages(cell).iter().filter(|(stage, _)| far.contains(stage)).count();
        assert_eq!(there, 2, "{id}: {:?}", stages(cell));
        // What the relay takes is told of it, and is not counted as the services'.
        let resources = cell["resources"].as_array().expect("resources");
        assert!(resources.iter().any(|process| process["process"] == "relay-echo"), "{id}");
    }
}

#[test]
fn a_relay_of_the_labs_own_that_is_killed_ends_the_run_by_name() {
    let dir = dir();
    let plan = "payload = [10]\nrate = 50\nduration = \"60s\"\n[knobs]\nrtt = \"1ms\"\n";
    fs::write(dir.path().join("far.toml"), plan).expect("a file");
    let mut run = Run::start(dir.path(), &["run", "--plan", "far.toml"]);
    let relay = pid(&run.line("relay-echo listens"));
    run.wait_for_rows(dir.path());
    kill_process(relay, Signal::KILL).expect("it runs");
    let (code, text) = run.end();
    assert_eq!(code, Some(5), "{text}");
    let (_, last) = text.rsplit_once("run-lab: ").expect("an error");
    let named = format!("relay-echo (process {}", relay.as_raw_nonzero());
    assert!(last.contains(&named) && last.contains("signal: 9"), "{last}");
    let result = result(dir.path());
    assert_eq!(result["incomplete"], true);
    assert!(result["cells"][0]["requests"]["ok"].as_u64() > Some(0));
}
