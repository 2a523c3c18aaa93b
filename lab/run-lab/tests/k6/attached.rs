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

/// What a run of the lab's own services, started by somebody else, ends with: its code, what it says, and its result.
fn drive(program: &Program) -> (Option<i32>, String, Value) {
    let dir = dir();
    let up = Up::start(dir.path(), &["--without", "influxdb,postgres,grafana"], &[]);
    let target = format!("http://{}", up.part("gateway").0);
    let control = up.says("sidecar").split("http://").nth(2).expect("an address");
    let control = format!("http://{}", control.split(' ').next().expect("an address"));
    let place = dir.path().join("run");
    std::fs::create_dir(&place).expect("a folder");
    let arguments = [
        "run",
        "--target",
        &target,
        "--sidecar",
        &control,
        "--driver",
        "k6",
        "--plan",
        "smoke",
        "--duration",
        "2s",
    ];
    let k6 = program.path.to_string_lossy();
    let (code, text) = Run::start(&place, &arguments, &[("LAB_K6", &k6)]).end();
    let result = result(&place);
    assert_eq!(up.stop(), Some(0));
    (code, text, result)
}
