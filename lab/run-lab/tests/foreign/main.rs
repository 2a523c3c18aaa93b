//! Somebody else's system: a threaded gateway in Python that makes its payload under one lock, a service in Go behind
//! it, both with stock SDKs of OpenTelemetry. The lab says where its time goes and what is wrong with it, and changes
//! nothing of it but where spans go.
//!
//! `.ci/sdk install` installs what they need. Where that is not here the tests are ignored, by name.

#![expect(clippy::unwrap_used, reason = "in tests a panic is the report")]

mod stack;

use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use serde_json::Value;
use stack::{Stack, missing};

/// The page that tells how: its plan is the one that is tried.
const PAGE: &str = include_str!("../../../../docs/attach.md");
/// Beside that plan's pages, some of the wrong size; and that a request reaches the service behind.
const MORE: &str = r#"
[workloads.wrong]
payload = true
calls = ["echo"]
carries = [{ request = 0, reply = "{size}" }, { request = "{size}", reply = "{size}" }]
[[workloads.wrong.request]]
method = "GET"
path = "/wrong?size={size}"
answer = { payload = "payload" }

[[variant]]

[[variant]]
workload = "wrong"
payload = ["1kB"]
"#;

/// The plan of the page, and more.
fn plan() -> String {
    let (_, rest) = PAGE.split_once("```toml\n").unwrap();
    let (plan, _) = rest.split_once("```").unwrap();
    assert!(plan.contains("rate = 60"), "{plan}");
    format!("{plan}{MORE}")
}

/// The cell called `id`.
fn cell<'a>(result: &'a Value, id: &str) -> &'a Value {
    let mut cells = result["cells"].as_array().unwrap().iter();
    cells.find(|cell| cell["id"] == id).unwrap_or_else(|| panic!("no cell {id} in {result:#}"))
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap()
}

/// The reason of `cell` with this code, in words.
fn reason<'a>(cell: &'a Value, code: &str) -> &'a str {
    let reasons = cell["verdict"]["reasons"].as_array().unwrap();
    let found = reasons.iter().find(|reason| reason["code"] == code);
    text(found.unwrap_or_else(|| panic!("no {code} in {:#}", cell["verdict"])), "text")
}

/// A system that is slow, and one whose pages have the wrong size.
fn what_is_slow_and_what_is_wrong_with_somebody_elses_system_is_told() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("pages.toml"), plan()).unwrap();
    let stack = Stack::start(dir.path());
    let run = Command::new(env!("CARGO_BIN_EXE_run-lab"))
        .args(["run", "--plan", "pages.toml", "--driver", "builtin", "--out", "out"])
        .args(["--target", &stack.gateway, "--sidecar", &stack.control])
        .current_dir(dir.path())
        .output()
        .unwrap();
    let (code, said) = (run.status.code(), String::from_utf8_lossy(&run.stderr).into_owned());
    let result = std::fs::read_to_string(dir.path().join("out/result.json"));
    let result: Value = serde_json::from_str(&result.unwrap_or_else(|_| panic!("{said}"))).unwrap();
    if let Some(kept) = std::env::var_os("LAB_KEEP_FOREIGN") {
        let _ = std::fs::create_dir_all(&kept);
        for name in ["report.html", "result.json"] {
            std::fs::copy(
                dir.path().join("out").join(name),
                std::path::Path::new(&kept).join(name),
            )
            .unwrap();
        }
    }
    assert_eq!(code, Some(3), "{said}");

    // The large pages: the gateway has one lock, and so one core.
    let large = cell(&result, "rest-page-1MB");
    let explanation = text(large, "explanation");
    assert!(explanation.contains("The gateway is what is full: a request takes"), "{explanation}");
    assert!(
        explanation.contains("of its CPU") && explanation.contains("enough for"),
        "{explanation}"
    );
    assert!(explanation.contains("is waiting for it"), "{explanation}");
    // Waiting is not called network, anywhere.
    for cell in result["cells"].as_array().unwrap() {
        let network = cell["families"]
            .as_array()
            .unwrap()
            .iter()
            .find(|family| family["family"] == "network");
        assert!(
            network.is_none_or(|network| network["mean_us"].as_f64() == Some(0.0)),
            "{network:?}"
        );
        assert!(!text(cell, "explanation").contains("network of"), "{}", text(cell, "explanation"));
    }
    let hops: Vec<_> =
        large["wire"].as_array().unwrap().iter().map(|hop| text(hop, "hop")).collect();
    assert_eq!(hops, ["driver→gateway", "gateway→echo"]);

    // The wrong ones: by what the driver counted on its connections, and by what spans say of the hop behind.
    let wrong = cell(&result, "rest-wrong-1kB");
    assert_eq!(wrong["verdict"]["status"], "INVALID", "{:#}", wrong["verdict"]);
    let counted = reason(wrong, "payload_bytes");
    assert!(counted.contains("declared 1,000 B") && counted.contains("100,000 B"), "{counted}");
    let claimed = reason(wrong, "payload_claimed");
    assert!(claimed.contains("declared 1,000 B") && claimed.contains("100,0"), "{claimed}");
    // The right ones are not told of.
    assert_ne!(cell(&result, "rest-page-1kB")["verdict"]["status"], "INVALID");
    assert_ne!(large["verdict"]["status"], "INVALID", "{:#}", large["verdict"]);
    let right = cell(&result, "rest-page-1kB")["verdict"]["reasons"].to_string();
    assert!(!right.contains("\"payload_bytes\"") && !right.contains("payload_claimed"), "{right}");
    drop(stack);
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let run = || match missing() {
        Some(missing) => {
            Ok(Completion::ignored_with(format!("{missing}; .ci/sdk install installs it")))
        }
        None => {
            what_is_slow_and_what_is_wrong_with_somebody_elses_system_is_told();
            Ok::<_, Failed>(Completion::Completed)
        }
    };
    let name = "what_is_slow_and_what_is_wrong_with_somebody_elses_system_is_told";
    libtest_mimic::run(&arguments, vec![Trial::ignorable_test(name, run)]).exit_code()
}
