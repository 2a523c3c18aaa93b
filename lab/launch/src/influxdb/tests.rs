//! What is said to an InfluxDB that is being set up.

use std::sync::{Arc, Mutex};

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::*;

#[test]
fn no_secret_is_shown() {
    let store = Store { token: "hidden".into(), ..Store::elsewhere("http://127.0.0.1:1/") };
    assert!(!format!("{store:?}").contains("hidden"));
    assert_eq!(store.url, "http://127.0.0.1:1");
}

/// What a server was asked: path, `Authorization`, body.
type Asked = Arc<Mutex<Vec<(String, String, Value)>>>;

/// A server that answers every question as a new InfluxDB 2.x does.
async fn newcomer(State(asked): State<Asked>, request: Request) -> (StatusCode, Json<Value>) {
    let path = request.uri().path().to_owned();
    let header = request.headers().get("authorization");
    let who = header.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let body = axum::body::to_bytes(request.into_body(), 4_096).await.unwrap();
    asked.lock().unwrap().push((path, who, serde_json::from_slice(&body).unwrap_or_default()));
    let made = json!({"org": {"id": "o1"}, "bucket": {"id": "b1"}, "token": "only reads"});
    (StatusCode::CREATED, Json(made))
}

async fn serve(routes: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, routes).await });
    format!("http://{address}")
}

fn store(url: String) -> Store {
    Store {
        bucket: "lab".into(),
        password: "secret".into(),
        token: "secret".into(),
        ..Store::elsewhere(&url)
    }
}

#[tokio::test]
async fn a_second_generation_gets_org_bucket_token_and_a_mapping_for_influxql() {
    let asked = Asked::default();
    let routes = Router::new().fallback(newcomer).with_state(Arc::clone(&asked));
    let reader = set_up_two(&store(serve(routes).await)).await.unwrap();
    assert_eq!(reader, "only reads");
    let asked = asked.lock().unwrap();
    let [(setup, nobody, first), (mapping, owner, second), (reader, _, third)] = asked.as_slice()
    else {
        panic!("{asked:?}");
    };
    assert_eq!((setup.as_str(), nobody.as_str()), ("/api/v2/setup", ""));
    for (field, value) in [("org", "lab"), ("bucket", "lab"), ("token", "secret")] {
        assert_eq!(first[field], value);
    }
    assert_eq!((mapping.as_str(), owner.as_str()), ("/api/v2/dbrps", "Token secret"));
    let expected = json!({
        "orgID": "o1", "bucketID": "b1", "database": "lab", "retention_policy": "autogen",
        "default": true,
    });
    assert_eq!(*second, expected);
    assert_eq!(reader, "/api/v2/authorizations");
    let allowed = third["permissions"].as_array().unwrap();
    assert!(allowed.iter().all(|one| one["action"] == "read"), "{third}");
}

#[tokio::test]
async fn a_refusal_is_told_in_the_words_of_the_server_and_without_the_secret() {
    let refuse =
        || async { (StatusCode::UNPROCESSABLE_ENTITY, "onboarding has already been done") };
    let store = store(serve(Router::new().fallback(refuse)).await);
    for error in [set_up_one(&store).await, set_up_two(&store).await] {
        let error = error.unwrap_err().to_string();
        assert!(error.contains("onboarding") && error.contains("422"), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

/// A server of somebody else's that answers `question` in InfluxQL and writes with `write`.
async fn elsewhere(question: fn(&str) -> (StatusCode, &'static str), write: StatusCode) -> Store {
    let query = move |request: Request| async move {
        question(&request.uri().query().unwrap_or_default().replace('+', " "))
    };
    let routes = Router::new().route("/query", axum::routing::post(query)).route(
        "/api/v2/write",
        axum::routing::post(move || async move { (write, "no such bucket") }),
    );
    store(serve(routes).await)
}

/// What 1.8.10 says to a user without rights.
const NO_RIGHTS: (StatusCode, &str) =
    (StatusCode::FORBIDDEN, r#"{"error":"w not authorized to execute CREATE DATABASE"}"#);
const LAB: &str =
    r#"{"results":[{"series":[{"name":"databases","values":[["_internal"],["lab"]]}]}]}"#;
const OTHERS: &str = r#"{"results":[{"series":[{"name":"databases","values":[["_tasks"]]}]}]}"#;
const NONE: &str = r#"{"results":[{"series":[{"name":"databases","columns":["name"]}]}]}"#;

#[tokio::test]
async fn a_first_generation_that_lets_us_make_no_database_says_so_unless_it_is_there() {
    let taken =
        elsewhere(|_| (StatusCode::OK, r#"{"results":[{}]}"#), StatusCode::NO_CONTENT).await;
    taken.prepare(Generation::One).await.unwrap();
    let refuse = |query: &str| match query.contains("SHOW") {
        true => (StatusCode::OK, NONE),
        false => NO_RIGHTS,
    };
    let error = elsewhere(refuse, StatusCode::NO_CONTENT).await.prepare(Generation::One).await;
    let error = error.unwrap_err().to_string();
    for word in ["make the database \"lab\"", "403", "not authorized", "LAB_INFLUXDB_DATABASE"] {
        assert!(error.contains(word), "{error}");
    }
    assert!(!error.contains("secret"), "{error}");
    let there = |query: &str| match query.contains("SHOW") {
        true => (StatusCode::OK, LAB),
        false => NO_RIGHTS,
    };
    elsewhere(there, StatusCode::NO_CONTENT).await.prepare(Generation::One).await.unwrap();
    // Who is away may come back: its points wait.
    store("http://127.0.0.1:1".to_owned()).prepare(Generation::One).await.unwrap();
}

#[tokio::test]
async fn of_a_second_generation_the_bucket_has_to_be_there_and_mapped() {
    let write = StatusCode::NO_CONTENT;
    let mapped = elsewhere(|_| (StatusCode::OK, LAB), write).await;
    mapped.prepare(Generation::Two).await.unwrap();
    let absent = elsewhere(|_| (StatusCode::OK, LAB), StatusCode::NOT_FOUND).await;
    let error = absent.prepare(Generation::Two).await.unwrap_err().to_string();
    assert!(error.contains("no such bucket") && error.contains("LAB_INFLUXDB_BUCKET"), "{error}");
    let unmapped = elsewhere(|_| (StatusCode::OK, OTHERS), write).await;
    let error = unmapped.prepare(Generation::Two).await.unwrap_err().to_string();
    assert!(error.contains("not among _tasks") && error.contains("dbrp"), "{error}");
    // A token that only writes is shown nothing; one that is there to read has to be shown the database.
    let blind =
        Store { reader: "secret".into(), ..elsewhere(|_| (StatusCode::OK, NONE), write).await };
    blind.prepare(Generation::Two).await.unwrap();
    let reader = Store { reader: "reads".into(), ..blind };
    assert!(reader.prepare(Generation::Two).await.is_err());
}
