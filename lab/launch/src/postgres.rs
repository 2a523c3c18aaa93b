//! PostgreSQL: a cluster of its own in a folder that goes with the run, on loopback, with a password made
//! for it.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;
use std::time::Duration;

use tokio::process::Command;

use super::secret;
use lab_supervise::{Absolute, External, Part, PartError, Port, StopSignal, Supervisor};

/// Name of the part in logs and errors.
const PART: &str = "postgres";
/// Its user and database.
const USER: &str = "lab";
/// `nobody`, whom every Linux has: PostgreSQL refuses to run as root.
const NOBODY: u32 = 65_534;
/// How long making a cluster may take, or starting it.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is asked whether it is ready.
const ASK: Duration = Duration::from_millis(20);

/// Starts the PostgreSQL whose server is `program`, with a new cluster, which goes with it. Its other programs are
/// beside it. Answers where the database is, with its password: for environments only, never for arguments or logs.
///
/// # Errors
/// If the cluster cannot be made, or the server does not start.
pub async fn start_postgres(
    supervisor: &Supervisor,
    program: &Path,
) -> Result<(Part, String), PartError> {
    let failed = |attempt: &'static str| move |error: io::Error| setup(attempt, &error.to_string());
    // Debian and Nix link to it from elsewhere.
    let program = program.canonicalize().map_err(failed("find its programs"))?;
    let folder = tempfile::Builder::new().prefix("run-lab-postgres-").tempdir();
    let folder = folder.map_err(failed("make a folder for its data"))?;
    let user = service_user().map_err(failed("find out who runs the lab"))?;
    let password = secret::make().map_err(failed("make a secret"))?;
    let password_file = folder.path().join("password");
    secret::keep(&password_file, &password).map_err(failed("keep its password"))?;
    if let Some((uid, gid)) = user {
        for path in [folder.path(), password_file.as_path()] {
            chown(path, Some(uid), Some(gid)).map_err(failed("give it its folder"))?;
        }
    }
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700))
        .map_err(failed("close its folder to others"))?;
    let inside = Absolute::new(folder.path()).map_err(failed("find its folder"))?;
    let data = inside.join("data");
    let port = Port::of_loopback().map_err(failed("find a free port"))?;
    let address = port.address;
    let mut foreign = External::new(PART, program.clone());
    foreign.first =
        make_cluster(&program.with_file_name("initdb"), &data, &inside.join("password"));
    foreign.arguments = arguments(&data, address).into_iter().map(Into::into).collect();
    foreign.address = Some(address);
    foreign.user = user;
    // SIGINT is its fast shutdown: SIGTERM waits for clients to leave.
    foreign.stop = StopSignal::Int;
    // From here on it goes with the server, whatever becomes of this process.
    foreign.remove = Some(folder.keep());
    let part = supervisor.keep(foreign).await?;
    if let Err(error) = wait_until_ready(&program.with_file_name("pg_isready"), address).await {
        part.stop().await;
        return Err(error);
    }
    let url = format!("postgres://{USER}:{password}@{address}/postgres");
    Ok((part, url))
}

/// The user to run it as; `None` where the lab's own will do.
fn service_user() -> io::Result<Option<(u32, u32)>> {
    // Who owns this process's folder in /proc is who it runs as.
    let uid = fs::metadata("/proc/self")?.uid();
    Ok((uid == 0).then_some((NOBODY, NOBODY)))
}

/// The command that makes the cluster. Nothing in it outlives the run, so it need not survive a loss of power.
fn make_cluster(initdb: &Path, data: &Path, password_file: &Path) -> Vec<OsString> {
    let mut command: Vec<OsString> = vec![
        initdb.into(),
        "--pgdata".into(),
        data.into(),
        "--pwfile".into(),
        password_file.into(),
    ];
    for word in ["--username", USER, "--auth", "scram-sha-256", "--encoding", "UTF8"]
        .into_iter()
        .chain(["--locale", "C", "--no-sync", "--no-instructions"])
    {
        command.push(word.into());
    }
    command
}

/// Waits until it takes questions. It accepts connections a little sooner, only to refuse them.
async fn wait_until_ready(pg_isready: &Path, address: SocketAddr) -> Result<(), PartError> {
    let asking = async {
        loop {
            let mut command = Command::new(pg_isready);
            command.args(["--quiet", "--host", &address.ip().to_string()]);
            command.args(["--port", &address.port().to_string()]).kill_on_drop(true);
            match command.status().await {
                Ok(status) if status.success() => return Ok(()),
                Ok(_) => tokio::time::sleep(ASK).await,
                Err(error) => {
                    let attempt = format!("run {}", pg_isready.display());
                    return Err(setup(&attempt, &error.to_string()));
                }
            }
        }
    };
    let late = |_| Err(setup("start", &format!("it takes no questions after {PATIENCE:?}")));
    tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(late)
}

/// The server's settings. Nothing in it outlives the run, so it need not survive a loss of power.
fn arguments(data: &Path, address: SocketAddr) -> Vec<String> {
    let mut arguments = vec!["-D".to_owned(), data.to_string_lossy().into_owned()];
    for setting in [
        format!("listen_addresses={}", address.ip()),
        format!("port={}", address.port()),
        "unix_socket_directories=".to_owned(),
        "shared_preload_libraries=pg_stat_statements".to_owned(),
        "fsync=off".to_owned(),
        "synchronous_commit=off".to_owned(),
        "full_page_writes=off".to_owned(),
        // Checkpoints that large loads would force in the middle of a cell.
        "max_wal_size=4GB".to_owned(),
    ] {
        arguments.extend(["-c".to_owned(), setting]);
    }
    arguments
}

fn setup(attempt: &str, reason: &str) -> PartError {
    PartError::Setup {
        part: PART.to_owned(),
        attempt: attempt.to_owned(),
        reason: reason.to_owned(),
    }
}
