//! InfluxDB holds what happened: every point, also of the time it was away, and the drop rate that the
//! result has.

use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use run_lab::launch::Tool;
use sidecar::runfile::RunFile;

use super::influxd::Influxd;
use crate::process::{Run, dir, result};
use crate::{need, panels};

/// Requests of all cells together, by what became of them.
fn requests(result: &serde_json::Value, of: &str) -> u64 {
    let cells = result["cells"].as_array().expect("cells");
    cells.iter().map(|cell| cell["requests"][of].as_u64().expect("a count")).sum()
}

/// What `load` says of the same.
fn points(influxd: &Influxd, of: &str) -> f64 {
    influxd.number(&format!("SELECT sum({of}) FROM load"))
}

/// Waits until points are kept on disk: InfluxDB has been missed.
fn wait_for_spool(folder: &Path) {
    let kept = || {
        let files = std::fs::read_dir(folder).ok()?.flatten();
        files.filter_map(|file| file.metadata().ok()).map(|data| data.len()).max()
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    while kept().is_none_or(|bytes| bytes < 1_000) {
        assert!(Instant::now() < deadline, "nothing is kept in {}", folder.display());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// How long InfluxDB is away in the middle of a run, in nanoseconds.
const AWAY_NS: u64 = 20_000_000_000;

#[tokio::test]
async fn an_influxdb_away_for_20_seconds_costs_no_point_no_latency_and_little_memory() {
    need(&[Tool::Influxdb]);
    let mut influxd = Influxd::start();
    let dir = dir();
    let url = influxd.url();
    let arguments = [
        "run",
        "--plan",
        "smoke",
        "--duration",
        "36s",
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
    let from = ledger::clock::now();
    wait_for_spool(&dir.path().join("out/run.sqlite.spool"));
    let back = from + AWAY_NS;
    std::thread::sleep(Duration::from_nanos(back.saturating_sub(ledger::clock::now())));
    influxd.start_again();
    let (code, text) = run.end();
    assert_eq!(code, Some(0), "{text}");
    every_point_is_there(&influxd, &result(dir.path()));
    let file = RunFile::open(dir.path().join("out/run.sqlite")).await.expect("a run file");
    nothing_was_disturbed(file, from..back).await;
}

/// InfluxDB holds of the only cell what the result does.
fn every_point_is_there(influxd: &Influxd, result: &serde_json::Value) {
    for of in ["planned", "started", "dropped", "ok", "error"] {
        assert_eq!(points(influxd, of), requests(result, of) as f64, "{of}");
    }
    assert_eq!(requests(result, "dropped"), 0);
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

/// The load was as fast `away` as it was before and after, and the sidecar stayed as small: what the run file
/// says, which does not need InfluxDB.
async fn nothing_was_disturbed(mut file: RunFile, away: Range<u64>) {
    let rows = file.read_requests().await.expect("requests");
    let median = |inside: bool| {
        let of = rows.iter().filter(|row| away.contains(&row.start_ns) == inside);
        let mut latencies: Vec<_> = of.map(|row| row.latency_ns).collect();
        latencies.sort_unstable();
        assert!(latencies.len() >= 250, "only {} requests", latencies.len());
        latencies[latencies.len() / 2]
    };
    let (there, gone) = (median(false), median(true));
    println!("median latency: {} us, {} us while InfluxDB was away", there / 1_000, gone / 1_000);
    // Far above what else happens on a machine, far below what one write that is waited for would cost.
    assert!(gone < 2 * there + 1_000_000, "{gone} ns is not {there} ns");
    let samples = file.read_samples().await.expect("samples");
    let most = |when: Range<u64>| {
        let of = samples.iter().filter(|sample| sample.process == "sidecar");
        let of = of.filter(|sample| when.contains(&sample.at_ns));
        of.map(|sample| sample.rss_bytes).max().expect("samples of the sidecar") >> 10
    };
    let (before, since) = (most(0..away.start), most(away.start..u64::MAX));
    println!("sidecar: {before} KiB at most, {since} KiB since InfluxDB was away");
    assert!(since < before + 16 * 1_024, "{since} KiB is not {before} KiB");
}

#[test]
fn an_influxdb_that_is_away_takes_nothing_from_the_run_and_is_told_of() {
    let dir = dir();
    // Nobody listens there.
    let url = format!("http://{}", run_lab::launch::free_port().expect("a free port"));
    let arguments = ["run", "--plan", "smoke", "--driver", "builtin", "--without", "grafana"];
    let run = Run::start(dir.path(), &arguments, &[("LAB_INFLUXDB_URL", &url)]);
    let (code, text) = run.end();
    assert_eq!(code, Some(0), "{text}");
    let result = result(dir.path());
    assert_eq!(result["cells"][0]["traced"]["count"], 100);
    assert!(result["points_missing"]["spooled"].as_u64() > Some(0), "{}", result["points_missing"]);
    let reasons = result["verdict"]["reasons"].as_array().expect("reasons");
    assert!(reasons.iter().any(|reason| reason["code"] == "points_missing"), "{reasons:?}");
}

/// Milliseconds since 1970 that hold every point of the run.
fn span(influxd: &Influxd) -> (u64, u64) {
    let time = |which: &str| {
        let query = format!("SELECT {which}(planned) FROM load");
        let answer = influxd.query(&query, "lab");
        let at = &answer["results"][0]["series"][0]["values"][0][0];
        at.as_u64().unwrap_or_else(|| panic!("{query}: {answer}")) / 1_000_000
    };
    // Samples of processes begin before the load, verdicts come after it.
    (time("first") - 10_000, time("last") + 30_000)
}

#[tokio::test]
async fn every_panel_shows_a_real_run_and_the_drop_rate_is_that_of_the_result() {
    need(&[Tool::Influxdb, Tool::Postgres]);
    let influxd = Influxd::start();
    let dir = dir();
    // A gateway that makes 300 kB of letters under one lock, asked for more than it can make.
    let plan = "name = \"drops\"\nprotocol = [\"rest\", \"grpc\"]\npayload = [\"300kB\"]\nrate = 150\n\
                duration = \"3s\"\nwarmup = \"0s\"\nmax_in_flight = 5\n[knobs]\n\
                payload_source = \"per_request\"\n[certify]\npairs = 2\nround = \"300ms\"\n";
    std::fs::write(dir.path().join("drops.toml"), plan).expect("a file");
    let url = influxd.url();
    let arguments = ["run", "--plan", "drops.toml", "--driver", "builtin", "--without", "grafana"];
    let run = Run::start(dir.path(), &arguments, &[("LAB_INFLUXDB_URL", &url)]);
    let (code, text) = run.end();
    assert_eq!(code, Some(0), "{text}");
    let result = result(dir.path());
    let (dropped, planned) = (requests(&result, "dropped"), requests(&result, "planned"));
    assert!(dropped > 0, "{text}");
    let name = result["run_id"].as_str().expect("a name");
    let (from, to) = span(&influxd);
    let answers = panels::every_panel_returns_rows(&url, "lab", name, from, to).await;
    let shown = answers.number("lab-rest-vs-grpc", "Drop rate");
    let measured = dropped as f64 / planned as f64;
    assert!((shown - measured).abs() < 1e-9, "{shown} is not {measured}");
}
