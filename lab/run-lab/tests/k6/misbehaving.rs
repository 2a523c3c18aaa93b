//! A k6 that does what the real one does on a bad day. Only the double can be told to.

use std::time::Duration;

use lab_model::Knobs;

use crate::program::Program;
use crate::testbed::{Lab, assert_balanced, cell, summary, value};

/// A lab whose k6 is the double, told `faults`.
async fn lab(faults: &str) -> Lab {
    let mut lab = Lab::start(&Program::double(), &Knobs::default()).await;
    let told = Program::told(lab.dir.path(), faults);
    let otlp = lab.k6.otlp.take();
    lab.k6 = told.k6(lab.dir.path());
    lab.k6.otlp = otlp;
    lab
}

pub(crate) async fn one_that_does_not_end_is_stopped_and_named_and_what_was_measured_is_kept() {
    let mut lab = lab("hang").await;
    lab.k6.patience = Duration::from_millis(500);
    let round = lab.round_within(2_000_000_000, &cell(50.0, 0, 1_000), |_| ()).await;
    let mut error = round.expect_err("it hangs");
    let text = error.to_string();
    assert!(text.contains("cell rest-1kB: k6 (process ") && text.contains("3.5s"), "{text}");
    let kept = error.take_kept().expect("what was measured").measure;
    assert_balanced(kept.requests);
    assert!(kept.requests.ok >= 45, "{:?}", kept.requests);
    lab.stop().await;
}

pub(crate) async fn one_that_dies_is_named_with_its_exit_code_and_what_was_measured_is_kept() {
    let lab = lab("die").await;
    let mut error = lab.round(&cell(50.0, 0, 10_000), |_| ()).await.expect_err("it dies");
    let text = error.to_string();
    assert!(text.contains("cell rest-1kB") && text.contains("exit status: 2"), "{text}");
    let kept = error.take_kept().expect("what was measured").measure;
    assert_balanced(kept.requests);
    assert!(kept.requests.started > 0 && kept.requests.planned < 100, "{:?}", kept.requests);
    lab.stop().await;
}

pub(crate) async fn a_stream_that_ends_within_a_line_leaves_requests_that_are_not_joined() {
    let lab = lab("cut").await;
    let driven = lab.round(&cell(50.0, 0, 1_000), |_| ()).await;
    let driven = driven.expect("k6 ended well").expect("a measure");
    let (requests, facts) = (driven.measure.requests, driven.facts);
    assert_balanced(requests);
    assert!(facts.not_joined > 0 && requests.error >= facts.not_joined, "{facts:?} {requests:?}");
    // k6's own summary has those too of which the stream said nothing.
    let said = value(&summary(&driven), "requests_started", "count");
    assert!(requests.planned as f64 + 10.0 < said, "{requests:?}, {said} in the summary");
    lab.stop().await;
}

pub(crate) async fn one_that_tells_nothing_is_an_error() {
    let lab = lab("silent").await;
    let error = lab.round(&cell(50.0, 0, 1_000), |_| ()).await.expect_err("nothing was told");
    let text = error.to_string();
    assert!(text.contains("k6 made no request in round 0 of cell rest-1kB"), "{text}");
    lab.stop().await;
}

pub(crate) async fn durations_that_cannot_be_are_refused_and_counted() {
    let lab = lab("lie").await;
    let driven = lab.round(&cell(50.0, 0, 1_000), |_| ()).await;
    let driven = driven.expect("k6 ended well").expect("a measure");
    let (requests, facts) = (driven.measure.requests, driven.facts);
    assert_balanced(requests);
    assert!(facts.lines_refused >= requests.started && requests.ok == 0, "{facts:?} {requests:?}");
    assert_eq!((driven.measure.latency.len(), facts.not_joined), (0, requests.started));
    lab.stop().await;
}

pub(crate) async fn the_numbers_of_1_x_are_read_as_those_of_2_x() {
    let lab = lab("release=1.8.1").await;
    let driven = lab.round(&cell(50.0, 0, 1_000), |_| ()).await;
    let driven = driven.expect("k6 ended well").expect("a measure");
    let (requests, facts) = (driven.measure.requests, driven.facts);
    assert_balanced(requests);
    assert!(requests.ok >= 45 && facts.lines_refused == 0, "{facts:?} {requests:?}");
    lab.stop().await;
}
