//! Whole runs with the real parts: k6, or the double of it, makes the load, PostgreSQL answers, InfluxDB keeps.

#[expect(dead_code, reason = "the tests of the dashboards look closer")]
#[path = "../dashboards/panels/mod.rs"]
mod panels;
#[path = "../process/mod.rs"]
mod process;

mod deaths;
mod drives;
mod store;

use std::path::{Path, PathBuf};

use lab_launch::Tool;
use process::Run;
use process::up::Up;
use test_parts::{InfluxDb, Part};

/// Environment variables.
type Environment = Vec<(&'static str, String)>;

/// What makes `run-lab` start these parts, wherever they are.
fn started(parts: &[Part]) -> Environment {
    let variable = |part: &Part| match part {
        Part::Influxdb | Part::Influxdb2 => "LAB_INFLUXD",
        Part::Postgres => "LAB_POSTGRES",
        Part::Pgbouncer => "LAB_PGBOUNCER",
        Part::K6 => "LAB_K6",
        Part::Node => panic!("run-lab starts no node"),
    };
    let program = |part: &Part| match part {
        Part::K6 => k6(),
        part => part.program().to_owned(),
    };
    let text = |part: &Part| program(part).to_str().expect("text").to_owned();
    parts.iter().map(|part| (variable(part), text(part))).collect()
}

/// The user's k6 where there is one; else the double, which `cargo test` builds as an example of the lab.
fn k6() -> PathBuf {
    let found = Tool::K6.find().expect("LAB_K6 names a program");
    found.unwrap_or_else(|| {
        let own = std::env::current_exe().expect("a path");
        let built = own.parent().and_then(Path::parent).expect("the folder of what was built");
        let double = built.join("examples/k6_double");
        assert!(double.exists(), "cargo build -p run-lab --example k6_double");
        double
    })
}

/// What tells `run-lab` of an InfluxDB that runs already.
fn running(influxdb: &InfluxDb) -> Environment {
    vec![
        ("LAB_INFLUXDB_URL", influxdb.url()),
        ("LAB_INFLUXDB_TOKEN", influxdb.token().to_owned()),
        ("LAB_INFLUXDB_ORG", influxdb.org().to_owned()),
        ("LAB_INFLUXDB_BUCKET", influxdb.bucket().to_owned()),
    ]
}

fn borrowed(environment: &Environment) -> Vec<(&str, &str)> {
    environment.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

/// `run-lab` with `arguments`, in `dir`.
fn start(dir: &Path, arguments: &[&str], environment: &Environment) -> Run {
    Run::start(dir, arguments, &borrowed(environment))
}

/// `run-lab up` with `arguments`, in `dir`.
fn start_up(dir: &Path, arguments: &[&str], environment: &Environment) -> Up {
    Up::start(dir, arguments, &borrowed(environment))
}

/// Writes a plan of short rounds with a ping and a users cell by each protocol.
fn plan(dir: &Path, rate: u32, duration: &str) {
    let plan = format!(
        "name = \"short\"\nprotocol = [\"rest\", \"grpc\"]\npayload = [\"1kB\"]\nrate = {rate}\n\
         duration = \"{duration}\"\nwarmup = \"300ms\"\nmax_in_flight = 200\n[knobs]\nusers = 10000\n\
         [[variant]]\n[[variant]]\nworkload = \"users\"\n"
    );
    std::fs::write(dir.join("short.toml"), plan).expect("a file");
}

test_parts::main! {
    plain [Influxdb, Postgres] {
        deaths::a_real_part_that_dies_ends_the_run_by_name_and_what_was_measured_is_kept,
        deaths::no_real_part_and_no_data_of_postgres_outlives_a_killed_lab,
        drives::k6_drives_and_its_own_latency_is_broken_down,
    }
    plain [Influxdb] { deaths::a_part_that_does_not_start_takes_those_before_it_along }
    plain [] {
        deaths::a_part_that_is_not_ready_yet_does_not_outlive_an_interrupted_lab,
        store::an_influxdb_that_is_away_takes_nothing_from_the_run_and_is_told_of,
    }
    each [Influxdb, Influxdb2] {
        store::an_influxdb_away_for_20_seconds_costs_no_point_no_latency_and_little_memory,
        store::an_earlier_run_is_shown_by_its_name_and_time_from_its_own_data,
        store::what_up_writes_is_offered_and_every_panel_of_the_sidecar_shows_it,
        store::load_by_k6_by_hand_has_its_own_line_as_high_as_the_stack,
        store::a_system_of_somebody_elses_under_up_is_shown_by_what_its_requests_do,
        store::a_run_is_offered_and_shown_while_its_first_round_goes_on,
    }
    each [Influxdb, Influxdb2 with Postgres] {
        store::every_panel_shows_a_real_run_and_the_drop_rate_is_that_of_the_result,
        store::of_a_run_by_k6_every_panel_but_that_of_late_requests_shows_rows,
    }
}
