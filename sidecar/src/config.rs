//! The settings of a sidecar: each declared once, with its unit, default and meaning.

use std::net::SocketAddr;
use std::path::PathBuf;

use settings::{PeerUrl, Size, SizeError, Span};

use crate::influx::{Token, is_tag};

/// Settings of a sidecar.
///
/// Durations are numbers with units: `500ms`, `5s`, `1m30s`. Sizes are bytes, or have a unit: `64MiB`, `1000kB`.
#[derive(Debug, Clone, clap::Args)]
pub struct SidecarConfig {
    /// Where to receive spans: OTLP by gRPC and by HTTP (protobuf, JSON). Port 0 takes any free port
    #[arg(long, env = "LAB_SIDECAR_OTLP", value_name = "ADDR", default_value = "127.0.0.1:4317")]
    pub otlp: SocketAddr,

    /// Where to serve GET /healthz, /stats, /rows and /samples, POST /flush, /watch, /plan and /points: to programs of
    /// this machine. An address that others reach needs --token-file
    #[arg(
        long,
        env = "LAB_SIDECAR_CONTROL",
        value_name = "ADDR",
        default_value = "127.0.0.1:4319"
    )]
    pub control: SocketAddr,

    /// Answer only those who send the token in this file (Authorization: Bearer TOKEN), but for GET /healthz
    #[arg(long, env = "LAB_SIDECAR_TOKEN_FILE", value_name = "PATH")]
    pub token_file: Option<PathBuf>,

    /// Write requests, hops and process samples to this new SQLite file. Without it nothing is kept
    #[arg(long, env = "LAB_SIDECAR_RUN_FILE", value_name = "PATH")]
    pub run_file: Option<PathBuf>,

    /// Put it in the place of one that is there: of a sidecar that was started again, in a container say
    #[arg(long, env = "LAB_SIDECAR_REPLACE_RUN_FILE", requires = "run_file")]
    pub replace_run_file: bool,

    /// How long to wait for the rest of a trace after its latest span where something is missing, 10ms
    /// to 10m; longer than the interval at which senders export (OpenTelemetry's SDKs: 5s unless set).
    /// A trace of which nothing is missing is closed sooner, after 1s without a span; one that was
    /// closed with something missing is mended for twelve times as long if that comes
    #[arg(long, env = "LAB_SIDECAR_JOIN_WINDOW", value_name = "DURATION", default_value = "5s")]
    pub join_window: Span,

    /// Most traces held at once (some 4 KiB each); past it the oldest is closed before its time
    #[arg(long, env = "LAB_SIDECAR_MAX_TRACES", value_name = "N", default_value_t = 100_000)]
    pub max_traces: usize,

    /// Most memory for exports being read and spans being held, 64 MiB to 1 TiB. Past it senders are
    /// told to come again; past three quarters of it the oldest traces are closed before their time
    #[arg(long, env = "LAB_SIDECAR_MEMORY_LIMIT", value_name = "SIZE", default_value = "512MiB",
          value_parser = bytes())]
    pub memory_limit: u64,

    /// Pass every export on to http://HOST:PORT, byte for byte: to the Collector that had it before. Those by
    /// gRPC and those by HTTP, unless --forward-http says otherwise
    #[arg(long, env = "LAB_SIDECAR_FORWARD", value_name = "URL")]
    pub forward: Option<PeerUrl>,

    /// Pass exports by HTTP on to this address: Collectors take them on another port (4318) than those by gRPC
    #[arg(long, env = "LAB_SIDECAR_FORWARD_HTTP", value_name = "URL", requires = "forward")]
    pub forward_http: Option<PeerUrl>,

    /// Most of exports that waits to be passed on; past it exports are not passed on, and counted
    #[arg(long, env = "LAB_SIDECAR_FORWARD_QUEUE", value_name = "SIZE", default_value = "64MiB",
          value_parser = bytes())]
    pub forward_queue: u64,

    /// Take spans of the web pages of ORIGIN, e.g. https://shop.example (repeatable, or with commas); * is any.
    /// Without it no page may send any
    #[arg(long, env = "LAB_SIDECAR_ALLOW_ORIGIN", value_name = "ORIGIN", value_delimiter = ',',
          value_parser = origin)]
    pub allow_origin: Vec<String>,

    /// Keep the queries and fragments of URLs in the names of operations and peers: by default they are dropped, for
    /// they may be secret. User and password are never kept
    #[arg(long, env = "LAB_SIDECAR_KEEP_QUERIES")]
    pub keep_queries: bool,

    /// How often to sample CPU and memory of every watched process, 10ms to 10m
    #[arg(
        long,
        env = "LAB_SIDECAR_SAMPLE_EVERY",
        value_name = "DURATION",
        default_value = "500ms"
    )]
    pub sample_every: Span,

    /// Stop when standard input ends, so that no sidecar outlives the program that started it
    #[arg(long, env = "LAB_SIDECAR_STOP_WITH_STDIN")]
    pub stop_with_stdin: bool,

    /// Watch every process of the program NAME, whenever it starts (repeatable, or with commas): for
    /// processes that send their spans to another sidecar
    #[arg(long, env = "LAB_SIDECAR_WATCH_COMMAND", value_name = "NAME", value_delimiter = ',',
          value_parser = command)]
    pub watch_command: Vec<String>,

    /// Where this sidecar is, among several that share a run: the machine and the sidecar itself are
    /// then called host@PLACE and sidecar@PLACE in samples
    #[arg(long, env = "LAB_SIDECAR_AT", value_name = "PLACE")]
    pub at: Option<String>,

    /// Watch the process PID under the name NAME (repeatable). Processes whose spans name their pid
    /// are watched anyway
    #[arg(long, value_name = "NAME=PID", value_parser = watch)]
    pub watch: Vec<(String, u32)>,

    /// The service NAME is asked from outside, by callers that send no spans unless they are seen to (repeatable,
    /// or with commas): its requests begin there. Of others that is learned by waiting for a caller's span
    #[arg(long, env = "LAB_SIDECAR_EDGE", value_name = "NAME", value_delimiter = ',')]
    pub edge: Vec<String>,

    /// Unique name of the run: the tag `run` of every point
    #[arg(long, env = "LAB_RUN", value_name = "NAME", default_value = "none")]
    pub run: String,

    /// Write points to this InfluxDB (1.8 or later), http://HOST:PORT. Without it there are none.
    /// A token is taken from the environment variable LAB_INFLUXDB_TOKEN alone
    #[arg(long, env = "LAB_INFLUXDB_URL", value_name = "URL")]
    pub influxdb_url: Option<PeerUrl>,

    /// Organization in InfluxDB 2.x; 1.8 has none
    #[arg(long, env = "LAB_INFLUXDB_ORG", value_name = "NAME", default_value = "lab")]
    pub influxdb_org: String,

    /// Bucket to write to: a name in 2.x, DATABASE/RETENTION-POLICY in 1.8. It must exist
    #[arg(long, env = "LAB_INFLUXDB_BUCKET", value_name = "NAME", default_value = "lab/autogen")]
    pub influxdb_bucket: String,

    /// Token for InfluxDB
    #[arg(skip = Token::new(settings::text("LAB_INFLUXDB_TOKEN").unwrap_or_default()))]
    pub influxdb_token: Token,

    /// Keep points in this folder while InfluxDB is away [default: the run file's name with .spool]
    #[arg(long, env = "LAB_SIDECAR_SPOOL", value_name = "DIR")]
    pub spool: Option<PathBuf>,

    /// Most that is kept there, at most 1 TiB; past it the oldest points are dropped
    #[arg(long, env = "LAB_SIDECAR_SPOOL_LIMIT", value_name = "SIZE", default_value = "256MiB",
          value_parser = bytes())]
    pub spool_limit: u64,
}

/// A setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("--{setting} {value}: {limit}")]
pub struct ConfigError {
    /// The flag, without dashes.
    pub setting: &'static str,
    /// The value given.
    pub value: String,
    /// What values can be used.
    pub limit: &'static str,
}

impl SidecarConfig {
    /// Checks every setting against its limits.
    ///
    /// # Errors
    /// [`ConfigError`] names the first setting that is out of its limits.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let error = |setting, value: String, limit| Err(ConfigError { setting, value, limit });
        let times = Span::milliseconds(10)..=Span::seconds(600);
        if !times.contains(&self.join_window) {
            return error("join-window", self.join_window.to_string(), "must be 10ms to 10m");
        }
        if !times.contains(&self.sample_every) {
            return error("sample-every", self.sample_every.to_string(), "must be 10ms to 10m");
        }
        if !(1..=10_000_000).contains(&self.max_traces) {
            return error("max-traces", self.max_traces.to_string(), "must be 1 to 10000000");
        }
        if !(64 << 20..=1 << 40).contains(&self.memory_limit) {
            let limit = "must be 64 MiB (67108864) to 1 TiB";
            return error("memory-limit", self.memory_limit.to_string(), limit);
        }
        if self.otlp == self.control && self.otlp.port() != 0 {
            return error("control", self.control.to_string(), "must differ from --otlp");
        }
        if let Some(at) = self.at.as_ref().filter(|at| !(1..=200).contains(&at.len())) {
            return error("at", at.clone(), "must have 1 to 200 bytes");
        }
        if !self.control.ip().is_loopback() && self.token_file.is_none() {
            let limit = "needs --token-file, for it is not loopback";
            return error("control", self.control.to_string(), limit);
        }
        let parent = self.run_file.as_deref().and_then(|path| path.parent());
        if let (Some(path), Some(parent)) = (&self.run_file, parent)
            && !parent.as_os_str().is_empty()
            && !parent.is_dir()
        {
            return error("run-file", path.display().to_string(), "its folder must exist");
        }
        self.validate_influxdb()
    }

    fn validate_influxdb(&self) -> Result<(), ConfigError> {
        let error = |setting, value: &str, limit| {
            Err(ConfigError { setting, value: value.to_owned(), limit })
        };
        let (org, bucket) = (&self.influxdb_org, &self.influxdb_bucket);
        let names = [("run", &self.run), ("influxdb-org", org), ("influxdb-bucket", bucket)];
        for (setting, name) in names {
            if !is_tag(name) {
                let limit = "must be 1 to 256 bytes without control characters and backslashes";
                return error(setting, &format!("{name:?}"), limit);
            }
        }
        if self.spool_limit > 1 << 40 {
            return error("spool-limit", &self.spool_limit.to_string(), "must be 0 to 1 TiB");
        }
        let Some(url) = &self.influxdb_url else {
            return Ok(());
        };
        if !self.influxdb_token.is_sendable() {
            let limit = "LAB_INFLUXDB_TOKEN must be of visible ASCII characters";
            return error("influxdb-url", &url.to_string(), limit);
        }
        if self.spool_folder().is_none() {
            return error(
                "influxdb-url",
                &url.to_string(),
                "needs --spool DIR where there is no --run-file",
            );
        }
        Ok(())
    }

    /// Where points are kept while InfluxDB is away.
    pub(crate) fn spool_folder(&self) -> Option<PathBuf> {
        let beside_run_file = || {
            let mut name = self.run_file.as_ref()?.clone().into_os_string();
            name.push(".spool");
            Some(name.into())
        };
        self.spool.clone().or_else(beside_run_file)
    }
}

/// A number of bytes. Limits are held by [`SidecarConfig::validate`], whoever made the settings.
fn bytes() -> impl Fn(&str) -> Result<u64, SizeError> + Clone + Send + Sync + 'static {
    Size::within(0..=u64::MAX)
}

/// The name of `what` where there is one in several places.
pub(crate) fn placed(what: &str, at: Option<&str>) -> String {
    at.map_or_else(|| what.to_owned(), |at| format!("{what}@{at}"))
}

/// An origin is compared as browsers write it: scheme, host and port, without a slash at its end.
fn origin(text: &str) -> Result<String, String> {
    let host = text.split_once("://").map(|(_, host)| host);
    match host {
        _ if text == "*" => Ok(text.to_owned()),
        Some(host) if !host.is_empty() && !host.contains('/') => Ok(text.to_ascii_lowercase()),
        _ => Err(format!("{text:?} is not SCHEME://HOST[:PORT] or *")),
    }
}

/// The kernel keeps 15 bytes of a program's name (`TASK_COMM_LEN`): a longer one would match nothing.
fn command(text: &str) -> Result<String, String> {
    if (1..=15).contains(&text.len()) && !text.contains('/') {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is not a program's name of 1 to 15 bytes, without its folder"))
    }
}

fn watch(text: &str) -> Result<(String, u32), String> {
    let wrong = || format!("{text:?} is not NAME=PID");
    let (name, pid) = text.split_once('=').ok_or_else(wrong)?;
    let pid = pid.parse().ok().filter(|&pid| pid != 0).ok_or_else(wrong)?;
    if name.is_empty() { Err(wrong()) } else { Ok((name.to_owned(), pid)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_places_of_several_sidecars() {
        assert_eq!(placed("host", None), "host");
        assert_eq!(placed("host", Some("echo")), "host@echo");
    }

    #[test]
    fn a_program_that_the_kernel_would_cut_is_refused() {
        assert_eq!(command("pg-client"), Ok("pg-client".to_owned()));
        for name in ["", "sixteen-bytes-xx", "/usr/bin/echo"] {
            assert!(command(name).is_err(), "{name}");
        }
    }
}
