//! Whatever k6 tells and in whichever order, the joiner balance. At three dates, and as long after the boot as it may
//! be: nothing in here asks which day it is.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::super::sample;
use super::*;

const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 86_400 * SECOND;

/// When a round is driven: its scenario begins 39 seconds into a minute.
#[derive(Debug, Clone, Copy)]
struct Moment {
    /// The minute, as k6 writes it.
    minute: &'static str,
    /// The beginning of the scenario, in nanoseconds since 1970.
    origin: u64,
    /// How long the machine has been up by then.
    up: u64,
}

const MOMENTS: [Moment; 3] = [
    Moment { minute: "1999-12-31T23:59", origin: 946_684_779 * SECOND, up: SECOND },
    Moment { minute: "2026-11-25T00:21", origin: 1_795_566_099 * SECOND, up: 40 * DAY },
    Moment { minute: "2099-02-28T12:00", origin: 4_075_963_239 * SECOND, up: 3_650 * DAY },
];

impl Moment {
    fn wall(self) -> WallClock {
        WallClock::ahead_by((self.origin - self.up) as i64)
    }

    fn joiner(self) -> Joiner {
        Joiner::new(self.wall(), SECOND, 60 * SECOND, 10)
    }

    /// A line as k6 writes it, `ms` after the origin.
    fn line(self, metric: &str, ms: u64, value: f64, tags: &str, id: Option<u64>) -> String {
        let (minute, second, ms) = (self.minute, 39 + ms / 1_000, ms % 1_000);
        let mut line = format!(
            r#"{{"metric":"{metric}","type":"Point","data":{{"time":"{minute}:{second}.{ms:03}Z","value":{value},"tags":{{{tags}}}"#
        );
        if let Some(id) = id {
            let (id, sampled) = (id + 1, id % 2);
            write!(
                line,
                r#","metadata":{{"trace_id":"{id:032x}","span_id":"{id:016x}","sampled":"{sampled}"}}"#
            )
            .unwrap();
        }
        line + "}}"
    }

    fn begins(self) -> String {
        let ms = (self.origin / 1_000_000) as f64;
        self.line("scenario_origin_ms", 0, ms, r#""phase":"warmup""#, Some(0))
    }

    /// The lines of a request that begins `ms` after the origin, in k6's order.
    fn request(self, id: u64, ms: u64, answered: bool, tags: &str) -> Vec<String> {
        [
            ("requests_started", ms, 1.0),
            ("http_req_duration", ms + 5, 4.0),
            ("http_req_blocked", ms + 5, 0.5),
            ("http_req_connecting", ms + 5, 0.25),
            ("requests_answered", ms + 6, f64::from(u8::from(answered))),
        ]
        .map(|(metric, ms, value)| self.line(metric, ms, value, tags, Some(id)))
        .into()
    }
}

const MEASURED: &str = r#""phase":"measured","status":"200""#;

fn read(joiner: &mut Joiner, lines: &[String]) -> Vec<Joined> {
    let samples = lines.iter().map(|line| sample::read(line.as_bytes()).unwrap().unwrap());
    samples.filter_map(|sample| joiner.take(sample)).collect()
}

#[test]
fn a_request_is_joined_from_its_lines() {
    for moment in MOMENTS {
        let mut joiner = moment.joiner();
        read(&mut joiner, &[moment.begins()]);
        let joined = read(&mut joiner, &moment.request(1, 1_200, true, MEASURED));
        let [one] = joined.as_slice() else { panic!("{joined:?}") };
        assert_eq!((one.request.trace, one.request.span, one.request.sampled), (2, 2, true));
        assert_eq!((one.connected - one.start, one.end - one.connected), (500_000, 4_000_000));
        assert_eq!(joiner.start_ns(), Some(moment.up + SECOND), "{moment:?}");
        assert_eq!(one.end - joiner.start_ns().unwrap(), 205_000_000);
        assert_eq!((one.end, &one.failure), (joiner.last_end_ns(), &None));
        let (requests, in_flight) = joiner.requests();
        assert_eq!((requests.planned, requests.started, requests.ok, in_flight), (1, 1, 1, 0));
        assert_eq!(joiner.entries.seconds[0].latency_sum_us, 4_500.0);
        assert_eq!((joiner.facts.connected, joiner.facts.connecting_ns), (1, 250_000));
    }
}

#[test]
fn the_warm_up_is_not_counted_and_drops_are_split_by_their_time() {
    for moment in MOMENTS {
        let mut joiner = moment.joiner();
        let dropped = |ms| moment.line("dropped_iterations", ms, 1.0, "", None);
        // The first ones come before k6 has said when the scenario began.
        let lines = [dropped(999), dropped(1_000), moment.begins(), dropped(10), dropped(2_500)];
        read(&mut joiner, &lines);
        let warm_up = moment.request(1, 100, true, r#""phase":"warmup""#);
        assert_eq!(read(&mut joiner, &warm_up), []);
        let (requests, in_flight) = joiner.requests();
        assert_eq!((requests.planned, requests.dropped, requests.started, in_flight), (2, 2, 0, 0));
        let seconds: Vec<_> = joiner.entries.seconds.iter().map(|second| second.dropped).collect();
        assert_eq!(seconds, [1, 1]);
    }
}

#[test]
fn times_outside_of_what_the_script_says_are_counted() {
    let moment = MOMENTS[1];
    // Begun at 1,000 and judged at 1,006 after the origin; over at `ended` after so many milliseconds.
    let misplaced = |ended: u64, duration: f64, connecting: f64| {
        let mut joiner = moment.joiner();
        let lines = [
            ("requests_started", 1_000, 1.0),
            ("http_req_duration", ended, duration),
            ("http_req_blocked", ended, 0.0),
            ("http_req_connecting", ended, connecting),
            ("requests_answered", 1_006, 1.0),
        ]
        .map(|(metric, ms, value)| moment.line(metric, ms, value, MEASURED, Some(1)));
        read(&mut joiner, &[moment.begins()]);
        read(&mut joiner, &lines);
        joiner.facts.misplaced
    };
    assert_eq!(misplaced(1_005, 5.0, 0.0), 0);
    assert_eq!(misplaced(1_005, 5.1, 0.0), 1, "it began before the script made it");
    assert_eq!(misplaced(1_007, 4.0, 0.0), 1, "it ended after the script had the answer");
    assert_eq!(
        misplaced(1_005, 5.0, 0.1),
        0,
        "with a connection of its own sending begins before it is had"
    );
}

#[test]
fn times_that_cannot_be_fill_no_memory() {
    for moment in MOMENTS {
        let mut joiner = moment.joiner();
        read(&mut joiner, &[moment.begins()]);
        let far = moment.line("dropped_iterations", 0, 1e9, "", None);
        let far = far.replace(moment.minute, "2199-01-01T00:00");
        read(&mut joiner, &[far.clone(), far]);
        assert_eq!(
            (joiner.entries.seconds.len(), joiner.requests().0.dropped),
            (61, 2_000_000_000)
        );
        let said = (moment.origin / 1_000_000).to_string();
        let late = moment.begins().replace(&said, "16000000000000");
        read(&mut joiner, &[late]);
        assert_eq!(joiner.start_ns(), Some(moment.up + SECOND), "the first counts");
    }
}

#[test]
fn errors_say_what_k6_knows() {
    let moment = MOMENTS[1];
    let mut joiner = moment.joiner();
    read(&mut joiner, &[moment.begins()]);
    for (id, tags) in [
        (1, r#""phase":"measured","status":"503","error_code":"1503""#),
        (2, r#""phase":"measured","status":"0","error_code":"1050","error":"request \"timeout\"""#),
        (3, r#""phase":"measured","status":"0","error_code":"1000""#),
        (4, MEASURED),
    ] {
        let joined = read(&mut joiner, &moment.request(id, 1_000, false, tags));
        assert!(joined[0].failure.is_some());
    }
    let errors: Vec<_> = joiner.entries.errors.keys().map(String::as_str).collect();
    let expected = [
        "no answer (k6's error 1000)",
        "request \"timeout\" (k6's error 1050)",
        "the answer has status 503",
        "the answer is not what was asked for",
    ];
    assert_eq!(errors, expected);
    assert_eq!((joiner.requests().0.error, joiner.entries.latency.len()), (4, 0));
}

#[test]
fn a_request_cut_off_is_unfinished_in_a_halted_round_and_else_an_error() {
    let halts = [(true, (1, 0)), (false, (0, 1))];
    for (moment, (halted, expected)) in MOMENTS.into_iter().zip(halts.into_iter().cycle()) {
        let mut joiner = moment.joiner();
        read(&mut joiner, &[moment.begins()]);
        read(&mut joiner, &moment.request(1, 2_100, true, MEASURED)[..4]);
        assert_eq!(joiner.requests().1, 1);
        joiner.close(halted);
        let (requests, in_flight) = joiner.requests();
        assert_eq!(((requests.unfinished, requests.error), in_flight), (expected, 0));
        assert_eq!((joiner.facts.joined, joiner.facts.not_joined), (0, 1));
        assert_eq!(joiner.entries.seconds[1].error, expected.1);
    }
}

proptest! {
    #[test]
    fn the_books_balance_whatever_is_missing_or_mixed_up(
        wants in prop::collection::vec((0_u64..3_000, any::<bool>(), 0_u8..32), 0..40),
        order in prop::collection::vec(any::<prop::sample::Index>(), 200),
        limit in 0_usize..20,
        halted in any::<bool>(),
        moment in prop::sample::select(&MOMENTS),
    ) {
        let mut lines = Vec::new();
        for (id, (ms, answered, kept)) in wants.iter().enumerate() {
            let all = moment.request(id as u64, *ms + 1_000, *answered, MEASURED);
            lines.extend(all.into_iter().enumerate().filter(|(at, _)| kept >> at & 1 == 1).map(|(_, line)| line));
        }
        for (at, index) in order.iter().enumerate().take(lines.len()) {
            let other = index.index(lines.len());
            lines.swap(at, other);
        }
        let mut joiner = moment.joiner();
        joiner.limit = limit;
        read(&mut joiner, &[moment.begins()]);
        let joined = read(&mut joiner, &lines);
        prop_assert!(joiner.open.len() <= limit);
        joiner.close(halted);
        let (requests, in_flight) = joiner.requests();
        let started = wants.iter().filter(|(.., kept)| kept & 1 == 1).count() as u64;
        prop_assert_eq!(requests.started, started);
        prop_assert_eq!(requests.planned, requests.started + requests.dropped);
        prop_assert_eq!(requests.started, requests.ok + requests.error + requests.unfinished);
        prop_assert_eq!(in_flight, 0);
        prop_assert_eq!(joiner.facts.joined, joined.len() as u64);
        prop_assert_eq!(joiner.facts.joined + joiner.facts.not_joined, requests.started);
        prop_assert_eq!(joiner.entries.latency.len(), requests.ok);
        prop_assert_eq!(joiner.entries.errors.values().sum::<u64>(), requests.error);
    }
}
