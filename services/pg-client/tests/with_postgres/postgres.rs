//! A real PostgreSQL of its own for each test that asks for one: private data folder, a free port on
//! loopback, `pg_stat_statements` loaded, gone when the test is over.
//!
//! Other crates' tests take this file by `#[path]`.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, getuid, kill_process};
use tempfile::TempDir;

/// What to do where there is none.
const INSTALL: &str = "apt-get install postgresql";
/// PostgreSQL refuses to run as root; then it runs as nobody, user and group (Debian, Fedora).
const NOBODY: u32 = 65_534;
/// How often another free port is tried if somebody took it meanwhile.
const PORTS: usize = 5;

/// A PostgreSQL server.
pub(crate) struct Postgres {
    folder: TempDir,
    port: u16,
    server: Option<Child>,
}

impl Postgres {
    /// Makes a cluster and starts its server.
    pub(crate) fn start() -> Postgres {
        let folder = tempfile::Builder::new().prefix("pg").tempdir().unwrap();
        if getuid().is_root() {
            chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let data = folder.path().join("data");
        let made = command("initdb", folder.path())
            .args(["--no-sync", "--auth=trust", "--username=lab", "--encoding=UTF8"])
            .args(["--locale=C", "-D"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let mut postgres = Postgres { folder, port: 0, server: None };
        let tried: Vec<String> =
            (0..PORTS).map_while(|_| postgres.on_a_free_port().err()).collect();
        assert!(postgres.server.is_some(), "postgres does not start: {tried:?}");
        postgres
    }

    fn on_a_free_port(&mut self) -> Result<(), String> {
        self.port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        self.serve()
    }

    /// The URL of a database that is always there.
    pub(crate) fn url(&self) -> String {
        format!("postgres://lab@127.0.0.1:{}/postgres", self.port)
    }

    /// Kills the server as a crash would; it can be started again.
    pub(crate) fn kill(&mut self) {
        let mut server = self.server.take().expect("a running server");
        server.kill().unwrap();
        server.wait().unwrap();
    }

    /// Starts the server again on its port, when what a killed one left behind is gone.
    pub(crate) fn start_again(&mut self) {
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
        let sockets = self.folder.path().to_string_lossy().into_owned();
        let mut server = command("postgres", self.folder.path())
            .arg("-D")
            .arg(self.folder.path().join("data"))
            .args(["-p", &self.port.to_string(), "-h", "127.0.0.1", "-k", &sockets])
            .args(["-c", "shared_preload_libraries=pg_stat_statements", "-c", "fsync=off"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(server.stderr.take().expect("its standard error"));
        let mut said = String::new();
        loop {
            let before = said.len();
            if log.read_line(&mut said).unwrap_or(0) == 0 {
                server.wait().unwrap();
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

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            // Immediate shutdown: it ends its processes and frees their memory.
            let _ = kill_process(Pid::from_child(&server), Signal::QUIT);
            let _ = server.wait();
        }
    }
}

/// One of PostgreSQL's programs, as a user that may run it.
fn command(program: &str, folder: &Path) -> Command {
    let mut command = Command::new(find(program));
    command.current_dir(folder).env("LC_ALL", "C").stdin(Stdio::null()).stdout(Stdio::null());
    if getuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

/// On PATH, or where Debian puts it, newest version first.
fn find(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin")))
        })
        .collect();
    versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    folders.extend(versions.into_iter().map(|(_, folder)| folder));
    folders
        .into_iter()
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("PostgreSQL's {program} was not found; install it: {INSTALL}"))
}
