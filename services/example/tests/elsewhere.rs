//! The probe crate in a service that is not the lab's: its own messages, its own tasks, its own server.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Body;
use axum::routing::post;
use example::ExampleService;
use http::Request;
use probe::capture::{Captured, start};
use probe::{Call, Client, ClientOptions, Context, Json, Probe, ProbeLayer};
use serde_json::{Value, json};
use tower::{Layer as _, ServiceExt};

/// Measures all items, each in a task of its own: a service with messages that say nothing of what they carry.
async fn measure_all(client: Client, items: Vec<String>) -> BTreeMap<String, Value> {
    let measured = items.into_iter().map(|item| {
        let client = client.clone();
        probe::spawn(async move {
            let request = Request::post("/measure").body(json!({ "item": item })).unwrap();
            let call = Call { route: Some("/measure".into()), ..Call::default() };
            let reply = client.json::<Value, Value>(request, call).await.unwrap();
            (item, reply.into_body()["letters"].clone())
        })
    });
    let mut all = BTreeMap::new();
    for one in measured.collect::<Vec<_>>() {
        all.extend([one.await.unwrap()]);
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn an_axum_server_of_ones_own_calls_the_example_from_tasks_of_its_own() {
    let example = start(ExampleService, Probe::off()).await;
    let (probe, mut spans) = Captured::probe(Vec::new()).unwrap();
    let target = format!("http://{example}").parse().unwrap();
    let client = Client::new(&probe, "example", target, ClientOptions::default());
    let handler = move |Json(items): Json<Vec<String>>| async move {
        assert!(Context::current().span().is_some_and(probe::SpanContext::sampled));
        Json(measure_all(client, items).await)
    };
    let layer = ProbeLayer::new(&probe, &["/measure-all"], &[]);
    let router = Router::new().route("/measure-all", post(handler));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = ServiceExt::<axum::extract::Request>::map_response(
        layer.layer(router),
        |reply: http::Response<probe::ReplyBody<Body>>| reply.map(Body::new),
    );
    let service = axum::ServiceExt::<axum::extract::Request>::into_make_service(service);
    tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
    let measured = reqwest::Client::new()
        .post(format!("http://{address}/measure-all"))
        .header("traceparent", "00-0000000000000000000000000000000a-000000000000000b-01")
        .header("content-type", "application/json")
        .body(r#"["Ada", "Grace"]"#);
    let measured = measured.send().await.unwrap().bytes().await.unwrap();
    let measured: Value = serde_json::from_slice(&measured).unwrap();
    assert_eq!(measured, json!({"Ada": 3, "Grace": 5}));
    let mut calls = Vec::new();
    for _ in 0..3 {
        calls.push(spans.span().await.unwrap());
    }
    let request = calls.iter().position(|span| span.parent == 11).unwrap();
    let request = calls.remove(request);
    assert_eq!((request.name.as_str(), request.failure), ("POST /measure-all", None));
    for call in calls {
        assert_eq!((call.name.as_str(), call.parent), ("POST /measure", request.context.span_id));
    }
}
