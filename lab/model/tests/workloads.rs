//! A workload is data: a plan file may bring its own, and whatever is wrong with one is refused by name, key and reason.

use std::collections::BTreeSet;
use std::sync::Arc;

use lab_model::plan::{Overrides, Plan};
use lab_model::workload::{all, built_in};
use lab_model::{Cell, Workload};
use serde_json::Value;

const PLAN: &str = "protocol = [\"rest\", \"grpc\"]\nrate = 100\nduration = \"2s\"\n";
const ORDER: &str = r#"
[[request]]
method = "POST"
path = "/orders/{id}?by={protocol}"
headers = { X-Size = "{size}" }
body = { id = "{id}", note = "order {id}: {payload}" }
weight = 3
draw = [{ id = 1 }, { id = 2 }]
[request.answer]
status = 201
json = { id = "{id}" }
payload = "note"

[[request]]
method = "GET"
path = "/orders"
answer = { text = "none" }
"#;

/// A plan with `keys` of its own, and the workload `orders` that `text` spells out.
fn plan(keys: &str, text: &str) -> Result<Plan, String> {
    let table: toml::Table = text.parse().expect("it is TOML");
    let own = toml::Table::from_iter([("orders".to_owned(), toml::Value::Table(table))]);
    let own = toml::Table::from_iter([("workloads".to_owned(), toml::Value::Table(own))]);
    let text = format!("{keys}{PLAN}{}", toml::to_string(&own).expect("it is TOML"));
    Plan::read("my.toml", &text, &Overrides::default()).map_err(|error| error.to_string())
}

fn orders(text: &str) -> Result<Plan, String> {
    plan("workload = \"orders\"\npayload = [3]\n", text)
}

fn ids(plan: &Plan) -> Vec<&str> {
    plan.cells.iter().map(|cell| cell.id.as_str()).collect()
}

fn cell(workload: Arc<Workload>) -> Cell {
    let text = format!("{PLAN}payload = [3]\n");
    let plan = Plan::read("my.toml", &text, &Overrides::default()).expect("a plan");
    Cell { workload, ..plan.cells[0].clone() }
}

#[test]
fn a_plan_file_brings_a_workload_of_its_own() {
    let plan = orders(&format!("payload = true\n{ORDER}")).expect("a plan");
    assert_eq!(ids(&plan), ["rest-orders-3B", "grpc-orders-3B"]);
    let cell = &plan.cells[0];
    let requests = cell.requests();
    assert_eq!(requests[0].name(), "POST /orders/{id}");
    assert_eq!((requests[0].weight, requests[0].payload_bytes), (3, 3));
    let written = serde_json::to_value(&requests[0]).expect("JSON");
    let expected = serde_json::json!({
        "method": "POST", "route": "/orders/{id}", "weight": 3, "payload_bytes": 3,
        "path": ["/orders/", { "drawn": "id", "written": "uri" }, "?by=rest"],
        "headers": [["x-size", ["3"]], ["content-type", ["application/json"]]],
        "body": [
            "{\"id\":", { "drawn": "id", "written": "json" }, ",\"note\":\"order ",
            { "drawn": "id", "written": "in_json" }, ": ", { "letters": 3 }, "\"}",
        ],
        "answer": {
            "status": 201, "json": [["id", [{ "drawn": "id", "written": "json" }]]],
            "payload": "note", "text": null,
        },
    });
    assert_eq!(written, expected);
}

#[test]
fn variants_choose_among_workloads_and_cells_are_named_by_them() {
    let variants = "[[variant]]\npayload = [10]\nworkload = \"ping\"\n[[variant]]\nworkload = \"orders\"\n\
                    [[variant]]\nworkload = \"users\"\nprotocol = [\"rest\"]\n";
    let text = "[[request]]\nmethod = \"GET\"\npath = \"/orders\"\n";
    let table: toml::Table = text.parse().expect("it is TOML");
    let own = toml::Table::from_iter([("orders".to_owned(), toml::Value::Table(table))]);
    let own = toml::Table::from_iter([("workloads".to_owned(), toml::Value::Table(own))]);
    let text = format!("{PLAN}{variants}{}", toml::to_string(&own).expect("it is TOML"));
    let plan = Plan::read("my.toml", &text, &Overrides::default()).expect("a plan");
    let expected = ["rest-10B", "grpc-10B", "rest-orders", "grpc-orders", "rest-users"];
    assert_eq!(ids(&plan), expected);
}

/// What is changed in the workload `orders`, and what is said of it.
const WRONG: &[(&str, &str, &str)] = &[
    ("payload = true", "payload = false", "{size}: the workload has none; write `payload = true`"),
    (
        "{id}?by",
        "{di}?by",
        "request 1: `path`: {di}: there is no such value; there are protocol, size, payload, id",
    ),
    (
        "\"/orders/",
        "\"orders/",
        "request 1: `path`: \"orders/{id}?by={protocol}\": it begins with /",
    ),
    ("/orders\"", "/or ders\"", "request 2: `path`"),
    ("X-Size", "Host", "`headers`: \"Host\" is no name of a header, or is the load generator's"),
    ("\"{size}\"", "\"\\n\"", "`headers`: X-Size: \"\\n\" is more than visible ASCII"),
    ("{size}", "{payload}", "`headers`: {payload}: only a body has room for it"),
    ("\"POST\"", "\"post\"", "`method`: \"post\": write it in capitals"),
    ("weight = 3", "weight = 0", "`weight`: 0 is outside 1 to 1000000"),
    ("{ id = 2 }", "{ name = 2 }", "`draw`: row 2 has other names than row 1"),
    ("{ id = 2 }", "{ id = [2] }", "`draw`: id = [2] in row 2: write a string"),
    ("draw = [{ id = 1 }, { id = 2 }]", "draw = []", "`draw`: 0 rows"),
    (
        "draw = [{ id = 1 }, { id = 2 }]",
        "draw = \"books\"",
        "`draw` is \"users\", or a list of rows",
    ),
    ("draw = [{ id = 1 }, { id = 2 }]", "", "there is no such value"),
    ("{ id = 1 }, { id = 2 }", "{ id = 1, b = 2 }", "`draw`: no place {b} needs it"),
    ("{ id = 1 }, { id = 2 }", "{ size = 1, id = 2 }", "`draw`: \"size\" is not a word"),
    ("status = 201", "status = 99", "`answer.status`: 99 is outside 200 to 599"),
    ("payload = \"note\"", "text = \"\"", "`answer`: `text` is the whole answer"),
    ("payload = \"note\"", "payload = \"id\"", "`answer`: \"id\" is the payload"),
    (
        "payload = true",
        "payload = true\nscript = \"a.js\"",
        "`script`: only a built-in workload has one",
    ),
    (
        "payload = true",
        "payload = true\ncalls = [\"E cho\"]",
        "`calls`: \"E cho\" is not 1 to 50 visible ASCII characters",
    ),
    ("payload = true", "payload = true\nasks = \"a\\nb\"", "one line each"),
    (
        "payload = true",
        "payload = true\ncarries = [{ request = 1.5, reply = 0 }]",
        "`carries`: 1.5 at hop 0: write whole bytes",
    ),
    ("payload = true", "payload = true\nhttp = \"3\"", "unknown variant `3`"),
    ("payload = true", "payload = true\nkind = 3", "unknown field `kind`"),
    ("weight = 3", "kind = 3", "unknown field `kind`"),
    ("status = 201", "kind = 3", "unknown field `kind`"),
];

#[test]
fn what_is_wrong_with_a_workload_is_said_by_its_name_and_key() {
    let sized = format!("payload = true\n{ORDER}");
    assert!(orders(&sized).is_ok());
    for (from, to, says) in WRONG {
        let text = sized.replacen(*from, to, 1);
        assert_ne!(text, sized, "{from}");
        let error = orders(&text).expect_err(says);
        assert!(error.starts_with("my.toml: ") && error.contains(says), "{says}: {error}");
    }
    let error = orders("request = []").expect_err("no request");
    assert_eq!(error, "my.toml: workload \"orders\": 0 requests: a workload has 1 to 100 of them");
    let fixed = "payload = true\n[[request]]\nmethod = \"GET\"\npath = \"/\"\n";
    assert!(orders(fixed).expect_err("no place").contains("no request has a place for {size}"));
}

#[test]
fn a_name_that_is_none_or_taken_or_that_nothing_asks_for_is_refused() {
    let text = "[[request]]\nmethod = \"GET\"\npath = \"/\"\n";
    let error = plan("workload = \"order\"\n", text).expect_err("a slip");
    assert_eq!(error, "my.toml: no `workload` names the workload \"orders\" that the plan has");
    let named = |name: &str| {
        let text = format!(
            "workload = \"{name}\"\n{PLAN}[workloads.{name}]\nrequest = [{{ method = \"GET\", path = \"/\" }}]"
        );
        Plan::read("my.toml", &text, &Overrides::default()).map_err(|error| error.to_string())
    };
    assert!(named("health").is_ok());
    for (name, says) in
        [("ping", "a built-in workload is called so"), ("A_B", "its name: \"A_B\" is not")]
    {
        let error = named(name).expect_err(says);
        assert!(error.starts_with(&format!("my.toml: workload {name:?}: {says}")), "{error}");
    }
    let text = format!("workload = \"pong\"\n{PLAN}");
    let error = Plan::read("my.toml", &text, &Overrides::default()).expect_err("none").to_string();
    assert_eq!(
        error,
        "my.toml: key `workload`: no workload is called \"pong\"; there are ping, users"
    );
}

#[test]
fn a_workload_without_a_payload_is_given_none() {
    let text = "[[request]]\nmethod = \"GET\"\npath = \"/\"\n";
    let error = orders(text).expect_err("a payload");
    assert_eq!(error, "my.toml: `workload = \"orders\"` has no `payload` (nor --size)");
}

#[test]
fn settings_have_an_effect_where_requests_reach_what_reads_them() {
    let health = "[[request]]\nmethod = \"GET\"\npath = \"/healthz\"\n";
    for (knob, says) in [
        ("payload_source = \"per_request\"", "nothing asks for a payload"),
        ("stream_window = 70000", "the gateway calls nothing"),
        ("inject = { \"echo:handler\" = \"1ms\" }", "no request reaches that service"),
        ("users = 2000", "nothing asks for users"),
    ] {
        let keys = format!("workload = \"orders\"\nknobs = {{ {knob} }}\n");
        let error = plan(&keys, health).expect_err(says);
        assert!(error.contains("would have no effect") && error.contains(says), "{error}");
    }
    let keys = "workload = \"orders\"\nknobs = { inject = { \"echo:handler\" = \"1ms\" } }\n";
    assert!(plan(keys, &format!("calls = [\"echo\"]\n{health}")).is_ok());
}

/// Nothing of the lab knows a built-in workload by its name: whatever there is to know, each says.
#[test]
fn every_workload_makes_requests_with_names_and_answers() {
    for workload in all() {
        let cell = cell(Arc::clone(workload));
        let requests = cell.requests();
        assert_eq!(requests.len(), workload.request.len());
        for request in requests {
            let checked = !request.answer.json.is_empty() || request.answer.text.is_some();
            assert!(checked, "{}: {}: no answer is wrong", workload.name, request.name());
        }
        if workload.payload {
            let (_, reply) = workload.declared(0, 3);
            assert_eq!(reply, Some(3), "{}: what the edge declares", workload.name);
        }
    }
    let name = |name: &str| {
        let workload = built_in(name).expect("it is built in");
        cell(workload).requests()[0].name()
    };
    assert_eq!(
        (name("ping"), name("users")),
        ("POST /rest/ping".into(), "GET /rest/users/count".into())
    );
}

#[test]
fn every_key_of_a_workload_is_documented() {
    let whole = format!(
        "about = \"a\"\nasks = \"b\"\npayload = true\ncalls = [\"echo\"]\nhttp = \"2\"\n\
         carries = [{{ request = 0, reply = 0 }}]\n{}",
        ORDER
    );
    let plan = orders(&whole).expect("every key but `script`");
    let mut keys = BTreeSet::from(["script".to_owned()]);
    keys_of(&serde_json::to_value(&*plan.cells[0].workload).expect("JSON"), &mut keys);
    let page = include_str!("../../../docs/plans.md");
    for key in keys {
        assert!(page.contains(&format!("`{key}`")), "{key} is not documented");
    }
}

/// The keys of `value`, without what is below those whose content is free.
fn keys_of(value: &Value, keys: &mut BTreeSet<String>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| keys_of(value, keys)),
        Value::Object(fields) => {
            for (key, value) in fields {
                keys.insert(key.clone());
                if !["headers", "body", "draw", "json"].contains(&key.as_str()) {
                    keys_of(value, keys);
                }
            }
        }
        _ => {}
    }
}
