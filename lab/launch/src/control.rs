//! The sidecar's control address: whom to watch, and when to close the books.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use lab_supervise::PartError;
use reqwest::StatusCode;
use serde_json::{Value, json};

/// How long the sidecar may take to close all traces.
const PATIENCE: Duration = Duration::from_secs(30);

/// The sidecar does not do as asked.
#[derive(Debug, thiserror::Error)]
#[error("the sidecar does not answer {path} on {address}: {reason}")]
pub struct ControlError {
    path: &'static str,
    address: SocketAddr,
    /// Of its answer, if there was one.
    status: Option<StatusCode>,
    reason: String,
}

impl From<ControlError> for PartError {
    fn from(error: ControlError) -> PartError {
        let (part, attempt) = ("sidecar".to_owned(), format!("have it answer {}", error.path));
        PartError::Setup { part, attempt, reason: format!("{}: {}", error.address, error.reason) }
    }
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
            status: None,
            reason: error.to_string(),
        })?;
        Ok(Control { address, client })
    }

    /// Has the sidecar sample the CPU and memory of process `pid` under `name`, and with `children` of those
    /// that it starts. One that has ended by now is no error here: whoever started it hears of its death, and
    /// knows what that means.
    ///
    /// # Errors
    /// If it does not answer with success.
    pub async fn watch(&self, name: &str, pid: u32, children: bool) -> Result<(), ControlError> {
        let body = json!({ "name": name, "pid": pid, "children": children });
        match self.post("/watch", &body).await {
            Err(error) if error.status == Some(StatusCode::NOT_FOUND) => Ok(()),
            answered => answered.map(drop),
        }
    }

    /// Opens a run of `cells`, and tells the sidecar which protocol and payload the points of each are tagged with.
    /// Answers the run's nonce.
    ///
    /// # Errors
    /// If it does not answer with success.
    pub async fn open(&self, cells: &[Announced<'_>]) -> Result<String, ControlError> {
        let cells: Vec<Value> = cells
            .iter()
            .map(|cell| {
                json!({ "cell": cell.cell, "protocol": cell.protocol, "payload": cell.payload })
            })
            .collect();
        let opened = self.post("/plan", &json!({ "cells": cells })).await?;
        Ok(opened["nonce"].as_str().unwrap_or_default().to_owned())
    }

    /// Has the sidecar write `lines`, in InfluxDB's line protocol with nanoseconds.
    ///
    /// # Errors
    /// If it does not answer with success.
    pub async fn points(&self, lines: String) -> Result<(), ControlError> {
        let url = format!("http://{}/points", self.address);
        let request = self.client.post(url).header("Content-Type", "text/plain").body(lines);
        self.send("/points", request).await.map(drop)
    }

    /// Has the sidecar close the traces of the run that has `nonce`, or of none, and write them to the run file;
    /// returns its counters, and why the latest row that could not be written was not (empty if all were).
    ///
    /// # Errors
    /// If it does not answer with success.
    pub async fn flush(
        &self,
        nonce: Option<&str>,
    ) -> Result<(BTreeMap<String, u64>, String), ControlError> {
        let stats = self.post("/flush", &json!({ "nonce": nonce })).await?;
        let mut counters = BTreeMap::new();
        flatten("", &stats, &mut counters);
        let why = stats.get("last_error").and_then(Value::as_str).unwrap_or_default();
        Ok((counters, why.to_owned()))
    }

    async fn post(&self, path: &'static str, body: &Value) -> Result<Value, ControlError> {
        let url = format!("http://{}{path}", self.address);
        self.send(path, self.client.post(url).json(body)).await
    }

    async fn send(
        &self,
        path: &'static str,
        request: reqwest::RequestBuilder,
    ) -> Result<Value, ControlError> {
        let error = |status, reason| ControlError { path, address: self.address, status, reason };
        let reply = request.send().await.map_err(|e| error(None, super::causes(&e)))?;
        let status = reply.status();
        let text = reply.text().await.map_err(|e| error(Some(status), super::causes(&e)))?;
        if !status.is_success() {
            return Err(error(Some(status), format!("{status} {}", text.trim())));
        }
        // An answer that is no JSON carries no counters.
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }
}

/// A cell of the plan, as the sidecar is told of it.
#[derive(Debug, Clone)]
pub struct Announced<'a> {
    /// The cell.
    pub cell: &'a str,
    /// Its protocol.
    pub protocol: &'a str,
    /// Its payload in bytes, or that it has none.
    pub payload: String,
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

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::post;

    use super::*;

    /// A sidecar that answers `status` to whoever asks it to watch a process.
    async fn answers(status: u16) -> Control {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let status = axum::http::StatusCode::from_u16(status).unwrap();
        let app = Router::new().route("/watch", post(async move || status));
        tokio::spawn(axum::serve(listener, app).into_future());
        Control::new(address).unwrap()
    }

    #[tokio::test]
    async fn a_process_that_has_ended_before_it_is_watched_is_left_to_whoever_hears_of_its_death() {
        answers(404).await.watch("grafana", 1, true).await.unwrap();
        let error = answers(429).await.watch("grafana", 1, true).await.unwrap_err();
        assert!(error.to_string().contains("429"), "{error}");
    }
}
