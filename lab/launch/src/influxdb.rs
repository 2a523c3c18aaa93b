//! InfluxDB: started on loopback with a secret of its own, set up, and known to those who write and read.
//!
//! 1.8 and 2.x differ in how they are configured and set up, and in nothing after that: both take the
//! v2 write API, k6's `/write`, and InfluxQL.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use lab_supervise::{Foreign, Part, PartError, Supervisor, free_port};
use serde_json::{Value, json};

use super::inventory::READER as READER_TOKEN;
use super::{causes, secret, variable};

/// Name of the part in logs and errors.
const PART: &str = "influxdb";
/// User, organisation, bucket and database that the lab makes.
const NAME: &str = "lab";
/// Name of the user who may only read.
const READER: &str = "reader";
/// Files of the secrets in the data folder: the owner's password, the reader's token.
const SECRET_FILE: &str = "secret";
const READER_FILE: &str = "secret-of-reader";
/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where points are kept, and what it takes to write and read them.
#[derive(Clone, PartialEq, Eq)]
pub struct Store {
    /// Its address, `http://HOST:PORT`.
    pub url: String,
    /// Organisation, of the v2 API.
    pub org: String,
    /// Bucket, of the v2 API; `DATABASE/RETENTION POLICY` of a 1.x server.
    pub bucket: String,
    /// Database, of InfluxQL and of `/write`.
    pub database: String,
    /// User name for the v1 API.
    pub user: String,
    /// Password for the v1 API; empty where there is none.
    pub password: String,
    /// Token for the v2 API; empty where there is none.
    pub token: String,
    /// Token of somebody who may only read.
    pub reader: String,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("url", &self.url).field("bucket", &self.bucket).finish()
    }
}

impl Store {
    /// The store at `url` that somebody else runs, as the environment describes it.
    #[must_use]
    pub fn elsewhere(url: &str) -> Store {
        let variable = |name: &str, or: &str| {
            variable(name)
                .and_then(|value| value.into_string().ok())
                .unwrap_or_else(|| or.to_owned())
        };
        let token = variable("LAB_INFLUXDB_TOKEN", "");
        let bucket = variable("LAB_INFLUXDB_BUCKET", "");
        let of_bucket = bucket.split('/').next().filter(|name| !name.is_empty()).unwrap_or(NAME);
        let database = variable("LAB_INFLUXDB_DATABASE", of_bucket);
        // The token of a 1.x server is USER:PASSWORD; of 2.x it is the password of any user.
        let (user, password) = token.split_once(':').unwrap_or((NAME, &token));
        Store {
            url: url.trim_end_matches('/').to_owned(),
            org: variable("LAB_INFLUXDB_ORG", NAME),
            bucket: if bucket.is_empty() { format!("{database}/autogen") } else { bucket },
            database,
            user: user.to_owned(),
            password: password.to_owned(),
            reader: variable(READER_TOKEN, &token),
            token,
        }
    }

    /// Makes the database where that is possible and it is not there: a 1.x server takes points for one that
    /// exists only, and refuses them by name.
    pub async fn make_database(&self) {
        let quoted = self.database.replace('\\', "\\\\").replace('"', "\\\"");
        let query = format!("CREATE DATABASE \"{quoted}\"");
        if let Ok(setup) = Setup::new(self) {
            // A server that does not let us, or is away, says so again when points are written.
            let _ = setup.query("make its database", &query, Some(self)).await;
        }
    }

    /// As [`Store::env`], for somebody who may only read.
    #[must_use]
    pub fn env_of_reader(&self) -> Vec<(&'static str, String)> {
        Store { token: self.reader.clone(), ..self.clone() }.env()
    }

    /// What tells the sidecar, Grafana and a shell about it.
    #[must_use]
    pub fn env(&self) -> Vec<(&'static str, String)> {
        vec![
            ("LAB_INFLUXDB_URL", self.url.clone()),
            ("LAB_INFLUXDB_ORG", self.org.clone()),
            ("LAB_INFLUXDB_BUCKET", self.bucket.clone()),
            ("LAB_INFLUXDB_DATABASE", self.database.clone()),
            ("LAB_INFLUXDB_TOKEN", self.token.clone()),
        ]
    }
}

/// What an InfluxDB's version says of how to start it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Generation {
    One,
    Two,
}

impl Generation {
    /// From its version. A build of 1.8 from source tells no number.
    fn of(version: &str) -> Generation {
        if version.trim_start_matches('v').starts_with('2') {
            Generation::Two
        } else {
            Generation::One
        }
    }
}

/// Starts the InfluxDB at `program`, which says it is `version`, on a free port of loopback. Its data is in
/// `data`: made if it is not there, used as it is otherwise.
///
/// # Errors
/// If it does not start, or cannot be set up.
pub async fn start_influxdb(
    supervisor: &Supervisor,
    program: &Path,
    version: &str,
    data: &Path,
) -> Result<(Part, Store), PartError> {
    let failed = |attempt: &'static str| {
        move |error: std::io::Error| PartError::Setup {
            part: PART.to_owned(),
            attempt: attempt.to_owned(),
            reason: error.to_string(),
        }
    };
    secret::folder(data).map_err(failed("make its data folder"))?;
    let address = free_port().map_err(failed("find a free port"))?;
    let kept = std::fs::read_to_string(data.join(SECRET_FILE)).ok();
    let password = match &kept {
        Some(secret) => secret.clone(),
        None => secret::make().map_err(failed("make a secret"))?,
    };
    let generation = Generation::of(version);
    let mut foreign = Foreign::new(PART, program.to_owned());
    foreign.address = Some(address);
    foreign.health = Some("/health");
    foreign.env = environment(generation, address, data);
    let part = supervisor.keep(foreign).await?;
    let (bucket, token) = match generation {
        Generation::One => (format!("{NAME}/autogen"), format!("{NAME}:{password}")),
        Generation::Two => (NAME.to_owned(), password.clone()),
    };
    let mut store = Store {
        url: format!("http://{address}"),
        org: NAME.to_owned(),
        bucket,
        database: NAME.to_owned(),
        user: NAME.to_owned(),
        password,
        token,
        reader: std::fs::read_to_string(data.join(READER_FILE)).unwrap_or_default(),
    };
    if kept.is_none() {
        let set_up = match generation {
            Generation::One => set_up_one(&store).await,
            Generation::Two => set_up_two(&store).await,
        };
        let kept = set_up.and_then(|reader| {
            store.reader = reader;
            secret::keep(&data.join(SECRET_FILE), &store.password)
                .and_then(|()| secret::keep(&data.join(READER_FILE), &store.reader))
                .map_err(failed("keep its secrets"))
        });
        if let Err(error) = kept {
            part.stop().await;
            return Err(error);
        }
    }
    Ok((part, store))
}

/// What configures it: environment variables, which unlike arguments no other user can read.
fn environment(
    generation: Generation,
    address: SocketAddr,
    data: &Path,
) -> Vec<(&'static str, String)> {
    let inside = |name: &str| data.join(name).to_string_lossy().into_owned();
    match generation {
        Generation::One => vec![
            ("INFLUXDB_META_DIR", inside("meta")),
            ("INFLUXDB_DATA_DIR", inside("data")),
            ("INFLUXDB_DATA_WAL_DIR", inside("wal")),
            // The port of its backup service, which nobody uses.
            ("INFLUXDB_BIND_ADDRESS", "127.0.0.1:0".to_owned()),
            ("INFLUXDB_HTTP_BIND_ADDRESS", address.to_string()),
            ("INFLUXDB_HTTP_AUTH_ENABLED", "true".to_owned()),
            ("INFLUXDB_HTTP_LOG_ENABLED", "false".to_owned()),
            ("INFLUXDB_HTTP_FLUX_ENABLED", "true".to_owned()),
            ("INFLUXDB_DATA_QUERY_LOG_ENABLED", "false".to_owned()),
            ("INFLUXDB_MONITOR_STORE_ENABLED", "false".to_owned()),
            ("INFLUXDB_REPORTING_DISABLED", "true".to_owned()),
            ("INFLUXDB_LOGGING_LEVEL", "warn".to_owned()),
        ],
        Generation::Two => vec![
            ("INFLUXD_HTTP_BIND_ADDRESS", address.to_string()),
            ("INFLUXD_BOLT_PATH", inside("influxd.bolt")),
            ("INFLUXD_SQLITE_PATH", inside("influxd.sqlite")),
            ("INFLUXD_ENGINE_PATH", inside("engine")),
            ("INFLUXD_REPORTING_DISABLED", "true".to_owned()),
            ("INFLUXD_LOG_LEVEL", "warn".to_owned()),
        ],
    }
}

/// Makes a user, a database, and a user who may only read. Until there is a user, a 1.x server lets anybody make
/// one, and nothing else. Returns the reader's token.
async fn set_up_one(store: &Store) -> Result<String, PartError> {
    let setup = Setup::new(store)?;
    let user = format!("CREATE USER {NAME} WITH PASSWORD '{}' WITH ALL PRIVILEGES", store.password);
    setup.query("make its user", &user, None).await?;
    let password = secret::make().map_err(|error| refused("make a secret", &error))?;
    for (attempt, query) in [
        ("make its database", format!("CREATE DATABASE {}", store.database)),
        ("make its reader", format!("CREATE USER {READER} WITH PASSWORD '{password}'")),
        ("let its reader read", format!("GRANT READ ON {} TO {READER}", store.database)),
    ] {
        setup.query(attempt, &query, Some(store)).await?;
    }
    Ok(format!("{READER}:{password}"))
}

/// Makes user, organisation, bucket and token, maps the database of InfluxQL onto the bucket, and makes a token
/// that only reads, which it returns.
async fn set_up_two(store: &Store) -> Result<String, PartError> {
    let setup = Setup::new(store)?;
    let made = setup
        .post(
            "set it up",
            "/api/v2/setup",
            &json!({
                "username": store.user, "password": store.password, "token": store.token,
                "org": store.org, "bucket": store.bucket, "retentionPeriodSeconds": 0,
            }),
            None,
        )
        .await?;
    let id = |of: &str| made[of]["id"].as_str().unwrap_or_default().to_owned();
    let mapping = json!({
        "orgID": id("org"), "bucketID": id("bucket"), "database": store.database,
        "retention_policy": "autogen", "default": true,
    });
    setup.post("map its bucket", "/api/v2/dbrps", &mapping, Some(store)).await?;
    let of = |kind: &str, id: String| {
        json!({
            "action": "read", "resource": { "type": kind, "id": id, "orgID": made["org"]["id"] },
        })
    };
    // InfluxQL looks for the mapping before it looks into the bucket.
    let reader = json!({
        "orgID": id("org"), "description": READER,
        "permissions": [
            of("buckets", id("bucket")),
            { "action": "read", "resource": { "type": "dbrp", "orgID": id("org") } },
        ],
    });
    let made =
        setup.post("make its reader", "/api/v2/authorizations", &reader, Some(store)).await?;
    Ok(made["token"].as_str().unwrap_or_default().to_owned())
}

/// Requests that set an InfluxDB up.
struct Setup {
    client: reqwest::Client,
    url: String,
}

impl Setup {
    fn new(store: &Store) -> Result<Setup, PartError> {
        let client = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build();
        let client = client.map_err(|error| refused("make an HTTP client", &error))?;
        Ok(Setup { client, url: store.url.clone() })
    }

    async fn query(
        &self,
        attempt: &str,
        query: &str,
        as_user: Option<&Store>,
    ) -> Result<(), PartError> {
        let url = reqwest::Url::parse_with_params(&format!("{}/query", self.url), [("q", query)])
            .map_err(|error| refused(attempt, &error))?;
        let mut request = self.client.post(url);
        if let Some(store) = as_user {
            request = request.basic_auth(&store.user, Some(&store.password));
        }
        let answer = answer(attempt, request).await?;
        match answer["results"][0]["error"].as_str() {
            Some(error) => Err(refused(attempt, &error)),
            None => Ok(()),
        }
    }

    async fn post(
        &self,
        attempt: &str,
        path: &str,
        body: &Value,
        as_owner: Option<&Store>,
    ) -> Result<Value, PartError> {
        let mut request = self.client.post(format!("{}{path}", self.url)).json(body);
        if let Some(store) = as_owner {
            request = request.header("Authorization", format!("Token {}", store.token));
        }
        answer(attempt, request).await
    }
}

async fn answer(attempt: &str, request: reqwest::RequestBuilder) -> Result<Value, PartError> {
    // The address of the request holds what was asked, a password among it.
    let reply =
        request.send().await.map_err(|error| refused(attempt, &causes(&error.without_url())))?;
    let status = reply.status();
    let text =
        reply.text().await.map_err(|error| refused(attempt, &causes(&error.without_url())))?;
    if !status.is_success() {
        return Err(refused(attempt, &format!("{status}: {}", text.trim())));
    }
    Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
}

fn refused(attempt: &str, reason: &dyn fmt::Display) -> PartError {
    PartError::Setup {
        part: PART.to_owned(),
        attempt: attempt.to_owned(),
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests;
