//! `hoplab.js`, imported by a script of somebody's own: what it sends, what it writes into k6's log, and what it leaves
//! alone.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use serde_json::{Value, json};

use crate::world::{Did, World, script};

/// Runs a script that imports `hoplab.js`: its iteration is `body`.
fn run(body: &str, mut run: Value) -> Did {
    let world = World::new();
    let text = format!(
        "import {{ http, grpc }} from './hoplab.js';\nexport default async function () {{\n{body}\n}}\n"
    );
    world.write("own.js", &text);
    run["script"] = json!("own.js");
    world.run(&run)
}

/// The lines of requests that were written.
fn lines(did: &Did) -> Vec<Value> {
    let lines = did.0["lines"].as_array().expect("a list");
    let read = |line: &Value| {
        let text = line.as_str().and_then(|line| line.strip_prefix("hoplab "));
        serde_json::from_str(text.expect("a line of hoplab.js")).expect("JSON")
    };
    lines.iter().map(read).collect()
}

/// With lines written.
fn on() -> Value {
    json!({ "env": { "HOPLAB": "on" } })
}

pub(crate) fn every_way_to_ask_is_traced_and_told_in_one_line() {
    let did = run(
        "http.get('http://shop:81/a?id=7', { headers: { accept: 'text/plain' }, tags: { name: 'a' } });
         http.post('http://user:secret@shop:81/b/c#d', 'x=1');
         http.put(http.url`http://shop/orders/${7}`, null, null);
         http.patch('http://shop/p'); http.head('http://shop'); http.del('http://shop/d'); http.options('http://shop/o');
         http.request('get', 'https://shop/r');
         await http.asyncRequest('POST', 'http://shop/s', 'body');",
        on(),
    );
    let (asked, told) = (did.asked(), lines(&did));
    assert_eq!((asked.len(), told.len()), (9, 9));
    for (asked, line) in asked.iter().zip(&told) {
        let (trace, span) = (line["trace"].as_str().unwrap(), line["span"].as_str().unwrap());
        assert_eq!(asked["headers"]["traceparent"], format!("00-{trace}-{span}-01"));
        // By hand: of no cell, round and run.
        assert_eq!(asked["headers"]["tracestate"], format!("hoplab={span}::0:"));
        assert_eq!(
            (&line["v"], &line["edge"], &line["weight"]),
            (&json!(1), &json!(":0:"), &json!(1))
        );
        assert_eq!((&line["kind"], &line["scenario"]), (&json!("http"), &json!("load")));
        // Connecting is in blocked, and is not told again.
        assert_eq!((&line["blocked"], &line["duration"]), (&json!(0.5), &json!(2)));
        assert!(line["since"].as_f64().is_some_and(|ms| (0.0..1_000.0).contains(&ms)), "{line}");
    }
    let names: Vec<_> = told.iter().map(|line| line["name"].as_str().unwrap()).collect();
    let expected = ["a", "POST /b/c", "http://shop/orders/${}", "PATCH /p", "HEAD /", "DELETE /d"];
    assert_eq!(names, [&expected[..], &["OPTIONS /o", "GET /r", "POST /s"]].concat());
    let named: Vec<_> = told.iter().map(|line| line["named"] == true).collect();
    assert_eq!(named, [true, false, true, false, false, false, false, false, false]);
    assert_eq!((&told[1]["peer"], &told[4]["peer"]), (&json!("shop:81"), &json!("shop")));
    // What the script itself asks for is sent as it says.
    assert_eq!(
        (&asked[0]["headers"]["accept"], &asked[0]["named"]),
        (&json!("text/plain"), &json!("a"))
    );
    assert_eq!((&asked[1]["body"], &asked[8]["body"]), (&json!("x=1"), &json!("body")));
}

pub(crate) fn what_became_of_a_request_is_in_its_line() {
    let answers = json!([
        { "status": 200, "headers": { "Content-Length": "1048" } },
        { "status": 404 },
        { "status": 0, "error": "dial: connection refused" },
    ]);
    let body = "http.get('http://shop/a');";
    let did = run(body, json!({ "env": { "HOPLAB": "on" }, "answers": answers, "iterations": 3 }));
    let told = lines(&did);
    let said =
        |line: &Value| (line["status"].clone(), line["error"].clone(), line["reply"].clone());
    assert_eq!(said(&told[0]), (json!(200), Value::Null, json!(1_048)));
    assert_eq!(said(&told[1]), (json!(404), json!("status 404"), Value::Null));
    assert_eq!(said(&told[2]), (json!(0), json!("dial: connection refused"), Value::Null));
}

pub(crate) fn lines_are_written_where_a_loki_takes_them_and_of_those_that_are_sampled() {
    let written = |env: Value| {
        let did = run("http.get('http://shop/a');", json!({ "env": env, "iterations": 200 }));
        let flagged = |asked: &&Value| {
            asked["headers"]["traceparent"].as_str().is_some_and(|text| text.ends_with("-01"))
        };
        (did.asked().iter().filter(flagged).count(), lines(&did))
    };
    let loki = "loki=http://127.0.0.1:4317/loki/api/v1/push,limit=2000";
    assert_eq!(written(json!({ "K6_LOG_OUTPUT": loki })).1.len(), 200);
    for env in [
        json!({}),
        json!({ "K6_LOG_OUTPUT": "stderr" }),
        json!({ "K6_LOG_OUTPUT": loki, "HOPLAB": "off" }),
    ] {
        let (traced, told) = written(env);
        assert_eq!(
            (traced, told.len()),
            (200, 0),
            "traced all the same, by services that send spans"
        );
    }
    let (traced, told) =
        written(json!({ "HOPLAB": "on", "SAMPLE_EVERY": "4", "EDGE": "a%20b:2:n0nce" }));
    // 50 of 200: beyond eight standard deviations it is another share.
    assert!(
        traced == told.len() && (1..100).contains(&traced),
        "{traced} traced, {} told",
        told.len()
    );
    assert_eq!((&told[0]["weight"], &told[0]["edge"]), (&json!(4), &json!("a%20b:2:n0nce")));
    assert_eq!(written(json!({ "HOPLAB": "on", "SAMPLE_EVERY": "0" })), (0, vec![]));
    let did = run("", json!({ "env": { "SAMPLE_EVERY": "often" } }));
    let thrown = did.0["thrown"].as_str().expect("it is refused");
    assert!(thrown.starts_with("SAMPLE_EVERY=often: not a whole number"), "{thrown}");
}

pub(crate) fn a_batch_says_that_it_is_not_traced_and_is_asked_for_as_it_was() {
    let did = run(
        "http.batch(['http://shop/a', ['POST', 'http://shop/b', 'x', { headers: { y: '1' } }]]);
         http.batch({ c: { method: 'PUT', url: 'http://shop/c', body: 'z', params: { tags: { name: 'c' } } } });",
        on(),
    );
    let asked = did.asked();
    let what: Vec<_> =
        asked.iter().map(|asked| (asked["method"].as_str().unwrap(), &asked["body"])).collect();
    assert_eq!(what, [("GET", &Value::Null), ("POST", &json!("x")), ("PUT", &json!("z"))]);
    assert_eq!((&asked[1]["headers"]["y"], &asked[2]["named"]), (&json!("1"), &json!("c")));
    for asked in asked {
        let parent = asked["headers"]["traceparent"].as_str().expect("a parent");
        assert!(parent.ends_with("-00") && asked["headers"]["tracestate"].is_null(), "{asked}");
    }
    assert_eq!(lines(&did), Vec::<Value>::new());
}

pub(crate) fn a_call_by_grpc_says_what_the_scripts_own_clock_saw() {
    let did = run(
        "const client = new grpc.Client();
         client.load(['proto'], 'shop.proto');
         if (!client.connect('shop:443', { plaintext: true }) || grpc.StatusOK !== 0) { throw new Error('?'); }
         client.invoke('shop.Orders/Make', { id: 7 }, { metadata: { who: 'me' } });
         await client.asyncInvoke('/shop.Orders/Make', {}, { tags: { name: 'make' } });
         new grpc.Stream(client, 'shop.Orders/Watch');
         client.close();",
        json!({ "env": { "HOPLAB": "on" }, "answers": [{}, { "status": 14, "error": { "message": "away" } }] }),
    );
    let (asked, told) = (did.asked(), lines(&did));
    assert_eq!((asked.len(), told.len()), (2, 2));
    for (asked, line) in asked.iter().zip(&told) {
        let (trace, span) = (line["trace"].as_str().unwrap(), line["span"].as_str().unwrap());
        assert_eq!(asked["metadata"]["traceparent"], format!("00-{trace}-{span}-01"));
        assert_eq!(asked["metadata"]["tracestate"], format!("hoplab={span}::0:"));
        assert_eq!((&line["kind"], &line["peer"]), (&json!("grpc"), &json!("shop:443")));
        // k6 tells nothing of connections here, so nothing is said of them.
        assert!(
            line["blocked"].is_null() && line["duration"].as_f64().is_some_and(|ms| ms >= 0.0),
            "{line}"
        );
    }
    assert_eq!(asked[0]["metadata"]["who"], "me");
    assert_eq!((&told[0]["name"], &told[0]["error"]), (&json!("shop.Orders/Make"), &Value::Null));
    assert_eq!((&told[1]["name"], &told[1]["error"]), (&json!("make"), &json!("away")));
}

/// Takes one push, and answers it as a Loki does; what came.
fn take_a_push(listener: &TcpListener) -> (String, Value) {
    let (mut stream, _): (TcpStream, _) = listener.accept().expect("a push");
    let (mut text, mut piece) = (Vec::new(), [0; 4_096]);
    loop {
        let said = String::from_utf8_lossy(&text).into_owned();
        if let Some((head, body)) = said.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                line.to_lowercase().strip_prefix("content-length: ")?.parse().ok()
            });
            if Some(body.len()) == length {
                stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").expect("an answer");
                return (head.to_owned(), serde_json::from_str(body).expect("JSON"));
            }
        }
        let count = stream.read(&mut piece).expect("more");
        assert!(count > 0, "it broke off: {said}");
        text.extend(&piece[..count]);
    }
}

/// The double pushes what the script writes: the same keys with values of the same kinds.
pub(crate) fn the_double_pushes_the_lines_that_the_script_writes() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let loki = format!(
        "loki=http://{}/loki/api/v1/push,limit=2000,pushPeriod=100ms,level=info",
        listener.local_addr().expect("an address")
    );
    let env =
        [("RATE", "1"), ("DURATION", "1s"), ("GATEWAY", "http://127.0.0.1:1"), ("EDGE", "c:1:n")];
    let double = Command::new(env!("CARGO_BIN_EXE_k6-double"))
        .args(["run", "--quiet"])
        .arg(script("ping.js"))
        .env_clear()
        .envs(env)
        .env("K6_LOG_OUTPUT", &loki)
        .stdout(std::process::Stdio::null())
        .spawn();
    let mut double = double.expect("the double");
    let (head, push) = take_a_push(&listener);
    drop(listener);
    double.wait().expect("it ends");
    assert!(
        head.starts_with("POST /loki/api/v1/push HTTP/1.1\r\n")
            && head.contains("Content-Type: application/json"),
        "{head}"
    );
    let stream = &push["streams"][0];
    assert_eq!(stream["stream"], json!({ "level": "info", "source": "console" }));
    let (at, line) = (stream["values"][0][0].as_str(), stream["values"][0][1].as_str());
    assert!(
        at.is_some_and(|at| at.len() == 19 && at.bytes().all(|digit| digit.is_ascii_digit())),
        "{at:?}"
    );
    let line = line.and_then(|line| line.strip_prefix("hoplab ")).expect("a line of hoplab.js");
    let line: Value = serde_json::from_str(line).expect("JSON");

    let env: serde_json::Map<_, _> =
        env.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    let mut run = json!({ "script": "ping.js", "env": env });
    run["env"]["K6_LOG_OUTPUT"] = json!(loki);
    run["answers"] = json!([{ "status": 0, "error": "dial: connection refused" }]);
    let written = &lines(&World::new().run(&run))[0];
    let shape = |line: &Value| {
        let kind = |value: &Value| match value {
            Value::Number(_) => "number".to_owned(),
            other => other.to_string(),
        };
        let mut pairs: Vec<_> = line
            .as_object()
            .expect("an object")
            .iter()
            .map(|(key, value)| format!("{key}: {}", kind(value)))
            .collect();
        pairs.retain(|pair| !pair.starts_with("trace") && !pair.starts_with("span"));
        pairs.sort();
        pairs
    };
    assert_eq!(shape(&line), shape(written));
}
