//! InfluxDB holds what happened: every point, also of the time it was away, and the drop rate that the
//! result has.

use std::ops::Range;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use lab_launch::Tool;
use sidecar::runfile::RunFile;

use super::influxd::Influxd;
use crate::process::up::Up;
use crate::process::{Run, dir, result};
use crate::{need, panels, plan};

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
    every_second_has_samples(&influxd, AWAY_NS / 1_000_000_000 + 10);
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
    // Every stage of every hop has a point for each second, and each point counts its requests.
    let stages = result["cells"][0]["stages"].as_array().expect("stages");
    assert!(stages.len() > 20, "{stages:?}");
    for stage in stages {
        let (hop, name) =
            (stage["hop"].as_str().expect("a hop"), stage["stage"].as_str().expect("a name"));
        let query = format!("SELECT sum(count) FROM hop WHERE hop = '{hop}' AND stage = '{name}'");
        assert_eq!(influxd.number(&query), traced, "{hop} {name}");
    }
    assert_eq!(influxd.number("SELECT count(status) FROM verdict"), 2.0);
    assert_eq!(influxd.number("SELECT count(event) FROM cell"), 2.0);
}

/// Processes were sampled in each of at least so many seconds, and no second between the first and the last is
/// missing.
fn every_second_has_samples(influxd: &Influxd, at_least: u64) {
    for process in ["gateway", "echo", "sidecar"] {
        let query = format!("SELECT cpu_cores FROM process WHERE process = '{process}'");
        let answer = influxd.query(&query, "lab");
        let rows = answer["results"][0]["series"][0]["values"].as_array();
        let rows = rows.unwrap_or_else(|| panic!("{query}: {answer}"));
        let seconds: Vec<_> =
            rows.iter().map(|row| row[0].as_u64().expect("a time") / 1_000_000_000).collect();
        assert!(seconds.len() as u64 >= at_least, "{process}: {seconds:?}");
        let whole = seconds.windows(2).all(|pair| pair[1] == pair[0] + 1);
        assert!(whole, "{process}: {seconds:?}");
    }
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
    let url = format!("http://{}", lab_supervise::free_port().expect("a free port"));
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

/// The run `run` in the lab's database at `url`.
fn shown<'a>(url: &'a str, run: &'a str, from: u64, to: u64) -> panels::Shown<'a> {
    panels::Shown { url, database: "lab", run, from, to }
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
    let answers = panels::every_panel_returns_rows(shown(&url, name, from, to)).await;
    let shown = answers.number("lab-rest-vs-grpc", "Drop rate");
    let measured = dropped as f64 / planned as f64;
    assert!((shown - measured).abs() < 1e-9, "{shown} is not {measured}");
}

/// Answers like a Grafana that is healthy, and shows nothing.
const GRAFANA: &str = r#"#!/bin/sh
[ "$1" = -v ] && exec echo "Version 12.0.0"
exec python3 -c '
import http.server, os
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(os.environ["GF_SERVER_HTTP_PORT"])), Answer).serve_forever()'
"#;

#[tokio::test]
async fn an_earlier_run_is_shown_by_its_name_and_time_from_its_own_data() {
    need(&[Tool::Influxdb]);
    let dir = dir();
    let run = Run::start(dir.path(), &["run", "--plan", "smoke", "--without", "grafana,k6"], &[]);
    let (code, text) = run.end();
    assert!(matches!(code, Some(0 | 3)), "{text}");
    let name = result(dir.path())["run_id"].as_str().expect("a name").to_owned();
    let grafana = dir.path().join("grafana-server");
    std::fs::write(&grafana, GRAFANA).expect("a file");
    std::fs::set_permissions(&grafana, std::fs::Permissions::from_mode(0o755)).expect("its mode");
    let grafana = grafana.to_string_lossy();
    let arguments = ["--show", "out", "--without", "postgres"];
    let up = Up::start(dir.path(), &arguments, &[("LAB_GRAFANA", &grafana)]);
    let open = up.says("open");
    assert!(open.contains("/d/lab-breakdown?from=1") && open.contains(&name), "{open}");
    let (address, _) = up.part("influxdb");
    let secret = std::fs::read_to_string(dir.path().join("out/influxdb/secret")).expect("a secret");
    let influx = panels::Influx::new(&format!("http://lab:{}@{address}", secret.trim()), "lab");
    let query = format!("SELECT sum(planned) FROM load WHERE run = '{name}'");
    let series = influx.ask(&query).await.expect("an answer");
    let planned: Vec<f64> = series.iter().flat_map(panels::Series::numbers).collect();
    assert_eq!(planned, [requests(&result(dir.path()), "planned") as f64]);
    assert_eq!(up.stop(), Some(0));
}

#[tokio::test]
async fn of_a_run_by_k6_every_panel_but_that_of_late_requests_shows_rows() {
    need(&[Tool::K6, Tool::Influxdb, Tool::Postgres]);
    let influxd = Influxd::start();
    let dir = dir();
    plan(dir.path(), 40, "3s");
    let url = influxd.url();
    let arguments = ["run", "--plan", "short.toml", "--driver", "k6", "--without", "grafana"];
    let run = Run::start(dir.path(), &arguments, &[("LAB_INFLUXDB_URL", &url)]);
    let (code, text) = run.end();
    assert!(matches!(code, Some(0 | 3)), "{text}");
    let result = result(dir.path());
    let name = result["run_id"].as_str().expect("a name");
    let (from, to) = span(&influxd);
    // k6 does not tell what it sent late.
    let exempt = [("lab-rest-vs-grpc", "Late")];
    panels::every_panel_but_returns_rows(shown(&url, name, from, to), &exempt).await;
}

/// Milliseconds since 1970.
fn now_ms() -> u64 {
    ledger::wall::WallClock::read().to_wall(ledger::clock::now()) / 1_000_000
}

/// The only run that InfluxDB knows of.
fn run_in(influxd: &Influxd) -> String {
    let answer = influxd.query("SHOW TAG VALUES FROM process WITH KEY = run", "lab");
    let name = &answer["results"][0]["series"][0]["values"][0][1];
    name.as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

/// Asks the gateway for some seconds, each time under a trace of the caller's own.
async fn ask_traced(gateway: &str) -> usize {
    let client = reqwest::Client::new();
    let mut answered = 0;
    for number in 1..=30 {
        let protocol = ["rest", "grpc"][number % 2];
        let asked = client
            .post(format!("http://{gateway}/{protocol}/ping"))
            .header("traceparent", format!("00-{number:032x}-{number:016x}-01"))
            .header("content-type", "application/json")
            .body("{\"size\": 10}");
        answered += usize::from(asked.send().await.is_ok_and(|reply| reply.status().is_success()));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    answered
}

#[tokio::test]
async fn what_up_writes_is_offered_and_every_panel_of_the_sidecar_shows_it() {
    need(&[Tool::Influxdb]);
    let influxd = Influxd::start();
    let dir = dir();
    let (url, from) = (influxd.url(), now_ms());
    let arguments = ["--without", "grafana,postgres"];
    let up = Up::start(dir.path(), &arguments, &[("LAB_INFLUXDB_URL", &url)]);
    let answered = ask_traced(up.part("gateway").0).await;
    assert_eq!((up.stop(), answered), (Some(0), 30));
    let name = run_in(&influxd);
    panels::every_panel_of_the_sidecar_returns_rows(shown(&url, &name, from, now_ms())).await;
}

/// Waits until the first window of hops has been written.
fn wait_for_hops(influxd: &Influxd) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while influxd.query("SELECT * FROM hop LIMIT 1", "lab")["results"][0].get("series").is_none() {
        assert!(Instant::now() < deadline, "no hop is in InfluxDB");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[tokio::test]
async fn a_run_is_offered_and_shown_while_its_first_round_goes_on() {
    need(&[Tool::Influxdb]);
    let influxd = Influxd::start();
    let dir = dir();
    let (url, from) = (influxd.url(), now_ms());
    let arguments = [
        "run",
        "--plan",
        "smoke",
        "--duration",
        "60s",
        "--driver",
        "builtin",
        "--without",
        "grafana",
    ];
    let mut run = Run::start(dir.path(), &arguments, &[("LAB_INFLUXDB_URL", &url)]);
    run.line("gateway listens");
    run.wait_for_rows(dir.path());
    wait_for_hops(&influxd);
    // Killed, so that InfluxDB stays as it was in the middle of the round.
    run.child.kill().expect("it runs");
    run.end();
    assert_eq!(influxd.query("SELECT * FROM load", "lab")["results"][0].get("series"), None);
    let name = run_in(&influxd);
    panels::every_panel_of_the_sidecar_returns_rows(shown(&url, &name, from, now_ms())).await;
}
