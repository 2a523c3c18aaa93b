//! The rules of W3C for `tracestate`, each with what keeps it and what does not, and of `traceparent` in several lines.

use proptest::prelude::*;

use super::*;

fn passed_on(lines: &[&str]) -> Option<String> {
    let value = one_line(lines.iter().map(|line| line.as_bytes()))?;
    Some(value.to_str().unwrap().to_owned())
}

/// What goes out of a service for what came in.
fn through(headers: &[(&'static str, &str)]) -> (Option<SpanContext>, Vec<(String, String)>) {
    let mut came = HeaderMap::new();
    for (name, value) in headers {
        came.append(*name, value.parse().unwrap());
    }
    let caller = caller(&came);
    let mut goes = HeaderMap::new();
    if let Some(carried) = Carried::read(&came, caller.is_some()) {
        carried.put(&mut goes);
    }
    let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
    (caller, goes.iter().map(|(name, value)| (name.to_string(), text(value))).collect())
}

const PARENT: (&str, &str) =
    ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");

#[test]
fn several_lines_are_one_list_and_white_space_and_empty_places_go() {
    assert_eq!(passed_on(&["a=1"]), Some("a=1".to_owned()));
    assert_eq!(passed_on(&["a=1, b=2", "", " ,\tc@d=3\t,"]), Some("a=1,b=2,c@d=3".to_owned()));
    assert_eq!(passed_on(&[]), None);
    assert_eq!(passed_on(&["", " , "]), None);
}

#[test]
fn keys_and_values_are_those_of_the_standard() {
    let long = |count: usize| "k".repeat(count);
    let value = |count: usize| "v".repeat(count);
    for good in [
        "a=b".to_owned(),
        "a0_-*/=b".to_owned(),
        "0a@b=c".to_owned(),
        "a=b c".to_owned(),
        "a=!:;~%".to_owned(),
        format!("{}=1", long(256)),
        format!("{}@{}=1", long(241), long(14)),
        format!("a={}", value(256)),
    ] {
        assert_eq!(passed_on(&[&good]), Some(good.clone()), "{good}");
    }
    for bad in [
        "a".to_owned(),
        "=b".to_owned(),
        "a=".to_owned(),
        "A=b".to_owned(),
        "0a=b".to_owned(),
        "a b=c".to_owned(),
        "a =b".to_owned(),
        "a=b=c".to_owned(),
        "a=\u{e9}".to_owned(),
        "a.b=c".to_owned(),
        "a@=1".to_owned(),
        "@a=1".to_owned(),
        "a@@b=1".to_owned(),
        "a@b@c=1".to_owned(),
        "a@0b=1".to_owned(),
        format!("{}=1", long(257)),
        format!("{}@b=1", long(242)),
        format!("a@{}=1", long(15)),
        format!("a={}", value(257)),
    ] {
        assert_eq!(passed_on(&["good=1", &bad]), None, "one malformed member spoils all: {bad}");
    }
}

#[test]
fn thirty_two_members_are_passed_on_and_one_more_is_malformed() {
    let list = |count: usize| (0..count).map(|n| format!("k{n}=1")).collect::<Vec<_>>().join(",");
    assert_eq!(passed_on(&[&list(32)]), Some(list(32)));
    assert_eq!(passed_on(&[&list(33)]), None);
    assert_eq!(passed_on(&[&list(32), "more=1"]), None);
}

#[test]
fn of_more_than_512_characters_long_members_go_first_and_then_the_last_ones() {
    let member = |key: &str, length: usize| format!("{key}={}", "v".repeat(length - key.len() - 1));
    let (a, b, c, d) = (member("a", 128), member("b", 129), member("c", 128), member("d", 124));
    let whole = [a.as_str(), &b, &c, &d].join(",");
    assert_eq!(whole.len(), 512);
    assert_eq!(passed_on(&[&whole]), Some(whole.clone()));
    let with_more = format!("{whole},e=1");
    assert_eq!(passed_on(&[&with_more]), Some([a.as_str(), &c, &d, "e=1"].join(",")));
    let many: Vec<_> = (0..5).map(|n| member(&format!("k{n}"), 128)).collect();
    assert_eq!(passed_on(&[&many.join(",")]), Some(many[..3].join(",")));
}

#[test]
fn a_malformed_tracestate_costs_the_trace_nothing() {
    let (caller, goes) = through(&[PARENT, ("tracestate", "a=1"), ("tracestate", "BAD")]);
    assert!(caller.is_some_and(SpanContext::sampled));
    assert_eq!(goes, []);
}

#[test]
fn without_one_good_traceparent_there_is_no_tracestate_but_baggage_goes_on() {
    let state = ("tracestate", "a=1");
    let baggage = ("baggage", "user=alice;p=1, b=%20");
    let expected = vec![("baggage".to_owned(), "user=alice;p=1, b=%20".to_owned())];
    for parents in [vec![], vec![("traceparent", "garbage")], vec![PARENT, PARENT]] {
        let headers = [parents, vec![state, baggage]].concat();
        assert_eq!(through(&headers), (None, expected.clone()), "{headers:?}");
    }
}

#[test]
fn baggage_is_passed_on_unchanged_line_by_line() {
    let lines = ["a=1,b=2;p", " not a list at all", "c=\"\u{20}\""];
    let headers: Vec<_> = lines.iter().map(|line| ("baggage", *line)).collect();
    let (_, goes) = through(&headers);
    let values: Vec<_> = goes.iter().map(|(_, value)| value.as_str()).collect();
    assert_eq!(values, lines);
}

proptest! {
    #[test]
    fn what_is_passed_on_would_be_passed_on_again_unchanged(
        lines in prop::collection::vec("([a-z0-9@ =,\t]{0,12}|[a-z]{1,3}=[ -~]{1,200},?){0,8}", 0..6),
    ) {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        if let Some(value) = passed_on(&lines) {
            prop_assert!(value.len() <= LONGEST);
            prop_assert!(value.split(',').count() <= MOST_MEMBERS);
            prop_assert_eq!(passed_on(&[&value]), Some(value.clone()));
            // Nothing is made up, and what is left keeps its order.
            let came: Vec<&str> =
                lines.iter().flat_map(|line| line.split(',')).map(|it| it.trim_matches([' ', '\t'])).collect();
            let mut rest = came.iter();
            prop_assert!(value.split(',').all(|member| rest.any(|it| *it == member)));
        }
    }

    #[test]
    fn no_lines_make_it_panic(lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 0..5)) {
        one_line(lines.iter().map(Vec::as_slice));
    }
}
