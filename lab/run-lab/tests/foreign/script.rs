//! The same system, asked by a k6 script of its users' own (`pages.js`): the double of k6 runs it as it stands.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{Run, cell, ended, reason, text};
use crate::stack::{Relays, Stack};

/// The script.
const PAGES: &str = include_str!("pages.js");

/// The double of k6, which `cargo test` builds as an example of the lab.
fn k6() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let double = own.parent().and_then(Path::parent).unwrap().join("examples/k6_double");
    assert!(double.exists(), "the double is not built: cargo build --workspace --examples");
    double
}

/// Runs `script` against `stack` from the folder `dir`; what it came to is kept by this name.
fn run(dir: &Path, stack: &Stack, script: &str, name: &str) -> Run {
    lab_drive::k6::write_scripts(dir).unwrap();
    std::fs::write(dir.join("pages.js"), script).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_run-lab"));
    command.args(["run", "--script", "pages.js", "--rounds", "1", "--out", "out"]);
    command.args(["--target", &stack.gateway, "--sidecar", &stack.control]).current_dir(dir);
    command.env("LAB_K6", k6());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    ended(dir, name, command.spawn().unwrap())
}

/// The stages of a hop of `cell` that ends at `server`.
fn stages<'a>(cell: &'a Value, server: &str) -> Vec<&'a Value> {
    let of = |stage: &&Value| text(stage, "hop").ends_with(&format!("→{server}"));
    cell["stages"].as_array().unwrap().iter().filter(of).collect()
}

fn number(value: &Value, key: &str) -> f64 {
    value[key].as_f64().unwrap()
}

/// What holds of a run with a relay and without one.
fn told(result: &Value, said: &str) {
    // What is broken down is k6's own latency: all of its requests are in the ledger, and nothing is left over.
    assert_eq!(result["components"][0]["name"], "k6", "{}", result["components"]);
    for id in ["small page", "large page", "lying wrong page"] {
        let cell = cell(result, id);
        let (requests, traced) = (&cell["requests"], &cell["traced"]);
        assert_eq!(traced["count"], requests["started"], "{id}: {traced} {requests}");
        let (mean, own) = (number(traced, "mean_us"), number(&cell["latency_us"], "mean"));
        assert!((mean - own).abs() < own * 0.02, "{id}: {mean} of k6's {own}");
        let all = cell["stages"].as_array().unwrap().iter().map(|stage| number(stage, "mean_us"));
        let sum = all.sum::<f64>() + number(&cell["residual"], "mean_us");
        assert!((sum - mean).abs() < mean * 1e-3, "{id}: {sum} of {mean}");
        assert!(stages(cell, "echo").len() > 1, "{id}: {cell:#}");
        // Waiting is not called network, anywhere.
        let mut families = cell["families"].as_array().unwrap().iter();
        let network = families.find(|family| family["family"] == "network");
        let network = network.map_or(0.0, |network| number(network, "mean_us"));
        assert!(network < own * 0.05, "{id}: {network} of {own}");
        assert!(!text(cell, "explanation").contains("network of"), "{}", text(cell, "explanation"));
    }
    // The large pages: the gateway has one lock, and so one core.
    let large = cell(result, "large page");
    let explanation = text(large, "explanation");
    assert!(explanation.contains("The gateway is what is full: a request takes"), "{explanation}");
    assert!(explanation.contains("is waiting for it"), "{explanation}");
    assert!(explanation.contains("its own span"), "{explanation}");
    assert!(
        explanation.contains("no network") || explanation.contains("is enough to explain"),
        "{explanation}"
    );
    assert!(large["requests"]["dropped"].as_u64() > Some(0), "{}", large["requests"]);
    assert!(reason(large, "rate_not_kept").contains("overloaded"), "{}", large["verdict"]);
    assert_ne!(large["verdict"]["status"], "INVALID", "{:#}", large["verdict"]);
    let small = cell(result, "small page");
    assert_ne!(small["verdict"]["status"], "INVALID", "{:#}", small["verdict"]);
    let lying = cell(result, "lying wrong page");
    assert_eq!(lying["verdict"]["status"], "INVALID", "{:#}", lying["verdict"]);
    assert!(said.contains("INVALID"), "{said}");
}

/// Both numbers, in what the reason `code` of the lying cell says of the edge and of the hop behind.
fn both_numbers(result: &Value, code: &str) {
    let said = reason(cell(result, "lying wrong page"), code);
    assert!(said.contains("declared 1,000 B") && said.contains("100,0"), "{said}");
    for leg in ["reply of k6→gateway", "request of gateway→echo", "reply of gateway→echo"] {
        assert!(said.contains(leg), "{leg}: {said}");
    }
}

/// By what k6 and the services' spans say: nobody counted.
pub(crate) fn a_script_of_ones_own_tells_what_is_slow_and_by_claims_what_lies() {
    let dir = tempfile::tempdir().unwrap();
    let stack = Stack::pages(dir.path(), Relays::None);
    let Run { code, said, result } = run(dir.path(), &stack, PAGES, "script");
    assert_eq!(code, Some(3), "{said}");
    told(&result, &said);
    both_numbers(&result, "payload_claimed");
}

/// With a relay before the gateway and one before the service behind: what k6 asked is counted on the wire.
pub(crate) fn behind_relays_a_script_of_ones_own_tells_the_wait_before_the_servers_span() {
    let dir = tempfile::tempdir().unwrap();
    let stack = Stack::pages(dir.path(), Relays::Both);
    let Run { code, said, result } = run(dir.path(), &stack, PAGES, "script-relayed");
    assert_eq!(code, Some(3), "{said}");
    told(&result, &said);
    both_numbers(&result, "payload_relayed");
    let large = cell(&result, "large page");
    let places = ["before_server_span", "around_server_span"];
    let waits = stages(large, "gateway").into_iter();
    let waits = waits.filter(|stage| places.contains(&text(stage, "stage")));
    let waited: f64 = waits.map(|stage| number(stage, "mean_us")).sum();
    let mean = number(&large["traced"], "mean_us");
    assert!(waited > mean * 0.3, "{waited} of {mean}: {large:#}");
}

/// A threshold of the script's own that is missed is an objective, and changes no verdict.
pub(crate) fn a_threshold_of_ones_own_script_is_an_objective() {
    let dir = tempfile::tempdir().unwrap();
    let stack = Stack::pages(dir.path(), Relays::None);
    // Only who looks at small pages, and wants them in no time.
    let script =
        PAGES.replace("p(95)<20000", "p(95)<0.001").replace("\n    lying:", "\n    // lying:");
    let script = script
        .replace("\n    large:", "\n    // large:")
        .replace("\n    'http_req_duration{scenario:large}'", "\n    //");
    let Run { code, said, result } = run(dir.path(), &stack, &script, "objective");
    assert_eq!(code, Some(6), "{said} {:#}", result["verdict"]);
    assert_eq!(result["cells"].as_array().map(Vec::len), Some(1), "{said}");
    let status = text(&cell(&result, "small page")["verdict"], "status");
    assert_ne!(status, "INVALID", "{said}");
}
