//! Every command that a document shows: who runs it, or why nobody does.
//!
//! A command that is new to the documents fails here until it has a line in [`COMMANDS`]. The longest beginning that fits
//! decides, so one line may stand for several commands.

use super::page::{pages, root};

/// What is known of a command.
#[derive(Clone, Copy)]
enum Known {
    /// A test runs it, or the same with less time: the file, and the name of its function.
    Test(&'static str, &'static str),
    /// A script runs it: the file, and the words in it.
    Script(&'static str, &'static str),
    /// The test of the tour runs the block it is in.
    Tour,
    /// Nobody does, for this reason.
    NotRun(&'static str),
}

use Known::{NotRun, Script, Test, Tour};

const CLI: &str = "lab/run-lab/tests/cli.rs";
const ATTACH: &str = "lab/run-lab/tests/documents/attach.rs";
const FOLLOWED: &str = "fn a_system_that_runs_already_is_brought_to_a_verdict_as_the_page_says";
const SDKS: &str =
    "its parts are set by .ci/sdk, which starts its own programs; this one stands for the reader's";
const GRAFANA: &str = "it needs a Grafana, which is its user's own program";
const K6: &str =
    "it needs a k6, which is its user's own program; the scripts run in k6/double/tests/scripts";
const NIX: &str =
    "it needs Nix; `.ci/long flake` does it against a stand-in for nixpkgs (docs/nix.md)";
const CLUSTER: &str = "it needs a cluster; docker/kubernetes/check builds the manifests and holds them to their schemas";

/// Beginnings of commands, with what is known of those that begin so.
const COMMANDS: &[(&str, Known)] = &[
    (
        "cargo run --release -- run --plan blog-as-published",
        Test("lab/run-lab/tests/documents/tour.rs", "a_wrong_comparison_is_found_to_be_wrong"),
    ),
    (
        "cargo run --release -p run-lab -- certify",
        Test("lab/run-lab/tests/certify.rs", "a_cell_is_measured_and_no_process_is_left"),
    ),
    (
        "cargo run --release -p run-lab --example driver_bench",
        NotRun("it takes minutes on a quiet machine and a k6; it is built with the tests"),
    ),
    (
        "cargo run --release -p sidecar --example",
        NotRun("it takes minutes on a quiet machine; it is built with the tests"),
    ),
    (
        "cargo run --release -p run-lab --example preview_boards",
        Test("lab/run-lab/tests/real/store.rs", "its_boards_are_drawn_without_grafana"),
    ),
    ("cargo run --release", Script(".ci/bare", "cargo run --release")),
    ("cargo build", Script(".ci/run", "cargo test --workspace")),
    ("cargo test --workspace", Script(".ci/run", "cargo test --workspace")),
    ("cargo fmt --all", Script(".ci/run", "cargo fmt --all")),
    ("bash .ci/run", NotRun("it runs this test")),
    (".ci/long", NotRun("it takes an hour, and is run before a release")),
    ("cp -r services/example services/pricing", Script(".ci/hop", "docs/adding-a-hop.md")),
    ("(cd services/pricing", Script(".ci/hop", "docs/adding-a-hop.md")),
    ("target/debug/run-lab run --plan price.toml", Script(".ci/hop", "docs/adding-a-hop.md")),
    ("run-lab doctor", Test(CLI, "what_is_told_to_people_is_told_to_programs")),
    ("run-lab plans", Test("lab/run-lab/tests/cli.rs", "a_plan_is_shown_as_it_is_written")),
    ("run-lab completions", Test(CLI, "shells_and_man_know_every_command_and_no_part_of_the_lab")),
    ("run-lab man", Test(CLI, "shells_and_man_know_every_command_and_no_part_of_the_lab")),
    (
        "run-lab run --plan smoke",
        Test(
            "lab/run-lab/tests/whole_run/main.rs",
            "a_clean_run_measures_every_request_and_leaves_no_process",
        ),
    ),
    ("run-lab run --plan mine.toml", Tour),
    ("run-lab run --driver k6 --require k6,influxdb", Script(".ci/run", "--require k6,influxdb")),
    (
        "run-lab gate --base OLD/run-lab --new run-lab",
        Test("lab/run-lab/tests/gate.rs", "an_arm_of_another_program_is_started_from_it"),
    ),
    ("run-lab up --show", Test("lab/run-lab/tests/real/store.rs", "\"--show\"")),
    (
        "run-lab up",
        Test(
            "lab/run-lab/tests/whole_run/up.rs",
            "everything_that_is_not_there_is_said_and_the_rest_serves_until_it_is_stopped",
        ),
    ),
    ("run-lab", Tour),
    ("curl -s http://127.0.0.1:4319/stats", Test("sidecar/tests", "/stats")),
    ("./your-service", NotRun("it is the reader's")),
    ("export OTEL_", NotRun(SDKS)),
    ("pip install", Script(".ci/sdk", "install")),
    ("npm install", Script(".ci/sdk", "install")),
    ("opentelemetry-instrument", NotRun(SDKS)),
    ("node --require", NotRun(SDKS)),
    ("java -javaagent", NotRun(SDKS)),
    (
        "run-lab sidecar --run-file rows.sqlite --otlp",
        Test("lab/run-lab/tests/whole_run/attach.rs", "fn "),
    ),
    ("run-lab sidecar --run-file rows.sqlite", Test(ATTACH, FOLLOWED)),
    ("run-lab run --plan pages.toml --target", Test(ATTACH, FOLLOWED)),
    ("cp ~/rest-grpc-lab/k6/hoplab.js", Test(ATTACH, FOLLOWED)),
    ("run-lab run --script shop.js", Test(ATTACH, FOLLOWED)),
    ("run-lab trace", Test(ATTACH, FOLLOWED)),
    ("export K6_LOG_OUTPUT", NotRun(K6)),
    ("k6 run", NotRun(K6)),
    ("export LAB_", NotRun(GRAFANA)),
    ("export GF_", NotRun(GRAFANA)),
    ("grafana server", NotRun(GRAFANA)),
    ("docker compose", Script("docker/check/run", "compose")),
    ("docker run", Script("docker/check/run", "docker")),
    ("docker/kubernetes/secrets", Script("docker/kubernetes/check", "secrets")),
    ("kubectl", NotRun(CLUSTER)),
    ("nix ", NotRun(NIX)),
];

#[test]
fn of_every_command_it_is_known_who_runs_it_or_why_nobody_does() {
    let mut complaints = Vec::new();
    let mut used = vec![false; COMMANDS.len()];
    for page in pages() {
        for block in page.blocks().iter().filter(|block| block.language == "sh") {
            for command in commands(&block.text) {
                let fits = |(_, (start, _)): &(usize, &(&str, Known))| command.starts_with(start);
                let known = COMMANDS.iter().enumerate().filter(fits);
                match known.max_by_key(|(_, (start, _))| start.len()) {
                    None if page.name == "docs/tour.md" => {}
                    None => complaints.push(format!(
                        "{}:{}: nobody runs `{command}`: give it a line in {}",
                        page.name,
                        block.line,
                        file!()
                    )),
                    Some((at, _)) => used[at] = true,
                }
            }
        }
    }
    for ((start, _), used) in std::iter::zip(COMMANDS, used) {
        if !used {
            complaints.push(format!("no document shows `{start}`: take it out of {}", file!()));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn what_is_said_to_run_a_command_is_there() {
    for (start, known) in COMMANDS {
        let (file, words) = match known {
            Test(file, words) | Script(file, words) => (*file, *words),
            Tour => ("docs/tour.md", "run-lab"),
            NotRun(why) => {
                assert!(why.split(' ').count() > 3, "`{start}`: say why: {why}");
                continue;
            }
        };
        let path = root().join(file);
        let holds = |path: &std::path::Path| {
            std::fs::read_to_string(path).is_ok_and(|text| text.contains(words))
        };
        let found = if path.is_dir() {
            let files = std::fs::read_dir(&path).expect("a folder").flatten();
            files.map(|file| file.path()).any(|file| holds(&file) || holds(&file.join("main.rs")))
        } else {
            holds(&path)
        };
        assert!(found, "`{start}`: {file} has no {words:?}");
    }
}

/// The commands of a block: comments left out, lines that end in `\` put together.
pub(crate) fn commands(block: &str) -> Vec<String> {
    let joined = block.replace("\\\n", " ");
    let lines = joined.lines().map(|line| match line.find(" #") {
        Some(at) => line[..at].trim(),
        None => line.trim(),
    });
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}
