//! A real part that dies ends the run by name, and none of them outlives `run-lab`.

use std::fs;

use run_lab::launch::Tool;
use rustix::process::{Pid, Signal, kill_process};

use crate::process::{Run, dir, gone, pid, result};
use crate::{need, plan};

/// A run of all real parts, when k6 makes load; and the processes in it.
struct Everything {
    run: Run,
    parts: Vec<(&'static str, Pid)>,
    _dir: tempfile::TempDir,
}

impl Everything {
    fn start() -> Everything {
        need(&[Tool::K6, Tool::Influxdb, Tool::Postgres]);
        let dir = dir();
        plan(dir.path(), 40, "60s");
        let mut run = Run::start(
            dir.path(),
            &["run", "--plan", "short.toml", "--require", "k6,influxdb,postgres"],
            &[],
        );
        let mut parts: Vec<_> = ["influxdb", "postgres", "echo", "pg-client", "gateway"]
            .map(|name| (name, pid(&run.line(&format!("{name} listens")))))
            .into();
        // The load has begun: k6 is there, and rows are.
        run.wait_for_rows(dir.path());
        parts.push(("k6", k6_of(Pid::from_child(&run.child))));
        Everything { run, parts, _dir: dir }
    }

    fn pid(&self, name: &str) -> Pid {
        self.parts.iter().find(|(part, _)| *part == name).expect("the part").1
    }

    /// Returns when none of the parts is left.
    fn wait_until_gone(&self) {
        while !self.parts.iter().all(|(_, pid)| gone(*pid)) {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

/// The process called k6 whose parent's parent is `lab`: its keeper stands between.
fn k6_of(lab: Pid) -> Pid {
    loop {
        for entry in fs::read_dir("/proc").expect("/proc").flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let is_k6 =
                fs::read_to_string(entry.path().join("comm")).is_ok_and(|name| name.trim() == "k6");
            if is_k6 && parent(pid).and_then(parent) == Some(lab.as_raw_nonzero().get()) {
                return Pid::from_raw(pid).expect("not 0");
            }
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(')').next()?.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[test]
fn a_real_part_that_dies_ends_the_run_by_name_and_what_was_measured_is_kept() {
    for victim in ["influxdb", "postgres", "k6"] {
        let everything = Everything::start();
        kill_process(everything.pid(victim), Signal::KILL).expect("it runs");
        everything.wait_until_gone();
        let Everything { run, _dir: dir, .. } = everything;
        let (code, text) = run.end();
        assert_eq!(code, Some(5), "{victim}: {text}");
        assert!(text.contains(victim) && text.contains("9"), "{victim}: {text}");
        let result = result(dir.path());
        assert_eq!(result["incomplete"], true, "{victim}");
        let requests = &result["cells"][0]["requests"];
        assert!(requests["ok"].as_u64().expect("a count") > 0, "{victim}: {requests}");
    }
}

#[test]
fn no_real_part_outlives_a_killed_lab() {
    let everything = Everything::start();
    kill_process(Pid::from_child(&everything.run.child), Signal::KILL).expect("it runs");
    everything.wait_until_gone();
    assert_eq!(everything.run.end().0, None);
}
