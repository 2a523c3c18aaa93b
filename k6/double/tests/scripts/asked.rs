//! What the scripts ask, and which answers they take for right.

use std::collections::{BTreeMap, BTreeSet};

use lab_proto::emails;
use serde_json::{Value, json};

use crate::world::{World, once, scripts};

pub(crate) fn every_script_is_here_and_can_be_imported() {
    let known = ["hoplab.js", "load.js", "ping.js", "requests.js", "users.js"];
    assert_eq!(scripts(), known, "a script without a test");
    let list = include_str!("../../../kustomization.yaml");
    let world = World::new();
    world.write("requests.json", "[]");
    for name in known {
        assert!(list.contains(name), "{name} is not given to the k6 operator");
        let env = json!({ "REQUESTS": "requests.json" });
        let did = world.run(&json!({ "script": name, "env": env, "iterations": 0 }));
        assert_eq!(did.0["thrown"], Value::Null, "{name}");
    }
}

pub(crate) fn ping_asks_for_its_size_and_takes_what_says_so_for_answered() {
    let reply = |payload: &str| {
        format!(r#"{{"from":"gateway","protocol":"grpc","size":3,"payload":"{payload}"}}"#)
    };
    let another = reply("abc").replace("grpc", "rest");
    for (answer, answered, whole) in [
        (json!({ "body": reply("abc") }), true, true),
        // The taps prove what was sent: it was answered all the same.
        (json!({ "body": reply("abcd") }), true, false),
        (json!({ "body": another }), false, true),
        (json!({ "status": 502, "body": r#"{"error":"echo is not there"}"# }), false, false),
        (json!({ "body": null }), false, false),
        (json!({ "status": 0, "error": "dial: connection refused", "body": null }), false, false),
    ] {
        let env = json!({ "PROTOCOL": "grpc", "SIZE": "3", "GATEWAY": "http://127.0.0.1:81/" });
        let did = once("ping.js", &env, &json!([answer]));
        let [asked] = did.asked() else { panic!("{did:?}") };
        assert_eq!(
            (&asked["method"], &asked["url"]),
            (&json!("POST"), &json!("http://127.0.0.1:81/grpc/ping"))
        );
        assert_eq!((&asked["body"], &asked["named"]), (&json!(r#"{"size":3}"#), &asked["url"]));
        assert_eq!(asked["headers"]["Content-Type"], "application/json");
        assert_eq!(
            (did.values("requests_started"), did.answered()),
            (vec![json!(1)], vec![json!(answered)])
        );
        assert_eq!(did.0["checks"][0]["payload has the size asked for"], whole, "{answer}");
    }
}

pub(crate) fn users_asks_about_those_who_are_there_and_knows_how_many() {
    const USERS: u64 = 1_003;
    let mut counts = BTreeMap::<String, u64>::new();
    (1..=USERS).for_each(|id| *counts.entry(emails::email_of(id)).or_default() += 1);
    let world = World::new();
    let mut run = json!({ "script": "users.js", "iterations": 400, "counts": counts });
    run["env"] = json!({ "USERS": USERS.to_string(), "DURATION": "1h" });
    let did = world.run(&run);
    assert_eq!(did.answered(), vec![json!(true); 400]);
    let email = |asked: &Value| {
        let url = asked["url"].as_str().expect("a URL");
        let (path, email) = url.split_once("?email=").expect("an e-mail");
        assert_eq!(
            (path, asked["method"].as_str()),
            ("http://127.0.0.1:8080/rest/users/count", Some("GET"))
        );
        // Else each e-mail is a series.
        assert_eq!(asked["named"], path);
        email.replace("%40", "@")
    };
    let asked: Vec<String> = did.asked().iter().map(email).collect();
    let own = asked.iter().filter(|email| email.starts_with("user")).count();
    // One in five of 400: beyond six standard deviations it is another share.
    assert!((32..=128).contains(&own), "{own} of 400 have an e-mail of their own");
    assert!(asked.iter().all(|email| counts.contains_key(email)));
    assert!(asked.iter().collect::<BTreeSet<_>>().len() > 100, "not only a few are asked about");
    // Another number, and nothing at all.
    run["answers"] = json!([{ "body": r#"{"protocol":"rest","email":"a@b","count":8}"# }, { "status": 503, "body": "{}" }]);
    run["iterations"] = json!(2);
    assert_eq!(world.run(&run).answered(), [json!(false), json!(false)]);
}

pub(crate) fn requests_asks_what_its_file_says_and_knows_the_right_answer() {
    let world = World::new();
    world.write(
        "orders.json",
        r#"[{"method":"PUT","route":"/a/{id}","path":["/a/",{"drawn":"id","written":"uri"},"?q"],
        "headers":[["x",["1"]]],"body":["<",{"letters":3},">"],"payload_bytes":3,"weight":1,"answer":{"status":201,
        "json":[["id",[{"drawn":"id","written":"json"}]]],"payload":"p","text":null},"rows":[{"id":"\"é"}]}]"#,
    );
    let right = r#"{"p":"","id":"\"é","more":1}"#;
    let env = json!({ "REQUESTS": "orders.json", "GATEWAY": "http://shop:81" });
    for (status, body, answered) in [
        (201, right, true),
        (200, right, false),
        (201, r#"{"id":"\"é"}"#, false),
        (201, r#"{"p":"","id":"another"}"#, false),
        (201, "[]", false),
        (201, "<html>", false),
    ] {
        let answers = json!([{ "status": status, "body": body }]);
        let did = world.run(&json!({ "script": "requests.js", "env": env, "answers": answers }));
        let [asked] = did.asked() else { panic!("{did:?}") };
        assert_eq!(
            (&asked["method"], &asked["url"]),
            (&json!("PUT"), &json!("http://shop:81/a/%22%C3%A9?q"))
        );
        assert_eq!(
            (&asked["body"], &asked["named"]),
            (&json!("<abc>"), &json!("http://shop:81/a/{id}"))
        );
        assert_eq!(
            (&asked["headers"]["x"], &asked["metadata"]["template"]),
            (&json!("1"), &json!("0"))
        );
        assert_eq!(did.answered(), [json!(answered)], "{status} {body}");
    }
    let did = world.run(&json!({ "script": "requests.js" }));
    assert_eq!(did.0["thrown"], "REQUESTS: names no file with requests");
}

pub(crate) fn a_traced_request_says_in_its_headers_what_its_samples_say() {
    let run = |env: &Value| {
        World::new().run(&json!({ "script": "ping.js", "iterations": 4, "env": env }))
    };
    let did = run(&json!({ "SAMPLE_EVERY": "2", "EDGE": "rest-10B:3:n0nce" }));
    let mut traces = BTreeSet::new();
    for (number, asked) in did.asked().iter().enumerate() {
        let (headers, metadata) = (&asked["headers"], &asked["metadata"]);
        let (trace, span) = (metadata["trace_id"].as_str(), metadata["span_id"].as_str());
        let (trace, span) = (trace.expect("an id"), span.expect("an id"));
        assert_eq!((trace.len(), span.len()), (32, 16));
        assert!(traces.insert(trace.to_owned()), "{trace} twice");
        let flag = if number % 2 == 0 { "01" } else { "00" };
        assert_eq!(headers["traceparent"], format!("00-{trace}-{span}-{flag}"));
        assert_eq!(metadata["sampled"], flag[1..]);
        let state = if flag == "01" {
            json!(format!("hoplab={span}:rest-10B:3:n0nce"))
        } else {
            Value::Null
        };
        assert_eq!(headers["tracestate"], state);
    }
    let none = run(&json!({ "SAMPLE_EVERY": "0" }));
    let traced = none.asked().iter().filter(|asked| asked["metadata"]["sampled"] == "1");
    assert_eq!(traced.count(), 0);
}

pub(crate) fn the_warm_up_is_traced_by_nothing_and_told_apart() {
    let world = World::new();
    let phase = |ago_ms: u64| {
        let env = json!({ "WARMUP": "5m", "DURATION": "5m", "SAMPLE_EVERY": "1" });
        let did = world.run(&json!({ "script": "ping.js", "env": env, "ago_ms": ago_ms }));
        let asked = did.asked().last().expect("a request");
        (asked["tags"]["phase"].clone(), asked["metadata"]["sampled"].clone())
    };
    assert_eq!(phase(1_000), (json!("warmup"), json!("0")));
    assert_eq!(phase(300_000), (json!("measured"), json!("1")));
}

pub(crate) fn a_user_has_a_connection_before_what_it_asks_is_measured() {
    let world = World::new();
    let asked = |env: &Value, ago_ms: u64| {
        let run = json!({ "script": "ping.js", "env": env, "ago_ms": ago_ms, "iterations": 2 });
        let did = world.run(&run);
        let what = |asked: &Value| (asked["method"].clone(), asked["tags"]["phase"].clone());
        assert_eq!(did.values("requests_started").len(), 2);
        did.asked().iter().map(what).collect::<Vec<_>>()
    };
    let post = |phase: &str| (json!("POST"), json!(phase));
    let warmed = json!({ "WARMUP": "5m", "DURATION": "5m" });
    let first = (json!("GET"), json!("warmup"));
    // One that first asks in the measured part: its connection is made before, once.
    assert_eq!(asked(&warmed, 300_000), [first, post("measured"), post("measured")]);
    assert_eq!(asked(&warmed, 0), [post("warmup"), post("warmup")]);
    assert_eq!(asked(&json!({ "DURATION": "5m" }), 0), [post("measured"), post("measured")]);
}
