//! Whether memory stays within its bound whatever is sent, and whether every span is accounted for.
//!
//! The sidecar runs in this process with `--memory-limit` at 256 MiB; children of this program send, one load
//! after the other: 300,000 spans of whole traces at full speed; traces of 1,024 spans that are never whole;
//! bodies of 16 MiB full of the smallest spans on 200 connections at once; bodies that inflate to a gigabyte. Resident
//! memory is that of the sidecar alone. Exits with 1 where it passes the limit, where no large body gets in, or where a
//! span is in no place. Run it with
//! `cargo run --release -p sidecar --example soak [-- TRACES]` (20,000 traces of 1,024 spans unless told).

#[expect(dead_code, reason = "the generator of other benchmarks; not all of it is used here")]
mod generator;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Parser;
use generator::{Form, SPANS_PER_TRACE, generate};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, span::SpanKind};
use prost::Message as _;
use sidecar::stats::Stats;
use sidecar::{Batch, Done, Sidecar, SidecarConfig, Sink};

const LIMIT: u64 = 256 << 20;
/// The largest body that is taken.
const BODY: usize = 16 << 20;

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    config: SidecarConfig,
}

/// Takes rows and drops them.
struct Nowhere;

impl Sink for Nowhere {
    fn take(&self, _: Batch) -> Done<'_> {
        Box::pin(std::future::ready(()))
    }

    fn flush(&self) -> Done<'_> {
        Box::pin(std::future::ready(()))
    }
}

fn main() -> anyhow::Result<()> {
    settings::Allocator::FRUGAL.use_it();
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let runtime = sidecar::runtime()?;
    match arguments.as_slice() {
        [load, url, traces] => runtime.block_on(send(load, url, traces.parse()?)),
        [load, traces] => runtime.block_on(measure(load, traces)),
        _ => {
            let traces = arguments.first().map_or("20000", String::as_str);
            println!("--memory-limit {} MiB", LIMIT >> 20);
            let mut failed = false;
            for load in ["whole traces", "open traces", "large bodies", "gzip bombs"] {
                // A process of its own: what one load leaves in the allocator is not the next one's.
                let mut program = std::process::Command::new(std::env::current_exe()?);
                failed |= !program.args([load, traces]).status()?.success();
            }
            anyhow::ensure!(!failed, "memory or spans were not kept");
            Ok(())
        }
    }
}

async fn measure(load: &str, traces: &str) -> anyhow::Result<()> {
    let flags = format!("sidecar --otlp 127.0.0.1:0 --control 127.0.0.1:0 --memory-limit {LIMIT}");
    let config = Arguments::parse_from(flags.split(' ')).config;
    let sidecar = Sidecar::bind(config, vec![Arc::new(Nowhere)]).await?;
    let (otlp, control) = (sidecar.otlp(), sidecar.control());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(sidecar.serve(async { _ = stopped.await }));
    let mut sender = tokio::process::Command::new(std::env::current_exe()?)
        .args([load, &format!("http://{otlp}"), traces])
        .spawn()?;
    let (began, mut largest) = (Instant::now(), 0);
    let ended = loop {
        largest = largest.max(resident()?);
        if let Some(ended) = sender.try_wait()? {
            break ended;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    anyhow::ensure!(ended.success(), "the sender of {load} failed");
    let flush = reqwest::Client::new().post(format!("http://{control}/flush")).send().await?;
    let stats: Stats = flush.json().await?;
    largest = largest.max(resident()?);
    let _ = stop.send(());
    serving.await?;
    let refused: u64 = stats.spans_rejected.values().sum();
    let placed = refused + stats.spans_joined + stats.links + stats.unplaced + stats.duplicates;
    let placed = placed + stats.late + stats.over_limit + stats.dropped_spans;
    let placed = placed + stats.fragments + stats.unequal;
    let unaccounted = stats.spans_received.abs_diff(placed);
    println!(
        "{load}: {:.1} s, at most {:.1} MiB resident; {} spans received, {} joined, {} fragments, {} late, {} past the limit of \
         their trace, {} dropped, {unaccounted} unaccounted; {} traces closed early; refused: {:?}",
        began.elapsed().as_secs_f64(),
        largest as f64 / f64::from(1 << 20),
        stats.spans_received,
        stats.spans_joined,
        stats.fragments,
        stats.late,
        stats.over_limit,
        stats.dropped_spans,
        stats.evicted,
        stats.exports_refused.iter().filter(|(_, count)| **count > 0).collect::<Vec<_>>(),
    );
    // Traces that lack something are kept for a while, for spans that come late.
    anyhow::ensure!(unaccounted == 0 && stats.memory_used_bytes <= LIMIT, "{stats:#?}");
    // What spans and bodies take is counted generously: the program, HTTP's buffers and rows find room in it.
    anyhow::ensure!(largest <= LIMIT, "more than {} MiB", LIMIT >> 20);
    Ok(())
}

fn resident() -> anyhow::Result<u64> {
    Ok(procfs::process::Process::myself()?.statm()?.resident * procfs::page_size())
}

async fn send(load: &str, url: &str, traces: u64) -> anyhow::Result<()> {
    match load {
        "whole traces" => {
            let sent = generate(url, 10, 0, "", Form::Packed).await? * SPANS_PER_TRACE;
            anyhow::ensure!(sent >= 300_000, "{sent} spans in 10 s are not full speed");
        }
        "open traces" => open_traces(url, traces).await?,
        "large bodies" => {
            let taken = at_once(url, &[], spans(1, BODY / SMALLEST)).await?;
            anyhow::ensure!(taken > 0, "of 200 large bodies at once none got in");
        }
        "gzip bombs" => {
            use std::io::Write as _;
            let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            for _ in 0..64 {
                writer.write_all(&vec![0; BODY])?;
            }
            let taken = at_once(url, &[("content-encoding", "gzip")], writer.finish()?).await?;
            anyhow::ensure!(taken == 0, "a gigabyte was taken");
        }
        other => anyhow::bail!("there is no load {other}"),
    }
    Ok(())
}

/// Sends traces of 1,024 spans, none of them whole, span by span of many traces at once.
async fn open_traces(url: &str, traces: u64) -> anyhow::Result<()> {
    let client = reqwest::Client::new();
    for group in 0..traces.div_ceil(100) {
        for part in 0..64 {
            let body = spans(group * 102_400 + part * 1_600 + 1, 1_600);
            while post(&client, url, &[], body.clone()).await? == 503 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    Ok(())
}

/// Sends one body on each of 200 connections at once; answers how many were taken.
async fn at_once(url: &str, headers: &[(&str, &str)], body: Vec<u8>) -> anyhow::Result<u32> {
    let body = bytes::Bytes::from(body);
    let headers: Vec<_> = headers.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let (url, headers, body) = (url.to_owned(), headers.clone(), body.clone());
        all.spawn(async move {
            let headers: Vec<_> = headers.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
            // A client of its own is a connection of its own.
            post(&reqwest::Client::new(), &url, &headers, body).await
        });
    }
    let mut answers = std::collections::BTreeMap::<String, u32>::new();
    while let Some(done) = all.join_next().await {
        let answer = done?.map_or_else(|_| "none".to_owned(), |status| status.to_string());
        *answers.entry(answer).or_default() += 1;
    }
    println!("answers: {answers:?}");
    Ok(answers.get("200").copied().unwrap_or(0))
}

async fn post(
    client: &reqwest::Client,
    url: &str,
    headers: &[(&str, &str)],
    body: impl Into<reqwest::Body>,
) -> anyhow::Result<u16> {
    let mut request = client.post(format!("{url}/v1/traces")).body(body);
    request = request.header("content-type", "application/x-protobuf");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Ok(request.send().await.context("an export was not answered")?.status().as_u16())
}

/// Bytes of the smallest span that is taken, in its export.
const SMALLEST: usize = 62;

/// An export of `count` CLIENT spans whose parents never come, 16 of one trace after those of another, numbered
/// from `first`.
fn spans(first: u64, count: usize) -> Vec<u8> {
    let span = |n: u64| Span {
        trace_id: (u128::from(n / 102_400 * 100 + n % 100) + 1).to_be_bytes().to_vec(),
        span_id: n.to_be_bytes().to_vec(),
        parent_span_id: u64::MAX.to_be_bytes().to_vec(),
        kind: SpanKind::Client as i32,
        start_time_unix_nano: 1_000,
        end_time_unix_nano: 2_000,
        ..Span::default()
    };
    let spans = (first..first + count as u64).map(span).collect();
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}
