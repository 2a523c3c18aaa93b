//! Grafana: started on loopback with the lab's dashboards, which anybody on this machine may look at.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use lab_supervise::{Foreign, Part, PartError, Supervisor, free_port};

use super::influxdb::Store;
use super::{secret, variable};

/// Name of the part in logs and errors.
const PART: &str = "grafana";
/// The environment variable that names Grafana's home, where it cannot be told from its program.
const HOME: &str = "LAB_GRAFANA_HOME";

/// What is provisioned: path in the folder, and content.
const FILES: [(&str, &str); 6] = [
    (
        "provisioning/datasources/influxdb.yaml",
        include_str!("../../../grafana/provisioning/datasources/influxdb.yaml"),
    ),
    (
        "provisioning/dashboards/lab.yaml",
        include_str!("../../../grafana/provisioning/dashboards/lab.yaml"),
    ),
    (
        "dashboards/lab-breakdown.json",
        include_str!("../../../grafana/dashboards/lab-breakdown.json"),
    ),
    (
        "dashboards/lab-rest-vs-grpc.json",
        include_str!("../../../grafana/dashboards/lab-rest-vs-grpc.json"),
    ),
    (
        "dashboards/lab-processes.json",
        include_str!("../../../grafana/dashboards/lab-processes.json"),
    ),
    ("dashboards/lab-trust.json", include_str!("../../../grafana/dashboards/lab-trust.json")),
];

/// Starts the Grafana at `program`, to listen on `listen` (port 0: any free one). It reads `store`; its data is in
/// `folder`.
///
/// # Errors
/// If its files cannot be written, or it does not start.
pub async fn start_grafana(
    supervisor: &Supervisor,
    program: &Path,
    store: &Store,
    folder: &Path,
    listen: SocketAddr,
) -> Result<Part, PartError> {
    let failed = |attempt: &'static str| {
        move |error: io::Error| PartError::Setup {
            part: PART.to_owned(),
            attempt: attempt.to_owned(),
            reason: error.to_string(),
        }
    };
    provision(folder).map_err(failed("write its dashboards"))?;
    let address = match listen.port() {
        0 => SocketAddr::new(listen.ip(), free_port().map_err(failed("find a free port"))?.port()),
        _ => listen,
    };
    let password = secret::make().map_err(failed("make a secret"))?;
    let mut foreign = Foreign::new(PART, program.to_owned());
    if program.file_name().is_some_and(|name| name == "grafana") {
        foreign.arguments.push("server".into());
    }
    if let Some(home) = home(program) {
        foreign.arguments.extend(["--homepath".into(), home.into_os_string()]);
    }
    foreign.address = Some(address);
    foreign.health = Some("/api/health");
    let inside = |name: &str| folder.join(name).to_string_lossy().into_owned();
    foreign.env = store.env_of_reader();
    foreign.env.extend([
        ("LAB_GRAFANA_DASHBOARDS", inside("dashboards")),
        ("GF_PATHS_DATA", inside("data")),
        ("GF_PATHS_LOGS", inside("log")),
        ("GF_PATHS_PLUGINS", inside("plugins")),
        ("GF_PATHS_PROVISIONING", inside("provisioning")),
        ("GF_SERVER_HTTP_ADDR", address.ip().to_string()),
        ("GF_SERVER_HTTP_PORT", address.port().to_string()),
        ("GF_SECURITY_ADMIN_PASSWORD", password),
        ("GF_AUTH_ANONYMOUS_ENABLED", "true".to_owned()),
        // Who looks may ask the store anything, so Grafana is given a secret that only reads.
        ("GF_AUTH_ANONYMOUS_ORG_ROLE", "Viewer".to_owned()),
        ("GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH", inside("dashboards/lab-breakdown.json")),
        ("GF_ANALYTICS_REPORTING_ENABLED", "false".to_owned()),
        ("GF_ANALYTICS_CHECK_FOR_UPDATES", "false".to_owned()),
        ("GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES", "false".to_owned()),
        ("GF_NEWS_NEWS_FEED_ENABLED", "false".to_owned()),
        ("GF_LOG_LEVEL", "warn".to_owned()),
    ]);
    supervisor.keep(foreign).await
}

/// Writes what is provisioned into `folder`.
fn provision(folder: &Path) -> io::Result<()> {
    secret::folder(folder)?;
    for (path, content) in FILES {
        let file = folder.join(path);
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(file, content)?;
    }
    Ok(())
}

/// Grafana's home, where its pages are: what the variable says, or where tarballs, nixpkgs and Debian
/// packages have it. `None` leaves it to Grafana.
fn home(program: &Path) -> Option<PathBuf> {
    if let Some(home) = variable(HOME) {
        return Some(home.into());
    }
    let real = program.canonicalize().ok()?;
    let prefix = real.parent()?.parent()?;
    [prefix.to_owned(), prefix.join("share/grafana"), "/usr/share/grafana".into()]
        .into_iter()
        .find(|home| home.join("conf/defaults.ini").is_file())
}
