//! The sidecar's control address: whom to watch, and when to close the books.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

/// How long the sidecar may take to close all traces.
const PATIENCE: Duration = Duration::from_secs(30);

/// The sidecar does not do as asked.
#[derive(Debug, thiserror::Error)]
#[error("the sidecar does not answer {path} on {address}: {reason}")]
pub struct ControlError {
    path: &'static str,
    address: SocketAddr,
    reason: String,
}

/// A connection to the sidecar's control address.
#[derive(Debug, Clone)]
pub struct Control {
    address: SocketAddr,
    client: reqwest::Client,
}

impl Control {
    /// To the sidecar at `address`.
    ///
    /// # Errors
    /// If no HTTP client can be made.
    pub fn new(address: SocketAddr) -> Result<Control, ControlError> {
        let client = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build();
        let client = client.map_err(|error| ControlError {
            path: "",
            address,
            reason: error.to_string(),
        })?;
        Ok(Control { address, client })
    }

    /// Has the sidecar sample the CPU and memory of process `pid` under `name`.
    ///
    /// # Errors
    /// If it does not answer with success.
    pub async fn watch(&self, name: &str, pid: u32) -> Result<(), ControlError> {
        self.post("/watch", &json!({ "name": name, "pid": pid })).await.map(drop)
    }

    /// Has the sidecar close all traces and write them to the run file; returns its counters, and why
    /// the latest row that could not be written was not (empty if all were).
    ///
    /// # Errors
    /// If it does not answer with success.
    pub async fn flush(&self) -> Result<(BTreeMap<String, u64>, String), ControlError> {
        let stats = self.post("/flush", &json!({})).await?;
        let mut counters = BTreeMap::new();
        flatten("", &stats, &mut counters);
        let why = stats.get("last_error").and_then(Value::as_str).unwrap_or_default();
        Ok((counters, why.to_owned()))
    }

    async fn post(&self, path: &'static str, body: &Value) -> Result<Value, ControlError> {
        let error = |reason: String| ControlError { path, address: self.address, reason };
        let url = format!("http://{}{path}", self.address);
        let reply = self.client.post(url).json(body).send().await;
        let reply = reply
            .and_then(reqwest::Response::error_for_status)
            .map_err(|e| error(e.to_string()))?;
        let text = reply.text().await.map_err(|e| error(e.to_string()))?;
        if text.trim().is_empty() {
            return Ok(Value::Null);
        }
        // An answer that is no JSON carries no counters.
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }
}

/// Numbers of nested objects under dotted names.
fn flatten(prefix: &str, value: &Value, into: &mut BTreeMap<String, u64>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let name =
                    if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                flatten(&name, value, into);
            }
        }
        Value::Number(number) => {
            if let Some(number) = number.as_u64() {
                into.insert(prefix.to_owned(), number);
            }
        }
        _ => {}
    }
}
