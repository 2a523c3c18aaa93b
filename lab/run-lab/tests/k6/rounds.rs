//! Rounds that k6 drives against the lab's own services: its figures are what is broken down. By the double, and by
//! the real one where it is.

use std::path::Path;
use std::sync::{Arc, Mutex};

use lab_drive::k6::{Limits, Order};
use lab_model::{Cell, Knobs, Requests, workload};
use ledger::{Kind, Stage};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use sidecar::runfile::RunFile;
use tokio_util::sync::CancellationToken;

use crate::program::Program;
use crate::testbed::{Lab, USERS, assert_balanced, cell, summary, supervisor, value};

pub(crate) async fn every_request_is_joined_and_what_k6_measured_is_broken_down(program: Program) {
    let lab = Lab::start(&program, &Knobs::default()).await;
    let cell = cell(100.0, 500, 2_000);
    let seen = Mutex::new(Requests::default());
    let driven =
        lab.round(&cell, |requests| *seen.lock().expect("as the test has it") = requests).await;
    let driven = driven.expect("k6 drives").expect("a measure");
    let dir = lab.stop().await;

    let (measure, facts) = (&driven.measure, driven.facts);
    let requests = measure.requests;
    assert_balanced(requests);
    // Whoever is held up in the warm-up comes in the measured part, and is of it.
    assert!((196..=251).contains(&requests.planned), "{requests:?}");
    assert_eq!(requests.ok, requests.started, "{requests:?}");
    assert_eq!(*seen.lock().expect("as the test has it"), requests);
    assert_eq!((facts.joined, facts.not_joined, facts.lines_refused), (requests.started, 0, 0));
    assert_eq!((measure.traced, measure.weight, facts.spans_lost), (requests.started, 1.0, 0));
    assert!(!driven.facts.thresholds_failed);
    // k6 does not say when a request was planned.
    assert_eq!((requests.late, measure.send_delay.len()), (None, 0));
    assert!(measure.driver_cpu_ns > 0 && measure.host_cpu_share > 0.0);
    assert!(measure.end_ns - measure.start_ns >= cell.duration_ns);

    // The mean of k6's own summary, to the rounding of a nanosecond for each of two numbers.
    let said = summary(&driven);
    let mean_ms: f64 = ["http_req_blocked", "http_req_duration"]
        .map(|metric| value(&said, &format!("{metric}{{phase:measured}}"), "avg"))
        .iter()
        .sum();
    let sum_us: f64 = measure.seconds.iter().map(|second| second.latency_sum_us).sum();
    let own_us = sum_us / requests.ok as f64;
    assert!((own_us - mean_ms * 1e3).abs() < 0.01, "{own_us} us here, {mean_ms} ms in the summary");

    let mut file = RunFile::open(&dir.path().join("run.sqlite")).await.expect("as the test has it");
    let rows = file.read_requests().await.expect("as the test has it");
    assert_eq!(rows.len() as u64, requests.started);
    let (mut stopwatch, mut residual) = (0, 0);
    for row in &rows {
        assert_eq!((&*row.cell, row.round, row.error), ("rest-1kB", 0, false));
        let hops: Vec<_> = row.hops.iter().map(|hop| &*hop.hop).collect();
        assert_eq!(hops, ["k6→gateway", "gateway→echo"]);
        assert!(row.hops.iter().all(|hop| !hop.unjoined));
        let edge = &row.hops[0].stages;
        assert_eq!(edge.get(Stage::SendQueue).kind, Kind::Measured);
        assert_eq!(edge.get(Stage::BetweenSpans).kind, Kind::Inferred);
        assert_eq!(edge.total_of(Kind::Inferred), edge.get(Stage::BetweenSpans).ns);
        assert!(edge.get(Stage::BetweenSpans).ns > 0, "{edge:?}");
        assert_eq!(edge.get(Stage::DriverLag).ns, 0);
        assert_eq!(row.hops[1].stages.total_of(Kind::Inferred), 0);
        let watch = row.stopwatch_ns.expect("a stopwatch") as i64;
        stopwatch += watch;
        residual += (watch - row.latency_ns).abs();
    }
    assert!(residual as f64 <= 0.02 * stopwatch as f64, "{residual} of {stopwatch}");
    assert!((stopwatch as f64 / 1e3 - sum_us).abs() < 1.0, "{stopwatch} ns, {sum_us} us");
    let samples = file.read_samples().await.expect("as the test has it");
    assert!(samples.iter().any(|sample| sample.process == "k6" && sample.cpu_ns > 0));
}

pub(crate) async fn an_overloaded_round_drops_and_its_books_are_k6s_own(program: Program) {
    let slow = [("gateway:handler".to_owned(), 50_000_000)].into();
    let lab = Lab::start(&program, &Knobs { inject: slow, ..Knobs::default() }).await;
    // Two users at 50 ms a request make 40 of 200 requests a second.
    let mut cell = Cell { max_in_flight: 2, ..cell(200.0, 0, 1_500) };
    let driven = lab.round(&cell, |_| ()).await.expect("k6 drives").expect("a measure");
    let (requests, said) = (driven.measure.requests, summary(&driven));
    assert_balanced(requests);
    assert!(requests.dropped > requests.started && requests.ok > 20, "{requests:?}");
    assert_eq!(requests.dropped as f64, value(&said, "dropped_iterations", "count"));
    assert_eq!(requests.started as f64, value(&said, "requests_started", "count"));
    let dropped: u64 = driven.measure.seconds.iter().map(|second| second.dropped).sum();
    assert_eq!(dropped, requests.dropped);

    // With a warm-up, its drops are k6's and not the measured part's.
    (cell.warmup_ns, cell.duration_ns) = (500_000_000, 1_000_000_000);
    let driven = lab.round(&cell, |_| ()).await.expect("k6 drives").expect("a measure");
    let (requests, said) = (driven.measure.requests, summary(&driven));
    assert_balanced(requests);
    assert!((190..=301).contains(&requests.planned), "{requests:?}");
    assert!((requests.dropped as f64) < value(&said, "dropped_iterations", "count"));
    lab.stop().await;
}

/// The k6 that a lab in `dir` has started.
fn k6_of(program: &Program, dir: &Path) -> Option<Pid> {
    let processes = std::fs::read_dir("/proc").expect("processes").flatten();
    let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let wanted = program.path.to_string_lossy().into_owned();
    pids.find(|pid| {
        let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words).into_owned();
        words.starts_with(&wanted) && words.contains(&*dir.to_string_lossy())
    })
    .and_then(Pid::from_raw)
}

pub(crate) async fn k6_killed_is_named_and_what_was_measured_is_kept(program: Program) {
    let lab = Lab::start(&program, &Knobs::default()).await;
    let dir = lab.dir.path().to_owned();
    let killed = program.clone();
    let kill = move |requests: Requests| {
        if requests.ok >= 20 {
            // Gone already at the second call.
            let _ = k6_of(&killed, &dir).map(|pid| kill_process(pid, Signal::KILL));
        }
    };
    let mut error = lab.round(&cell(100.0, 0, 60_000), kill).await.expect_err("it was killed");
    let text = error.to_string();
    for part in ["cell rest-1kB", "k6 (process", "signal: 9", "k6.log"] {
        assert!(text.contains(part), "should say {part:?}: {text}");
    }
    let kept = error.take_kept().expect("what was measured").measure;
    assert_balanced(kept.requests);
    assert!(kept.requests.ok >= 20 && kept.requests.error == 0, "{:?}", kept.requests);
    assert!(kept.end_ns - kept.start_ns < 60_000_000_000);
    lab.stop().await;
}

pub(crate) async fn a_halted_round_stops_k6_in_order_and_keeps_what_was_measured(program: Program) {
    let lab = Lab::start(&program, &Knobs::default()).await;
    let (dir, halt) = (lab.dir.path().to_owned(), lab.halt.clone());
    let found = Arc::new(Mutex::new(None));
    let pid = Arc::clone(&found);
    let stop = move |requests: Requests| {
        if requests.ok >= 20 && !halt.is_cancelled() {
            *pid.lock().expect("as the test has it") = k6_of(&program, &dir);
            halt.cancel();
        }
    };
    let driven = lab.round(&cell(100.0, 0, 60_000), stop).await.expect("halted, not failed");
    let driven = driven.expect("a measure");
    assert_balanced(driven.measure.requests);
    let requests = driven.measure.requests;
    assert!(requests.ok >= 20 && requests.error == 0 && requests.planned < 3_000, "{requests:?}");
    // Stopped with SIGINT, k6 still says what it saw.
    assert!(value(&summary(&driven), "requests_started", "count") >= requests.started as f64);
    let pid = found.lock().expect("as the test has it").expect("k6 ran");
    assert!(test_kill_process(pid).is_err(), "k6 is still there");
    lab.stop().await;
}

pub(crate) async fn thresholds_pass_through_and_other_failures_are_explained(program: Program) {
    let mut lab = Lab::start(&program, &Knobs::default()).await;
    lab.k6.thresholds = Some(r#"{"http_req_duration": ["max<0.001"]}"#.to_owned());
    let short = cell(50.0, 0, 1_000);
    let driven = lab.round(&short, |_| ()).await.expect("a finding, no error").expect("a measure");
    assert!(driven.facts.thresholds_failed);
    assert!(driven.measure.requests.ok >= 45, "{:?}", driven.measure.requests);

    // Answers other than asked for: the gateway of this lab has no users service.
    lab.k6.thresholds = None;
    let users = Cell {
        id: "rest-users".to_owned(),
        workload: workload::built_in("users").expect("users"),
        ..short.clone()
    };
    let driven = lab.round(&users, |_| ()).await.expect("k6 drives").expect("a measure");
    let measure = driven.measure;
    assert_balanced(measure.requests);
    assert_eq!((measure.requests.error, measure.requests.ok), (measure.requests.started, 0));
    assert_eq!((driven.facts.joined, measure.latency.len()), (measure.requests.started, 0));
    let said: Vec<_> = measure.errors.keys().collect();
    assert!(said.len() == 1 && said[0].starts_with("the answer has status "), "{said:?}");

    lab.k6.thresholds = Some("no JSON".to_owned());
    let error = lab.round(&short, |_| ()).await.expect_err("the script refuses").to_string();
    assert!(
        error.contains("cell rest-1kB") && error.contains("THRESHOLDS=no JSON: not JSON"),
        "{error}"
    );

    lab.k6.program = "/no/such/k6".into();
    let error = lab.round(&short, |_| ()).await.expect_err("there is none").to_string();
    assert!(
        error.contains("cell rest-1kB") && error.contains("cannot start /no/such/k6"),
        "{error}"
    );

    let brief = Cell { duration_ns: 500_000_000, ..short };
    let error = lab.round(&brief, |_| ()).await.expect_err("too short").to_string();
    assert!(error.contains("500ms") && error.contains("no less than 1s"), "{error}");
    let dir = lab.stop().await;

    // Requests that were not answered have failed in the run file too.
    let mut file = RunFile::open(&dir.path().join("run.sqlite")).await.expect("as the test has it");
    let rows = file.read_requests().await.expect("as the test has it");
    let users: Vec<_> = rows.iter().filter(|row| &*row.cell == "rest-users").collect();
    assert!(!users.is_empty() && users.iter().all(|row| row.error));
}

/// What became of a second of questions about 1,003 users to a gateway that answers `answer(email)`.
async fn asked(program: &Program, answer: fn(&str) -> String) -> (Requests, Vec<String>) {
    use axum::extract::Query;
    use std::collections::HashMap;
    let emails: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = emails.clone();
    let count = move |Query(query): Query<HashMap<String, String>>| {
        let email = query["email"].clone();
        let text = answer(&email);
        seen.lock().expect("no panic").push(email);
        async move { text }
    };
    let router = axum::Router::new().route("/rest/users/count", axum::routing::get(count));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let gateway = listener.local_addr().expect("an address");
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let dir = tempfile::tempdir().expect("a folder");
    let supervisor = supervisor(dir.path());
    let k6 = program.k6(dir.path());
    let knobs = Knobs { users: Some(1_003), ..Knobs::default() };
    let cell = Cell {
        workload: workload::built_in("users").expect("users"),
        knobs,
        ..cell(200.0, 0, 1_000)
    };
    let limits = Limits { timeout_ns: 5_000_000_000, preallocated: USERS };
    let entry = gateway.into();
    let order = Order { entry: &entry, cell: &cell, number: 0, limits };
    let driven = k6.round(&supervisor, order, &CancellationToken::new(), &mut |_, _, _| ()).await;
    server.abort();
    let requests = driven.expect("k6 drives").expect("a measure").measure.requests;
    let emails = emails.lock().expect("no panic").clone();
    (requests, emails)
}

fn seeded(email: &str) -> usize {
    (1..=1_003).filter(|&id| lab_proto::emails::email_of(id) == email).count()
}

/// An answer in the gateway's own words.
fn reply(email: &str, count: usize) -> String {
    let reply = lab_proto::UsersCountReply {
        protocol: "rest".to_owned(),
        email: email.to_owned(),
        count: count as u64,
    };
    serde_json::to_string(&reply).expect("JSON")
}

pub(crate) async fn users_are_asked_for_that_exist_and_the_seeds_count_is_right(program: Program) {
    let (requests, emails) = asked(&program, |email| reply(email, seeded(email))).await;
    assert!(requests.ok > 150 && requests.error == 0, "{requests:?}");
    assert!(emails.iter().all(|email| seeded(email) > 0), "{emails:?}");
    assert!(emails.iter().any(|email| email.starts_with("user")), "{emails:?}");
}

pub(crate) async fn a_wrong_count_and_an_answer_that_is_no_json_are_errors(program: Program) {
    for answer in [|email: &str| reply(email, 0), |_: &str| "<html>".to_owned()] {
        let (requests, _) = asked(&program, answer).await;
        assert!(requests.ok == 0 && requests.error > 150, "{requests:?}");
    }
}

pub(crate) async fn requests_that_are_refused_or_too_slow_are_errors_in_k6s_words(
    program: Program,
) {
    let slow = [("gateway:handler".to_owned(), 400_000_000)].into();
    let lab = Lab::start(&program, &Knobs { inject: slow, ..Knobs::default() }).await;
    let driven = lab.round_within(100_000_000, &cell(20.0, 0, 1_000), |_| ()).await;
    let driven = driven.expect("k6 drives").expect("a measure");
    let requests = driven.measure.requests;
    assert_balanced(requests);
    assert!(requests.ok == 0 && requests.error >= 15, "{requests:?}");
    let said: Vec<_> = driven.measure.errors.keys().map(String::as_str).collect();
    assert!(said.contains(&"request timeout (k6's error 1050)"), "{said:?}");
    let dir = lab.stop().await;

    // Nobody listens there any more.
    let gateway = "127.0.0.1:1".parse::<std::net::SocketAddr>().expect("an address");
    let (supervisor, k6) = (supervisor(dir.path()), program.k6(dir.path()));
    let (cell, limits) =
        (cell(20.0, 0, 1_000), Limits { timeout_ns: 5_000_000_000, preallocated: USERS });
    let entry = gateway.into();
    let order = Order { entry: &entry, cell: &cell, number: 1, limits };
    let driven = k6.round(&supervisor, order, &CancellationToken::new(), &mut |_, _, _| ()).await;
    let measure = driven.expect("k6 drives").expect("a measure").measure;
    assert_balanced(measure.requests);
    let said: Vec<_> = measure.errors.keys().map(String::as_str).collect();
    assert_eq!(
        (said, measure.requests.ok),
        (vec!["dial: connection refused (k6's error 1212)"], 0)
    );
}
