//! What `handleSummary` is given at the end.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::sink::Sinks;
use crate::threshold::Thresholds;

/// The MD5 of nothing: k6's name for the group that everything is in.
const ROOT: &str = "d41d8cd98f00b204e9800998ecf8427e";

/// The data of the summary: in the shape that 1.x and 2.x give it, or in the machine-readable one of
/// `K6_NEW_MACHINE_READABLE_SUMMARY`.
pub(crate) fn data(
    sinks: &Sinks,
    thresholds: &Thresholds,
    trend: &[String],
    lasted: Duration,
    new: bool,
) -> Value {
    let mut metrics = Map::new();
    for (name, metric, sink) in sinks.iter() {
        let told = json!({
            "type": metric.kind().name(),
            "contains": metric.contains(),
            "values": sink.values(lasted, trend),
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
            "summaryTrendStats": trend,
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
