//! k6's own latency is what is broken down.

use serde_json::Value;

use test_parts::Part;

use crate::process::{dir, result};
use crate::{plan, start, started};

pub(crate) fn k6_drives_and_its_own_latency_is_broken_down() {
    let dir = dir();
    plan(dir.path(), 40, "3s");
    let run = start(
        dir.path(),
        &["run", "--plan", "short.toml", "--driver", "k6", "--require", "k6,influxdb,postgres"],
        &started(&[Part::K6, Part::Influxdb, Part::Postgres]),
    );
    let (code, text) = run.end();
    assert_eq!(code, Some(0), "{text}");
    let result = result(dir.path());
    for (role, name) in [("driver", "k6"), ("store", "InfluxDB"), ("database", "PostgreSQL")] {
        let parts = result["components"].as_array().expect("components");
        let part = parts.iter().find(|part| part["role"] == role).expect("the part");
        assert_eq!((&part["name"], &part["real"]), (&name.into(), &true.into()), "{part}");
    }
    let cells = result["cells"].as_array().expect("cells");
    assert_eq!(cells.len(), 4);
    for cell in cells {
        every_request_is_joined(cell);
        only_the_edge_is_inferred(cell);
        let users = cell["factors"]["workload"] == "users";
        let queries = stages(cell).filter(|stage| stage["stage"] == "query_round_trip").count();
        assert_eq!(queries, usize::from(users), "{}", cell["stages"]);
        if users {
            let share = cell["database"]["server_share"].as_f64().expect("the server's share");
            assert!(share > 0.0 && share <= 1.0, "{}", cell["database"]);
        }
        let summary = dir.path().join(format!("out/k6/{}-0.json", name(cell)));
        k6_says_the_same(cell, &std::fs::read_to_string(summary).expect("k6's own summary"));
    }
}

fn name(cell: &Value) -> &str {
    cell["id"].as_str().expect("a name")
}

fn stages(cell: &Value) -> impl Iterator<Item = &Value> {
    cell["stages"].as_array().expect("stages").iter()
}

fn every_request_is_joined(cell: &Value) {
    let requests = &cell["requests"];
    let count = |of: &str| requests[of].as_u64().expect("a count");
    assert!(count("ok") > 0, "{requests}");
    assert_eq!(count("planned"), count("started") + count("dropped"), "{requests}");
    assert_eq!(cell["traced"]["count"], cell["traced"]["expected"], "{}", name(cell));
    let marks = &cell["marks"];
    assert_eq!(
        (&marks["contained"], &marks["not_contained"]),
        (&cell["traced"]["succeeded"], &0.into())
    );
    for share in ["p50_share", "p99_share"] {
        let residual = cell["residual"][share].as_f64().expect("a share");
        assert!(residual.abs() <= 0.02, "{}: {}", name(cell), cell["residual"]);
    }
}

/// Stopwatch and stages come from the same lines of k6, so that they agree says little. k6's summary is
/// computed by k6 itself.
fn k6_says_the_same(cell: &Value, summary: &str) {
    let summary: Value = serde_json::from_str(summary).expect("JSON");
    let mean_ms = |metric: &str| {
        let values = &summary["metrics"][format!("{metric}{{phase:measured}}")]["values"];
        values["avg"].as_f64().unwrap_or_else(|| panic!("no {metric} in {summary}"))
    };
    let metrics = ["http_req_blocked", "http_req_duration"];
    let said_us = metrics.map(mean_ms).iter().sum::<f64>() * 1e3;
    let mean_us = cell["traced"]["mean_us"].as_f64().expect("a mean");
    assert_eq!(cell["requests"]["error"], 0, "{}: the summary has failed ones too", name(cell));
    assert!((said_us - mean_us).abs() < 1.0, "{}: {said_us} is not {mean_us}", name(cell));
}

/// What k6 does not tell of its own hop is a difference of durations, and is called so; every stage behind
/// it is measured.
fn only_the_edge_is_inferred(cell: &Value) {
    let inferred: Vec<_> = stages(cell).filter(|stage| stage["kind"] == "inferred").collect();
    assert!(!inferred.is_empty(), "{}: {}", name(cell), cell["stages"]);
    for stage in inferred {
        assert_eq!(stage["hop"], "k6→gateway", "{}: {stage}", name(cell));
    }
    let sum: f64 = stages(cell).map(|stage| stage["mean_us"].as_f64().expect("a mean")).sum();
    let all = sum + cell["residual"]["mean_us"].as_f64().expect("a mean");
    let mean = cell["traced"]["mean_us"].as_f64().expect("a mean");
    assert!((all - mean).abs() < 0.05, "{}: {all} is not {mean}", name(cell));
    assert!(cell["send_delay_us"].is_null(), "k6 does not tell how late it is");
}
