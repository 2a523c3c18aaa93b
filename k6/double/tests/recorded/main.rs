//! What the double says is of the shape of what k6 2.2.0 said in the same situation (the folders beside this file;
//! how they were made is in README.md).

mod json;
mod mutants;
mod shape;
mod situation;

use shape::{Said, differences};
use situation::{Asked, Situation, recorded, said};

/// Lines of a request that was cut off.
const CUT_OFF: &str = "metric: requests_started, type: Point, data: (time: <time>, value: <default>, tags: cell=rest-10B phase=measured round=0 run=recorded scenario=load, metadata: sampled=1 span_id=<16 digits> trace_id=<32 digits>)\nmetric: data_sent";

/// `load.js` as it was recorded said another line, and a latency where no request was answered as asked for. That line
/// is the one thing in which the recordings are not what k6 would say now; what the script says of the summaries
/// recorded is in `tests/scripts`.
const NO_LATENCY: &str = "no latency: none of 6 requests was answered as asked for, 0 dropped\n";
/// A line with a latency, whatever its numbers.
const LATENCY: &str = "mean latency 1.000 ms (blocked + duration) of 1 requests measured; \
    1 of 1 requests answered as asked for, 0 dropped\n";

/// A threshold that nothing keeps.
const NO_NANOSECOND: &str = r#"{"http_req_duration{phase:measured}": ["p(99)<0.001"]}"#;

fn hold(situation: Situation, expected: &Said, chance: &[&str]) {
    let said = said(situation);
    let found = differences(expected, &said, chance);
    assert!(
        found.is_empty(),
        "{}: {}\nstderr: {}",
        situation.name,
        found.join("\n\n"),
        said.stderr
    );
}

/// With every request traced unless `env` says otherwise.
const fn before(
    name: &'static str,
    asked: Asked,
    env: &'static [(&'static str, &'static str)],
) -> Situation {
    Situation { name, asked, env, interrupted: false }
}

/// The recording `name`, with the `line` that the script would say now.
fn with_line(name: &str, line: &str) -> Said {
    let said = recorded(name);
    assert!(
        said.stdout.contains("(blocked + connecting + duration)"),
        "recorded anew? then this is over: {}",
        said.stdout
    );
    Said { stdout: line.to_owned(), ..said }
}

fn answered(name: &str) -> Said {
    with_line(name, LATENCY)
}

fn unanswered(name: &str) -> Said {
    with_line(name, NO_LATENCY)
}

#[test]
fn requests_that_are_answered() {
    let env = &[("RATE", "10"), ("WARMUP", "500ms"), ("DURATION", "1s"), ("SAMPLE_EVERY", "1")];
    hold(before("ok", Asked::Gateway, env), &answered("ok"), &[]);
}

#[test]
fn requests_by_grpc_of_which_none_is_traced() {
    let env = &[
        ("PROTOCOL", "grpc"),
        ("SIZE", "1000"),
        ("RATE", "10"),
        ("DURATION", "1s"),
        ("SAMPLE_EVERY", "0"),
    ];
    hold(before("grpc-untraced", Asked::Gateway, env), &answered("grpc-untraced"), &[]);
}

#[test]
fn requests_that_nobody_takes() {
    let env = &[("RATE", "5"), ("DURATION", "1s"), ("SAMPLE_EVERY", "1")];
    hold(before("refused", Asked::Nobody, env), &unanswered("refused"), &[]);
}

#[test]
fn requests_that_somebody_else_answers() {
    let env = &[("RATE", "5"), ("DURATION", "1s"), ("SAMPLE_EVERY", "1")];
    hold(before("not-found", Asked::Stranger, env), &unanswered("not-found"), &[]);
}

#[test]
fn requests_that_take_too_long() {
    let env = &[("RATE", "5"), ("DURATION", "1s"), ("SAMPLE_EVERY", "1"), ("TIMEOUT", "100ms")];
    // The last one has as long as k6 waits for it: either may end it.
    hold(before("timeout", Asked::SlowGateway, env), &unanswered("timeout"), &[CUT_OFF]);
}

#[test]
fn arrivals_that_find_no_user() {
    let env = &[("RATE", "20"), ("DURATION", "1s"), ("SAMPLE_EVERY", "1"), ("MAX_VUS", "2")];
    hold(before("dropped", Asked::SlowGateway, env), &answered("dropped"), &[]);
}

#[test]
fn a_threshold_that_is_not_kept() {
    let env =
        &[("RATE", "10"), ("DURATION", "1s"), ("SAMPLE_EVERY", "1"), ("THRESHOLDS", NO_NANOSECOND)];
    hold(before("threshold-missed", Asked::Gateway, env), &answered("threshold-missed"), &[]);
}

#[test]
fn a_round_that_is_interrupted() {
    let env = &[("RATE", "10"), ("DURATION", "30s"), ("SAMPLE_EVERY", "1")];
    let situation =
        Situation { interrupted: true, ..before("interrupted", Asked::SlowGateway, env) };
    hold(situation, &answered("interrupted"), &[]);
}
