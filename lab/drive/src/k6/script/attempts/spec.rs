//! Requests of a script are counted by scenario and operation, as k6 counted them.

use super::*;

fn attempts(lines: &str) -> Attempts {
    let mut attempts = Attempts::new(WallClock::ahead_by(1_795_566_099_000_000_000));
    lines.lines().for_each(|line| attempts.line(line.as_bytes()));
    attempts.close()
}

/// The lines of a request that took so long, in milliseconds.
fn request(scenario: &str, name: &str, (blocked, duration): (f64, f64), failed: u8) -> String {
    let line = |metric: &str, value: f64| {
        format!(
            r#"{{"metric":"{metric}","type":"Point","data":{{"time":"2026-11-25T00:21:49.5Z","value":{value},"tags":{{"scenario":"{scenario}","name":"{name}","method":"GET","status":"302","expected_response":"true"}}}}}}"#
        )
    };
    let lines = [
        line("http_reqs", 1.0),
        line("http_req_duration", duration),
        line("http_req_blocked", blocked),
        line("http_req_waiting", duration),
        line("http_req_failed", f64::from(failed)),
    ];
    lines.join("\n") + "\n"
}

#[test]
fn a_cell_is_a_scenario_and_an_operation_and_each_redirect_is_a_request() {
    let lines = [
        request("browse", "http://shop/page?id=1", (1.0, 4.0), 0),
        request("browse", "http://shop/page?id=2", (0.0, 6.0), 0),
        request("browse", "http://shop/moved", (0.0, 6.0), 0),
        request("buy", "check out: all", (0.0, 8.0), 1),
    ];
    let counted = attempts(&lines.concat());
    let told: Vec<_> = counted
        .cells
        .iter()
        .map(|(id, cell)| (id.as_str(), cell.entries.requests.ok, cell.entries.requests.error))
        .collect();
    assert_eq!(
        told,
        [("browse GET /moved", 1, 0), ("browse GET /page", 2, 0), ("buy check out- all", 0, 1)]
    );
    let page = &counted.cells["browse GET /page"].entries;
    // Waiting for a connection is in the latency.
    let mean = page.latency.mean();
    assert!((5_490_000.0..5_510_000.0).contains(&mean), "{mean}");
    assert!(counted.cells["buy check out- all"].entries.errors.contains_key("status 302"));
}

#[test]
fn what_was_dropped_is_entered_with_what_its_scenario_asked_most() {
    let dropped = r#"{"metric":"dropped_iterations","type":"Point","data":{"time":"2026-11-25T00:21:50Z","value":3,"tags":{"scenario":"browse"}}}"#;
    let lines = [
        request("browse", "a", (0.0, 1.0), 0),
        request("browse", "b", (0.0, 1.0), 0),
        request("browse", "b", (0.0, 1.0), 0),
    ];
    let counted = attempts(&(lines.concat() + dropped));
    let b = counted.cells["browse b"].entries.requests;
    assert_eq!((b.planned, b.started, b.dropped), (5, 2, 3));
    // Five in half a second and some: until then they were asked for, a gap of four of them after the last.
    let asked = counted.cells["browse b"].asked_ns();
    assert_eq!(asked, 501_000_000 * 5 / 4);
}

#[test]
fn what_cannot_be_a_line_of_k6_is_counted() {
    let counted = attempts(
        "{\"metric\":\"http_req_duration\",\nx\n{\"metric\":\"http_req_failed\",\"type\":\"Point\",\"data\":{\"value\":1}}",
    );
    assert_eq!((counted.refused, counted.cells.len()), (2, 0));
}

#[test]
fn what_a_request_is_to_carry_is_its_cells_and_one_that_says_otherwise_is_named() {
    let declares = |text: &str, carries: &str| {
        text.replace(r#""method""#, &format!(r#""hoplab_carries":"{carries}","method""#))
    };
    let one = declares(&request("s", "page", (0.0, 1.0), 0), "0/1000");
    let counted = attempts(&(one.clone() + &one));
    assert_eq!((&*counted.cells["s page"].declared, &counted.conflict), ("0/1000", &None));
    let other = declares(&request("s", "page", (0.0, 1.0), 0), "0/9");
    let conflict = attempts(&(one + &other)).conflict.expect("a conflict");
    assert!(conflict.contains("0/1000, and of others 0/9"), "{conflict}");
}

#[test]
fn what_was_asked_beside_a_cell_is_what_lies_in_its_time() {
    let at = |second: u32, scenario: &str| {
        request(scenario, "page", (0.0, 500.0), 0).replace("49.5Z", &format!("{second}.5Z"))
    };
    // The one goes on for four seconds, the others begin with it or after it.
    let long: String = (40..45).map(|second| at(second, "long")).collect();
    let short: String = (40..42).map(|second| at(second, "short")).collect();
    let counted = attempts(&(long + &short + &at(55, "later")));
    let beside: Vec<_> =
        ["long page", "short page", "later page"].map(|id| counted.beside(id)).into();
    assert_eq!(beside, [2, 2, 0]);
}

#[test]
fn names_past_a_bound_are_one() {
    let lines: String =
        (0..MOST + 9).map(|n| request("s", &format!("n{n}"), (0.0, 1.0), 0)).collect();
    let counted = attempts(&lines);
    assert_eq!(counted.cells.len(), MOST + 1);
    assert_eq!(counted.cells["s other"].entries.requests.ok, 9);
}

/// Recorded from k6 2.2.0 with the lab's own script, which is one script among many.
fn recorded(case: &str) -> (String, Attempts) {
    let folder =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../k6/double/tests/recorded");
    let text = std::fs::read_to_string(folder.join(case).join("stream.ndjson")).unwrap();
    let counted = attempts(&text);
    (text, counted)
}

#[test]
fn recorded_streams_are_counted_as_k6_counted_them() {
    for case in ["ok", "refused", "not-found", "dropped"] {
        let (text, counted) = recorded(case);
        let points = |metric: &str| {
            let begin = format!(r#"{{"metric":"{metric}","type":"Point""#);
            text.lines().filter(|line| line.starts_with(&begin)).count() as u64
        };
        let ids: Vec<_> = counted.cells.keys().map(String::as_str).collect();
        assert_eq!(ids, ["load POST /rest/ping"], "{case}");
        let requests = counted.cells[ids[0]].entries.requests;
        assert_eq!((requests.started, counted.refused), (points("http_reqs"), 0), "{case}");
        assert_eq!(requests.started, requests.ok + requests.error, "{case}");
        assert_eq!(requests.dropped > 0, points("dropped_iterations") > 0, "{case}");
        // Whether an answer is right is for a script's own checks: not-found was answered 200, and k6 counts that.
        assert_eq!(requests.ok > 0, case != "refused", "{case}: {requests:?}");
    }
}
