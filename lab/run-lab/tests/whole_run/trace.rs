//! Single requests of a run are listed and drawn, from its folder and from a sidecar that runs.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use super::Run;
use crate::process::up::Up;
use crate::process::{dir, result};

/// `run-lab trace` with `arguments`, in `dir`.
fn trace(dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_run-lab"));
    command.arg("trace").args(arguments).current_dir(dir).output().expect("it starts")
}

/// What it prints where it does as asked.
#[track_caller]
fn told(dir: &Path, arguments: &[&str]) -> String {
    let output = trace(dir, arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).expect("text")
}

/// What it says where it cannot.
#[track_caller]
fn refused(dir: &Path, arguments: &[&str]) -> String {
    let output = trace(dir, arguments);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    String::from_utf8(output.stderr).expect("text")
}

fn us(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

/// Its pieces, those of all hops, fill the latency from its beginning to its end, and no two of them overlap.
#[track_caller]
fn assert_drawn(request: &Value) {
    let hops = request["hops"].as_array().expect("hops").iter();
    let pieces = hops.flat_map(|hop| hop["pieces"].as_array().expect("pieces"));
    let mut ends: Vec<_> =
        pieces.map(|one| (us(&one["from_us"]), us(&one["from_us"]) + us(&one["us"]))).collect();
    ends.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut end = 0.0;
    for (from, to) in ends {
        assert!((from - end).abs() < 0.01, "{from} after {end}: {request:#}");
        end = to;
    }
    assert!((end - us(&request["latency_us"])).abs() < 0.01, "{end}: {request:#}");
}

#[test]
fn the_requests_of_a_run_are_listed_and_drawn_from_its_folder() {
    let dir = dir();
    let (code, text) = Run::start(dir.path(), &["run", "--plan", "smoke"]).end();
    assert_eq!(code, Some(0), "{text}");
    let result = result(dir.path());
    let slowest = result["slowest"].as_array().expect("the slowest");
    let ids: Vec<_> = slowest.iter().map(|one| one["trace_id"].as_str().expect("an id")).collect();
    assert_eq!(ids.len(), 10);

    let list = told(dir.path(), &["--run", "out"]);
    let place = |id: &str| list.find(id).unwrap_or_else(|| panic!("{id} is not in {list}"));
    assert!(ids.iter().map(|id| place(id)).is_sorted(), "{list}");
    assert!(list.contains(&format!("run-lab trace {} --run out", ids[0])), "{list}");
    let of_cell = told(dir.path(), &["--run", "out", "--slowest", "3", "--cell", "grpc-1kB"]);
    assert_eq!(of_cell.matches(" grpc-1kB ").count(), 3, "{of_cell}");

    // Both hops of the slowest, by the beginning of its id; and the same for programs.
    let drawn = told(dir.path(), &[&ids[0][..20], "--run", "out/run.sqlite", "--all"]);
    for said in [ids[0], "driver→gateway", "gateway→echo", "handler", "reply wire", "measured"]
    {
        assert!(drawn.contains(said), "{said}: {drawn}");
    }
    let json = told(dir.path(), &[ids[0], "--run", "out", "--json"]);
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&json["schema"], &json["requests"][0]), (&1.into(), &slowest[0]));
    for request in slowest {
        assert_drawn(request);
        let [edge, inner] = &request["hops"].as_array().expect("hops")[..] else {
            panic!("{request:#}")
        };
        // The inner call lies where its caller made it.
        assert_eq!((&edge["placed"], &inner["placed"]), (&true.into(), &true.into()));
        let (from, to) = (us(&inner["from_us"]), us(&inner["from_us"]) + us(&inner["us"]));
        assert!(from > 0.0 && to < us(&request["latency_us"]), "{request:#}");
    }

    let error = refused(dir.path(), &["ffffffffffffffffffffffffffffffff", "--run", "out"]);
    for said in
        ["no request of the trace ffff", "out/run.sqlite (grpc-1kB ", "--slowest 10 --run out"]
    {
        assert!(error.contains(said), "{said}: {error}");
    }
    let error = refused(dir.path(), &["--run", "out", "--cell", "rest-2kB"]);
    assert!(error.contains("of the cell rest-2kB") && error.contains("rest-1kB "), "{error}");
}

#[test]
fn what_a_running_sidecar_has_by_now_is_drawn_too() {
    let dir = dir();
    let up = Up::start(dir.path(), &["--join-window", "100ms"], &[("PATH", "/nonexistent")]);
    let (gateway, _) = up.part("gateway");
    let control = up.says("sidecar").split("http://").nth(2).expect("an address");
    let control = format!("http://{}", control.split(' ').next().expect("an address"));
    let missing = refused(dir.path(), &["4bf9", "--sidecar", &control]);
    assert!(missing.contains("of the trace 4bf9") && missing.contains(&control), "{missing}");

    let id = "0af7651916cd43dd8448eb211c80319c";
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let asked = reqwest::Client::new().post(format!("http://{gateway}/rest/ping"));
        let asked = asked.header("traceparent", format!("00-{id}-b7ad6b7169203331-01"));
        let asked = asked.header("content-type", "application/json").body(r#"{"size":10}"#);
        asked.send().await.expect("an answer").error_for_status().expect("a right one");
    });
    // Until the trace is closed the sidecar has no request of it.
    let drawn = loop {
        let output = trace(dir.path(), &[&id[..8], "--sidecar", &control]);
        if output.status.code() == Some(0) {
            break String::from_utf8(output.stdout).expect("text");
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    };
    assert!(drawn.contains(id) && drawn.contains("gateway→echo"), "{drawn}");
    let list = told(dir.path(), &["--sidecar", &control]);
    assert!(list.contains("1 requests closed") && list.contains(id), "{list}");
    assert_eq!(up.stop(), Some(0));
}
