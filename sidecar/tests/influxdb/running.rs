//! A sidecar that writes to InfluxDB, and what the lab and its services send it.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Parser;
use ledger::{Edge, names};
use opentelemetry_proto::tonic::collector::trace::v1 as collector;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1 as otlp;
use sidecar::runfile::{RequestRow, RunFile};
use sidecar::stats::{InfluxStats, Stats};
use sidecar::{Sidecar, SidecarConfig, Token};
use test_parts::InfluxDb;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

type Client = collector::trace_service_client::TraceServiceClient<tonic::transport::Channel>;

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    config: SidecarConfig,
}

/// Nanoseconds since 1970.
pub(crate) fn wall_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64
}

fn config(folder: &Path, flags: &[&str]) -> SidecarConfig {
    let file = folder.join("run.db");
    let fixed = ["sidecar", "--otlp", "127.0.0.1:0", "--control", "127.0.0.1:0"];
    let more = ["--join-window", "200ms", "--sample-every", "50ms"];
    let all = [&fixed[..], &more, &["--run-file", file.to_str().unwrap()], flags].concat();
    Arguments::parse_from(all).config
}

/// A running sidecar.
pub(crate) struct Running {
    control: String,
    run_file: PathBuf,
    http: reqwest::Client,
    spans: Client,
    traces: u128,
    /// Of the run that is open.
    nonce: Mutex<String>,
    /// Wall time when it had started, in nanoseconds.
    pub(crate) started: u64,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Running {
    /// Starts one that writes to `influxdb`, with its run file in `folder`.
    pub(crate) async fn start(folder: &Path, influxdb: &InfluxDb, flags: &[&str]) -> Running {
        let (url, org, bucket) = (influxdb.url(), influxdb.org(), influxdb.bucket());
        let known = ["--influxdb-url", &url, "--influxdb-org", org, "--influxdb-bucket", bucket];
        let mut config = config(folder, &[&known, flags].concat());
        config.influxdb_token = Token::new(influxdb.token());
        Running::with(config).await
    }

    /// The same with an InfluxDB at `url` that is not there, or with none if that is empty.
    pub(crate) async fn alone(folder: &Path, url: &str, flags: &[&str]) -> Running {
        let known: &[&str] = if url.is_empty() { &[] } else { &["--influxdb-url", url] };
        Running::with(config(folder, &[known, flags].concat())).await
    }

    async fn with(config: SidecarConfig) -> Running {
        let run_file = config.run_file.clone().unwrap();
        let sidecar = Sidecar::bind(config, Vec::new()).await.unwrap();
        let started = wall_ns();
        let control = format!("http://{}", sidecar.control());
        let otlp = format!("http://{}", sidecar.otlp());
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(sidecar.serve(async { _ = stopped.await }));
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let spans = Client::connect(otlp).await.unwrap();
        let nonce = Mutex::default();
        Running { control, run_file, http, spans, traces: 0, nonce, started, stop, serving }
    }

    /// Waits until the first whole second of the sidecar has begun: what is before has no window.
    pub(crate) async fn first_second(&self) {
        while wall_ns() / 1_000_000_000 == self.started / 1_000_000_000 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Sends one request of `cell` that starts now and takes `latency_us`.
    pub(crate) async fn request(&mut self, cell: &str, latency_us: u64) {
        let text = |key: &str, value: &str| {
            let value = Some(AnyValue { value: Some(Value::StringValue(value.to_owned())) });
            KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
        };
        self.traces += 1;
        let nonce = self.nonce.lock().unwrap().as_str().into();
        let span = u64::from_be_bytes([1; 8]);
        let edge = Edge { span, cell: cell.into(), round: 0, nonce };
        let now = wall_ns();
        let span = otlp::Span {
            trace_id: self.traces.to_be_bytes().to_vec(),
            span_id: vec![1; 8],
            trace_state: edge.member(),
            kind: otlp::span::SpanKind::Client as i32,
            start_time_unix_nano: now,
            end_time_unix_nano: now + latency_us * 1_000,
            attributes: vec![
                text(names::CELL, cell),
                text(names::PEER_SERVICE, "far, away = \"x\""),
            ],
            ..otlp::Span::default()
        };
        let resource =
            Resource { attributes: vec![text(names::SERVICE_NAME, "k6")], ..Resource::default() };
        let scope_spans = vec![otlp::ScopeSpans { spans: vec![span], ..Default::default() }];
        let resource_spans = vec![otlp::ResourceSpans {
            resource: Some(resource),
            scope_spans,
            ..Default::default()
        }];
        let request = collector::ExportTraceServiceRequest { resource_spans };
        self.spans.export(request).await.unwrap();
    }

    /// Posts to the control endpoint; answers status and body.
    pub(crate) async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> (u16, String) {
        let url = format!("{}{path}", self.control);
        let json = ("content-type", "application/json");
        let sent = self.http.post(url).header(json.0, json.1).body(body).send().await.unwrap();
        (sent.status().as_u16(), sent.text().await.unwrap())
    }

    pub(crate) async fn plan(&self, cell: &str) {
        let plan = serde_json::json!({
            "cells": [{"cell": cell, "protocol": "grpc", "payload": "10"}]
        });
        let (status, opened) = self.post("/plan", plan.to_string()).await;
        assert_eq!(status, 200, "{opened}");
        let opened: serde_json::Value = serde_json::from_str(&opened).unwrap();
        *self.nonce.lock().unwrap() = opened["nonce"].as_str().unwrap().to_owned();
    }

    pub(crate) async fn points(&self, lines: &str) {
        let (status, text) = self.post("/points", lines.to_owned()).await;
        assert_eq!(status, 204, "{text}");
    }

    pub(crate) async fn stats(&self) -> Stats {
        let reply = self.http.get(format!("{}/stats", self.control)).send().await.unwrap();
        let stats: Stats = reply.json().await.unwrap();
        let influx = stats.influxdb.clone().unwrap_or_default();
        assert!(influx.points_waiting < 40_000, "{influx:?}");
        stats
    }

    pub(crate) async fn influxdb(&self) -> InfluxStats {
        self.stats().await.influxdb.unwrap()
    }

    pub(crate) async fn flush(&self) -> InfluxStats {
        let nonce = Some(self.nonce.lock().unwrap().clone()).filter(|nonce| !nonce.is_empty());
        let run = serde_json::json!({ "nonce": nonce });
        for last in [false, false, false, true] {
            let (status, text) = self.post("/flush", run.to_string()).await;
            assert_eq!(status, 200);
            let stats = serde_json::from_str::<Stats>(&text).unwrap().influxdb.unwrap();
            // While a flush takes more than a second the sidecar has new points of its own.
            if last || stats.points_waiting == 0 && stats.points_spooled == 0 {
                return stats;
            }
        }
        unreachable!("the last is told in any case")
    }

    /// The requests in the run file.
    pub(crate) async fn rows(&self) -> Vec<RequestRow> {
        RunFile::open(&self.run_file).await.unwrap().read_requests().await.unwrap()
    }

    /// Stops the sidecar and waits until it has ended.
    pub(crate) async fn stop(self) {
        let _ = self.stop.send(());
        drop((self.http, self.spans));
        self.serving.await.unwrap();
    }
}
