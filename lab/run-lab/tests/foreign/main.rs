//! Somebody else's system: a threaded gateway in Python that makes its payload under one lock, a service in Go behind
//! it, both with stock SDKs of OpenTelemetry. The lab says where its time goes and what is wrong with it, and changes
//! nothing of it but where spans go.
//!
//! `.ci/sdk install` installs what they need. Where that is not here the tests are ignored, by name.

#![expect(clippy::unwrap_used, reason = "in tests a panic is the report")]

mod script;
mod stack;

use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use stack::{Relays, Stack, missing};

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

/// A run of the system that its test has started.
struct Run {
    code: Option<i32>,
    said: String,
    result: Value,
}

/// The command that runs `plan` of the folder `dir` with `stack`.
fn command(dir: &Path, stack: &Stack, plan: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_run-lab"));
    command.args(["run", "--plan", plan, "--driver", "builtin", "--out", "out"]);
    command.args(["--target", &stack.gateway, "--sidecar", &stack.control]).current_dir(dir);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What a run in the folder `dir` that has ended came to. Who wants to look at it has it kept by this name.
fn ended(dir: &Path, name: &str, run: Child) -> Run {
    let run = run.wait_with_output().unwrap();
    let said = [run.stderr, run.stdout].map(|said| String::from_utf8_lossy(&said).into_owned());
    let said = said.concat();
    let result = std::fs::read_to_string(dir.join("out/result.json"));
    let result = serde_json::from_str(&result.unwrap_or_else(|_| panic!("{said}"))).unwrap();
    if let Some(kept) = std::env::var_os("LAB_KEEP_FOREIGN") {
        let kept = Path::new(&kept).join(name);
        std::fs::create_dir_all(&kept).unwrap();
        for file in ["report.html", "result.json"] {
            std::fs::copy(dir.join("out").join(file), kept.join(file)).unwrap();
        }
    }
    Run { code: run.status.code(), said, result }
}

fn run(dir: &Path, stack: &Stack, name: &str, text: &str) -> Run {
    std::fs::write(dir.join("plan.toml"), text).unwrap();
    ended(dir, name, command(dir, stack, "plan.toml").spawn().unwrap())
}

/// A system that is slow, and one whose pages have the wrong size.
fn what_is_slow_and_what_is_wrong_with_somebody_elses_system_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let stack = Stack::pages(dir.path(), Relays::None);
    let Run { code, said, result } = run(dir.path(), &stack, "plan", &plan());
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

/// The plan of the page that puts a relay before a service, and says how much of a body is no payload.
fn plan_with_envelope() -> String {
    let carried = r#"{ request = "{size}", reply = "{size}" }"#;
    let plan = plan();
    assert_eq!(plan.matches(carried).count(), 2, "{plan}");
    let plan = plan.replace("payload = [\"1kB\", \"1MB\"]", "payload = [\"1kB\"]");
    plan.replace(carried, r#"{ request = "{size}", reply = "{size}", envelope = 20 }"#)
}

/// The same pages, with a relay before the service behind: its counts are the proof.
fn bytes_that_a_relay_counts_prove_what_a_foreign_hop_carries() {
    let dir = tempfile::tempdir().unwrap();
    let stack = Stack::pages(dir.path(), Relays::Behind);
    let Run { code, said, result } = run(dir.path(), &stack, "plan-relayed", &plan_with_envelope());
    assert_eq!(code, Some(3), "{said}");

    let wrong = cell(&result, "rest-wrong-1kB");
    assert_eq!(wrong["verdict"]["status"], "INVALID", "{:#}", wrong["verdict"]);
    let counted = reason(wrong, "payload_relayed");
    assert!(counted.contains("declared 1,000 B, the relay counted bodies of"), "{counted}");
    for direction in ["request", "reply"] {
        // The letters, and `{"text": ""}` with a space of Python's.
        let told = format!("100,012 B in the {direction} of gateway→echo (every time)");
        assert!(counted.contains(&told), "{counted}");
    }
    // What was counted is asked of nobody's word.
    let reasons = wrong["verdict"]["reasons"].to_string();
    assert!(!reasons.contains("payload_claimed"), "{reasons}");

    let right = cell(&result, "rest-page-1kB");
    assert_ne!(right["verdict"]["status"], "INVALID", "{:#}", right["verdict"]);
    let evidence = right["evidence"].as_array().unwrap();
    let proof = evidence.iter().find(|answer| answer["question"] == "workload").unwrap();
    assert_eq!(proof["answer"], "yes", "{proof}");
    assert!(
        text(proof, "text").contains("counted by a relay (bodies at gateway→echo of"),
        "{proof}"
    );
    let hops = right["wire"].as_array().unwrap();
    let behind = hops.iter().find(|hop| hop["hop"] == "gateway→echo").unwrap();
    assert_eq!((&behind["seen"], &behind["unseen"]), (&right["traced"]["succeeded"], &0.into()));
    assert_eq!(behind["relayed"]["request_body_range"], json!([1_012, 1_012]), "{behind}");
}

/// How late a service is in the place that a request names, as `late.py` has it.
const DELAY_US: f64 = 500_000.0;

/// Plain requests, each late in one place.
fn late_in(places: &[&str], duration: &str) -> String {
    let mut plan = format!(
        "rate = 3\nduration = \"{duration}\"\nwarmup = \"500ms\"\nworkload = \"{}\"\n",
        places[0]
    );
    for place in places {
        plan += &format!(
            "[[variant]]\nworkload = \"{place}\"\n[workloads.{place}]\ncalls = [\"back\"]\n\
             [[workloads.{place}.request]]\nmethod = \"GET\"\npath = \"/pass?late={place}\"\n"
        );
    }
    plan
}

/// A delay of a foreign client, of the wire and of a foreign server, each in its stage of the hop between the two.
fn delays_of_foreign_services_and_of_the_wire_between_them_are_found_in_their_stages() {
    let dir = tempfile::tempdir().unwrap();
    let distance = format!("{}us", 2.0 * DELAY_US);
    let (stack, _) = Stack::late(dir.path(), &distance);
    let places: [(&str, &[&str]); 5] = [
        ("nowhere", &[]),
        ("client", &["between_spans"]),
        ("wire", &["request_relay", "reply_relay"]),
        ("before", &["before_server_span"]),
        ("server", &["handler"]),
    ];
    let plan = late_in(&places.map(|(place, _)| place), "3s");
    let Run { code, said, result } = run(dir.path(), &stack, "late", &plan);
    assert_eq!(code, Some(0), "{said}");
    for (place, stages) in places {
        let cell = cell(&result, &format!("rest-{place}"));
        let hop = |stage: &&Value| stage["hop"] == "front→back";
        let all: Vec<&Value> = cell["stages"].as_array().unwrap().iter().filter(hop).collect();
        assert!(!all.is_empty(), "{place}: {cell:#}");
        for name in stages {
            assert!(
                all.iter().any(|stage| stage["stage"] == **name),
                "{place}: no {name} in {all:?}"
            );
        }
        for stage in all {
            let (name, us) = (text(stage, "stage"), stage["p50_us"].as_f64().unwrap());
            let right = if stages.contains(&name) { us >= DELAY_US } else { us < DELAY_US / 2.0 };
            assert!(right, "late in {place}: {name} takes {us} us");
        }
    }
}

/// A relay that is killed while requests pass it.
fn a_relay_that_is_killed_in_a_run_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (stack, relay) = Stack::late(dir.path(), "1ms");
    std::fs::write(dir.path().join("plan.toml"), late_in(&["nowhere"], "10s")).unwrap();
    let before = stack.spans();
    let run = command(dir.path(), &stack, "plan.toml").spawn().unwrap();
    // Requests are under way when the relay has told of some.
    while stack.spans() < before + 12 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let process = Pid::from_raw(i32::try_from(relay).unwrap()).unwrap();
    kill_process(process, Signal::KILL).unwrap();
    let Run { code, said, result } = ended(dir.path(), "killed", run);
    let cell = cell(&result, "rest-nowhere");
    assert!(cell["requests"]["error"].as_u64() > Some(0), "{:#}", cell["requests"]);
    let named = reason(cell, "process_ended");
    let told = format!("relay (process {relay}), last seen ");
    assert!(named.contains(&told), "{named}");
    // Nobody else has ended.
    assert!(
        !named.contains("front (") && !named.contains("back (") && !named.contains("far ("),
        "{named}"
    );
    // The terminal breaks its lines where they are full.
    let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains(&told), "code {code:?}: {said}");
}

/// Every test, by its name.
const TESTS: [(&str, fn()); 7] = [
    (
        "what_is_slow_and_what_is_wrong_with_somebody_elses_system_is_told",
        what_is_slow_and_what_is_wrong_with_somebody_elses_system_is_told,
    ),
    (
        "bytes_that_a_relay_counts_prove_what_a_foreign_hop_carries",
        bytes_that_a_relay_counts_prove_what_a_foreign_hop_carries,
    ),
    (
        "delays_of_foreign_services_and_of_the_wire_between_them_are_found_in_their_stages",
        delays_of_foreign_services_and_of_the_wire_between_them_are_found_in_their_stages,
    ),
    ("a_relay_that_is_killed_in_a_run_is_named", a_relay_that_is_killed_in_a_run_is_named),
    (
        "a_script_of_ones_own_tells_what_is_slow_and_by_claims_what_lies",
        script::a_script_of_ones_own_tells_what_is_slow_and_by_claims_what_lies,
    ),
    (
        "behind_relays_a_script_of_ones_own_tells_the_wait_before_the_servers_span",
        script::behind_relays_a_script_of_ones_own_tells_the_wait_before_the_servers_span,
    ),
    (
        "a_threshold_of_ones_own_script_is_an_objective",
        script::a_threshold_of_ones_own_script_is_an_objective,
    ),
];

fn main() -> ExitCode {
    let arguments = Arguments { test_threads: Some(1), ..Arguments::from_args() };
    let trial = |(name, test): (&str, fn())| {
        Trial::ignorable_test(name, move || match missing() {
            Some(missing) => {
                Ok(Completion::ignored_with(format!("{missing}; .ci/sdk install installs it")))
            }
            None => {
                test();
                Ok::<_, Failed>(Completion::Completed)
            }
        })
    };
    libtest_mimic::run(&arguments, TESTS.into_iter().map(trial).collect()).exit_code()
}
