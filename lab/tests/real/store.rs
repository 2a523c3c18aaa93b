//! InfluxDB holds what happened: every point, also of the time it was away, and the drop rate that the
//! result has.

use std::time::Duration;

use run_lab::launch::Tool;

use super::influxd::Influxd;
use crate::need;
use crate::process::{Run, dir, result};

/// Requests of all cells together, by what became of them.
fn requests(result: &serde_json::Value, of: &str) -> u64 {
    let cells = result["cells"].as_array().expect("cells");
    cells.iter().map(|cell| cell["requests"][of].as_u64().expect("a count")).sum()
}

/// What `load` says of the same.
fn points(influxd: &Influxd, of: &str) -> f64 {
    influxd.number(&format!("SELECT sum({of}) FROM load"))
}

#[test]
fn no_point_is_missing_after_influxdb_was_away() {
    need(&[Tool::Influxdb]);
    let mut influxd = Influxd::start();
    let dir = dir();
    let url = influxd.url();
    let arguments = [
        "run",
        "--plan",
        "smoke",
        "--duration",
        "8s",
        "--rate",
        "50",
        "--driver",
        "builtin",
        "--protocol",
        "rest",
        "--without",
        "grafana",
        "--require",
        "influxdb",
    ];
    let mut run = Run::start(dir.path(), &arguments, &[("LAB_INFLUXDB_URL", &url)]);
    run.line("gateway listens");
    run.wait_for_rows(dir.path());
    influxd.kill();
    std::thread::sleep(Duration::from_secs(3));
    influxd.start_again();
    let (code, text) = run.end();
    assert_eq!(code, Some(0), "{text}");
    let result = result(dir.path());
    for of in ["planned", "started", "dropped", "ok", "error"] {
        assert_eq!(points(&influxd, of), requests(&result, of) as f64, "{of}");
    }
    let traced = result["cells"][0]["traced"]["succeeded"].as_f64().expect("a count");
    assert_eq!(influxd.number("SELECT sum(count) FROM request WHERE cell != 'none'"), traced);
    assert_eq!(
        influxd
            .number("SELECT sum(count) FROM hop WHERE stage = 'handler' AND hop = 'gateway→echo'"),
        traced
    );
    assert_eq!(influxd.number("SELECT count(status) FROM verdict"), 2.0);
    assert_eq!(influxd.number("SELECT count(event) FROM cell"), 2.0);
}
