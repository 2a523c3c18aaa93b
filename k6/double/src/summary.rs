//! What `handleSummary` is given at the end, and what `load.js` says of it.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::sink::Sinks;
use crate::threshold::Thresholds;

/// The MD5 of nothing: k6's name for the group that everything is in.
const ROOT: &str = "d41d8cd98f00b204e9800998ecf8427e";

/// The data of the summary: in the shape that 1.x and 2.x give it, or in the machine-readable one of
/// `K6_NEW_MACHINE_READABLE_SUMMARY`.
pub(crate) fn data(sinks: &Sinks, thresholds: &Thresholds, lasted: Duration, new: bool) -> Value {
    let mut metrics = Map::new();
    for (name, metric, sink) in sinks.iter() {
        let told = json!({
            "type": metric.kind().name(),
            "contains": metric.contains(),
            "values": sink.values(lasted),
        });
        metrics.insert(name.to_owned(), told);
    }
    for watched in thresholds.watched() {
        let verdicts = watched.verdicts(sinks.get(&watched.name), lasted);
        let verdicts: Map<_, _> = verdicts
            .into_iter()
            .map(|(source, ok)| (source.to_owned(), json!({ "ok": ok })))
            .collect();
        if !verdicts.is_empty()
            && let Some(told) = metrics.get_mut(&watched.name)
        {
            told["thresholds"] = Value::Object(verdicts);
        }
    }
    if new {
        let list: Vec<Value> = metrics
            .into_iter()
            .map(|(name, mut metric)| {
                metric["name"] = Value::String(name);
                metric
            })
            .collect();
        return json!({ "version": "1.0.0", "results": { "metrics": list } });
    }
    json!({
        "root_group": { "name": "", "path": "", "id": ROOT, "groups": [], "checks": [] },
        "options": {
            "summaryTrendStats": ["avg", "min", "med", "max", "p(90)", "p(95)", "p(99)", "count"],
            "summaryTimeUnit": "",
            "noColor": true,
        },
        "state": {
            "isStdOutTTY": false,
            "isStdErrTTY": false,
            "testRunDurationMs": lasted.as_nanos() as f64 / 1e6,
        },
        "metrics": metrics,
    })
}

/// The line that the function `summary` of `load.js` writes.
pub(crate) fn said(data: &Value) -> String {
    let metrics = &data["metrics"];
    if !metrics["requests_started"]["values"]["count"].is_number() {
        let mut there: Vec<&str> =
            data.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
        there.sort_unstable();
        return format!(
            "k6's summary has a shape that this script does not know: no data.metrics.requests_started.values.count, \
             but {}; nothing can be said of the run here\n",
            there.join(", ")
        );
    }
    let value = |metric: &str, of: &str| metrics[metric]["values"][of].as_f64().unwrap_or_default();
    let requests = value("requests_started", "count");
    let dropped = value("dropped_iterations", "count");
    let right = value("requests_answered", "passes");
    if right == 0.0 {
        return format!(
            "no latency: none of {requests} requests was answered as asked for, {dropped} dropped\n"
        );
    }
    let answers =
        format!("{right} of {requests} requests answered as asked for, {dropped} dropped");
    let measured = value("http_req_duration{phase:measured}", "count");
    if measured == 0.0 {
        return format!("no latency: no request ended in the measured part; {answers}\n");
    }
    let mean = |metric: &str| value(&format!("{metric}{{phase:measured}}"), "avg");
    let latency = mean("http_req_blocked") + mean("http_req_duration");
    let failed = value("requests_answered", "fails") > 0.0;
    let wrong = if failed { ", with those that failed" } else { "" };
    format!(
        "mean latency {latency:.3} ms (blocked + duration) of {measured} requests measured{wrong}; {answers}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::Metric;

    fn sinks(answered: f64) -> Sinks {
        let mut sinks = Sinks::default();
        for (metric, value) in [
            (Metric::Started, 2.0),
            (Metric::Answered, answered),
            (Metric::Answered, 0.0),
            (Metric::Dropped, 2.0),
        ] {
            sinks.add(metric.name(), metric, value);
        }
        for (part, value) in
            [(Metric::Blocked, 0.25), (Metric::Connecting, 0.125), (Metric::Duration, 1.25)]
        {
            sinks.add(&format!("{}{{phase:measured}}", part.name()), part, value);
        }
        sinks
    }

    fn line(answered: f64, new: bool) -> String {
        let thresholds = Thresholds::read(&json!({})).expect("none");
        said(&data(&sinks(answered), &thresholds, Duration::from_secs(1), new))
    }

    #[test]
    fn a_latency_is_said_only_if_a_request_was_answered_and_the_shape_is_known() {
        let mean = "mean latency 1.500 ms (blocked + duration) of 1 requests measured, \
            with those that failed; 1 of 2 requests answered as asked for, 2 dropped\n";
        assert_eq!(line(1.0, false), mean);
        let none = "no latency: none of 2 requests was answered as asked for, 2 dropped\n";
        assert_eq!(line(0.0, false), none);
        let unknown = line(1.0, true);
        assert!(unknown.contains("a shape that this script does not know"), "{unknown}");
        assert!(unknown.contains("requests_started") && unknown.contains("results, version"));
    }
}
