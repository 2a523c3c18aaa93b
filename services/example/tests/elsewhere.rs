//! The probe crate in a service that is not the lab's: its own messages, its own tasks, its own server.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Body;
use axum::routing::post;
use example::ExampleConfig;
use http::Request;
use probe::capture::{Captured, start};
use probe::{Call, Client, ClientOptions, Context, Json, Probe, ProbeLayer, Service as _};
use serde_json::{Value, json};
use tower::{Layer as _, ServiceExt};

/// Greets all who are named, each in a task of its own: a service with messages that say nothing of what they carry.
async fn greet_all(client: Client, names: Vec<String>) -> BTreeMap<String, Value> {
    let greeted = names.into_iter().map(|name| {
        let client = client.clone();
        probe::spawn(async move {
            let request = Request::post("/greet").body(json!({ "name": name })).unwrap();
            let call = Call { route: Some("/greet".into()), ..Call::default() };
            let reply = client.json::<Value, Value>(request, call).await.unwrap();
            (name, reply.into_body()["greeting"].clone())
        })
    });
    let mut greetings = BTreeMap::new();
    for one in greeted.collect::<Vec<_>>() {
        greetings.extend([one.await.unwrap()]);
    }
    greetings
}

#[tokio::test(flavor = "multi_thread")]
async fn an_axum_server_of_ones_own_calls_the_example_from_tasks_of_its_own() {
    let example = start(ExampleConfig::defaults().unwrap(), Probe::off()).await;
    let (probe, mut spans) = Captured::probe(Vec::new()).unwrap();
    let target = format!("http://{example}").parse().unwrap();
    let client = Client::new(&probe, "example", target, ClientOptions::default());
    let handler = move |Json(names): Json<Vec<String>>| async move {
        assert!(Context::current().span().is_some_and(probe::SpanContext::sampled));
        Json(greet_all(client, names).await)
    };
    let layer = ProbeLayer::new(&probe, &["/greet-all"], &[]);
    let router = Router::new().route("/greet-all", post(handler));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = ServiceExt::<axum::extract::Request>::map_response(
        layer.layer(router),
        |reply: http::Response<probe::ReplyBody<Body>>| reply.map(Body::new),
    );
    let service = axum::ServiceExt::<axum::extract::Request>::into_make_service(service);
    tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
    let greeted = reqwest::Client::new()
        .post(format!("http://{address}/greet-all"))
        .header("traceparent", "00-0000000000000000000000000000000a-000000000000000b-01")
        .header("content-type", "application/json")
        .body(r#"["Ada", "Grace"]"#);
    let greeted = greeted.send().await.unwrap().bytes().await.unwrap();
    let greeted: Value = serde_json::from_slice(&greeted).unwrap();
    assert_eq!(greeted, json!({"Ada": "Hello, Ada!", "Grace": "Hello, Grace!"}));
    let mut calls = Vec::new();
    for _ in 0..3 {
        calls.push(spans.span().await.unwrap());
    }
    let request = calls.iter().position(|span| span.parent == 11).unwrap();
    let request = calls.remove(request);
    assert_eq!((request.name.as_str(), request.failure), ("POST /greet-all", None));
    for call in calls {
        assert_eq!((call.name.as_str(), call.parent), ("POST /greet", request.context.span_id));
    }
}
