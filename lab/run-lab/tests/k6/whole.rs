//! Whole runs of the program by a k6 that writes down what it was told: the double.

#[path = "../process/mod.rs"]
#[expect(dead_code, reason = "other tests look closer at a process")]
pub(crate) mod process;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::http::{HeaderMap, StatusCode, Uri};
use process::{Run, dir, result};

use crate::program::Program;

/// Writes a plan of one short cell.
fn plan(dir: &Path) {
    let plan = "name = \"short\"\nprotocol = [\"rest\"]\npayload = [\"10B\"]\nrate = 50\nduration = \"1s\"\n\
                warmup = \"0s\"\nrounds = 1\n";
    std::fs::write(dir.join("short.toml"), plan).expect("a plan");
}

/// What the k6 in `dir` was told, a line a call.
fn words(dir: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(dir.join("words")).expect("it was called");
    text.lines().map(str::to_owned).collect()
}

/// Runs the short plan by the double in `dir`, which is told `faults`; nothing else that is real is used.
async fn run(
    dir: &Path,
    faults: &str,
    more: &[&str],
    env: &[(&str, &str)],
) -> (Option<i32>, String) {
    plan(dir);
    let program = Program::told(dir, faults).path.to_string_lossy().into_owned();
    let without = ["--without", "postgres,grafana"];
    let arguments = ["run", "--plan", "short.toml", "--driver", "k6", "--no-certify"];
    let arguments = [&arguments[..], &without, more].concat();
    let env = [&[("LAB_K6", program.as_str()), ("LAB_INFLUXD", "")], env].concat();
    let run = Run::start(dir, &arguments, &env);
    tokio::task::spawn_blocking(|| run.end()).await.expect("it ends")
}

/// However busy the machine, requests were answered and nothing is INVALID.
fn assert_answered(dir: &Path, (code, text): (Option<i32>, String)) -> String {
    assert_eq!(code, Some(0), "{text}");
    let requests = &result(dir)["cells"][0]["requests"];
    assert!(requests["ok"].as_u64().is_some_and(|ok| ok >= 45), "{requests} {text}");
    text
}

pub(crate) async fn what_the_users_shell_and_home_say_to_k6_does_not_reach_it() {
    let dir = dir();
    let home = dir.path().join("home");
    std::fs::create_dir_all(home.join(".config/k6")).expect("a folder");
    let config = home.join(".config/k6/config.json");
    std::fs::write(&config, r#"{"noConnectionReuse": true, "vus": 3}"#).expect("a file");
    let (home, config) = (home.to_string_lossy(), config.to_string_lossy());
    // The double refuses to run with any of these.
    let env = [
        ("HOME", &*home),
        ("K6_CONFIG", &*config),
        ("K6_VUS", "1"),
        ("K6_DURATION", "1s"),
        ("K6_ITERATIONS", "1"),
        ("K6_STAGES", "1s:1"),
        ("K6_OUT", "csv=out.csv"),
        ("K6_NO_THRESHOLDS", "true"),
        ("K6_SUMMARY_EXPORT", "summary.json"),
        ("K6_NEW_MACHINE_READABLE_SUMMARY", "true"),
        ("K6_INFLUXDB_ADDR", "http://127.0.0.1:1"),
        ("K6_ADDRESS", "127.0.0.1:6565"),
    ];
    let ended = run(dir.path(), "", &["--without", "influxdb"], &env).await;
    assert_answered(dir.path(), ended);
    let around = std::fs::read_to_string(dir.path().join("environment")).expect("its environment");
    let told: Vec<_> = around.lines().filter(|line| line.starts_with("K6_")).collect();
    assert!(told.is_empty() && around.contains("\nRATE=50\n"), "{told:?}");
    assert!(words(dir.path())[1].contains(" --config "), "{:?}", words(dir.path()));
}

pub(crate) async fn releases_are_told_apart_by_their_version_which_is_asked_once() {
    for (faults, address, warning) in [
        ("release=1.8.1", true, false),
        ("release=2.2.0", false, false),
        ("release=3.0.0", false, true),
    ] {
        let dir = dir();
        let ended = run(dir.path(), faults, &["--without", "influxdb"], &[]).await;
        let text = assert_answered(dir.path(), ended);
        let [version, call] = &words(dir.path())[..] else { panic!("{:?}", words(dir.path())) };
        assert_eq!(version, "version");
        assert_eq!(call.contains(" --address 127.0.0.1:0 "), address, "{call}");
        assert_eq!(text.contains("the lab knows 1.x and 2.x"), warning, "{faults}: {text}");
        let components = result(dir.path())["components"].clone();
        let version = faults.replace("release=", "v");
        let is = |part: &&serde_json::Value| {
            part["version"] == version.as_str() && part["role"] == "driver"
        };
        let driver = components.as_array().expect("components").iter().find(is).expect("k6");
        let note = driver["note"].as_str().expect("a note");
        assert_eq!(note.contains("it is called as 2.x"), warning, "{note}");
    }
}

/// The verdict of the only cell, and what it says of its latency.
fn latency(dir: &Path) -> (String, serde_json::Value) {
    let cell = &result(dir)["cells"][0];
    let evidence = cell["evidence"].as_array().expect("evidence").iter();
    let latency = evidence.into_iter().find(|one| one["question"] == "latency").expect("an answer");
    (cell["verdict"]["status"].as_str().expect("a status").to_owned(), latency.clone())
}

pub(crate) async fn times_are_checked_by_containment_and_a_lie_of_a_millisecond_is_caught() {
    let truth = dir();
    let ended = run(truth.path(), "", &["--without", "influxdb"], &[]).await;
    assert_answered(truth.path(), ended);
    let (_, honest) = latency(truth.path());
    assert_eq!(honest["answer"], "yes", "{honest}");
    let text = honest["text"].as_str().expect("a text");
    assert!(text.starts_with("checked by containment: "), "{text}");
    for lie in ["short", "long", "early", "late"] {
        let dir = dir();
        let (_, text) = run(dir.path(), lie, &["--without", "influxdb"], &[]).await;
        let (status, latency) = latency(dir.path());
        assert_eq!(latency["answer"], "no", "{lie}: {latency} {text}");
        assert!(["SUSPECT", "INVALID"].contains(&&*status), "{lie}: {status}");
        let codes = latency["codes"].as_array().expect("codes");
        let caught = codes.iter().any(|code| code == "containment" || code == "own_words");
        assert!(caught, "{lie}: {latency}");
    }
}

/// What was written to an InfluxDB, in line protocol.
type Written = Arc<Mutex<String>>;

/// An InfluxDB 1.8 that takes everything, and keeps it as it came.
async fn influxdb() -> (String, Written) {
    let written = Written::default();
    let kept = Arc::clone(&written);
    let answer = async move |uri: Uri, body: String| {
        if uri.path().ends_with("/write") {
            kept.lock().expect("nobody panicked").push_str(&body);
        }
        let mut headers = HeaderMap::new();
        headers.insert("X-Influxdb-Version", "1.8.10".parse().expect("a version"));
        match uri.path() {
            "/ping" | "/write" | "/api/v2/write" => (StatusCode::NO_CONTENT, headers, ""),
            "/health" => (
                StatusCode::OK,
                headers,
                r#"{"name":"influxdb","status":"pass","version":"1.8.10"}"#,
            ),
            _ => (StatusCode::OK, headers, r#"{"results":[{"statement_id":0}]}"#),
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let router = axum::Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, router).await });
    (format!("http://{address}"), written)
}

pub(crate) async fn k6_writes_to_influxdb_only_if_it_is_asked_to() {
    let (url, _) = influxdb().await;
    for asked in [false, true] {
        let dir = dir();
        let more: &[&str] = if asked { &["--k6-influxdb"] } else { &[] };
        let ended = run(dir.path(), "", more, &[("LAB_INFLUXDB_URL", &url)]).await;
        assert_answered(dir.path(), ended);
        let calls = words(dir.path());
        let call = calls.last().expect("a call");
        assert_eq!(call.matches("--out ").count(), 1 + usize::from(asked), "{call}");
        assert_eq!(call.contains(&format!("--out influxdb={url}/")), asked, "{call}");
    }
    let dir = dir();
    let more = ["--k6-influxdb", "--without", "influxdb"];
    let (code, text) = run(dir.path(), "", &more, &[]).await;
    assert!(
        code == Some(2) && text.contains("--k6-influxdb: InfluxDB is required"),
        "{code:?} {text}"
    );
}

pub(crate) async fn a_script_of_ones_own_is_run_as_it_stands_once_a_round() {
    let dir = dir();
    // As somebody has it in a folder of their own, with what it imports.
    let own = dir.path().join("own");
    lab_drive::k6::write_scripts(&own).expect("scripts");
    let program = Program::told(dir.path(), "").path.to_string_lossy().into_owned();
    let rounds = ["run", "--script", "own/ping.js", "--rounds", "2"];
    let arguments = [&rounds[..], &["--without", "postgres,grafana"]].concat();
    let (url, written) = influxdb().await;
    // What the script is told is between it and whoever runs it.
    let env = [
        ("LAB_K6", program.as_str()),
        ("LAB_INFLUXDB_URL", &url),
        ("RATE", "50"),
        ("DURATION", "1s"),
        ("SIZE", "10"),
    ];
    let run = Run::start(dir.path(), &arguments, &env);
    let (code, text) = tokio::task::spawn_blocking(|| run.end()).await.expect("it ends");
    let result = result(dir.path());
    assert_eq!(code, Some(0), "{text} {:#}", result["cells"]);
    let cells = result["cells"].as_array().expect("cells");
    let [cell] = &cells[..] else { panic!("{result:#}") };
    assert_eq!(
        (&cell["id"], &cell["factors"]["rounds"]),
        (&"load POST /rest/ping".into(), &2.into())
    );
    let (requests, traced) = (&cell["requests"], &cell["traced"]);
    assert!(requests["ok"].as_u64() >= Some(90), "{requests}");
    // Every request that it says it made is in the ledger, from k6 on.
    assert_eq!(traced["count"], requests["started"], "{traced} {requests}");
    let hops: Vec<_> =
        cell["wire"].as_array().expect("hops").iter().map(|hop| &hop["hop"]).collect();
    assert_eq!(hops, ["k6→gateway", "gateway→echo"], "{cell:#}");
    let reasons = cell["verdict"]["reasons"].to_string();
    assert!(reasons.contains("coordinated omission"), "{reasons}");
    let calls = words(dir.path());
    let driven: Vec<_> = calls.iter().filter(|call| call.contains("ping.js")).collect();
    assert_eq!(driven.len(), 2, "{calls:?}");
    // All that InfluxDB is told of it is of that cell, by the same tags.
    let written = written.lock().expect("nobody panicked");
    for measurement in ["hop", "request", "load", "cell", "verdict", "result"] {
        let of_it = written.lines().filter(|line| line.starts_with(&format!("{measurement},")));
        let tags: BTreeSet<_> = of_it.map(tags).collect();
        let expected = r"cell=load\ POST\ /rest/ping,protocol=none,payload=none";
        let whole_run = "cell=none,protocol=none,payload=none";
        assert!(tags.contains(expected), "{measurement}: {tags:?}");
        // A verdict is of the run as a whole too.
        let others = tags.iter().any(|tags| *tags != expected && *tags != whole_run);
        assert!(
            !others && (tags.len() == 1 || measurement == "verdict"),
            "{measurement}: {tags:?}"
        );
    }
}

/// The tags of a point that say which cell it is of.
fn tags(line: &str) -> &str {
    let begin = line.find("cell=").expect("a cell");
    let payload = begin + line[begin..].find("payload=").expect("a payload");
    let end = line[payload..].find([',', ' ']).expect("more");
    &line[begin..payload + end]
}
