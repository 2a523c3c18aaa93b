//! A store of points as those who write and read it know it.

use std::fmt;

use super::NAME;

/// Names a token of somebody else's InfluxDB that may only read.
pub(crate) const READER_TOKEN: &str = "LAB_INFLUXDB_READER_TOKEN";

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
        let variable = |name: &str, or: &str| settings::text(name).unwrap_or_else(|| or.to_owned());
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
