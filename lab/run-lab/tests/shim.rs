//! Programs that are not ours: started, watched and stopped under a shim.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lab_launch::withheld;
use lab_supervise::{External, PartError, Supervisor};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

fn supervisor(logs: &std::path::Path) -> (Supervisor, mpsc::UnboundedReceiver<PartError>) {
    let (deaths, died) = mpsc::unbounded_channel();
    let executable = PathBuf::from(env!("CARGO_BIN_EXE_run-lab"));
    let supervisor = Supervisor::new(executable, logs.to_owned(), withheld)
        .overseen(deaths, (TaskTracker::new(), CancellationToken::new()));
    (supervisor, died)
}

fn shell<'a>(script: &str) -> External<'a> {
    let mut foreign = External::new("shell", "/bin/sh".into());
    foreign.arguments = vec!["-c".into(), script.into()];
    foreign
}

fn pid(of: u32) -> Pid {
    Pid::from_raw(i32::try_from(of).expect("a pid")).expect("not 0")
}

/// Returns when process `of` is gone.
fn wait_until_gone(of: u32) {
    while test_kill_process(pid(of)).is_ok() {
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[tokio::test]
async fn stopping_the_part_stops_the_program() {
    let dir = tempfile::tempdir().unwrap();
    let (supervisor, mut deaths) = supervisor(dir.path());
    let part = supervisor.keep(shell("exec sleep 1000")).await.unwrap();
    let of = part.pid;
    assert!(test_kill_process(pid(of)).is_ok());
    part.stop().await;
    wait_until_gone(of);
    assert!(deaths.try_recv().is_err());
}

#[tokio::test]
async fn the_death_of_the_program_is_the_death_of_the_part() {
    let dir = tempfile::tempdir().unwrap();
    let (supervisor, mut deaths) = supervisor(dir.path());
    let part = supervisor.keep(shell("exec sleep 1000")).await.unwrap();
    kill_process(pid(part.pid), Signal::KILL).unwrap();
    let death = deaths.recv().await.unwrap().to_string();
    assert!(death.starts_with("shell (process "), "{death}");
    assert!(death.contains("/bin/sh ended by itself: signal: 9 (SIGKILL)"), "{death}");
}

#[tokio::test]
async fn a_program_outlives_neither_its_keeper_nor_run_lab() {
    let dir = tempfile::tempdir().unwrap();
    let (supervisor, mut deaths) = supervisor(dir.path());
    let part = supervisor.keep(shell("sleep 1000; true")).await.unwrap();
    let status = std::fs::read_to_string(format!("/proc/{}/stat", part.pid)).unwrap();
    let shim: u32 = status.split(' ').nth(3).unwrap().parse().unwrap();
    kill_process(pid(shim), Signal::KILL).unwrap();
    deaths.recv().await.unwrap();
    wait_until_gone(part.pid);

    // The pipe's other end closes, as it does when run-lab is killed.
    let (mut shim, of) = bare_keeper(&["sleep", "1000"]);
    drop(shim.stdin.take());
    assert_eq!(shim.wait().unwrap().code(), Some(128 + 15));
    wait_until_gone(of);
}

/// A shim that nobody supervises, and the process it keeps.
fn bare_keeper(command: &[&str]) -> (Child, u32) {
    let mut shim = Command::new(env!("CARGO_BIN_EXE_run-lab"))
        .args(["shim", "--"])
        .args(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut line = String::new();
    let stdout = shim.stdout.take().expect("a pipe");
    BufReader::new(stdout).read_line(&mut line).expect("text");
    let of = line.trim().strip_prefix("listening pid=").expect("a pid").parse().expect("a number");
    (shim, of)
}

#[tokio::test]
async fn a_program_that_ends_too_early_or_cannot_start_is_explained() {
    let dir = tempfile::tempdir().unwrap();
    let (supervisor, _deaths) = supervisor(dir.path());
    let mut foreign = shell("echo no such table >&2; exit 7");
    foreign.address = Some("127.0.0.1:1".parse().unwrap());
    let error = supervisor.keep(foreign).await.unwrap_err().to_string();
    assert!(error.contains("no such table") && error.contains("exit status: 7"), "{error}");
    let foreign = External::new("nothing", "/no/such/program".into());
    let error = supervisor.keep(foreign).await.unwrap_err().to_string();
    assert!(error.contains("cannot start /no/such/program: No such file"), "{error}");
}

#[tokio::test]
async fn a_program_that_has_done_its_work_has_not_died() {
    let dir = tempfile::tempdir().unwrap();
    let (supervisor, mut deaths) = supervisor(dir.path());
    let mut foreign = shell("sleep 0.1");
    foreign.finite = true;
    let mut part = supervisor.keep(foreign.clone()).await.unwrap();
    part.end().await.unwrap();
    foreign.arguments[1] = "sleep 0.1; exit 3".into();
    let mut part = supervisor.keep(foreign).await.unwrap();
    assert!(part.end().await.unwrap_err().to_string().contains("exit status: 3"));
    assert!(deaths.try_recv().is_err());
}

#[tokio::test]
async fn what_has_to_succeed_first_does_or_the_program_is_never_started() {
    let dir = tempfile::tempdir().unwrap();
    let (supervisor, _deaths) = supervisor(dir.path());
    let made = dir.path().join("made");
    let first = |script: String| vec!["/bin/sh".into(), "-c".into(), script.into()];
    let mut foreign = shell(&format!("cat {} >&2 && exec sleep 1000", made.display()));
    foreign.first = first(format!("echo done > {}", made.display()));
    let part = supervisor.keep(foreign.clone()).await.unwrap();
    part.stop().await;
    foreign.first = first("echo no space left >&2; exit 4".to_owned());
    let error = supervisor.keep(foreign).await.unwrap_err().to_string();
    assert!(
        error.contains("no space left") && error.contains("/bin/sh: exit status: 4"),
        "{error}"
    );
}

#[tokio::test]
async fn whoever_listens_already_is_not_taken_for_the_program() {
    let dir = tempfile::tempdir().unwrap();
    let (supervisor, _deaths) = supervisor(dir.path());
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut foreign = shell("exec sleep 1000");
    foreign.address = Some(other.local_addr().unwrap());
    let error = supervisor.keep(foreign.clone()).await.unwrap_err().to_string();
    let named = format!("another process listens on {} already", other.local_addr().unwrap());
    assert!(error.contains("shell") && error.contains(&named), "{error}");
}

#[test]
fn a_folder_goes_with_run_lab_even_while_the_program_is_being_prepared() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, begun) = (dir.path().join("data"), dir.path().join("begun"));
    std::fs::create_dir(&folder).unwrap();
    let first = format!("--first=echo > {}; exec sleep 1000", begun.display());
    let mut shim = Command::new(env!("CARGO_BIN_EXE_run-lab"))
        .args(["shim", "--remove"])
        .arg(&folder)
        .args(["--first=/bin/sh", "--first=-c", &first, "--", "/bin/true"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts");
    while !begun.exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(folder.exists());
    drop(shim.stdin.take());
    assert_eq!(shim.wait().unwrap().code(), Some(128 + 15));
    assert!(!folder.exists());
}
