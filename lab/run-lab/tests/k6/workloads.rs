//! A workload alone is a plan file: whoever drives it, the requests are those of its templates, and so are the answers
//! that are right.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Json;
use axum::extract::{Path as Captured, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use lab_drive::builtin::{Connections, Driver, Earlier, Gateway, Round, Sampling};
use lab_drive::k6::{Limits, Order};
use lab_model::plan::{Overrides, Plan};
use lab_model::{Cell, RoundMeasure};
use probe::Probe;
use process::{Run, dir, result};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::program::Program;
use crate::testbed::{USERS, assert_balanced, supervisor};
use crate::whole::process;

/// Orders that are placed and looked at, at a service that is none of the lab's.
const ORDERS: &str = r#"
workload = "orders"
protocol = ["rest"]
payload = [2000]
rate = 200
duration = "1s"

[workloads.orders]
payload = true

[[workloads.orders.request]]
method = "POST"
path = "/orders/{item}"
headers = { X-Tenant = "t {id}" }
body = { id = "{id}", note = "{payload}" }
weight = 3
draw = [{ id = 1, item = "tea" }, { id = 2, item = "a/b c" }]
[workloads.orders.request.answer]
status = 201
json = { id = "{id}", item = "{item}", tenant = "t {id}", length = "{size}" }
payload = "note"

[[workloads.orders.request]]
method = "GET"
path = "/orders"
answer = { text = "open" }
"#;

fn cell(text: &str) -> Cell {
    let plan = Plan::read("orders.toml", text, &Overrides::default()).expect("a plan");
    plan.cells[0].clone()
}

/// How often each was asked.
type Seen = Arc<Mutex<HashMap<String, u64>>>;

/// A service that takes orders. Of coffee it says what is wrong.
async fn service() -> (SocketAddr, Seen) {
    async fn place(
        State(seen): State<Seen>,
        Captured(item): Captured<String>,
        headers: HeaderMap,
        Json(order): Json<Value>,
    ) -> (StatusCode, Json<Value>) {
        *seen.lock().expect("no panic").entry(item.clone()).or_default() += 1;
        let tenant = headers["x-tenant"].to_str().expect("text");
        let note = order["note"].as_str().expect("a text");
        let answer = json!({
            "more": [], "id": order["id"], "item": item, "tenant": tenant, "length": note.len(), "note": note,
        });
        (StatusCode::CREATED, Json(answer))
    }
    let seen = Seen::default();
    let looked = seen.clone();
    let look = move || async move {
        *looked.lock().expect("no panic").entry("open".to_owned()).or_default() += 1;
        "open"
    };
    let router = axum::Router::new()
        .route("/orders/{item}", post(place))
        .route("/orders", get(look))
        .with_state(seen.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, seen)
}

/// A round of `cell`, by k6 or by the built-in driver.
async fn drive(k6: Option<&Program>, service: SocketAddr, cell: &Cell) -> RoundMeasure {
    if let Some(program) = k6 {
        let dir = tempfile::tempdir().expect("a folder");
        let (supervisor, k6) = (supervisor(dir.path()), program.k6(dir.path()));
        let limits = Limits { timeout_ns: 5_000_000_000, preallocated: USERS };
        let entry = service.into();
        let order = Order { entry: &entry, cell, number: 0, limits };
        let (halt, mut progress) = (CancellationToken::new(), |_, _, _| ());
        let driven = k6.round(&supervisor, order, &halt, &mut progress).await;
        return driven.expect("k6 drives").expect("a measure").measure;
    }
    let connections = Connections::new(&Probe::off(), &service.into()).expect("a URL");
    let round = Round {
        number: 0,
        rate: cell.rate,
        warmup_ns: 0,
        duration_ns: cell.duration_ns,
        earlier: Earlier::default(),
        arrivals: lab_model::Arrivals::Constant,
        max_in_flight: 100,
        timeout: std::time::Duration::from_secs(5),
        sampling: Sampling::at_most(1.0, cell.rate),
    };
    let target = Gateway::new(&connections, cell, &cell.id, 0, 1.0);
    let driver = Driver::start().expect("a thread");
    let running = driver.begin(Arc::new(target), round, CancellationToken::new());
    running.expect("a timer").finish().await
}

async fn orders_are_placed(k6: Option<&Program>) {
    let (address, seen) = service().await;
    let measure = drive(k6, address, &cell(ORDERS)).await;
    assert_balanced(measure.requests);
    assert!(measure.requests.ok > 150 && measure.requests.error == 0, "{:?}", measure.errors);
    let seen = seen.lock().expect("no panic").clone();
    // Three of four are placed, half of these for each row.
    for (what, least) in [("tea", 40), ("a/b c", 40), ("open", 20)] {
        assert!(seen[what] >= least, "{what}: {seen:?}");
    }
    assert_eq!(seen.values().sum::<u64>(), measure.requests.started);

    // What is not as asked for is an error, whatever it is: status, field, text.
    for (from, to) in [
        ("status = 201", "status = 200"),
        ("length = \"{size}\"", "length = 1999"),
        ("tenant = \"t {id}\"", "tenant = \"{id}\""),
        ("payload = \"note\"", "payload = \"id\""),
        ("payload = \"note\"", "payload = \"missing\""),
    ] {
        let text =
            ORDERS.replacen("json = { id = \"{id}\", ", "json = { ", 1).replacen(from, to, 1);
        let measure = drive(k6, address, &cell(&text)).await;
        let requests = measure.requests;
        assert!(requests.ok > 0 && requests.error > 2 * requests.ok, "{to}: {requests:?}");
    }
    let text = ORDERS.replacen("text = \"open\"", "text = \"closed\"", 1);
    let requests = drive(k6, address, &cell(&text)).await.requests;
    assert!(requests.error > 20 && requests.ok > 2 * requests.error, "{requests:?}");
}

pub(crate) async fn a_workload_of_a_plan_file_is_driven_by_k6(program: Program) {
    orders_are_placed(Some(&program)).await;
}

pub(crate) async fn a_workload_of_a_plan_file_is_driven_by_the_built_in_driver() {
    orders_are_placed(None).await;
}

/// What the gateway says of itself, asked by a run whose plan alone is new.
async fn health(http: &str, driver: &[&str], env: &[(&str, &str)]) -> Value {
    let dir = dir();
    let plan = format!(
        "workload = \"health\"\nprotocol = [\"rest\"]\nrate = 50\nduration = \"1s\"\n\
         [workloads.health]\nasks = \"questions about health\"\nhttp = \"{http}\"\n\
         [[workloads.health.request]]\nmethod = \"GET\"\npath = \"/healthz\"\n\
         answer = {{ json = {{ status = \"ok\", service = \"gateway\" }} }}\n"
    );
    std::fs::write(dir.path().join("health.toml"), plan).expect("a plan");
    let arguments = ["run", "--plan", "health.toml", "--without", "postgres,grafana"];
    let arguments = [&arguments[..], driver].concat();
    let run = Run::start(dir.path(), &arguments, &[&[("LAB_INFLUXD", "")], env].concat());
    let (code, text) = tokio::task::spawn_blocking(|| run.end()).await.expect("it ends");
    assert_eq!(code, Some(0), "{text}");
    let result = result(dir.path());
    let cell = &result["cells"][0];
    assert_eq!(
        (&cell["id"], &cell["factors"]["workload"]),
        (&json!("rest-health"), &json!("health"))
    );
    assert!(
        result["explanation"].as_str().is_some_and(|text| text.contains("questions about health"))
    );
    assert_eq!(cell["factors"]["own_workload"]["request"][0]["path"], "/healthz");
    let requests = &cell["requests"];
    assert!(requests["ok"].as_u64().is_some_and(|ok| ok >= 45), "{requests} {text}");
    let report = std::fs::read_to_string(dir.path().join("out/report.html")).expect("a report");
    assert!(report.contains("<dt>Workload</dt><dd>health</dd>"), "what was asked for");
    cell.clone()
}

pub(crate) async fn a_plan_file_is_all_that_a_run_needs_for_a_workload() {
    let double = Program::double().path.to_string_lossy().into_owned();
    for (http, version) in [("1.1", 11), ("2", 20)] {
        let cell = health(http, &["--driver", "builtin"], &[]).await;
        assert_eq!(cell["wire"][0]["http"], json!([version]), "{}", cell["wire"]);
    }
    let cell = health("1.1", &["--driver", "k6"], &[("LAB_K6", &double)]).await;
    assert_eq!(cell["k6"]["not_joined"], 0, "{}", cell["k6"]);
}
