//! `docs/attach.md`, followed: from a sidecar to a verdict on a system that the lab did not start.
//!
//! Ports are the test's own, and rounds shorter. The reader's services are one that makes pages and tells nothing of
//! itself; the reader's script is run by the double of k6.

use std::net::SocketAddr;

use axum::extract::{Json, Query};
use axum::routing::get;
use serde_json::{Value, json};

use super::commands::commands;
use super::lone_sidecar::Sidecar;
use super::page::Page;
use super::tour::{holds, run};

/// Blocks that are not run: how each begins, and why.
const NOT_RUN: [(&str, &str); 1] =
    [("export OTEL_", "it is the environment of the reader's services, and these are not here")];
/// Files that the reader writes, by the language of their blocks.
const FILES: [(&str, &str); 2] = [("toml", "pages.toml"), ("js", "shop.js")];
/// What the page says, and what is run in its place.
const INSTEAD: [(&str, &str); 3] = [
    (
        "--plan pages.toml",
        "--plan pages.toml --driver builtin --duration 1s --warmup 200ms --rounds 1",
    ),
    ("cp ~/rest-grpc-lab/k6/hoplab.js", "cp own/hoplab.js"),
    ("--script shop.js --rounds 6", "--script shop.js --rounds 1"),
];

/// A service of somebody else: pages of a size.
fn shop() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("a listener");
    let address = listener.local_addr().expect("an address");
    let page = async |Query(asked): Query<Vec<(String, usize)>>| {
        Json(json!({ "payload": "x".repeat(asked[0].1) }))
    };
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async move {
            let routes = axum::Router::new().route("/page", get(page));
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            axum::serve(listener, routes).await
        })
    });
    address
}

#[test]
fn a_system_that_runs_already_is_brought_to_a_verdict_as_the_page_says() {
    let page = Page::named("docs/attach.md");
    let blocks = page.blocks();
    let dir = tempfile::tempdir().expect("a folder");
    lab_drive::k6::write_scripts(&dir.path().join("own")).expect("scripts");
    let target = format!("http://{}", shop());
    let mut sidecar: Option<Sidecar> = None;
    let mut followed = 0;
    for (at, block) in blocks.iter().enumerate() {
        if let Some((_, file)) = FILES.iter().find(|(language, _)| *language == block.language) {
            std::fs::write(dir.path().join(file), &block.text).expect("a file");
        }
        let step = block.text.trim();
        if block.language != "sh" || NOT_RUN.iter().any(|(start, _)| step.starts_with(start)) {
            continue;
        }
        let shown = blocks.get(at + 1).filter(|next| next.language == "text");
        let shown = shown.unwrap_or_else(|| panic!("line {}: what does it print?", block.line));
        followed += 1;
        if step.starts_with("run-lab sidecar") {
            let words = step.split(' ').skip(1);
            sidecar = Some(Sidecar::start(dir.path(), words, |said| {
                holds(said, &shown.text)
                    .unwrap_or_else(|missing| panic!("{missing:?} is not in {said}"));
            }));
            continue;
        }
        let control = sidecar.as_ref().map(|sidecar| sidecar.control.as_str());
        let mut script = commands(&block.text).join("\n");
        script = script.replace("http://127.0.0.1:8000", &target);
        script = script.replace("http://127.0.0.1:4319", control.expect("it was started first"));
        for (said, instead) in INSTEAD {
            script = script.replace(said, instead);
        }
        let printed = run(&format!("{script}\necho exit code $?"), dir.path(), &[]);
        assert!(
            printed.contains("exit code 0"),
            "docs/attach.md:{}: {script}\n{printed}",
            block.line
        );
        if let Err(missing) = holds(&printed, &shown.text) {
            panic!("docs/attach.md:{}: {script}\nshould print {missing:?}:\n{printed}", shown.line);
        }
    }
    assert_eq!(followed, 5, "steps");
    // What was asked is in the ledger, though its services told nothing: the load generator's own spans.
    let runs = std::fs::read_dir(dir.path().join("lab-runs")).expect("the runs");
    for run in runs.flatten() {
        let result = std::fs::read_to_string(run.path().join("result.json")).expect("a result");
        let result: Value = serde_json::from_str(&result).expect("JSON");
        for cell in result["cells"].as_array().expect("cells") {
            assert_eq!(
                cell["traced"]["count"], cell["requests"]["started"],
                "{:#}",
                cell["traced"]
            );
        }
    }
}
