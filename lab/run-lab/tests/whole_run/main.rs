//! Whole runs of the program with what stands in for the real parts: a clean one, and ones that are cut short.

#[path = "../process/lone_sidecar.rs"]
mod lone_sidecar;
#[path = "../process/mod.rs"]
mod process;

mod attach;
mod distance;
mod told;
mod trace;
mod up;

use std::fs;
use std::path::Path;
use std::process::Command;

use process::{dir, gone, pid, result};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use sidecar::runfile::{RequestRow, RunFile};

/// A run that finds no real part.
struct Run;

impl Run {
    fn start(dir: &Path, arguments: &[&str]) -> process::Run {
        process::Run::start(dir, arguments, &[("PATH", "/nonexistent")])
    }
}

#[test]
fn a_clean_run_measures_every_request_and_leaves_no_process() {
    let dir = dir();
    let mut run = Run::start(dir.path(), &["run", "--plan", "smoke"]);
    let driver = run.line("driver ");
    assert!(driver.contains("stands in") && driver.contains("k6"), "{driver}");
    let services = [run.line("echo listens"), run.line("gateway listens")].map(|line| pid(&line));
    let (code, text) = run.end();
    // 3 would be a cell that contradicts its declaration: never, however busy the machine.
    let invalid = invalid_reasons(&result(dir.path()));
    assert_eq!(code, Some(0), "{invalid:?} {text}");
    for service in services {
        assert!(test_kill_process(service).is_err(), "{service:?} is still there");
    }
    let result = result(dir.path());
    for cell in result["cells"].as_array().expect("cells") {
        let requests = &cell["requests"];
        assert_eq!(requests["planned"], 100, "{requests}");
        assert_eq!(requests["ok"], requests["started"], "{requests}");
        assert_eq!(cell["traced"]["count"], requests["ok"], "{}", cell["traced"]);
        let evidence = cell["evidence"].as_array().expect("evidence");
        let asked: Vec<_> = evidence.iter().map(|one| one["question"].as_str().unwrap()).collect();
        for question in ["workload", "requests", "latency", "marks", "undisturbed"] {
            assert!(asked.contains(&question), "{asked:?}");
        }
        let latency = evidence.iter().find(|one| one["question"] == "latency").unwrap();
        assert_ne!(latency["answer"], "unchecked", "{latency}");
    }
    assert_eq!(result["incomplete"], false);
    assert!(dir.path().join("out/report.html").exists());
}

/// Codes of the reasons for which cells are INVALID.
fn invalid_reasons(result: &serde_json::Value) -> Vec<String> {
    let cells = result["cells"].as_array().expect("cells").iter();
    let reasons =
        cells.flat_map(|cell| cell["verdict"]["reasons"].as_array().expect("reasons").iter());
    reasons
        .filter(|reason| reason["status"] == "INVALID")
        .map(|reason| reason["code"].as_str().expect("a code").to_owned())
        .collect()
}

#[test]
fn the_cost_of_the_probe_is_certified_before_the_cells() {
    let dir = dir();
    let plan = "protocol = [\"rest\"]\npayload = [10]\nrate = 100\nduration = \"200ms\"\n\
                [certify]\npairs = 2\nround = \"300ms\"\n";
    fs::write(dir.path().join("certified.toml"), plan).expect("a file");
    let mut run = Run::start(dir.path(), &["run", "--plan", "certified.toml"]);
    run.line("certifying the probe on grpc-1kB");
    run.line("the probe costs ");
    let (code, text) = run.end();
    assert_eq!(code, Some(0), "{text}");
    let result = result(dir.path());
    let cost = &result["probe_cost"];
    assert_eq!((&cost["pairs"], &cost["cell"]), (&2.into(), &"grpc-1kB".into()));
    assert!(cost["ratio"].as_f64().expect("a ratio") > 0.0);
    assert_eq!(cost["traced_share"], 1.0);
    // What was traced for the certification belongs to no cell.
    assert_eq!(result["cells"][0]["traced"]["count"], 20);
}

#[tokio::test]
async fn protocols_take_turns_in_a_round_of_the_same_services() {
    let dir = dir();
    let asked = ["run", "--plan", "smoke", "--size", "10", "--rounds", "2", "--turn", "50ms"];
    let round = ["--duration", "200ms", "--warmup", "50ms"];
    let (code, text) = Run::start(dir.path(), &[&asked[..], &round].concat()).end();
    assert_eq!(code, Some(0), "{text}");
    // Four turns of each: A B, B A, A B, B A, and the next round begins with the other.
    let expected = "ABBAABBA BAABBAAB".replace('A', "r").replace('B', "g");
    assert_eq!(turns(&dir.path().join("out/run.sqlite")).await, expected);
    let result = result(dir.path());
    for cell in result["cells"].as_array().expect("cells") {
        assert_eq!(cell["factors"]["turn_s"], 0.05);
        assert_eq!(cell["requests"]["planned"], 40, "{}", cell["requests"]);
        let measured = cell["load"]["measured_s"].as_f64().expect("seconds");
        assert!(measured >= 0.39, "{measured}");
        assert!(cell["rounds"][0]["halves_of_turns_us"].is_array(), "{}", cell["rounds"][0]);
        assert!(cell["rounds"][0]["cpu_us_per_request"].as_f64().expect("CPU") > 0.0);
    }
}

/// Who was asked in turn, by the first letters of cells, five requests a turn, round by round.
async fn turns(run_file: &Path) -> String {
    let mut file = RunFile::open(run_file).await.expect("a run file");
    let mut asked = Vec::new();
    let take = |row: RequestRow| asked.push((row.start_ns, row.round, row.cell));
    file.each_request(None, take).await.expect("rows");
    asked.retain(|(_, _, cell)| !cell.is_empty());
    asked.sort_unstable();
    let rounds = asked.chunk_by(|one, next| one.1 == next.1);
    let letters = |round: &[(u64, u32, std::sync::Arc<str>)]| {
        round.chunks(5).map(|turn| turn[0].2.chars().next().expect("a name")).collect::<String>()
    };
    rounds.map(letters).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_missed_objective_is_an_exit_code_and_no_verdict() {
    let dir = dir();
    let asked = ["--objective", "p99<1ns", "--objective", "errors<1%"];
    let run = ["run", "--plan", "smoke", "--protocol", "rest"];
    let (code, text) = Run::start(dir.path(), &[&run[..], &asked].concat()).end();
    assert_eq!(code, Some(6), "{text}");
    let told = result(dir.path());
    let met: Vec<_> =
        told["objectives"].as_array().expect("objectives").iter().map(|one| &one["met"]).collect();
    assert_eq!(met, [false, true]);
    assert!(!told["verdict"]["reasons"].to_string().contains("p99<1ns"));
}

#[test]
fn a_run_is_repeated_from_its_folder() {
    let dir = dir();
    let run = [
        "run",
        "--plan",
        "smoke",
        "--protocol",
        "rest",
        "--arrivals",
        "poisson",
        "--set",
        "nagle=true",
    ];
    let (code, text) = Run::start(dir.path(), &run).end();
    assert_eq!(code, Some(0), "{text}");
    let first = result(dir.path());
    fs::rename(dir.path().join("out"), dir.path().join("first")).expect("a folder");
    let (code, text) = Run::start(dir.path(), &["run", "--like", "first"]).end();
    assert_eq!(code, Some(0), "{text}");
    assert!(!text.contains("not as in first"), "{text}");
    let again = result(dir.path());
    let asked = |told: &serde_json::Value| {
        let cells = told["cells"].as_array().expect("cells").iter();
        cells
            .map(|cell| (cell["factors"].clone(), cell["requests"]["planned"].clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(asked(&first), asked(&again));
    assert_eq!(first["cells"][0]["factors"]["arrivals"], "poisson");
}

#[test]
fn a_closed_loop_says_what_it_hides() {
    let dir = dir();
    let run = ["run", "--plan", "smoke", "--protocol", "rest", "--concurrency", "2"];
    let (code, text) = Run::start(dir.path(), &run).end();
    assert_eq!(code, Some(0), "{text}");
    let told = result(dir.path());
    let cell = &told["cells"][0];
    assert_eq!(cell["factors"]["arrivals"]["closed"], 2);
    assert!(cell["requests"]["ok"].as_u64().expect("a count") > 100, "{}", cell["requests"]);
    assert!(cell["verdict"]["reasons"].to_string().contains("a slow system was asked less"));
}

#[test]
fn a_run_interrupted_before_it_measured_says_so() {
    let dir = dir();
    let mut run = Run::start(dir.path(), &["run", "--plan", "rest-vs-grpc"]);
    run.line("certifying");
    kill_process(Pid::from_child(&run.child), Signal::TERM).expect("it runs");
    let (code, text) = run.end();
    assert_eq!(code, Some(130), "{text}");
    let result = result(dir.path());
    assert_eq!(result["incomplete"], true);
    assert_eq!(result["cells"][0]["requests"]["planned"], 0);
}

#[test]
fn an_interrupted_run_keeps_what_was_measured() {
    let dir = dir();
    let mut run = Run::start(
        dir.path(),
        &["run", "--plan", "smoke", "--duration", "60s", "--protocol", "rest"],
    );
    let gateway = pid(&run.line("gateway listens"));
    let lab = Pid::from_child(&run.child);
    run.wait_for_rows(dir.path());
    // As `timeout` does it: to the process, and once more to its group.
    for signal in [Signal::INT, Signal::TERM] {
        kill_process(lab, signal).expect("it runs");
    }
    let (code, text) = run.end();
    assert_eq!(code, Some(130), "{text}");
    assert!(test_kill_process(gateway).is_err());
    let result = result(dir.path());
    assert_eq!(result["incomplete"], true);
    let requests = &result["cells"][0]["requests"];
    let count = |name: &str| requests[name].as_u64().expect("a count");
    assert!(count("ok") > 0 && count("planned") < 6_000, "{requests}");
    assert_eq!(count("planned"), count("started") + count("dropped"), "{requests}");
}

#[test]
fn a_part_that_dies_ends_the_run_by_name() {
    let dir = dir();
    let mut run = Run::start(dir.path(), &["run", "--plan", "smoke", "--duration", "60s"]);
    let echo = pid(&run.line("echo listens"));
    let gateway = pid(&run.line("gateway listens"));
    kill_process(echo, Signal::KILL).expect("it runs");
    let (code, text) = run.end();
    assert_eq!(code, Some(5), "{text}");
    assert!(
        text.contains("echo (process") && text.contains("signal: 9") && text.contains("echo.log"),
        "{text}"
    );
    assert!(test_kill_process(gateway).is_err());
    assert_eq!(result(dir.path())["incomplete"], true);
}

#[test]
fn children_do_not_outlive_a_killed_lab() {
    let dir = dir();
    let mut run = Run::start(dir.path(), &["run", "--plan", "smoke", "--duration", "60s"]);
    let services = [run.line("echo listens"), run.line("gateway listens")].map(|line| pid(&line));
    kill_process(Pid::from_child(&run.child), Signal::KILL).expect("it runs");
    // Children hold the other end of its standard error, so this returns when the last has ended.
    let (code, _) = run.end();
    assert_eq!(code, None);
    for service in services {
        while !gone(service) {
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_part_that_does_not_start_is_named_with_its_log() {
    let dir = dir();
    // An address of no machine (RFC 5737).
    let out = Command::new(env!("CARGO_BIN_EXE_run-lab"))
        .args(["up", "--gateway", "192.0.2.1:1", "--out", "out"])
        .current_dir(dir.path())
        .output()
        .expect("the program starts");
    let error = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(5), "{error}");
    for text in ["gateway ended before it was ready", "--listen 192.0.2.1:1", "gateway.log"] {
        assert!(error.contains(text), "should name {text:?}: {error}");
    }
}
