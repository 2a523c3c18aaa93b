//! What the lab asks of a sidecar at its control address: to watch processes, to close the books of a run, and to send its
//! rows where the run file is on another machine.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use lab_supervise::PartError;
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};
use settings::PeerUrl;

/// How long the sidecar may take to close all traces.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long it may take to send all rows of a cell.
const PATIENCE_WITH_ROWS: Duration = Duration::from_secs(600);

/// The sidecar does not do as asked.
#[derive(Debug, thiserror::Error)]
#[error("the sidecar does not answer {path} on {address}: {reason}")]
pub struct ControlError {
    path: &'static str,
    address: String,
    /// The status of its answer, if there was one.
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
    /// `HOST:PORT`.
    address: String,
    /// The token that the sidecar asks for, if it does; it is shown to nobody.
    token: Option<Token>,
    client: reqwest::Client,
}

/// A secret that whoever controls a sidecar has to send.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(pub String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Control {
    /// To the sidecar at `address`.
    ///
    /// # Errors
    /// If no HTTP client can be made.
    pub fn new(address: SocketAddr) -> Result<Control, ControlError> {
        Control::to(address.to_string(), None)
    }

    /// To the sidecar at `url`, with the token that it asks for, if it does.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn at(url: &PeerUrl, token: Option<Token>) -> Result<Control, ControlError> {
        let authority = url.uri().authority();
        Control::to(authority.map(|to| to.to_string()).unwrap_or_default(), token)
    }

    fn to(address: String, token: Option<Token>) -> Result<Control, ControlError> {
        let client = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build();
        let client = client.map_err(|error| ControlError {
            path: "",
            address: address.clone(),
            status: None,
            reason: error.to_string(),
        })?;
        Ok(Control { address, token, client })
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
    /// Answers what is to be known of the run and of the sidecar.
    ///
    /// # Errors
    /// If it does not answer with success, or as another version does.
    pub async fn open(&self, cells: &[Announced<'_>]) -> Result<Opened, ControlError> {
        let cells: Vec<Value> = cells
            .iter()
            .map(|cell| {
                json!({ "cell": cell.cell, "protocol": cell.protocol, "payload": cell.payload })
            })
            .collect();
        let opened = self.post("/plan", &json!({ "cells": cells })).await?;
        Opened::read(&opened).ok_or_else(|| ControlError {
            path: "/plan",
            address: self.address.clone(),
            status: None,
            reason: format!("{opened}: it is of another version, or no sidecar"),
        })
    }

    /// Its counters.
    ///
    /// # Errors
    /// If it does not answer with success.
    pub async fn stats(&self) -> Result<BTreeMap<String, u64>, ControlError> {
        let stats = self.send("/stats", self.client.get(self.url("/stats"))).await?;
        let mut counters = BTreeMap::new();
        flatten("", &stats, &mut counters);
        Ok(counters)
    }

    /// Gives `take` every line of what it answers to `path` with these questions, as they come.
    ///
    /// # Errors
    /// If it does not answer with success, not to the end, or with a line that `take` does not.
    pub async fn lines(
        &self,
        path: &'static str,
        questions: &[(&str, &str)],
        take: &mut dyn FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<(), ControlError> {
        let query =
            form_urlencoded::Serializer::new(String::new()).extend_pairs(questions).finish();
        let request = self.client.get(format!("{}?{query}", self.url(path)));
        let mut reply = self.answer(path, request.timeout(PATIENCE_WITH_ROWS)).await?;
        let error = |reason| self.error(path, None, reason);
        let mut line = Vec::new();
        while let Some(chunk) = reply.chunk().await.map_err(|e| error(super::causes(&e)))? {
            let mut pieces = chunk.split(|&byte| byte == b'\n');
            line.extend_from_slice(pieces.next().unwrap_or_default());
            for piece in pieces {
                take(&line).map_err(error)?;
                line.clear();
                line.extend_from_slice(piece);
            }
        }
        if line.is_empty() { Ok(()) } else { Err(error("its last line is cut off".to_owned())) }
    }

    /// Has the sidecar write `lines`, in InfluxDB's line protocol with nanoseconds.
    ///
    /// # Errors
    /// If it does not answer with success.
    pub async fn points(&self, lines: String) -> Result<(), ControlError> {
        let url = self.url("/points");
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
        self.send(path, self.client.post(self.url(path)).json(body)).await
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn error(
        &self,
        path: &'static str,
        status: Option<StatusCode>,
        reason: String,
    ) -> ControlError {
        ControlError { path, address: self.address.clone(), status, reason }
    }

    /// The answer to `request`, if it is one of success; its body has not been read.
    async fn answer(
        &self,
        path: &'static str,
        request: RequestBuilder,
    ) -> Result<reqwest::Response, ControlError> {
        let request = match &self.token {
            Some(Token(token)) => request.bearer_auth(token),
            None => request,
        };
        let failed = |e: reqwest::Error| self.error(path, None, super::causes(&e));
        let reply = request.send().await.map_err(failed)?;
        let status = reply.status();
        if status.is_success() {
            return Ok(reply);
        }
        let text = reply.text().await.map_err(failed)?;
        Err(self.error(path, Some(status), format!("{status} {}", text.trim())))
    }

    async fn send(
        &self,
        path: &'static str,
        request: RequestBuilder,
    ) -> Result<Value, ControlError> {
        let reply = self.answer(path, request).await?;
        let text = reply.text().await;
        let text = text.map_err(|e| self.error(path, None, super::causes(&e)))?;
        // An answer that is no JSON carries no counters.
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }
}

/// A run that a sidecar has opened, and what is to be known of that sidecar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// What requests of the run name in `tracestate`.
    pub nonce: String,
    /// Its number, of all that the sidecar has opened.
    pub number: u64,
    /// The port where spans are received.
    pub otlp: u16,
    /// The tag `run` of its points.
    pub run: String,
    /// It writes points to an InfluxDB.
    pub influxdb: bool,
    /// It keeps rows, which can be asked for.
    pub rows: bool,
    /// The clock that its samples are timed by.
    pub clock: String,
    /// The namespace in which it knows processes by their ids.
    pub processes: String,
}

impl Opened {
    fn read(answer: &Value) -> Option<Opened> {
        let text = |name: &str| answer[name].as_str().map(str::to_owned);
        Some(Opened {
            nonce: text("nonce")?,
            number: answer["number"].as_u64()?,
            otlp: answer["otlp"].as_u64()?.try_into().ok()?,
            run: text("run")?,
            influxdb: answer["influxdb"].as_bool()?,
            rows: answer["rows"].as_bool()?,
            clock: text("clock")?,
            processes: text("processes")?,
        })
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

    /// A sidecar whose rows are `body`, in pieces of so many bytes.
    async fn tells(body: &'static str, piece: usize) -> Result<Vec<String>, ControlError> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().route(
            "/rows",
            axum::routing::get(async move |query: axum::extract::RawQuery| {
                assert_eq!(query.0.as_deref(), Some("run=n&cell=a+cell%26more"));
                let pieces = body
                    .as_bytes()
                    .chunks(piece)
                    .map(|piece| Ok::<_, std::io::Error>(axum::body::Bytes::from(piece)));
                axum::body::Body::from_stream(futures_util::stream::iter(
                    pieces.collect::<Vec<_>>(),
                ))
            }),
        );
        tokio::spawn(axum::serve(listener, app).into_future());
        let mut read = Vec::new();
        let control = Control::new(address)?;
        let mut take = |line: &[u8]| {
            read.push(String::from_utf8(line.to_vec()).unwrap());
            if line == b"bad" { Err("a bad row".to_owned()) } else { Ok(()) }
        };
        control.lines("/rows", &[("run", "n"), ("cell", "a cell&more")], &mut take).await?;
        Ok(read)
    }

    #[tokio::test]
    async fn lines_are_told_apart_however_they_come_and_one_that_is_cut_off_is_no_line() {
        for piece in [1, 2, 3, 100] {
            assert_eq!(
                tells("one\ntwo\n\nlast\n", piece).await.unwrap(),
                ["one", "two", "", "last"]
            );
            let cut = tells("one\ntw", piece).await.unwrap_err().to_string();
            assert!(cut.contains("cut off"), "{cut}");
            let bad = tells("one\nbad\nthree\n", piece).await.unwrap_err().to_string();
            assert!(bad.contains("/rows") && bad.contains("a bad row"), "{bad}");
        }
        assert!(tells("", 1).await.unwrap().is_empty());
    }
}
