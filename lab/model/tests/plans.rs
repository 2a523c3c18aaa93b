//! Plans read like their files say, and errors name file, key and limit.

use lab_model::Protocol;
use lab_model::plan::{Overrides, Plan, order};

const PLAN: &str = r#"
protocol = ["rest", "grpc"]
payload = [10, "1kB"]
rate = 100
duration = "2s"
"#;

fn read(text: &str) -> Plan {
    Plan::read("my.toml", text, &Overrides::default()).expect("a plan")
}

fn error(text: &str) -> String {
    Plan::read("my.toml", text, &Overrides::default()).expect_err("no plan").to_string()
}

fn ids(plan: &Plan) -> Vec<&str> {
    plan.cells.iter().map(|cell| cell.id.as_str()).collect()
}

#[test]
fn cells_are_every_combination_of_the_factors() {
    let plan = read(PLAN);
    assert_eq!(plan.name, "my");
    assert_eq!(ids(&plan), ["rest-10B", "grpc-10B", "rest-1kB", "grpc-1kB"]);
    assert_eq!((plan.rounds, plan.timeout_ns, plan.certify), (1, 60_000_000_000, None));
}

#[test]
fn rounds_alternate_their_order() {
    let plan = read(PLAN);
    assert_eq!(order(plan.cells.len(), 0).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!(order(plan.cells.len(), 1).collect::<Vec<_>>(), [3, 2, 1, 0]);
}

#[test]
fn several_rates_are_a_factor_of_their_own() {
    let plan =
        read(&PLAN.replace("rate = 100", "rate = [100, 250.5]").replace("[10, \"1kB\"]", "[10]"));
    assert_eq!(
        ids(&plan),
        ["rest-10B-100rps", "rest-10B-250.5rps", "grpc-10B-100rps", "grpc-10B-250.5rps"]
    );
}

#[test]
fn variants_bring_settings_of_their_own() {
    let variants = "[[variant]]\n[[variant]]\nname = \"small-window\"\nprotocol = [\"grpc\"]\nknobs = { stream_window = \"64KiB\" }";
    let plan = read(&format!("{PLAN}{variants}"));
    assert_eq!(ids(&plan).len(), 6);
    let last = plan.cells.last().unwrap();
    assert_eq!(
        (last.id.as_str(), last.knobs.stream_window),
        ("grpc-1kB-small-window", Some(65_536))
    );
}

#[test]
fn the_command_line_narrows_and_overrides() {
    let overrides = Overrides {
        protocols: vec![Protocol::Grpc],
        payloads: vec![1_048_576],
        rates: vec![50.0],
        duration_ns: Some(1_000_000_000),
        warmup_ns: Some(0),
        rounds: Some(3),
        ..Overrides::default()
    };
    let plan = Plan::read("my.toml", PLAN, &overrides).unwrap();
    assert_eq!(ids(&plan), ["grpc-1MiB"]);
    assert_eq!(
        (plan.cells[0].rate, plan.cells[0].duration_ns, plan.rounds),
        (50.0, 1_000_000_000, 3)
    );
}

#[test]
fn an_unknown_key_is_refused_by_name() {
    let error = error(&format!("{PLAN}crowd = 3"));
    assert!(
        error.starts_with("my.toml: ")
            && error.contains("`crowd`")
            && error.contains("max_in_flight"),
        "{error}"
    );
}

#[test]
fn a_payload_above_the_limit_names_the_line_and_the_limit() {
    let error = error(&PLAN.replace("[10, \"1kB\"]", "[16777217]"));
    assert!(error.contains("payload = [16777217]") && error.contains("16777216"), "{error}");
}

#[test]
fn limits_are_named_with_their_key() {
    for (key, value, named) in [
        ("rounds", "0", "key `rounds`: 0 is outside its limits, 1 to 1000"),
        ("max_in_flight", "0", "key `max_in_flight`: 0 is outside its limits, 1 to 10000"),
        ("preallocated", "201", "key `preallocated`: 201 is outside its limits, 1 to 200"),
        ("timeout", "\"1ms\"", "key `timeout`: 1ms is outside its limits, 100ms to 86400s"),
        ("certify", "{ pairs = 1 }", "key `certify.pairs`: 1 is outside its limits, 2 to 200"),
    ] {
        let error = error(&format!("{PLAN}{key} = {value}"));
        assert_eq!(error, format!("my.toml: {named}"));
    }
}

#[test]
fn rates_and_durations_are_held_to_their_limits() {
    assert!(error(&PLAN.replace("rate = 100", "rate = 0")).contains("0.01 to 1000000"));
    assert!(error(&PLAN.replace("rate = 100", "rate = [100, -1]")).contains("0.01 to 1000000"));
    assert!(error(&PLAN.replace("\"2s\"", "2")).contains("\"500ms\""));
    assert!(error(&PLAN.replace("\"2s\"", "\"1ms\"")).contains("key `duration`"));
}

#[test]
fn cells_that_cannot_be_told_apart_are_refused() {
    assert!(error(&PLAN.replace("[10, \"1kB\"]", "[10, \"10B\"]")).contains("\"rest-10B\""));
    assert!(error(&PLAN.replace("[10, \"1kB\"]", "[]")).contains("no cell is left"));
}

#[test]
fn settings_are_refused_with_file_and_reason() {
    let error = error(&format!("{PLAN}[knobs]\nworker_threads = 0"));
    assert_eq!(error, "my.toml: key `knobs`: worker_threads = 0 is outside its limits, 1 to 1024");
}

#[test]
fn arms_run_every_cell_beside_each_other_with_settings_of_their_own() {
    let arms = "[[arm]]\nname = \"base\"\n[[arm]]\nname = \"new\"\nprogram = \"/x/run-lab\"\n[arm.knobs]\nnagle = true\n";
    let plan = read(&format!("{PLAN}{arms}"));
    let first: Vec<&str> = ids(&plan).into_iter().take(4).collect();
    assert_eq!(first, ["rest-10B-base", "rest-10B-new", "grpc-10B-base", "grpc-10B-new"]);
    assert_eq!(
        plan.cells.iter().map(|cell| cell.knobs.nagle).take(2).collect::<Vec<_>>(),
        [false, true]
    );
    let program = |at: usize| plan.cells[at].arm.as_ref().and_then(|arm| arm.program.clone());
    assert_eq!((program(0), program(1)), (None, Some("/x/run-lab".into())));
}

#[test]
fn an_arm_alone_without_a_name_or_twice_is_refused() {
    for (arms, named) in [
        ("[[arm]]\nname = \"new\"\n", "\"new\" is alone"),
        ("[[arm]]\nname = \"a\"\n[[arm]]\nname = \"a\"\n", "two arms are called \"a\""),
        ("[[arm]]\nname = \"\"\n[[arm]]\nname = \"a\"\n", "no `name`"),
        (
            "[[arm]]\nname = \"a\"\n[[arm]]\nname = \"b\"\n[arm.knobs]\nwindow = 1\n",
            "stream_window",
        ),
    ] {
        let error = error(&format!("{PLAN}{arms}"));
        assert!(error.contains("my.toml") && error.contains(named), "{error}");
    }
}

#[test]
fn objectives_arrivals_and_traces_are_a_plans_own_or_the_command_lines() {
    use lab_model::Arrivals;
    let text = format!(
        "{PLAN}arrivals = \"poisson\"\ntraces_per_second = 50\n[[objective]]\nholds = \"p99<200ms\"\ncells = \"grpc\"\n"
    );
    let plan = read(&text);
    let cell = &plan.cells[0];
    assert_eq!((cell.arrivals, cell.traces_per_second), (Arrivals::Poisson, 50.0));
    assert_eq!(plan.objectives.len(), 1);
    let overrides = Overrides {
        arrivals: Some(Arrivals::Closed(4)),
        objectives: vec!["errors<1%".parse().expect("an objective")],
        ..Overrides::default()
    };
    let plan = Plan::read("my.toml", &text, &overrides).expect("a plan");
    assert_eq!(plan.cells[0].arrivals, Arrivals::Closed(4));
    let asked: Vec<String> = plan.objectives.iter().map(|aim| aim.holds.to_string()).collect();
    assert_eq!(asked, ["p99<200ms", "errors<1%"]);
    let refused = error(&format!("{PLAN}[[objective]]\nholds = \"p42<1ms\"\n"));
    assert!(refused.contains("my.toml") && refused.contains("p42"), "{refused}");
}
