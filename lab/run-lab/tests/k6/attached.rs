//! k6 drives what runs already, as the compose file and the Job on Kubernetes have it do: a system and a sidecar that the
//! lab did not start.

use serde_json::Value;

use crate::program::Program;
use crate::whole::process::up::Up;
use crate::whole::process::{Run, dir, result};

pub(crate) async fn what_runs_already_is_driven_by_k6_and_its_latency_is_broken_down(
    program: Program,
) {
    let run = tokio::task::spawn_blocking(move || drive(&program));
    let (code, text, result) = run.await.expect("it ends");
    // However busy the machine, nothing is INVALID.
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(result["components"][0]["name"], "k6", "{}", result["components"]);
    for cell in result["cells"].as_array().expect("cells") {
        let (requests, traced) = (&cell["requests"], &cell["traced"]);
        assert!(requests["ok"].as_u64() > Some(150), "{requests}");
        assert_eq!(
            (&requests["started"], &traced["expected"]),
            (&requests["ok"], &traced["count"])
        );
        let stages = cell["stages"].as_array().expect("stages");
        let of = |hop: &str| stages.iter().filter(|stage| stage["hop"] == hop).count();
        assert!(of("k6→gateway") > 0 && of("gateway→echo") > 0, "{stages:?}");
        let us = |value: &Value| value["mean_us"].as_f64().expect("a mean");
        let sum = stages.iter().map(us).sum::<f64>() + us(&cell["residual"]);
        assert!((sum - us(traced)).abs() < 0.5, "{sum} of {traced}");
        let processes = cell["resources"].as_array().expect("resources");
        assert!(processes.iter().any(|process| process["process"] == "k6"), "{processes:?}");
    }
}

pub(crate) async fn what_runs_already_is_asked_by_a_script_of_ones_own() {
    let run = tokio::task::spawn_blocking(ask);
    let (code, text, result) = run.await.expect("it ends");
    assert_eq!(code, Some(0), "{text} {:#}", result["cells"]);
    let attached = &result["system"]["attached"];
    assert!(attached["target"].is_string() && attached["sidecar"].is_string(), "{attached}");
    let [cell] = &result["cells"].as_array().expect("cells")[..] else { panic!("{result:#}") };
    assert_eq!(cell["id"], "load POST /rest/ping");
    assert_eq!(cell["factors"]["rounds"], 2);
    let (requests, traced) = (&cell["requests"], &cell["traced"]);
    assert!(requests["ok"].as_u64() >= Some(90), "{requests}");
    // Each of them is in the ledger from k6 on, by services that the lab did not start.
    assert_eq!(traced["count"], requests["started"], "{traced} {requests}");
    let wire = cell["wire"].as_array().expect("hops");
    let hops: Vec<_> = wire.iter().map(|hop| hop["hop"].as_str().expect("a name")).collect();
    assert_eq!(hops, ["k6→gateway", "gateway→echo"]);
    let reasons = cell["verdict"]["reasons"].to_string();
    assert!(reasons.contains("coordinated omission"), "{reasons}");
    // The rows are the sidecar's: the result keeps the slowest.
    assert_eq!(result["slowest"].as_array().map(Vec::len), Some(10));
}

/// What a run of a script ends with whose system somebody else has started.
fn ask() -> (Option<i32>, String, Value) {
    let dir = dir();
    let up = Up::start(dir.path(), &["--without", "influxdb,postgres,grafana"], &[]);
    let (target, control) = (format!("http://{}", up.part("gateway").0), control(&up));
    let place = dir.path().join("run");
    std::fs::create_dir(&place).expect("a folder");
    lab_drive::k6::write_scripts(&place.join("own")).expect("scripts");
    let script = ["run", "--script", "own/ping.js", "--rounds", "2"];
    let system = ["--target", target.as_str(), "--sidecar", control.as_str()];
    let k6 = Program::double().path.to_string_lossy().into_owned();
    let env = [("LAB_K6", k6.as_str()), ("RATE", "50"), ("DURATION", "1s"), ("SIZE", "10")];
    let (code, text) = Run::start(&place, &[&script[..], &system].concat(), &env).end();
    let result = result(&place);
    assert_eq!(up.stop(), Some(0));
    (code, text, result)
}

/// Where the sidecar of `up` is controlled.
fn control(up: &Up) -> String {
    let control = up.says("sidecar").split("http://").nth(2).expect("an address");
    format!("http://{}", control.split(' ').next().expect("an address"))
}

/// What a run of the lab's own services, started by somebody else, ends with: its code, what it says, and its result.
fn drive(program: &Program) -> (Option<i32>, String, Value) {
    let dir = dir();
    let up = Up::start(dir.path(), &["--without", "influxdb,postgres,grafana"], &[]);
    let target = format!("http://{}", up.part("gateway").0);
    let control = control(&up);
    let place = dir.path().join("run");
    std::fs::create_dir(&place).expect("a folder");
    let arguments = [
        "run",
        "--target",
        target.as_str(),
        "--sidecar",
        control.as_str(),
        "--driver",
        "k6",
        "--plan",
        "smoke",
        "--duration",
        "2s",
    ];
    let k6 = program.path.to_string_lossy().into_owned();
    let (code, text) = Run::start(&place, &arguments, &[("LAB_K6", k6.as_str())]).end();
    let result = result(&place);
    assert_eq!(up.stop(), Some(0));
    (code, text, result)
}
