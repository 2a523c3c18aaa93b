//! InfluxDB holds what happened: every point, also of the time it was away, and the drop rate that the
//! result has.

use std::collections::BTreeMap;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use lab_judge::result::{RunResult, pairs};
use lab_judge::verdict::{at_a_glance, comparison};
use sidecar::runfile::RunFile;
use test_parts::{InfluxDb, Part};

use crate::process::up::Up;
use crate::process::{dir, result};
use crate::{Environment, k6, panels, plan, running, start, start_up, started};

/// Requests of all cells together, by what became of them.
fn requests(result: &serde_json::Value, of: &str) -> u64 {
    let cells = result["cells"].as_array().expect("cells");
    cells.iter().map(|cell| cell["requests"][of].as_u64().expect("a count")).sum()
}

/// What `load` says of the same.
async fn points(influxd: &InfluxDb, of: &str) -> f64 {
    influxd.number(&format!("SELECT sum({of}) FROM load")).await
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

pub(crate) async fn an_influxdb_away_for_20_seconds_costs_no_point_no_latency_and_little_memory(
    part: Part,
) {
    let mut influxd = InfluxDb::start(part).await;
    let dir = dir();
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
    let mut run = start(dir.path(), &arguments, &running(&influxd));
    run.line("gateway listens");
    run.wait_for_rows(dir.path());
    influxd.kill();
    let from = ledger::clock::now();
    wait_for_spool(&dir.path().join("out/run.sqlite.spool"));
    let back = from + AWAY_NS;
    std::thread::sleep(Duration::from_nanos(back.saturating_sub(ledger::clock::now())));
    influxd.start_again().await;
    let (code, text) = run.end();
    assert!(matches!(code, Some(0 | 3)), "{text}");
    every_point_is_there(&influxd, &result(dir.path())).await;
    every_second_has_samples(&influxd, AWAY_NS / 1_000_000_000 + 10).await;
    let file = RunFile::open(dir.path().join("out/run.sqlite")).await.expect("a run file");
    nothing_was_disturbed(file, from..back).await;
}

/// InfluxDB holds of the only cell what the result does.
async fn every_point_is_there(influxd: &InfluxDb, result: &serde_json::Value) {
    for of in ["planned", "started", "dropped", "ok", "error"] {
        assert_eq!(points(influxd, of).await, requests(result, of) as f64, "{of}");
    }
    assert_eq!(requests(result, "dropped"), 0);
    let traced = result["cells"][0]["traced"]["succeeded"].as_f64().expect("a count");
    let found = influxd.number("SELECT sum(count) FROM request WHERE cell != 'none'").await;
    assert_eq!(found, traced);
    // Every stage of every hop has a point for each second, and each point counts its requests.
    let stages = result["cells"][0]["stages"].as_array().expect("stages");
    assert!(stages.len() > 20, "{stages:?}");
    for stage in stages {
        let (hop, name) =
            (stage["hop"].as_str().expect("a hop"), stage["stage"].as_str().expect("a name"));
        let query = format!("SELECT sum(count) FROM hop WHERE hop = '{hop}' AND stage = '{name}'");
        assert_eq!(influxd.number(&query).await, traced, "{hop} {name}");
    }
    assert_eq!(influxd.number("SELECT count(status) FROM verdict").await, 2.0);
    assert_eq!(influxd.number("SELECT count(event) FROM cell").await, 2.0);
}

/// Processes were sampled in each of at least so many seconds, and no second between the first and the last is
/// missing.
async fn every_second_has_samples(influxd: &InfluxDb, at_least: u64) {
    for process in ["gateway", "echo", "sidecar"] {
        let query = format!("SELECT cpu_cores FROM process WHERE process = '{process}'");
        let found = influxd.query(&query).await;
        let times = found.first().unwrap_or_else(|| panic!("nothing from {query}")).ints("time");
        let seconds: Vec<_> = times.into_iter().map(|ns| ns / 1_000_000_000).collect();
        assert!(seconds.len() as u64 >= at_least, "{process}: {seconds:?}");
        let whole = seconds.windows(2).all(|pair| pair[1] == pair[0] + 1);
        assert!(whole, "{process}: {seconds:?}");
    }
}

/// The load was as fast `away` as it was before and after, and the sidecar stayed as small: what the run file
/// says, which does not need InfluxDB.
async fn nothing_was_disturbed(mut file: RunFile, away: Range<u64>) {
    let rows = file.read_requests().await.expect("requests");
    // A request in ten was quicker than this: other work on the machine leaves it as it is, a wait in every request
    // does not.
    let quick = |inside: bool| {
        let of = rows.iter().filter(|row| away.contains(&row.start_ns) == inside);
        let mut latencies: Vec<_> = of.map(|row| row.latency_ns).collect();
        latencies.sort_unstable();
        assert!(latencies.len() >= 250, "only {} requests", latencies.len());
        latencies[latencies.len() / 10]
    };
    let (there, gone) = (quick(false), quick(true));
    println!("p10 of latency: {} us, {} us while InfluxDB was away", there / 1_000, gone / 1_000);
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

pub(crate) fn an_influxdb_that_is_away_takes_nothing_from_the_run_and_is_told_of() {
    let dir = dir();
    // Nobody listens there.
    let url = "http://127.0.0.1:1".to_owned();
    let arguments = ["run", "--plan", "smoke", "--driver", "builtin", "--without", "grafana"];
    let run = start(dir.path(), &arguments, &vec![("LAB_INFLUXDB_URL", url)]);
    let (code, text) = run.end();
    assert!(matches!(code, Some(0 | 3)), "{text}");
    let result = result(dir.path());
    let (requests, traced) = (&result["cells"][0]["requests"], &result["cells"][0]["traced"]);
    assert!(requests["ok"].as_u64() > Some(0), "{requests}");
    assert_eq!(traced["count"], traced["expected"], "{traced}");
    assert!(result["points_missing"]["spooled"].as_u64() > Some(0), "{}", result["points_missing"]);
    let reasons = result["verdict"]["reasons"].as_array().expect("reasons");
    assert!(reasons.iter().any(|reason| reason["code"] == "points_missing"), "{reasons:?}");
}

/// The run `run` in the lab's database at `url`.
fn shown<'a>(url: &'a str, run: &'a str, from: u64, to: u64) -> panels::Shown<'a> {
    panels::Shown { url, database: "lab", run, from, to }
}

/// Milliseconds since 1970 that hold every point of the run.
async fn span(influxd: &InfluxDb) -> (u64, u64) {
    let found = influxd.query("SELECT planned FROM load").await;
    let mut times: Vec<_> = found.iter().flat_map(|series| series.ints("time")).collect();
    times.sort_unstable();
    let ms = |at: Option<&i64>| u64::try_from(*at.expect("points")).expect("a time") / 1_000_000;
    // Samples of processes begin before the load, verdicts come after it.
    (ms(times.first()) - 10_000, ms(times.last()) + 30_000)
}

pub(crate) async fn every_panel_shows_a_real_run_and_the_drop_rate_is_that_of_the_result(
    part: Part,
) {
    let influxd = InfluxDb::start(part).await;
    let dir = dir();
    // A gateway that makes 300 kB of letters under one lock, asked for more than it can make.
    let plan = "name = \"drops\"\nprotocol = [\"rest\", \"grpc\"]\npayload = [\"300kB\"]\nrate = 150\n\
                duration = \"3s\"\nwarmup = \"0s\"\nrounds = 2\nmax_in_flight = 5\n[knobs]\n\
                payload_source = \"per_request\"\n[certify]\npairs = 2\nround = \"300ms\"\n";
    std::fs::write(dir.path().join("drops.toml"), plan).expect("a file");
    let arguments = ["run", "--plan", "drops.toml", "--driver", "builtin", "--without", "grafana"];
    let mut environment = running(&influxd);
    environment.extend(started(&[Part::Postgres]));
    let run = start(dir.path(), &arguments, &environment);
    let (code, text) = run.end();
    assert!(matches!(code, Some(0 | 3)), "{text}");
    let result = result(dir.path());
    let (dropped, planned) = (requests(&result, "dropped"), requests(&result, "planned"));
    assert!(dropped > 0, "{text}");
    let name = result["run_id"].as_str().expect("a name");
    let (from, to) = span(&influxd).await;
    let url = influxd.url_of_reader();
    let answers = panels::every_panel_returns_rows(shown(&url, name, from, to)).await;
    let shown = answers.number("lab-rest-vs-grpc", "Drop rate");
    let measured = dropped as f64 / planned as f64;
    assert!((shown - measured).abs() < 1e-9, "{shown} is not {measured}");
    numbers_are_those_of_the_result(&answers, dir.path());
}

/// What panels show is what `result.json` says: of each cell the mean, the rate and the drops, of each two that are
/// compared what may be claimed.
fn numbers_are_those_of_the_result(answers: &panels::Answers, dir: &Path) {
    let text = std::fs::read_to_string(dir.join("out/result.json")).expect("a result");
    let result = RunResult::from_json(&text).expect("a result");
    let close = |what: &str, shown: &serde_json::Value, measured: f64, within: f64| {
        let shown = shown.as_f64().expect("a number");
        assert!(
            (shown - measured).abs() <= within * measured.abs() + 1e-9,
            "{what}: {shown}, {measured}"
        );
    };
    for cell in &result.cells {
        let tags = [("cell", cell.id.as_str())];
        let shown = |panel, column| answers.in_table(panel, &tags, column);
        let each = ("lab-rest-vs-grpc", "Each cell");
        // The histogram that the result's mean is of has three digits.
        close(&cell.id, shown(each, "mean latency"), cell.latency_us.mean, 2e-3);
        close(&cell.id, shown(each, "answered per second"), cell.load.completed_per_s, 1e-6);
        close(&cell.id, shown(each, "planned"), cell.requests.planned as f64, 0.0);
        let run = ("lab-history", "Every judged run of the cells chosen");
        close(&cell.id, shown(run, "mean"), cell.latency_us.mean, 0.0);
        close(&cell.id, shown(run, "answered per second"), cell.load.completed_per_s, 0.0);
        close(&cell.id, shown(run, "drop rate"), cell.load.dropped_share, 0.0);
        let verdict = ("lab-trust", "What could show that the numbers are wrong");
        for evidence in &cell.evidence {
            let tags = [("cell", cell.id.as_str()), ("question", evidence.question.name())];
            assert_eq!(answers.in_table(verdict, &tags, "what was looked at"), &evidence.text);
        }
    }
    let compared = pairs(&result.cells);
    assert!(!compared.is_empty());
    for (first, second) in compared {
        let tags = [("first", first.id.as_str()), ("second", second.id.as_str())];
        let panel = ("lab-breakdown", "Which is faster: ${payload:text}");
        let (answer, by) = at_a_glance(comparison(&result, first, second), ["REST", "gRPC"]);
        assert_eq!(answers.in_table(panel, &tags, "answer"), &answer);
        assert_eq!(answers.in_table(panel, &tags, "by"), &by);
    }
}

/// A Grafana that shows nothing: `grafana` in `dir` says at which port it is to listen, and the test listens there.
fn grafana(dir: &Path) -> String {
    const SCRIPT: &str = "#!/bin/sh\n[ \"$1\" = -v ] && exec echo 'Version 12.0.0'\n\
                          echo \"$GF_SERVER_HTTP_PORT\" >\"${0%/*}/port.new\"\n\
                          mv \"${0%/*}/port.new\" \"${0%/*}/port\"\nexec sleep 1000\n";
    let program = dir.join("grafana-server");
    std::fs::write(&program, SCRIPT).expect("a file");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("its mode");
    let port = dir.join("port");
    tokio::spawn(async move {
        let port = loop {
            if let Ok(port) = std::fs::read_to_string(&port) {
                break port;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        let address = format!("127.0.0.1:{}", port.trim());
        let listener = tokio::net::TcpListener::bind(address).await.expect("Grafana's port");
        let healthy = axum::Router::new().fallback(|| async { "healthy" });
        axum::serve(listener, healthy).await
    });
    program.to_str().expect("text").to_owned()
}

pub(crate) async fn an_earlier_run_is_shown_by_its_name_and_time_from_its_own_data(part: Part) {
    let dir = dir();
    // Started by run-lab itself, twice, with the same data.
    let mut environment: Environment = started(&[part]);
    let arguments =
        ["run", "--plan", "smoke", "--require", "influxdb", "--without", "grafana,k6,postgres"];
    let run = start(dir.path(), &arguments, &environment);
    let (code, text) = run.end();
    assert!(matches!(code, Some(0 | 3)), "{text}");
    let name = result(dir.path())["run_id"].as_str().expect("a name").to_owned();
    environment.push(("LAB_GRAFANA", grafana(dir.path())));
    let up = start_up(dir.path(), &["--show", "out", "--without", "postgres"], &environment);
    let open = up.says("open");
    assert!(open.contains("/d/lab-breakdown?from=1") && open.contains(&name), "{open}");
    let (address, _) = up.part("influxdb");
    let secret = std::fs::read_to_string(dir.path().join("out/influxdb/secret")).expect("a secret");
    let influx = panels::Influx::new(&format!("http://lab:{}@{address}", secret.trim()), "lab");
    let query = format!("SELECT sum(planned) FROM load WHERE run = '{name}'");
    let series = influx.ask(&query).await.expect("an answer");
    let planned: Vec<f64> = series.iter().flat_map(panels::Series::numbers).collect();
    let requests = requests(&result(dir.path()), "planned");
    assert_eq!(planned, [requests as f64]);
    assert_eq!(up.stop(), Some(0));
    its_boards_are_drawn_without_grafana(dir.path(), requests, &environment);
}

/// Each board is a page that says who drew it, with the run's own numbers on it.
fn its_boards_are_drawn_without_grafana(dir: &Path, planned: u64, environment: &Environment) {
    let own = std::env::current_exe().expect("a path");
    let built = own.parent().and_then(Path::parent).expect("the folder of what was built");
    let drawn = std::process::Command::new(built.join("examples/preview_boards"))
        .args(["out", "pages"])
        .current_dir(dir)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .output()
        .expect("cargo build -p run-lab --example preview_boards");
    assert!(drawn.status.success(), "{}", String::from_utf8_lossy(&drawn.stderr));
    let page = |board: &str| {
        let page = std::fs::read_to_string(dir.join(format!("pages/{board}.html")));
        let page = page.unwrap_or_else(|error| panic!("{board}: {error}"));
        assert!(page.contains("by preview_boards, not by Grafana"), "{board}");
        page
    };
    for board in ["lab-breakdown", "lab-processes", "lab-history"] {
        assert!(page(board).contains("<path d=\"M") || page(board).contains("<rect"), "{board}");
    }
    assert!(page("lab-rest-vs-grpc").contains(&format!(">{planned}</strong>")), "{planned}");
    let verdicts = ["VALID", "UNCHECKED", "SUSPECT", "INVALID"];
    let trust = page("lab-trust");
    assert!(verdicts.iter().any(|verdict| trust.contains(&format!(">{verdict}</strong>"))));
}

pub(crate) async fn of_a_run_by_k6_every_panel_but_that_of_late_requests_shows_rows(part: Part) {
    let influxd = InfluxDb::start(part).await;
    let dir = dir();
    plan(dir.path(), 40, "3s");
    let arguments =
        ["run", "--plan", "short.toml", "--driver", "k6", "--rounds", "2", "--without", "grafana"];
    let mut environment = running(&influxd);
    environment.extend(started(&[Part::Postgres, Part::K6]));
    let run = start(dir.path(), &arguments, &environment);
    let (code, text) = run.end();
    assert!(matches!(code, Some(0 | 3)), "{text}");
    let result = result(dir.path());
    let name = result["run_id"].as_str().expect("a name");
    let (from, to) = span(&influxd).await;
    // k6 does not tell what it sent late.
    let exempt = [("lab-rest-vs-grpc", "Late")];
    let url = influxd.url_of_reader();
    let answers = panels::every_panel_but_returns_rows(shown(&url, name, from, to), &exempt).await;
    numbers_are_those_of_the_result(&answers, dir.path());
    let series = answers.series("lab-breakdown", "Latency over time");
    let line = series.iter().find_map(|series| series.tags.get("generator"));
    assert_eq!(
        line.map(String::as_str),
        Some("k6"),
        "the line over the stack is named by its source"
    );
}

/// Milliseconds since 1970.
fn now_ms() -> u64 {
    ledger::wall::WallClock::read().to_wall(ledger::clock::now()) / 1_000_000
}

/// The beginning of this second, in milliseconds: what begins is dated by its second.
fn this_second() -> u64 {
    now_ms() / 1_000 * 1_000
}

/// How long something is waited for that happens within seconds on a quiet machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until every panel but those in `exempt` shows the only run that `influxd` knows of; its name.
async fn until_all_is_shown(influxd: &InfluxDb, from: u64, exempt: &[(&str, &str)]) -> String {
    let (deadline, url) = (Instant::now() + PATIENCE, influxd.url_of_reader());
    loop {
        let found = influxd.query("SHOW TAG VALUES FROM process WITH KEY = run").await;
        let run = found.first().and_then(|run| Some(run.first_value()?.as_str()?.to_owned()));
        let empty = match &run {
            Some(run) => panels::empty_but(shown(&url, run, from, now_ms()), exempt).await.1,
            None => Vec::new(),
        };
        match run {
            Some(run) if empty.is_empty() => return run,
            _ => assert!(Instant::now() < deadline, "{run:?}: {empty:#?}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Asks the gateway without end, each time under a trace of the caller's own.
async fn ask_traced(gateway: String) {
    let client = reqwest::Client::new();
    for number in 1_usize.. {
        let protocol = ["rest", "grpc"][number % 2];
        let asked = client
            .post(format!("http://{gateway}/{protocol}/ping"))
            .header("traceparent", format!("00-{number:032x}-{number:016x}-01"))
            .header("content-type", "application/json")
            .body("{\"size\": 10}");
        let answered = asked.send().await.expect("the gateway answers");
        assert!(answered.status().is_success(), "{answered:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

pub(crate) async fn what_up_writes_is_offered_and_every_panel_of_the_sidecar_shows_it(part: Part) {
    let influxd = InfluxDb::start(part).await;
    let dir = dir();
    let from = this_second();
    let up = start_up(dir.path(), &["--without", "grafana,postgres"], &running(&influxd));
    let name = tokio::select! {
        name = until_all_is_shown(&influxd, from, panels::NOT_BY_HAND) => name,
        () = ask_traced(up.part("gateway").0.to_owned()) => unreachable!("it asks without end"),
    };
    assert_eq!(up.stop(), Some(0));
    let url = influxd.url_of_reader();
    let exempt = panels::NOT_BY_HAND;
    panels::every_panel_but_returns_rows(shown(&url, &name, from, now_ms()), exempt).await;
    // By hand is no less of a cell: protocol and payload are those that were asked for.
    let influx = panels::Influx::new(&url, "lab");
    let cells = influx.ask("SHOW TAG VALUES FROM request WITH KEY = cell").await.expect("cells");
    let cells: Vec<String> = cells.iter().flat_map(panels::Series::second_column).collect();
    assert_eq!(cells, ["grpc-10B", "rest-10B"]);
    // Nobody told what lies before the gateway: that is no half that is missing.
    assert_eq!(influxd.number("SELECT sum(unjoined) FROM request").await, 0.0);
    let whole = influxd.number("SELECT sum(count) FROM request").await;
    assert_eq!(influxd.number("SELECT sum(edge_assumed) FROM request").await, whole);
}

/// Runs `ping.js` as `up` says to: its log goes to the sidecar at `otlp`.
async fn ping(up: &Up, protocol: &str) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../k6/ping.js");
    let (otlp, gateway) = (up.part("sidecar").0, up.part("gateway").0);
    let loki =
        format!("loki=http://{otlp}/loki/api/v1/push,limit=2000,pushPeriod=500ms,level=info");
    let ended = tokio::process::Command::new(k6())
        .args(["run", "--quiet", "--no-color", "--no-usage-report", script])
        .env("K6_LOG_OUTPUT", loki)
        .env("GATEWAY", format!("http://{gateway}"))
        .envs([("PROTOCOL", protocol), ("SIZE", "1kB"), ("RATE", "50"), ("DURATION", "4s")])
        .kill_on_drop(true)
        .output()
        .await
        .expect("k6 starts");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}

/// What series show at each time, one on top of the other.
fn heights(of: &[&panels::Series]) -> BTreeMap<u64, f64> {
    let mut heights = BTreeMap::new();
    for row in of.iter().flat_map(|one| &one.values) {
        let numbers = row.iter().skip(1).filter_map(serde_json::Value::as_f64);
        for (at, number) in row[0].as_u64().into_iter().cycle().zip(numbers) {
            *heights.entry(at).or_default() += number;
        }
    }
    heights
}

pub(crate) async fn load_by_k6_by_hand_has_its_own_line_as_high_as_the_stack(part: Part) {
    let influxd = InfluxDb::start(part).await;
    let dir = dir();
    let from = this_second();
    let up = start_up(dir.path(), &["--without", "grafana,postgres"], &running(&influxd));
    let name = tokio::select! {
        name = until_all_is_shown(&influxd, from, panels::NOT_BY_HAND) => name,
        () = async {
            loop {
                ping(&up, "rest").await;
                ping(&up, "grpc").await;
            }
        } => unreachable!("it asks without end"),
    };
    assert_eq!(up.stop(), Some(0));
    let (url, exempt) = (influxd.url_of_reader(), panels::NOT_BY_HAND);
    let answers =
        panels::every_panel_but_returns_rows(shown(&url, &name, from, now_ms()), exempt).await;
    let series = answers.series("lab-breakdown", "Latency over time");
    let (line, stack): (Vec<_>, Vec<_>) =
        series.iter().partition(|series| series.tags.contains_key("generator"));
    assert!(line.iter().all(|series| series.tags["generator"] == "k6"), "{line:?}");
    let (line, stack) = (heights(&line), heights(&stack));
    let mut off: Vec<f64> =
        line.iter().filter_map(|(at, line)| Some(line / stack.get(at)? - 1.0)).collect();
    off.sort_by(f64::total_cmp);
    // Where a request is in only one of the two, its time is another matter: k6 told of it too late, or was ended. Such a
    // request may take as long as many others, so what holds at most times is what is compared.
    assert!(off.len() >= 3 && off.len() * 2 >= line.len(), "{line:?} is not {stack:?}");
    let median = off[off.len() / 2];
    println!(
        "the line is {:+.2} % from the stack at the median of {} times",
        median * 100.0,
        off.len()
    );
    assert!(median.abs() < 0.05, "{line:?} is not {stack:?}");
}

/// Sends spans of a shop that asks its stock to the sidecar at `otlp` without end, as a stock SDK does by HTTP and JSON.
async fn send_spans_of_somebody_else(otlp: String) {
    let client = reqwest::Client::new();
    for number in 1_u64.. {
        let now = now_ms() * 1_000_000;
        let span = |id: u64, parent: u64, kind: u64, route: Option<&str>, inside: u64| {
            let parent =
                if parent == 0 { String::new() } else { format!("{:016x}", number * 8 + parent) };
            let key = if route.is_some() { "http.route" } else { "server.address" };
            serde_json::json!({
                "traceId": format!("{number:032x}"), "spanId": format!("{:016x}", number * 8 + id),
                "parentSpanId": parent, "name": route.unwrap_or("GET"), "kind": kind,
                "startTimeUnixNano": (now + inside * 1_000_000).to_string(),
                "endTimeUnixNano": (now + (20 - inside) * 1_000_000).to_string(),
                "attributes": [{"key": key, "value": {"stringValue": route.unwrap_or("stock")}}],
            })
        };
        let of = |service: &str, spans: Vec<serde_json::Value>| {
            let name =
                serde_json::json!({"key": "service.name", "value": {"stringValue": service}});
            serde_json::json!({"resource": {"attributes": [name]}, "scopeSpans": [{"spans": spans}]})
        };
        let route = ["/checkout", "/search"][(number % 2) as usize];
        let shop = vec![span(1, 0, 2, Some(route), 0), span(2, 1, 3, None, 2)];
        let stock = vec![span(3, 2, 2, Some("/items"), 4)];
        let body = serde_json::json!({"resourceSpans": [of("shop", shop), of("stock", stock)]});
        let asked = client
            .post(format!("http://{otlp}/v1/traces"))
            .header("content-type", "application/json")
            .body(body.to_string());
        let answered = asked.send().await.expect("the sidecar answers");
        assert!(answered.status().is_success(), "{answered:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

pub(crate) async fn a_system_of_somebody_elses_under_up_is_shown_by_what_its_requests_do(
    part: Part,
) {
    let influxd = InfluxDb::start(part).await;
    let dir = dir();
    let from = this_second();
    let up = start_up(dir.path(), &["--without", "grafana,postgres"], &running(&influxd));
    let exempt = [panels::NOT_BY_HAND, panels::NOT_WITHOUT_A_PAYLOAD].concat();
    let name = tokio::select! {
        name = until_all_is_shown(&influxd, from, &exempt) => name,
        () = send_spans_of_somebody_else(up.part("sidecar").0.to_owned()) => unreachable!("it sends without end"),
    };
    assert_eq!(up.stop(), Some(0));
    let url = influxd.url_of_reader();
    let answers =
        panels::every_panel_but_returns_rows(shown(&url, &name, from, now_ms()), &exempt).await;
    let each = ("lab-rest-vs-grpc", "Each cell");
    for cell in ["/checkout", "/search"] {
        let traced = answers.in_table(each, &[("cell", cell)], "traced").as_f64();
        assert!(traced > Some(0.0), "{cell}: {traced:?}");
    }
}

/// What there is not before the first round has ended.
const NOT_YET: &[(&str, &str)] = panels::NOT_BY_HAND;

pub(crate) async fn a_run_is_offered_and_shown_while_its_first_round_goes_on(part: Part) {
    let influxd = InfluxDb::start(part).await;
    let dir = dir();
    let from = this_second();
    let arguments = [
        "run",
        "--plan",
        "smoke",
        "--duration",
        "300s",
        "--driver",
        "builtin",
        "--without",
        "grafana,postgres",
    ];
    let mut run = start(dir.path(), &arguments, &running(&influxd));
    run.line("gateway listens");
    let name = until_all_is_shown(&influxd, from, NOT_YET).await;
    // Killed, so that InfluxDB stays as it was in the middle of the round.
    run.child.kill().expect("it runs");
    run.end();
    assert!(influxd.query("SELECT * FROM load").await.is_empty());
    let url = influxd.url_of_reader();
    panels::every_panel_but_returns_rows(shown(&url, &name, from, now_ms()), NOT_YET).await;
}
