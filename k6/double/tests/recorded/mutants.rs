//! The comparer itself: an answer in which a field, an order, a unit or a word differs is of another shape.

use crate::shape::{Said, differences};
use crate::situation::recorded;

const CASES: [&str; 8] = [
    "ok",
    "grpc-untraced",
    "refused",
    "not-found",
    "timeout",
    "dropped",
    "threshold-missed",
    "interrupted",
];

#[test]
fn a_recording_is_of_its_own_shape_and_of_no_other_ones() {
    for name in CASES {
        let said = recorded(name);
        assert_eq!(differences(&said, &said, &[]), Vec::<String>::new(), "{name}");
        for other in CASES.into_iter().filter(|other| *other != name) {
            let found = differences(&recorded(other), &said, &[]);
            assert!(!found.is_empty(), "{other} looks like {name}");
        }
    }
}

/// The recording `ok` with each match of `from` in its stream replaced.
fn stream(from: &str, to: &str) -> Said {
    let said = recorded("ok");
    assert!(said.stream.contains(from), "{from}");
    Said { stream: said.stream.replace(from, to), ..said }
}

#[expect(clippy::too_many_lines, reason = "every mutant, in full")]
#[test]
fn a_stream_in_which_anything_differs_is_of_another_shape() {
    let times = |by: f64| {
        move |said: Said, metric: &str| {
            let head = format!(r#"{{"metric":"{metric}","type":"Point""#);
            let lines = said.stream.lines().map(|line| {
                let Some((before, rest)) = line.split_once(r#""value":"#) else {
                    return line.to_owned();
                };
                let (value, after) = rest.split_once(',').expect("more");
                if !line.starts_with(&head) {
                    return line.to_owned();
                }
                let value = (value.parse::<f64>().expect("a number") * by * 1e6).round() / 1e6;
                format!(r#"{before}"value":{value},{after}"#)
            });
            Said { stream: lines.collect::<Vec<_>>().join("\n"), ..said.clone() }
        }
    };
    let mutants = [
        ("a field by another name", stream(r#""value":"#, r#""val":"#)),
        ("a field that is gone", stream(r#","scenario":"load""#, "")),
        ("a field that is new", stream(r#""scenario":"load""#, r#""scenario":"load","vu":"1""#)),
        ("fields in another order", stream(r#""type":"Point","data":"#, r#""data":"#)),
        (
            "tags in another order",
            stream(
                r#""method":"POST","name":"http://127.0.0.1:18080/rest/ping""#,
                r#""name":"http://127.0.0.1:18080/rest/ping","method":"POST""#,
            ),
        ),
        (
            "metadata in another order",
            stream(r#""metadata":{"sampled":"1","#, r#""metadata":{"sample":"1","#),
        ),
        ("a number as text", stream(r#""value":1,"#, r#""value":"1","#)),
        ("a count with a fraction", stream(r#""value":214,"#, r#""value":214.0,"#)),
        (
            "a count with an exponent",
            stream(r#""value":1795624613277,"#, r#""value":1.795624613277e+12,"#),
        ),
        (
            "a metric of another kind",
            stream(
                r#""name":"http_reqs","type":"counter""#,
                r#""name":"http_reqs","type":"gauge""#,
            ),
        ),
        (
            "a metric that contains something else",
            stream(
                r#""type":"counter","contains":"data""#,
                r#""type":"counter","contains":"default""#,
            ),
        ),
        ("a metric by another name", stream("http_req_waiting", "http_req_wait")),
        (
            "a part of a metric that is not kept",
            stream(
                r#","submetrics":[{"name":"http_req_blocked{phase:measured}","suffix":"phase:measured","tags":{"phase":"measured"}}]"#,
                r#","submetrics":null"#,
            ),
        ),
        ("times of another zone", stream(r#"Z","value""#, r#"+01:00","value""#)),
        ("times without a T", stream("2026-11-25T", "2026-11-25 ")),
        (
            "seconds since 1970",
            stream(r#""time":"2026-11-25T16:36:53.277782882Z""#, r#""time":1795624613.277782882"#),
        ),
        (
            "a trace id in capitals",
            stream("b84c77a988677b4c4106de3d4d952c76", "B84C77A988677B4C4106DE3D4D952C76"),
        ),
        ("a span id that is cut off", stream("ced2a1a9dbda8d7f", "ced2a1a9dbda8d7")),
        ("another word for a phase", stream(r#""phase":"warmup""#, r#""phase":"warm-up""#)),
        ("another word for a check", stream("says what was asked", "says what it was asked")),
        ("durations in seconds", times(1e-3)(recorded("ok"), "http_req_duration")),
        ("durations in microseconds", times(1e3)(recorded("ok"), "http_req_duration")),
        ("parts of durations in nanoseconds", times(1e6)(recorded("ok"), "http_req_waiting")),
        ("iterations in seconds", times(1e-3)(recorded("ok"), "iteration_duration")),
        ("bytes in bits, and in the summary not", times(8.0)(recorded("ok"), "data_sent")),
    ];
    for (what, mutant) in mutants {
        assert!(!differences(&recorded("ok"), &mutant, &[]).is_empty(), "{what} is not seen");
    }
}

#[test]
fn a_stream_whose_lines_are_others_or_elsewhere_is_of_another_shape() {
    let ok = recorded("ok");
    let with = |change: &dyn Fn(&mut Vec<&str>)| {
        let mut lines: Vec<&str> = ok.stream.lines().collect();
        change(&mut lines);
        Said { stream: lines.join("\n"), ..ok.clone() }
    };
    let at = |lines: &[&str], head: &str| {
        let head = format!(r#"{{"metric":"{head}","type":"Point""#);
        lines.iter().position(|line| line.starts_with(&head)).expect("a line")
    };
    let mutants = [
        ("a line that is gone", with(&|lines| _ = lines.remove(at(lines, "http_req_failed")))),
        (
            "a line twice",
            with(&|lines| lines.insert(at(lines, "iterations"), lines[at(lines, "iterations")])),
        ),
        (
            "lines in another order",
            with(&|lines| {
                let (a, b) = (at(lines, "http_req_duration"), at(lines, "http_req_blocked"));
                lines.swap(a, b);
            }),
        ),
        ("a metric declared at the end", with(&|lines| lines.rotate_left(1))),
        (
            "a line that is cut off",
            with(&|lines| {
                let last = lines.len() - 1;
                lines[last] = &lines[last][..40];
            }),
        ),
        ("nothing", with(&|lines| lines.clear())),
    ];
    for (what, mutant) in mutants {
        assert!(!differences(&ok, &mutant, &[]).is_empty(), "{what} is not seen");
    }
}

#[test]
fn another_summary_word_or_exit_code_is_of_another_shape() {
    let missed = recorded("threshold-missed");
    let summary = |from: &str, to: &str| {
        assert!(missed.summary.contains(from), "{from}");
        Said { summary: missed.summary.replacen(from, to, 1), ..missed.clone() }
    };
    let mutants = [
        ("a summary that is a list", summary(r#""metrics":{"#, r#""results":{"#)),
        ("a threshold that was kept", summary(r#""ok":false"#, r#""ok":true"#)),
        ("a statistic by another name", summary(r#""p(99)":"#, r#""p99":"#)),
        ("a statistic as text", summary(r#""avg":"#, r#""avg":"x","avg":"#)),
        ("a metric that is gone", summary("vus_max", "vus_most")),
        ("a summary that says otherwise", summary(r#""count":11"#, r#""count":12"#)),
        ("no summary", Said { summary: String::new(), ..missed.clone() }),
        (
            "less digits on stdout",
            Said { stdout: missed.stdout.replace("2.074", "2.07"), ..missed.clone() },
        ),
        (
            "another word on stdout",
            Said { stdout: missed.stdout.replace("dropped", "lost"), ..missed.clone() },
        ),
        (
            "another level in the log",
            Said { stderr: missed.stderr.replace("level=error", "level=fatal"), ..missed.clone() },
        ),
        (
            "a finer time in the log",
            Said { stderr: missed.stderr.replace("Z\"", ".5Z\""), ..missed.clone() },
        ),
        ("an empty log", Said { stderr: String::new(), ..missed.clone() }),
        ("another exit code", Said { exit: 1, ..missed.clone() }),
    ];
    for (what, mutant) in mutants {
        assert!(!differences(&missed, &mutant, &[]).is_empty(), "{what} is not seen");
    }
}
