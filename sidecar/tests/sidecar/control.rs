//! The control endpoint: for programs on this machine, or for whoever has the token.

use http::Version;
use serde_json::json;

use crate::fixture::http::{Answer, send};
use crate::fixture::{Running, config};

const JSON: (&str, &str) = ("content-type", "application/json");

async fn ask(sidecar: &Running, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let url = format!("{}{path}", sidecar.control);
    send(Version::HTTP_11, method, &url, headers, r#"{"cells":[]}"#).await
}

#[tokio::test]
async fn a_web_page_reaches_no_route_by_its_own_name_or_by_one_that_points_here() {
    let sidecar = Running::start("").await;
    for (method, path) in [
        ("POST", "/points"),
        ("POST", "/plan"),
        ("POST", "/flush"),
        ("GET", "/stats"),
        ("POST", "/watch"),
        ("GET", "/rows"),
        ("GET", "/samples"),
    ] {
        for header in
            [("origin", "https://evil.example"), ("origin", "null"), ("host", "evil.example:4319")]
        {
            let answer = ask(&sidecar, method, path, &[JSON, header]).await;
            assert_eq!(answer.status.as_u16(), 403, "{method} {path} {header:?}");
            assert!(answer.json()["error"].is_string());
        }
    }
    assert_eq!(sidecar.stats().await.control_refused, 21);
    let port = sidecar.control.rsplit(':').next().unwrap().to_owned();
    let host = format!("localhost:{port}");
    assert_eq!(ask(&sidecar, "GET", "/stats", &[("host", &host)]).await.status.as_u16(), 200);
    // Health is no secret, and probes of containers call it by whatever name.
    assert_eq!(ask(&sidecar, "GET", "/healthz", &[("host", "pod-1")]).await.status.as_u16(), 200);
}

#[tokio::test]
async fn where_there_is_a_token_nobody_gets_in_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "0123456789abcdef\n").unwrap();
    let flags = format!("--control 0.0.0.0:0 --token-file {}", path.display());
    let sidecar = Running::start(&flags).await;
    for wrong in [
        vec![],
        vec![("authorization", "Bearer 0123456789abcdeg")],
        vec![("authorization", "0123456789abcdef")],
    ] {
        let answer = ask(&sidecar, "GET", "/stats", &wrong).await;
        assert_eq!((answer.status.as_u16(), answer.header("www-authenticate")), (401, "Bearer"));
        assert!(answer.json()["error"].as_str().unwrap().contains("--token-file"));
    }
    let right = [("authorization", "bearer 0123456789abcdef"), ("host", "sidecar:4319")];
    assert_eq!(ask(&sidecar, "GET", "/stats", &right).await.status.as_u16(), 200);
    assert_eq!(ask(&sidecar, "GET", "/healthz", &[]).await.status.as_u16(), 200);
}

#[tokio::test]
async fn an_address_that_others_reach_needs_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "guess").unwrap();
    let (missing, weak) = (folder.path().join("none"), path.display().to_string());
    for (flags, expected) in [
        ("--control 0.0.0.0:0".to_owned(), "--control 0.0.0.0:0: needs --token-file"),
        (format!("--token-file {weak}"), "must hold at least 16 visible ASCII characters"),
        (format!("--token-file {}", missing.display()), "cannot read the token of --token-file"),
    ] {
        let error = sidecar::Sidecar::bind(config(&flags), Vec::new()).await.err().unwrap();
        let error = error.to_string();
        assert!(error.contains(expected) && !error.contains("guess"), "{error}");
    }
}

#[tokio::test]
async fn a_plan_opens_a_run_whose_nonce_cannot_be_guessed() {
    let sidecar = Running::start("").await;
    let (status, first) = sidecar.post("/plan", &json!({"cells": []})).await;
    let (_, second) = sidecar.post("/plan", &json!({"cells": []})).await;
    assert_eq!((status, first["nonce"].as_str().unwrap().len()), (200, 32));
    assert_ne!(first["nonce"], second["nonce"]);
}
