//! What `load.js`, `ping.js`, `users.js` and `requests.js` do, written down once more: their options by environment, the question
//! of each request, and which answer is right.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use settings::{Size, Span};

use crate::question::{Answer, Question};
use crate::refused::{Refused, code};
use crate::requests::Requests;

/// The scripts that this is a double of.
const KNOWN: [(&str, &str); 5] = [
    ("hoplab.js", include_str!("../../hoplab.js")),
    ("load.js", include_str!("../../load.js")),
    ("ping.js", include_str!("../../ping.js")),
    ("users.js", include_str!("../../users.js")),
    ("requests.js", include_str!("../../requests.js")),
];
/// Those that the others import.
const SHARED: [&str; 2] = ["hoplab.js", "load.js"];
const MAX_TRACES_PER_SECOND: f64 = 200.0;
const MAX_PAYLOAD: u64 = 16_777_216;
/// What holds if nobody names thresholds.
const SOMETHING_ANSWERED: &str = r#"{"requests_answered": ["rate>0"]}"#;
/// Common e-mails, and of how many users one has an e-mail of its own.
const COMMON: u64 = 100;
const UNIQUE_EVERY: u64 = 5;

/// The variables of the environment, and those of the command line.
type Variables = BTreeMap<String, String>;

/// What is asked of the gateway.
#[derive(Debug)]
enum Workload {
    Ping { size: u64 },
    Users { users: u64 },
    Requests(Requests),
}

/// What the script is told.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) gateway: String,
    protocol: String,
    workload: Workload,
    rate: f64,
    pub(crate) warmup: Duration,
    whole: Duration,
    pub(crate) timeout: Duration,
    pub(crate) max_vus: usize,
    pub(crate) preallocated: usize,
    pub(crate) sample_every: u64,
    /// What traced requests say in `tracestate` after their span.
    pub(crate) edge: String,
    /// They are told in the log when they are over.
    pub(crate) writes: bool,
    pub(crate) thresholds: Value,
    pub(crate) summary: Option<PathBuf>,
}

fn exception(text: impl std::fmt::Display) -> Refused {
    let hint = "script exception";
    Refused { code: code::SCRIPT, text: format!("Error: {text}"), hint }
}

/// Whether `script` and what it imports are as in the repository.
fn known(script: &Path) -> Result<&'static str, Refused> {
    let name = script.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let folder = script.parent().unwrap_or(Path::new("."));
    let mut found = None;
    let shared = |file: &str| SHARED.contains(&file);
    for (file, text) in KNOWN.iter().filter(|(file, _)| *file == name || shared(file)) {
        let there = std::fs::read_to_string(folder.join(file)).map_err(|error| {
            let path = folder.join(file);
            let text = format!(
                "The moduleSpecifier \"{}\" couldn't be found on local disk: {error}",
                path.display()
            );
            Refused::new(code::USAGE, text)
        })?;
        if there != *text {
            return Err(exception(format!("{file} is not the one that the double knows")));
        }
        if *file == name && !shared(file) {
            found = Some(*file);
        }
    }
    found.ok_or_else(|| exception(format!("the double knows no script {}", script.display())))
}

/// Whether a line is written for each sampled request: where nothing says so, if there is somebody to read it.
fn writes(asked: &str, log_output: &str) -> bool {
    asked == "on" || (asked.is_empty() && log_output.starts_with("loki"))
}

impl Options {
    pub(crate) fn read(script: &Path, variables: &Variables) -> Result<Options, Refused> {
        let folder = script.parent().unwrap_or(Path::new("."));
        let script = known(script)?;
        let text = |name: &str, fallback: &str| {
            let value = variables.get(name).filter(|value| !value.is_empty());
            value.map_or(fallback, String::as_str).to_owned()
        };
        let number = |name: &str, fallback: f64, least: f64| {
            let value = text(name, &fallback.to_string());
            let number = value.trim().parse().ok().filter(|number: &f64| *number >= least);
            number.ok_or_else(|| {
                exception(format!("{name}={value}: not a number of at least {least}"))
            })
        };
        // Whole milliseconds, as a script has them.
        let span = |name: &str, fallback: &str| match text(name, fallback).parse::<Span>() {
            Ok(span) => Ok(span.0.saturating_add(500_000) / 1_000_000),
            Err(error) => Err(exception(format!("{name}: {error}"))),
        };
        let protocol = text("PROTOCOL", "rest");
        if protocol != "rest" && protocol != "grpc" {
            return Err(exception(format!("PROTOCOL={protocol}: not rest or grpc")));
        }
        let rate = number("RATE", 100.0, 0.001)?;
        let (warmup, duration) = (span("WARMUP", "0s")?, span("DURATION", "10s")?);
        let timeout = span("TIMEOUT", "10s")?;
        let max_vus = number("MAX_VUS", 200.0, 1.0)? as usize;
        let often = (rate / MAX_TRACES_PER_SECOND).ceil();
        let sample_every = number("SAMPLE_EVERY", often, 0.0)? as u64;
        let whole_ms = warmup + duration;
        if whole_ms < 1_000 {
            let least = "k6 takes no less than 1s";
            return Err(exception(format!("WARMUP + DURATION = {whole_ms}ms: {least}")));
        }
        let preallocated = number("PRE_ALLOCATED_VUS", 50.0, 1.0)? as usize;
        let thresholds = thresholds(&text("THRESHOLDS", SOMETHING_ANSWERED))?;
        let workload = match script {
            "ping.js" => Workload::Ping { size: payload("SIZE", &text("SIZE", "10"))? },
            "users.js" => Workload::Users { users: number("USERS", 1e6, 1.0)? as u64 },
            _ => Workload::Requests(requests(folder, &text("REQUESTS", ""))?),
        };
        let ms = Duration::from_millis;
        let mut gateway = text("GATEWAY", "http://127.0.0.1:8080");
        gateway.truncate(gateway.trim_end_matches('/').len());
        Ok(Options {
            gateway,
            protocol,
            workload,
            rate,
            warmup: ms(warmup),
            whole: ms((whole_ms - 1).max(1_000)),
            timeout: ms(timeout),
            max_vus,
            preallocated: preallocated.min(max_vus),
            sample_every,
            edge: text("EDGE", ":0:"),
            writes: writes(&text("HOPLAB", ""), &text("K6_LOG_OUTPUT", "")),
            thresholds,
            summary: variables.get("SUMMARY").filter(|path| !path.is_empty()).map(PathBuf::from),
        })
    }

    /// How long arrivals go on.
    pub(crate) fn duration(&self) -> Duration {
        self.whole
    }

    /// From one arrival to the next: a rate that is no whole number is offered per thousand seconds.
    pub(crate) fn period(&self) -> Duration {
        let whole = self.rate.fract() == 0.0;
        let seconds = if whole { 1.0 / self.rate } else { 1e3 / (self.rate * 1e3).round() };
        Duration::from_nanos((seconds * 1e9) as u64)
    }

    /// What the next request asks.
    pub(crate) fn question(&self) -> Question {
        let protocol = &self.protocol;
        let json = ("Content-Type".to_owned(), "application/json".to_owned());
        match &self.workload {
            Workload::Requests(requests) => requests.question(),
            Workload::Ping { size } => {
                let envelope = format!(
                    r#"{{"from":"gateway","protocol":"{protocol}","size":{size},"payload":""#
                );
                let whole = envelope.len() + *size as usize + 2;
                Question {
                    method: "POST".to_owned(),
                    target: format!("/{protocol}/ping"),
                    route: format!("/{protocol}/ping"),
                    headers: vec![json],
                    body: Some(json!({ "size": size }).to_string()),
                    template: None,
                    status: 200,
                    answer: Answer::Payload(envelope, whole),
                }
            }
            Workload::Users { users } => {
                let (email, count) = email(*users);
                let escaped = email.replace('@', "%40");
                Question {
                    method: "GET".to_owned(),
                    target: format!("/{protocol}/users/count?email={escaped}"),
                    route: format!("/{protocol}/users/count"),
                    headers: vec![json],
                    body: None,
                    template: None,
                    status: 200,
                    answer: Answer::Exactly(format!(
                        r#"{{"protocol":"{protocol}","email":"{email}","count":{count}}}"#
                    )),
                }
            }
        }
    }
}

/// An e-mail, and how many of `users` have it, as `pg-client seed` fills the table.
fn email(users: u64) -> (String, u64) {
    let unique = users / UNIQUE_EVERY;
    if unique > 0 && rand::random_bool(1.0 / UNIQUE_EVERY as f64) {
        let number = UNIQUE_EVERY * rand::random_range(1..=unique);
        return (format!("user{number}@example.com"), 1);
    }
    let (sharing, number) = (users - unique, rand::random_range(0..COMMON));
    let count = sharing / COMMON + u64::from(number < sharing % COMMON);
    (format!("common{number}@example.com"), count)
}

/// What `requests.js` is to ask for, by a file that it finds beside itself unless its path is whole.
fn requests(folder: &Path, file: &str) -> Result<Requests, Refused> {
    if file.is_empty() {
        return Err(exception("REQUESTS: names no file with requests"));
    }
    Requests::read(&folder.join(file)).map_err(exception)
}

/// What `load.js` watches anyway, with what it was told.
fn thresholds(text: &str) -> Result<Value, Refused> {
    let told: Value = serde_json::from_str(text).map_err(|_| {
        exception(format!(
            r#"THRESHOLDS={text}: not JSON such as {{"http_req_duration": ["p(99)<100"]}}"#
        ))
    })?;
    let mut all = json!({
        "http_req_blocked{phase:measured}": [],
        "http_req_connecting{phase:measured}": [],
        "http_req_tls_handshaking{phase:measured}": [],
        "http_req_duration{phase:measured}": [],
    });
    for (name, conditions) in told.as_object().into_iter().flatten() {
        all[measured(name)] = conditions.clone();
    }
    Ok(all)
}

/// Metrics whose samples have no phase.
const WITHOUT_PHASE: [&str; 3] = ["dropped_iterations", "vus", "vus_max"];

/// The threshold `name` of the measured part, unless it names a phase.
fn measured(name: &str) -> String {
    let (metric, tags) = name.split_once('{').map_or((name, None), |(of, rest)| (of, Some(rest)));
    if WITHOUT_PHASE.contains(&metric.trim()) {
        return name.to_owned();
    }
    match tags.map(|tags| tags.trim_end().trim_end_matches('}')) {
        None => format!("{name}{{phase:measured}}"),
        Some(own) if own.split(',').any(|tag| tag.trim().starts_with("phase:")) => name.to_owned(),
        Some(own) => format!("{metric}{{{own},phase:measured}}"),
    }
}

/// Bytes of a payload.
fn payload(name: &str, text: &str) -> Result<u64, Refused> {
    let Size(bytes) = text.parse().map_err(|error| exception(format!("{name}: {error}")))?;
    if bytes <= MAX_PAYLOAD {
        return Ok(bytes);
    }
    Err(exception(format!(
        "{name}: a payload of {bytes} bytes is above the limit of {MAX_PAYLOAD} bytes (16 MiB)"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_of_the_measured_part_unless_they_name_a_phase() {
        for (name, moved) in [
            ("http_req_duration", "http_req_duration{phase:measured}"),
            ("http_req_duration{phase:warmup}", "http_req_duration{phase:warmup}"),
            ("http_req_duration{status:200}", "http_req_duration{status:200,phase:measured}"),
            ("dropped_iterations", "dropped_iterations"),
        ] {
            assert_eq!(measured(name), moved);
        }
    }

    fn read(script: &str, variables: &[(&str, &str)]) -> Result<Options, Refused> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Options::read(&Path::new(folder).join(script), &variables)
    }

    #[test]
    fn options_are_those_of_load_js() {
        let options = read("ping.js", &[]).expect("defaults");
        assert_eq!((options.rate, options.max_vus, options.sample_every), (100.0, 200, 1));
        assert_eq!((options.preallocated, options.duration()), (50, Duration::from_millis(9_999)));
        let told = [("RATE", "500.5"), ("MAX_VUS", "3"), ("WARMUP", "1m30s"), ("DURATION", "1.5s")];
        let options = read("ping.js", &told).expect("options");
        assert_eq!((options.preallocated, options.sample_every), (3, 3));
        assert_eq!(options.duration(), Duration::from_millis(91_499));
        assert_eq!(options.period(), Duration::from_nanos(1_998_001));
    }

    #[test]
    fn what_the_script_throws_is_an_exception() {
        for (name, value, says) in [
            ("PROTOCOL", "soap", "Error: PROTOCOL=soap: not rest or grpc"),
            ("RATE", "0", "Error: RATE=0: not a number of at least 0.001"),
            ("DURATION", "1 t", "Error: DURATION: \"1 t\" is not a duration: write a number"),
            ("SIZE", "1.5MB", "Error: SIZE: \"1.5MB\" is not a size: write whole bytes"),
            ("SIZE", "17MiB", "Error: SIZE: a payload of 17825792 bytes is above the limit"),
            ("DURATION", "900ms", "Error: WARMUP + DURATION = 900ms"),
            ("THRESHOLDS", "no JSON", "Error: THRESHOLDS=no JSON: not JSON such as"),
        ] {
            let refused = read("ping.js", &[(name, value)]).expect_err(says);
            assert!(refused.text.starts_with(says) && refused.code == code::SCRIPT, "{refused:?}");
        }
        assert_eq!(read("other.js", &[]).expect_err("no script").code, code::SCRIPT);
    }

    #[test]
    fn an_answer_is_right_by_its_beginning_and_a_count_by_its_text() {
        let ping = read("ping.js", &[("SIZE", "3")]).expect("options").question();
        let reply = br#"{"from":"gateway","protocol":"rest","size":3,"payload":"abcd"}"#;
        let (checks, answered) = ping.judge(200, reply);
        assert_eq!(
            (checks.last(), answered),
            (Some(&("payload has the size asked for".to_owned(), false)), true)
        );
        assert!(!ping.judge(503, reply).1 && !ping.judge(200, b"<html>").1);
        let users = read("users.js", &[("USERS", "4"), ("PROTOCOL", "grpc")]).expect("options");
        let question = users.question();
        let (_, email) = question.target.split_once("email=").expect("an e-mail");
        let email = email.replace("%40", "@");
        let count = u64::from(
            email.strip_prefix("common").is_some_and(|rest| rest < "4@") && email.len() == 19,
        );
        let right = format!(r#"{{"protocol":"grpc","email":"{email}","count":{count}}}"#);
        assert!(question.judge(200, right.as_bytes()).1, "{question:?}");
    }

    #[test]
    fn requests_are_those_of_a_file_and_so_are_their_answers() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("requests.json");
        let text = r#"[{"method":"PUT","route":"/a/{id}","path":["/a/",{"drawn":"id","written":"uri"},"?q"],
            "headers":[["x",["1"]]],"body":["<",{"letters":3},">"],"payload_bytes":3,"weight":1,"answer":{"status":201,
            "json":[["id",[{"drawn":"id","written":"json"}]]],"payload":"p","text":null},"rows":[{"id":"\"é"}]}]"#;
        std::fs::write(&path, text).expect("a file");
        let path = path.to_string_lossy().into_owned();
        let question = read("requests.js", &[("REQUESTS", &path)]).expect("options").question();
        assert_eq!((&*question.method, &*question.target), ("PUT", "/a/%22%C3%A9?q"));
        assert_eq!((&*question.route, question.body.as_deref()), ("/a/{id}", Some("<abc>")));
        let judge = |status, body: &str| question.judge(status, body.as_bytes()).1;
        assert!(judge(201, r#"{"p":"","id":"\"é","more":1}"#));
        assert!(!judge(200, r#"{"p":"","id":"\"é"}"#) && !judge(201, r#"{"id":"\"é"}"#));
        let error = read("requests.js", &[]).expect_err("no file").text;
        assert_eq!(error, "Error: REQUESTS: names no file with requests");
    }
}
