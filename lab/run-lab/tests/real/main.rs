//! Whole runs with the real parts: k6 makes the load, PostgreSQL answers, InfluxDB keeps. They must be on this
//! machine: `.ci/run` installs them.

#[expect(dead_code, reason = "the tests of the dashboards look closer")]
#[path = "../dashboards/panels/mod.rs"]
mod panels;
#[path = "../process/mod.rs"]
mod process;

mod deaths;
mod drives;
mod influxd;
mod store;

use std::path::Path;

/// Fails with the way to get them if a part that these tests need is not there.
fn need(tools: &[lab_launch::Tool]) {
    for tool in tools {
        let found = tool.find().expect("a variable that names a program");
        assert!(found.is_some(), "{} is not here; to get it: {}", tool.name(), tool.how_to_get());
    }
}

/// Writes a plan of short rounds with a ping and a users cell by each protocol.
fn plan(dir: &Path, rate: u32, duration: &str) {
    let plan = format!(
        "name = \"short\"\nprotocol = [\"rest\", \"grpc\"]\npayload = [\"1kB\"]\nrate = {rate}\n\
         duration = \"{duration}\"\nwarmup = \"300ms\"\nmax_in_flight = 50\n[knobs]\nusers = 10000\n\
         [[variant]]\n[[variant]]\nworkload = \"users\"\n"
    );
    std::fs::write(dir.join("short.toml"), plan).expect("a file");
}
