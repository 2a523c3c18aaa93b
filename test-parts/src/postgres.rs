//! A PostgreSQL of a test's own: a folder and a port of its own on loopback, `pg_stat_statements` loaded, gone when the
//! test is over.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Signal, getuid};
use tempfile::TempDir;

use crate::part::Part;
use crate::process::Process;
use lab_supervise::Port;

/// PostgreSQL refuses to run as root; then it runs as nobody, user and group (Debian, Fedora).
const NOBODY: u32 = 65_534;

/// A PostgreSQL server, or one that was killed and can be started again.
#[derive(Debug)]
pub struct Postgres {
    // Ends before its folder goes.
    server: Option<Process>,
    port: Port,
    folder: TempDir,
}

impl Postgres {
    /// Makes a cluster and starts its server.
    ///
    /// # Panics
    /// If there is none, or it does not start.
    #[must_use]
    pub fn start() -> Postgres {
        let folder = tempfile::Builder::new().prefix("test-postgres-").tempdir();
        let folder = folder.expect("a folder for a cluster");
        if getuid().is_root() {
            chown(folder.path(), Some(NOBODY), Some(NOBODY)).expect("a folder of nobody's");
        }
        let made = command("initdb", folder.path())
            .args(["--no-sync", "--auth=trust", "--username=lab", "--encoding=UTF8"])
            .args(["--locale=C", "-D"])
            .arg(folder.path().join("data"))
            .output()
            .expect("initdb");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let mut postgres =
            Postgres { server: None, port: Port::of_loopback().expect("a free port"), folder };
        if let Err(log) = postgres.serve() {
            panic!("postgres does not start: {log}");
        }
        postgres
    }

    /// The URL of a database that is always there.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://lab@{}/postgres", self.port.address)
    }

    /// Kills the server as a crash would; it can be started again.
    ///
    /// # Panics
    /// If it does not run.
    pub fn kill(&mut self) {
        self.server.take().expect("a running server").crash();
    }

    /// Starts the server again on its port, when what a killed one left behind is gone.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_again(&mut self) {
        let mut said = String::new();
        for _ in 0..100 {
            match self.serve() {
                Ok(()) => return,
                // The processes of the killed server end one after another.
                Err(log) if log.contains("is still in use") => said = log,
                Err(log) => panic!("postgres does not start again: {log}"),
            }
        }
        panic!("what the killed postgres left is still in use: {said}");
    }

    /// Starts the server and waits until it says that it is ready, or ends.
    fn serve(&mut self) -> Result<(), String> {
        let folder = self.folder.path();
        let mut command = command("postgres", folder);
        command.arg("-D").arg(folder.join("data"));
        command.args(["-p", &self.port.number().to_string(), "-h", "127.0.0.1", "-k"]).arg(folder);
        command.args(["-c", "shared_preload_libraries=pg_stat_statements", "-c", "fsync=off"]);
        // Immediate shutdown: it ends its processes and frees their memory.
        let mut server = Process::start(command.stderr(Stdio::piped()), folder, Signal::QUIT);
        let mut log = BufReader::new(server.stderr().expect("its standard error"));
        let mut said = String::new();
        loop {
            let before = said.len();
            if log.read_line(&mut said).unwrap_or(0) == 0 {
                return Err(said);
            }
            if said[before..].contains("ready to accept connections") {
                break;
            }
        }
        // Whatever else it says is read, or it would block on a full pipe.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        self.server = Some(server);
        Ok(())
    }
}

/// One of PostgreSQL's programs, as a user that may run it.
fn command(program: &str, folder: &Path) -> Command {
    let server = Part::Postgres.program().canonicalize().expect("PostgreSQL's programs");
    let mut command = Command::new(server.with_file_name(program));
    command.current_dir(folder).env("LC_ALL", "C").stdin(Stdio::null()).stdout(Stdio::null());
    if getuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}
