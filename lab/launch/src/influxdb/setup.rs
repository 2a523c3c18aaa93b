//! What is said to an InfluxDB that is being set up.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use super::{NAME, PART, READER, Store};
use crate::{causes, secret};
use lab_supervise::PartError;

/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Makes a user, a database, and a user who may only read. Until there is a user, a 1.x server lets anybody make
/// one, and nothing else. Returns the reader's token.
pub(super) async fn set_up_one(store: &Store) -> Result<String, PartError> {
    let setup = Setup::new(store)?;
    let user = format!("CREATE USER {NAME} WITH PASSWORD '{}' WITH ALL PRIVILEGES", store.password);
    setup.query(&user, None).await.map_err(|error| error.told("make its user"))?;
    let password = secret::make().map_err(|error| failed("make a secret", &error))?;
    for (attempt, query) in [
        ("make its database", format!("CREATE DATABASE {}", store.database)),
        ("make its reader", format!("CREATE USER {READER} WITH PASSWORD '{password}'")),
        ("let its reader read", format!("GRANT READ ON {} TO {READER}", store.database)),
    ] {
        setup.query(&query, Some(store)).await.map_err(|error| error.told(attempt))?;
    }
    Ok(format!("{READER}:{password}"))
}

/// Makes user, organisation, bucket and token, maps the database of InfluxQL onto the bucket, and makes a token
/// that only reads, which it returns.
pub(super) async fn set_up_two(store: &Store) -> Result<String, PartError> {
    let setup = Setup::new(store)?;
    let made = setup
        .post(
            "/api/v2/setup",
            &json!({
                "username": store.user, "password": store.password, "token": store.token,
                "org": store.org, "bucket": store.bucket, "retentionPeriodSeconds": 0,
            }),
            None,
        )
        .await
        .map_err(|error| error.told("set it up"))?;
    let id = |of: &str| made[of]["id"].as_str().unwrap_or_default().to_owned();
    let mapping = json!({
        "orgID": id("org"), "bucketID": id("bucket"), "database": store.database,
        "retention_policy": "autogen", "default": true,
    });
    let mapped = setup.post("/api/v2/dbrps", &mapping, Some(store)).await;
    mapped.map_err(|error| error.told("map its bucket"))?;
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
    let made = setup.post("/api/v2/authorizations", &reader, Some(store)).await;
    let made = made.map_err(|error| error.told("make its reader"))?;
    Ok(made["token"].as_str().unwrap_or_default().to_owned())
}

/// Requests that set an InfluxDB up.
pub(super) struct Setup {
    client: reqwest::Client,
    url: String,
}

impl Setup {
    pub(super) fn new(store: &Store) -> Result<Setup, PartError> {
        let client = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build();
        let client = client.map_err(|error| failed("make an HTTP client", &error))?;
        Ok(Setup { client, url: store.url.clone() })
    }

    /// Answers `query`, in InfluxQL.
    pub(super) async fn query(&self, query: &str, by: Option<&Store>) -> Result<Value, NoAnswer> {
        let mut url = self.at("/query")?;
        url.query_pairs_mut().append_pair("q", query);
        let mut request = self.client.post(url);
        if let Some(store) = by {
            request = request.basic_auth(&store.user, Some(&store.password));
        }
        let answer = answer(request).await?;
        match answer["results"][0]["error"].as_str() {
            Some(error) => Err(NoAnswer::Refused(error.to_owned())),
            None => Ok(answer),
        }
    }

    /// Writes no point at all: whether there may be some is answered all the same.
    pub(super) async fn write_nothing(&self, by: &Store) -> Result<(), NoAnswer> {
        let mut url = self.at("/api/v2/write")?;
        url.query_pairs_mut().append_pair("org", &by.org).append_pair("bucket", &by.bucket);
        let mut request = self.client.post(url).body("");
        if !by.token.is_empty() {
            request = request.header("Authorization", format!("Token {}", by.token));
        }
        answer(request).await.map(drop)
    }

    async fn post(&self, path: &str, body: &Value, by: Option<&Store>) -> Result<Value, NoAnswer> {
        let mut request = self.client.post(self.at(path)?).json(body);
        if let Some(store) = by {
            request = request.header("Authorization", format!("Token {}", store.token));
        }
        answer(request).await
    }

    fn at(&self, path: &str) -> Result<reqwest::Url, NoAnswer> {
        let url = format!("{}{path}", self.url);
        url.parse().map_err(|_| NoAnswer::Refused(format!("{} is no URL", self.url)))
    }
}

/// Why a request was not carried out.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// Nobody answered: somebody may, later.
    Away(String),
    /// In the server's words.
    Refused(String),
}

impl NoAnswer {
    /// The error of a part that could not `attempt`.
    pub(super) fn told(self, attempt: &str) -> PartError {
        let (NoAnswer::Away(reason) | NoAnswer::Refused(reason)) = self;
        failed(attempt, &reason)
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Result<Value, NoAnswer> {
    // The address of the request holds what was asked, a password among it.
    let away = |error: reqwest::Error| NoAnswer::Away(causes(&error.without_url()));
    let reply = request.send().await.map_err(away)?;
    let status = reply.status();
    let text = reply.text().await.map_err(away)?;
    if !status.is_success() {
        return Err(NoAnswer::Refused(format!("{status}: {}", text.trim())));
    }
    Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
}

pub(super) fn failed(attempt: &str, reason: &dyn fmt::Display) -> PartError {
    PartError::Setup {
        part: PART.to_owned(),
        attempt: attempt.to_owned(),
        reason: reason.to_string(),
    }
}
