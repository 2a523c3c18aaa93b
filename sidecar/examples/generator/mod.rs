//! Sends ping traces of four spans as fast as they are taken, for the benchmarks of the sidecar.
//!
//! What the spans are is in [`spans`].

mod spans;

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use lab_contrast::{Level, Mean};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;

pub(crate) use spans::Form;
use spans::{CELL, Export};

/// Spans per export: the default of OpenTelemetry's batch processors.
const EXPORT: u64 = 512;
/// Spans of a trace: driver, gateway twice, echo.
pub(crate) const SPANS_PER_TRACE: u64 = 4;
/// How long the same spans are sent under new ids.
const FRESH: Duration = Duration::from_millis(500);

/// User and system time of this process and of threads that have ended, in seconds; exact to less than a
/// microsecond, where `/proc` counts in steps of 10 ms.
pub(crate) fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// How many pairs of rounds there may be: of fewer nothing is known, of more it only takes longer.
pub(crate) const PAIRS: RangeInclusive<u64> = 2..=100;

/// The ratio of two sides that ran in turn (A B, B A, …) and its 95 % interval, from the ratios of the pairs.
pub(crate) fn ratio(of_pairs: &[f64]) -> anyhow::Result<[f64; 3]> {
    let logarithms: Vec<f64> = of_pairs.iter().map(|ratio| ratio.ln()).collect();
    let mean = Mean::of_alternating(&logarithms).ok_or_else(|| anyhow::anyhow!("too few pairs"))?;
    let (low, high) = mean.interval(Level::ALONE);
    Ok([mean.value, low, high].map(f64::exp))
}

/// Opens a run of one cell with the sidecar whose control endpoint is at `control`; answers its nonce.
pub(crate) async fn open(control: std::net::SocketAddr) -> anyhow::Result<String> {
    let plan = serde_json::json!({"cells": [{"cell": CELL, "protocol": "grpc", "payload": "10"}]});
    let http = reqwest::Client::builder().no_proxy().build()?;
    let opened = http.post(format!("http://{control}/plan")).json(&plan).send().await?;
    let opened: serde_json::Value = opened.error_for_status()?.json().await?;
    Ok(opened["nonce"].as_str().unwrap_or_default().to_owned())
}

/// Sends traces of the run that has `nonce` for so many seconds, as fast as the sidecar answers if `rate` is 0.
pub(crate) async fn generate(
    endpoint: &str,
    seconds: u64,
    rate: u64,
    nonce: &str,
    form: Form,
) -> anyhow::Result<u64> {
    let mut client = TraceServiceClient::connect(endpoint.to_owned()).await?;
    let per_export = EXPORT / SPANS_PER_TRACE;
    let (mut template, mut made) = (Export::new(per_export, nonce, form), Instant::now());
    let (began, length) = (Instant::now(), Duration::from_secs(seconds));
    let mut traces = 0;
    while began.elapsed() < length {
        // Spans are of now: the sidecar sorts them into seconds.
        if made.elapsed() > FRESH {
            (template, made) = (Export::new(per_export, nonce, form), Instant::now());
        }
        client.export(template.number(traces)).await?;
        traces += per_export;
        if rate > 0 {
            let due = began + Duration::from_secs_f64(traces as f64 / rate as f64);
            tokio::time::sleep_until(due.into()).await;
        }
    }
    Ok(traces)
}
