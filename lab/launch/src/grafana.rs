//! Grafana: started on loopback with the lab's dashboards, which anybody on this machine may look at.
//!
//! It goes to its home, so all that it is told of is absolute; and it asks nobody on the internet for anything.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use lab_supervise::{Absolute, External, Part, PartError, Port, Supervisor};

use super::influxdb::Store;
use super::secret;

/// Name of the part in logs and errors.
pub const GRAFANA: &str = "grafana";
/// The environment variable that names Grafana's home, where it cannot be told from its program.
const HOME: &str = "LAB_GRAFANA_HOME";

/// What is provisioned: path in the folder, and content.
const FILES: [(&str, &str); 7] = [
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
    ("dashboards/lab-history.json", include_str!("../../../grafana/dashboards/lab-history.json")),
];

/// Where dashboards are, among what is provisioned.
const BOARDS: &str = "dashboards/";
/// The board that shows all runs, whichever run is chosen on the others.
const OF_ALL_RUNS: &str = "lab-history.json";
/// Name of the file with the password of Grafana's user `admin`, in its folder.
pub const ADMIN_SECRET: &str = "secret-of-admin";

/// Settings that keep Grafana from asking others: for plugins, for keys to check them with, for news and newer
/// versions, and from telling how it is used.
const ALONE: [(&str, &str); 6] = [
    ("GF_PLUGINS_PREINSTALL_DISABLED", "true"),
    ("GF_PLUGINS_PUBLIC_KEY_RETRIEVAL_DISABLED", "true"),
    ("GF_ANALYTICS_REPORTING_ENABLED", "false"),
    ("GF_ANALYTICS_CHECK_FOR_UPDATES", "false"),
    ("GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES", "false"),
    ("GF_NEWS_NEWS_FEED_ENABLED", "false"),
];

/// What the boards are to open with, where nobody chose: an earlier run, and its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// Name of the run, if it is known.
    pub run: Option<String>,
    /// From when, as a date in the form of RFC 3339.
    pub from: String,
    /// Until when.
    pub to: String,
}

/// How a Grafana is to show a store.
#[derive(Debug, Clone, Copy)]
pub struct Dashboards<'a> {
    /// Its program.
    pub program: &'a Path,
    /// What it reads.
    pub store: &'a Store,
    /// Where its files and its data go.
    pub folder: &'a Absolute,
    /// What its boards open with; the last half an hour if absent.
    pub opening: Option<&'a Opening>,
    /// Where it is to listen; port 0 is any free one.
    pub listen: SocketAddr,
    /// How long it may take to be ready: its first start makes a database.
    pub patience: Duration,
}

/// Starts Grafana with the lab's dashboards.
///
/// # Errors
/// If its files cannot be written, or it does not start.
pub async fn start_grafana(
    supervisor: &Supervisor,
    dashboards: Dashboards<'_>,
) -> Result<Part, PartError> {
    let Dashboards { program, store, folder, opening, listen, patience } = dashboards;
    let failed = |attempt: &'static str| {
        move |error: io::Error| PartError::Setup {
            part: GRAFANA.to_owned(),
            attempt: attempt.to_owned(),
            reason: error.to_string(),
        }
    };
    provision(folder, opening).map_err(failed("write its dashboards"))?;
    let port = (listen.port() == 0).then(|| Port::reserve(listen.ip())).transpose();
    let port = port.map_err(failed("find a free port"))?;
    let address = port.as_ref().map_or(listen, |port| port.address);
    let password = secret::make().map_err(failed("make a secret"))?;
    secret::keep(&folder.join(ADMIN_SECRET), &password).map_err(failed("keep its secret"))?;
    let mut foreign = External::new(GRAFANA, program.to_owned());
    if program.file_name().is_some_and(|name| name == "grafana") {
        foreign.arguments.push("server".into());
    }
    if let Some(home) = home(program).map_err(failed("find its home"))? {
        foreign.arguments.extend(["--homepath".into(), home.text().into()]);
    }
    foreign.patience = patience;
    foreign.address = Some(address);
    foreign.health = Some("/api/health");
    let inside = |name: &str| folder.join(name).text();
    foreign.env = store.env_of_reader();
    foreign.env.extend(ALONE.map(|(name, value)| (name, value.to_owned())));
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
        ("GF_LOG_LEVEL", "warn".to_owned()),
    ]);
    supervisor.keep(foreign).await
}

/// Writes what is provisioned into `folder`.
fn provision(folder: &Path, opening: Option<&Opening>) -> io::Result<()> {
    secret::folder(folder)?;
    for (path, content) in FILES {
        let file = folder.join(path);
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent)?;
        }
        match opening.filter(|_| path.starts_with(BOARDS) && !path.ends_with(OF_ALL_RUNS)) {
            Some(opening) => fs::write(file, opened(content, opening)?)?,
            None => fs::write(file, content)?,
        }
    }
    Ok(())
}

/// The board `content`, that opens with `opening` where its address says nothing.
fn opened(content: &str, opening: &Opening) -> io::Result<String> {
    let mut board: Value = serde_json::from_str(content)?;
    board["time"] = json!({ "from": opening.from, "to": opening.to });
    let variables = board["templating"]["list"].as_array_mut();
    let run = variables.into_iter().flatten().find(|variable| variable["name"] == "run");
    if let (Some(variable), Some(run)) = (run, &opening.run) {
        variable["current"] = json!({ "text": run, "value": run });
    }
    Ok(format!("{board:#}\n"))
}

/// Grafana's home, where its pages are: what the variable says, or where tarballs, nixpkgs and Debian
/// packages have it. `None` leaves it to Grafana.
fn home(program: &Path) -> io::Result<Option<Absolute>> {
    if let Some(home) = settings::variable(HOME) {
        return Absolute::new(home).map(Some);
    }
    let real = program.canonicalize()?;
    let Some(prefix) = real.parent().and_then(Path::parent) else { return Ok(None) };
    [prefix.to_owned(), prefix.join("share/grafana"), "/usr/share/grafana".into()]
        .into_iter()
        .find(|home| home.join("conf/defaults.ini").is_file())
        .map(Absolute::new)
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boards_open_with_the_run_that_is_shown_and_its_time_and_history_with_all_of_them() {
        let dir = tempfile::tempdir().unwrap();
        let run = Some("smoke-1".to_owned());
        let (from, to) = ("2026-11-24T12:00:00Z".to_owned(), "2026-11-24T12:00:30Z".to_owned());
        let opening = Opening { run, from, to };
        provision(dir.path(), Some(&opening)).unwrap();
        let read = |name: &str| -> Value {
            let text = fs::read_to_string(dir.path().join("dashboards").join(name)).unwrap();
            serde_json::from_str(&text).unwrap()
        };
        let board = read("lab-breakdown.json");
        let expected = json!({ "from": "2026-11-24T12:00:00Z", "to": "2026-11-24T12:00:30Z" });
        assert_eq!(board["time"], expected);
        let variables = board["templating"]["list"].as_array().unwrap();
        let run = variables.iter().find(|variable| variable["name"] == "run").unwrap();
        assert_eq!(run["current"]["value"], "smoke-1");
        assert_eq!(read("lab-history.json")["time"]["from"], "now-90d");
    }
}
