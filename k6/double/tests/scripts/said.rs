//! What the scripts say in the end, of summaries that the real k6 gave them.

use serde_json::{Value, json};

use crate::world::World;

/// What k6 2.2.0 gave `handleSummary` in a situation that was recorded.
fn recorded(name: &str) -> Value {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recorded");
    let text = std::fs::read_to_string(format!("{folder}/{name}/summary.json"));
    serde_json::from_str(&text.expect("a recording")).expect("JSON")
}

/// The last line of `ping.js` after a run with this summary.
fn line(world: &World, summary: &Value) -> String {
    let did = world.run(&json!({ "script": "ping.js", "iterations": 0, "summary": summary }));
    did.last_line().to_owned()
}

pub(crate) fn the_last_line_tells_answered_of_asked_of_every_recorded_run() {
    let world = World::new();
    for (name, expected) in [
        (
            "ok",
            "mean latency 2.477 ms (blocked + duration) of 10 requests measured; \
             15 of 15 requests answered as asked for, 0 dropped",
        ),
        (
            "grpc-untraced",
            "mean latency 1.687 ms (blocked + duration) of 11 requests measured; \
             11 of 11 requests answered as asked for, 0 dropped",
        ),
        ("refused", "no latency: none of 6 requests was answered as asked for, 0 dropped"),
        ("not-found", "no latency: none of 6 requests was answered as asked for, 0 dropped"),
        ("timeout", "no latency: none of 6 requests was answered as asked for, 0 dropped"),
        (
            "dropped",
            "mean latency 403.107 ms (blocked + duration) of 6 requests measured; \
             6 of 6 requests answered as asked for, 14 dropped",
        ),
        (
            "threshold-missed",
            "mean latency 1.687 ms (blocked + duration) of 11 requests measured; \
             11 of 11 requests answered as asked for, 0 dropped",
        ),
        // Four were cut off.
        (
            "interrupted",
            "mean latency 401.744 ms (blocked + duration) of 11 requests measured; \
             11 of 15 requests answered as asked for, 0 dropped",
        ),
    ] {
        assert_eq!(line(&world, &recorded(name)), expected, "{name}");
    }
}

pub(crate) fn the_last_line_tells_when_failures_are_in_its_mean_and_what_it_cannot_read() {
    let world = World::new();
    let mut some = recorded("not-found");
    some["metrics"]["requests_answered"]["values"] = json!({ "passes": 2, "fails": 4 });
    let said = line(&world, &some);
    assert!(
        said.contains("of 6 requests measured, with those that failed; 2 of 6 requests answered"),
        "{said}"
    );
    // Every answer came in the warm-up.
    let metrics = some["metrics"].as_object_mut().expect("metrics");
    metrics.retain(|name, _| !name.ends_with("{phase:measured}"));
    let said = line(&world, &some);
    assert_eq!(
        said,
        "no latency: no request ended in the measured part; 2 of 6 requests answered as asked for, 0 dropped"
    );
    let new = json!({ "version": "1.0.0", "results": { "metrics": [] } });
    assert_eq!(
        line(&world, &new),
        "k6's summary has a shape that this script does not know: no data.metrics.requests_started.values.count, \
         but results, version; nothing can be said of the run here"
    );
}

pub(crate) fn a_summary_is_kept_where_its_user_says() {
    let (world, summary) = (World::new(), recorded("ok"));
    let env = json!({ "SUMMARY": "/tmp/of-a-run.json" });
    let run = json!({ "script": "ping.js", "iterations": 0, "summary": summary, "env": env });
    let did = world.run(&run);
    let kept = did.0["summary"]["/tmp/of-a-run.json"].as_str().expect("a text");
    assert_eq!(serde_json::from_str::<Value>(kept).expect("JSON"), summary);
}

pub(crate) fn by_hand_something_has_to_be_answered() {
    let world = World::new();
    let thresholds = |env: Value| {
        let did = world.run(&json!({ "script": "ping.js", "iterations": 0, "env": env }));
        did.0["options"]["thresholds"]["requests_answered{phase:measured}"].clone()
    };
    assert_eq!(thresholds(json!({})), json!(["rate>0"]));
    assert_eq!(thresholds(json!({ "THRESHOLDS": "{}" })), Value::Null);
}
