//! A real part that dies ends the run by name, and none of them outlives `run-lab`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use test_parts::Part;

use crate::process::{Run, dir, gone, pid, result};
use crate::{plan, start, started};

/// A run of all real parts, when k6 makes load; and the processes in it.
struct Everything {
    run: Run,
    parts: Vec<(&'static str, Pid)>,
    _dir: tempfile::TempDir,
}

impl Everything {
    fn start() -> Everything {
        let dir = dir();
        plan(dir.path(), 40, "60s");
        let mut run = start(
            dir.path(),
            &["run", "--plan", "short.toml", "--require", "k6,influxdb,postgres"],
            &started(&[Part::K6, Part::Influxdb, Part::Postgres]),
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

    /// The folder of PostgreSQL's data.
    fn cluster(&self) -> PathBuf {
        let server = self.pid("postgres").as_raw_nonzero();
        let line = fs::read(format!("/proc/{server}/cmdline")).expect("it runs");
        let words: Vec<_> = line.split(|&byte| byte == 0).map(String::from_utf8_lossy).collect();
        PathBuf::from(words[2].as_ref())
    }

    /// Returns when none of the parts is left.
    fn wait_until_gone(&self) {
        let left = || {
            let left = self.parts.iter().filter(|(_, pid)| !gone(*pid));
            left.map(|(name, _)| *name).collect::<Vec<_>>()
        };
        wait(|| left().is_empty(), || format!("{:?} are still there", left()));
    }
}

/// Waits for `done`, a minute at most; then it fails with `what`.
fn wait(done: impl Fn() -> bool, what: impl Fn() -> String) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < deadline, "{}", what());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The process that is k6, or its double, whose parent's parent is `lab`: its shim stands between.
fn k6_of(lab: Pid) -> Pid {
    let find = || {
        processes().into_iter().find(|&(pid, ref name)| {
            (name == "k6" || name == "k6_double")
                && parent(pid).and_then(parent) == Some(lab.as_raw_nonzero().get())
        })
    };
    wait(|| find().is_some(), || "k6 does not start".to_owned());
    Pid::from_raw(find().expect("it was there").0).expect("not 0")
}

/// Id and name of every process.
fn processes() -> Vec<(i32, String)> {
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    let named = entries.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let name = fs::read_to_string(entry.path().join("comm")).ok()?;
        Some((pid, name.trim().to_owned()))
    });
    named.collect()
}

fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(')').next()?.split_ascii_whitespace().nth(1)?.parse().ok()
}

pub(crate) fn a_real_part_that_dies_ends_the_run_by_name_and_what_was_measured_is_kept() {
    for victim in ["influxdb", "postgres", "k6"] {
        let everything = Everything::start();
        let dead = everything.pid(victim).as_raw_nonzero();
        kill_process(everything.pid(victim), Signal::KILL).expect("it runs");
        everything.wait_until_gone();
        let Everything { run, _dir: dir, .. } = everything;
        let (code, text) = run.end();
        assert_eq!(code, Some(5), "{victim}: {text}");
        // What ended the run comes last: the part, how it ended, and the end of its log.
        let (_, last) = text.rsplit_once("run-lab: ").expect("an error");
        let named = format!("{victim} (process {dead})");
        // A shim tells of its program's end by 128 and the signal.
        let killed = last.contains("signal: 9") || last.contains("exit status: 137");
        assert!(last.contains(&named) && killed, "{victim}: {last}");
        let result = result(dir.path());
        assert_eq!(result["incomplete"], true, "{victim}");
        let requests = &result["cells"][0]["requests"];
        assert!(requests["ok"].as_u64().expect("a count") > 0, "{victim}: {requests}");
    }
}

pub(crate) fn no_real_part_and_no_data_of_postgres_outlives_a_killed_lab() {
    let everything = Everything::start();
    let data = everything.cluster();
    assert!(data.join("PG_VERSION").is_file(), "{}", data.display());
    kill_process(Pid::from_child(&everything.run.child), Signal::KILL).expect("it runs");
    everything.wait_until_gone();
    wait(|| !data.exists(), || format!("{} is still there", data.display()));
    assert_eq!(everything.run.end().0, None);
}

/// A program that is started in place of a real part: it says its version, and else does as `script` says, with
/// the name `unready` as long as it lives.
fn instead(dir: &Path, script: &str) -> PathBuf {
    let path = dir.join("instead");
    let text =
        format!("#!/bin/sh\ncase \"$1\" in version|-v) echo v1.8.10; exit;; esac\n{script}\n");
    fs::write(&path, text).expect("a script");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a program");
    path
}

/// Whether a process runs whose command line has `word` in it.
fn runs(word: &str) -> bool {
    processes().iter().any(|(pid, _)| {
        fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| String::from_utf8_lossy(&line).contains(word))
    })
}

pub(crate) fn a_part_that_is_not_ready_yet_does_not_outlive_an_interrupted_lab() {
    let dir = dir();
    // A length of sleep that nobody else asks for.
    let sleep = format!("sleep 1{}", std::process::id());
    let program = instead(dir.path(), &format!("exec {sleep}"));
    let word = sleep.replace(' ', "\0");
    let env = vec![("LAB_INFLUXD", program.to_str().expect("text").to_owned())];
    let run = start(dir.path(), &["run", "--plan", "smoke", "--driver", "builtin"], &env);
    wait(|| runs(&word), || "the part does not start".to_owned());
    kill_process(Pid::from_child(&run.child), Signal::INT).expect("it runs");
    let (code, text) = run.end();
    assert_eq!(code, Some(130), "{text}");
    wait(|| !runs(&word), || "the part is still there".to_owned());
}

pub(crate) fn a_part_that_does_not_start_takes_those_before_it_along() {
    let dir = dir();
    let program = instead(dir.path(), "echo cannot >&2; exit 1");
    let mut env = started(&[Part::Influxdb]);
    env.push(("LAB_GRAFANA", program.to_str().expect("text").to_owned()));
    let arguments = ["run", "--plan", "smoke", "--driver", "builtin", "--require", "grafana"];
    let mut run = start(dir.path(), &arguments, &env);
    let influxdb = pid(&run.line("influxdb listens"));
    let (code, text) = run.end();
    assert_eq!(code, Some(5), "{text}");
    assert!(text.contains("grafana ended before it was ready"), "{text}");
    assert!(gone(influxdb), "influxdb is still there");
}
