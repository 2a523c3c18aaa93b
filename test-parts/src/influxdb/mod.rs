//! An InfluxDB of a test's own, 1.8 or 2.x: started on loopback in a folder of its own, set up, killed and started
//! again, asked in InfluxQL.

mod series;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::RequestBuilder;
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::part::Part;
use crate::process::Process;
use lab_supervise::Port;
pub use series::Series;

/// How long it may take to be ready: less than a second, but on a machine that builds a minute was seen.
const READY: Duration = Duration::from_secs(180);
/// How often it is asked whether it is.
const ASK: Duration = Duration::from_millis(20);
/// User, organisation, bucket and database.
const NAME: &str = "lab";
/// What a 2.x server is asked with. It listens on loopback only, and holds nothing but what a test wrote.
const TOKEN: &str = "token-of-a-test";

/// A running InfluxDB, or one that was killed and can be started again.
#[derive(Debug)]
pub struct InfluxDb {
    part: Part,
    // Ends before its folder goes.
    server: Option<Process>,
    port: Port,
    http: reqwest::Client,
    /// Id of the organisation in a 2.x server.
    org_id: String,
    folder: TempDir,
}

impl InfluxDb {
    /// Starts the generation that `part` is, with an empty database `lab`.
    ///
    /// # Panics
    /// If `part` is no InfluxDB, or it is not here, or it cannot be set up.
    pub async fn start(part: Part) -> InfluxDb {
        assert!(matches!(part, Part::Influxdb | Part::Influxdb2), "{} is no InfluxDB", part.name());
        let http = reqwest::Client::builder().no_proxy().build().expect("an HTTP client");
        let folder = tempfile::Builder::new().prefix("test-influxdb-").tempdir();
        let folder = folder.expect("a folder for its data");
        let (server, org_id) = (None, String::new());
        let mut influxdb = InfluxDb {
            part,
            server,
            port: Port::of_loopback().expect("a free port"),
            http,
            org_id,
            folder,
        };
        influxdb.start_again().await;
        influxdb.set_up().await;
        influxdb
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.port.address)
    }

    /// Its address with user and password, as of a data source for InfluxQL.
    #[must_use]
    pub fn url_of_reader(&self) -> String {
        match self.part {
            Part::Influxdb2 => format!("http://{NAME}:{TOKEN}@{}", self.port.address),
            _ => self.url(),
        }
    }

    /// What the v2 API asks for; empty where everybody may do anything, as with 1.8 here.
    #[must_use]
    pub fn token(&self) -> &str {
        if self.part == Part::Influxdb2 { TOKEN } else { "" }
    }

    /// Organisation, of the v2 API.
    #[must_use]
    pub fn org(&self) -> &str {
        NAME
    }

    /// Bucket, of the v2 API.
    #[must_use]
    pub fn bucket(&self) -> &str {
        if self.part == Part::Influxdb2 { NAME } else { "lab/autogen" }
    }

    /// Its process id.
    ///
    /// # Panics
    /// If it was killed.
    #[must_use]
    pub fn process(&self) -> u32 {
        self.server.as_ref().expect("it runs").id()
    }

    /// Kills it as a crash would (SIGKILL); its data stays, and it can be started again.
    ///
    /// # Panics
    /// If it does not run.
    pub fn kill(&mut self) {
        self.server.take().expect("it runs").crash();
    }

    /// Starts it on the same data and port.
    ///
    /// # Panics
    /// If it ends, or is not ready in time; with what it said.
    pub async fn start_again(&mut self) {
        let mut command = self.command();
        let mut server = Process::start(&mut command, self.folder.path(), Signal::KILL);
        let began = Instant::now();
        while !self.is_ready().await {
            let ended = server.ended();
            let late = began.elapsed() >= READY;
            assert!(ended.is_none() && !late, "influxd: {ended:?}, {}", self.log());
            tokio::time::sleep(ASK).await;
        }
        self.server = Some(server);
    }

    fn command(&self) -> Command {
        let folder = |name: &str| self.folder.path().join(name);
        let address = self.port.address.to_string();
        let log = std::fs::File::create(folder("log")).expect("a file for its log");
        let mut command = Command::new(self.part.program());
        // Settings of somebody's own InfluxDB are not this one's.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("INFLUX") {
                command.env_remove(name);
            }
        }
        match self.part {
            Part::Influxdb2 => command
                .env("INFLUXD_HTTP_BIND_ADDRESS", address)
                .env("INFLUXD_BOLT_PATH", folder("influxd.bolt"))
                .env("INFLUXD_SQLITE_PATH", folder("influxd.sqlite"))
                .env("INFLUXD_ENGINE_PATH", folder("engine"))
                .env("INFLUXD_REPORTING_DISABLED", "true"),
            _ => command
                .env("INFLUXDB_META_DIR", folder("meta"))
                .env("INFLUXDB_DATA_DIR", folder("data"))
                .env("INFLUXDB_DATA_WAL_DIR", folder("wal"))
                // The port of its backup service, which nobody uses.
                .env("INFLUXDB_BIND_ADDRESS", "127.0.0.1:0")
                .env("INFLUXDB_HTTP_BIND_ADDRESS", address)
                .env("INFLUXDB_HTTP_FLUX_ENABLED", "true")
                .env("INFLUXDB_HTTP_LOG_ENABLED", "false")
                .env("INFLUXDB_REPORTING_DISABLED", "true"),
        };
        let said = log.try_clone().expect("the same file");
        command.env("HOME", self.folder.path()).stdout(said).stderr(Stdio::from(log));
        command
    }

    async fn is_ready(&self) -> bool {
        let health = self.http.get(format!("{}/health", self.url())).send().await;
        health.is_ok_and(|reply| reply.status().is_success())
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    async fn set_up(&mut self) {
        if self.part == Part::Influxdb {
            return self.make_database(NAME).await;
        }
        let first = json!({
            "username": NAME, "password": TOKEN, "token": TOKEN, "org": NAME, "bucket": NAME,
        });
        let made = self.post("/api/v2/setup", &first).await;
        self.org_id = text(&made["org"]["id"]);
        self.map(NAME, &text(&made["bucket"]["id"])).await;
    }

    /// Makes the database `name`: in a 2.x server a bucket and what InfluxQL finds it by.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn make_database(&self, name: &str) {
        if self.part == Part::Influxdb {
            self.answer(&format!("CREATE DATABASE \"{name}\""), "").await;
            return;
        }
        let bucket = json!({ "orgID": self.org_id, "name": name, "retentionRules": [] });
        let made = self.post("/api/v2/buckets", &bucket).await;
        self.map(name, &text(&made["id"])).await;
    }

    async fn map(&self, database: &str, bucket: &str) {
        let mapping = json!({
            "orgID": self.org_id, "bucketID": bucket, "database": database,
            "retention_policy": "autogen", "default": true,
        });
        self.post("/api/v2/dbrps", &mapping).await;
    }

    /// Writes `lines` of line protocol into `database`.
    ///
    /// # Panics
    /// If they are refused.
    pub async fn write(&self, database: &str, lines: &str) {
        let url = format!("{}/write?db={database}", self.url());
        self.send(self.http.post(url).body(lines.to_owned())).await;
    }

    /// Answers `query` about the database `lab`: the series found, each with its columns by name.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn query(&self, query: &str) -> Vec<Series> {
        let answer = self.answer(query, NAME).await;
        let series = answer["results"][0]["series"].as_array().cloned().unwrap_or_default();
        series.into_iter().map(Series).collect()
    }

    /// The only value of the only row that `query` answers.
    ///
    /// # Panics
    /// If there is no such number.
    pub async fn number(&self, query: &str) -> f64 {
        let found = self.query(query).await;
        let value = found.first().and_then(Series::first_value).and_then(Value::as_f64);
        value.unwrap_or_else(|| panic!("{query}: {found:?}"))
    }

    async fn answer(&self, query: &str, database: &str) -> Value {
        let parameters = [("db", database), ("epoch", "ns"), ("q", query)];
        let url = reqwest::Url::parse_with_params(&format!("{}/query", self.url()), parameters);
        let answer = self.send(self.http.post(url.expect("a URL"))).await;
        assert_eq!(answer["results"][0]["error"], Value::Null, "{query}");
        answer
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        self.send(self.http.post(format!("{}{path}", self.url())).json(body)).await
    }

    async fn send(&self, request: RequestBuilder) -> Value {
        let request = match self.token() {
            "" => request,
            token => request.header("Authorization", format!("Token {token}")),
        };
        let reply = request.send().await.expect("an answer of InfluxDB");
        let (status, url) = (reply.status(), reply.url().clone());
        let body = reply.text().await.expect("text");
        assert!(status.is_success(), "{url}: {status} {body}");
        serde_json::from_str(&body).unwrap_or(Value::Null)
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no id")).to_owned()
}
