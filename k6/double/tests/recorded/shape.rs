//! The shape of what k6 says: everything of it but the numbers that are another in every run. Two answers are
//! compared by their shapes, and each by itself for its units.

use std::collections::{BTreeMap, BTreeSet};

use crate::json::Json;

/// What was said in one run.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) stream: String,
    pub(crate) summary: String,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) exit: i32,
}

/// In what `other` is of another shape than `recorded`; nothing if it is of the same. Sequences of lines that hold
/// a text of `chance` depend on how timers fall: they may be there or not.
pub(crate) fn differences(recorded: &Said, other: &Said, chance: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let (theirs, ours) = (Stream::read(&recorded.stream), Stream::read(&other.stream));
    for (what, theirs, ours) in [
        ("declares metrics", &theirs.declarations, &ours.declarations),
        ("tells of requests", &theirs.requests, &ours.requests),
        ("tells besides", &theirs.others, &ours.others),
    ] {
        let by_chance = |text: &&String| chance.iter().any(|part| text.contains(part));
        for text in theirs.difference(ours).filter(|text| !by_chance(text)) {
            found.push(format!("no longer {what}:\n{text}"));
        }
        for text in ours.difference(theirs) {
            found.push(format!("newly {what}:\n{text}"));
        }
    }
    found.extend(ours.wrong.iter().chain(&theirs.wrong).cloned());
    let shapes = |said: &Said| {
        let summary = Json::read(&said.summary).map_or("no JSON".to_owned(), |all| summary(&all));
        let stderr = said.stderr.lines().map(dateless).collect::<Vec<_>>().join("\n");
        [("summary", summary), ("stdout", numberless(&said.stdout)), ("stderr", stderr)]
    };
    for ((what, theirs), (_, ours)) in shapes(recorded).iter().zip(&shapes(other)) {
        if theirs != ours {
            found.push(format!("another {what}:\n{theirs}\nis now\n{ours}"));
        }
    }
    if recorded.exit != other.exit {
        found.push(format!("exit code {} is now {}", recorded.exit, other.exit));
    }
    if let Some(text) = disagreement(&ours, other) {
        found.push(text);
    }
    found
}

/// The shape of a stream.
#[derive(Debug, Default)]
struct Stream {
    /// Every line that declares a metric, letter by letter.
    declarations: BTreeSet<String>,
    /// The lines of each request, in their order.
    requests: BTreeSet<String>,
    /// Lines that belong to no request.
    others: BTreeSet<String>,
    /// What is wrong with it, whatever it is compared with.
    wrong: Vec<String>,
    /// All values of each metric.
    values: BTreeMap<String, Vec<f64>>,
}

/// What a metric is, by its declaration.
type Contents = BTreeMap<String, (String, String)>;

impl Stream {
    fn read(text: &str) -> Stream {
        let (mut stream, mut contents) = (Stream::default(), Contents::new());
        let mut requests: BTreeMap<String, Vec<(String, Json)>> = BTreeMap::new();
        for line in text.lines() {
            let Some(json) = Json::read(line) else {
                stream.wrong.push(format!("a line is no JSON: {line}"));
                continue;
            };
            let metric = json.get("metric").map_or("", Json::text).to_owned();
            let Some(data) = json.get("data").cloned() else {
                stream.wrong.push(format!("a line has no data: {line}"));
                continue;
            };
            if json.get("type").map(Json::text) == Some("Metric") {
                let of = |key| data.get(key).map_or("", Json::text).to_owned();
                if contents.insert(metric, (of("type"), of("contains"))).is_some() {
                    stream.wrong.push(format!("declared twice: {line}"));
                }
                stream.declarations.insert(line.to_owned());
                continue;
            }
            let Some(what) = contents.get(&metric) else {
                stream.wrong.push(format!("not declared before: {line}"));
                continue;
            };
            let value = data.get("value").map_or(f64::NAN, Json::number);
            stream.values.entry(metric).or_default().push(value);
            // Of no request that was asked for: since the recordings `load.js` has connections made so.
            let name = data.get("tags").and_then(|tags| tags.get("name"));
            if name.is_some_and(|name| name.text().ends_with("/healthz")) {
                continue;
            }
            let shape = shape(&json, what);
            match data.get("metadata").and_then(|metadata| metadata.get("span_id")) {
                Some(span) => {
                    requests.entry(span.text().to_owned()).or_default().push((shape, json))
                }
                None => _ = stream.others.insert(shape),
            }
        }
        for lines in requests.values() {
            let shapes: Vec<&str> = lines.iter().map(|(shape, _)| shape.as_str()).collect();
            stream.requests.insert(shapes.join("\n"));
        }
        stream.units(&requests);
        stream
    }

    /// Durations are milliseconds: those of all requests together are about what lies between their lines. Another
    /// unit is a thousand times off; a busy machine that stops a request between its lines, a few times.
    fn units(&mut self, requests: &BTreeMap<String, Vec<(String, Json)>>) {
        for (name, last, metrics) in [
            ("requests", "http_reqs", &["http_req_blocked", "http_req_duration"][..]),
            (
                "parts of requests",
                "http_reqs",
                &["http_req_sending", "http_req_waiting", "http_req_receiving"],
            ),
            ("iterations", "iterations", &["iteration_duration"]),
        ] {
            let (mut told, mut between) = (0.0, 0.0);
            for lines in requests.values() {
                let lines = lines.iter().map(|(_, json)| json);
                let of = |metric: &str| {
                    let mut lines = lines.clone();
                    let line =
                        lines.find(|json| json.get("metric").map(Json::text) == Some(metric));
                    line.and_then(|json| json.get("data"))
                };
                let ms = |metric: &str| {
                    of(metric).and_then(|data| data.get("time")).map(|at| milliseconds(at.text()))
                };
                let (Some(begun), Some(over)) = (ms("requests_started"), ms(last)) else {
                    continue;
                };
                let refused = of(last).and_then(|data| data.get("tags")?.get("error_code"));
                if refused.is_some_and(|code| code.text() == "1212") {
                    continue;
                }
                between += over - begun;
                told += metrics
                    .iter()
                    .filter_map(|metric| of(metric)?.get("value").map(Json::number))
                    .sum::<f64>();
            }
            if between > 0.0 && !(0.05..=20.0).contains(&(told / between)) {
                self.wrong.push(format!(
                    "{name} take {told} by their values and {between} ms by their times: other units"
                ));
            }
        }
    }
}

/// A line without what is another in each: keys and their order, the spelling of values by what they are.
fn shape(line: &Json, what: &(String, String)) -> String {
    let pairs = line.pairs().iter().map(|(key, value)| {
        let value = if key == "data" { point(value, what) } else { value.text().to_owned() };
        format!("{key}: {value}")
    });
    pairs.collect::<Vec<_>>().join(", ")
}

fn point(data: &Json, (kind, contains): &(String, String)) -> String {
    let pairs = data.pairs().iter().map(|(key, value)| match key.as_str() {
        "time" => format!("time: {}", timeless(value.text())),
        "value" => format!("value: {}", amount(value, kind, contains)),
        _ => {
            let inner = value.pairs().iter().map(|(key, value)| {
                let value = match key.as_str() {
                    "trace_id" => hexadecimal(value.text(), 32),
                    "span_id" => hexadecimal(value.text(), 16),
                    "name" => portless(value.text()),
                    _ => value.text().to_owned(),
                };
                format!("{key}={value}")
            });
            format!("{key}: {}", inner.collect::<Vec<_>>().join(" "))
        }
    });
    format!("({})", pairs.collect::<Vec<_>>().join(", "))
}

/// What a value is written as; itself where that is not what its metric's values are written as.
fn amount(value: &Json, kind: &str, contains: &str) -> String {
    let Json::Bare(text) = value else { return format!("{value:?}") };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    // Milliseconds to the nanosecond, without zeros at the end.
    let fine =
        text == whole || (digits(fraction) && fraction.len() <= 6 && !fraction.ends_with('0'));
    match (kind, contains) {
        ("trend", "time") if digits(whole) && fine => "<ms>".to_owned(),
        ("counter" | "gauge", _) if digits(text) => format!("<{contains}>"),
        // Whether it is 0 or 1 is no accident.
        _ => text.clone(),
    }
}

/// `2026-11-25T16:36:53.277782882Z`, if it is written so.
fn timeless(text: &str) -> String {
    let pattern: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let fraction =
        pattern.strip_prefix("0000-00-00T00:00:00").and_then(|rest| rest.strip_suffix('Z'));
    let fraction =
        fraction.map(|fraction| fraction.strip_prefix('.').map_or(fraction, |digits| digits));
    let written = fraction.is_some_and(|digits| {
        let fine = digits.len() <= 9 && digits.bytes().all(|byte| byte == b'0');
        fine && (digits.is_empty() || !text.ends_with("0Z"))
    });
    if written { "<time>".to_owned() } else { text.to_owned() }
}

fn hexadecimal(text: &str, length: usize) -> String {
    let digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    let written = text.len() == length && text.chars().all(digit);
    if written { format!("<{length} digits>") } else { text.to_owned() }
}

/// A URL without its port.
fn portless(url: &str) -> String {
    let (head, rest) = url.rsplit_once(':').unwrap_or((url, ""));
    format!("{head}{}", rest.trim_start_matches(|c: char| c.is_ascii_digit()))
}

/// Milliseconds into the day, and with the day so that midnight is no matter.
fn milliseconds(time: &str) -> f64 {
    let number = |range: std::ops::Range<usize>| {
        time.get(range).and_then(|text| text.parse::<f64>().ok()).unwrap_or(f64::NAN)
    };
    let rest = time.get(17..).unwrap_or_default().trim_end_matches('Z');
    let second: f64 = rest.parse().unwrap_or(f64::NAN);
    (((number(8..10) * 24.0 + number(11..13)) * 60.0 + number(14..16)) * 60.0 + second) * 1e3
}

/// A summary: its keys, whose order is no matter since k6 itself keeps none, and what kind of value each has.
fn summary(json: &Json) -> String {
    fn tell(json: &Json, path: &str, lines: &mut Vec<String>) {
        match json {
            Json::Map(pairs) if !pairs.is_empty() => {
                for (key, value) in pairs {
                    tell(value, &format!("{path}/{key}"), lines);
                }
            }
            Json::Bare(text) if text.parse::<f64>().is_ok() => {
                lines.push(format!("{path}: <number>"))
            }
            other => lines.push(format!("{path}: {other:?}")),
        }
    }
    let mut lines = Vec::new();
    tell(json, "", &mut lines);
    lines.sort();
    lines.join("\n")
}

/// Words with their numbers made alike: whole ones, and those with so many digits behind the point.
fn numberless(text: &str) -> String {
    let word = |word: &str| match word.split_once('.') {
        _ if word.parse::<f64>().is_err() => word.to_owned(),
        Some((_, fraction)) => format!("<{} digits>", fraction.len()),
        None => "<whole>".to_owned(),
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// A line of the log without its time.
fn dateless(line: &str) -> String {
    let Some(rest) = line.strip_prefix("time=\"") else { return line.to_owned() };
    let (time, rest) = rest.split_once('"').unwrap_or((rest, ""));
    let whole_seconds = time.len() == "0000-00-00T00:00:00Z".len();
    format!("time={}{rest}", if whole_seconds { timeless(time) } else { time.to_owned() })
}

/// Where a summary does not say what its own stream says.
fn disagreement(stream: &Stream, said: &Said) -> Option<String> {
    let summary = Json::read(&said.summary)?;
    let metrics = summary.get("metrics")?;
    for (metric, values) in &stream.values {
        let told = |of: &str| metrics.get(metric)?.get("values")?.get(of).map(Json::number);
        let (sum, count) = (values.iter().sum::<f64>(), values.len() as f64);
        let most = values.iter().copied().fold(f64::MIN, f64::max);
        let passes = values.iter().filter(|value| **value != 0.0).count() as f64;
        let pairs = if told("avg").is_some() {
            vec![("avg", sum / count), ("count", count), ("max", most)]
        } else if told("passes").is_some() {
            vec![("passes", passes), ("rate", passes / count)]
        } else if told("value").is_some() {
            vec![("value", *values.last()?)]
        } else {
            vec![("count", sum)]
        };
        for (of, value) in pairs {
            let told = told(of).unwrap_or(f64::NAN);
            // What is no number is no agreement.
            let agrees = (told - value).abs() <= 1e-9 * value.abs();
            if !agrees {
                return Some(format!(
                    "{of} of {metric} is {told} in the summary, {value} in the stream"
                ));
            }
        }
    }
    None
}
