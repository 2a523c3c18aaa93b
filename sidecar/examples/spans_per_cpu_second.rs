//! How many spans a sidecar receives, joins and closes in one second of CPU time.
//!
//! The sidecar runs in this process, without a run file; a child process of this program sends
//! ping traces of four spans over OTLP/gRPC on loopback, as the probes send them: so `/proc` tells
//! the sidecar's CPU time from the generator's. Every span must be joined, or the figure is not
//! printed. Run it with
//! `cargo run --release -p sidecar --example spans_per_cpu_second [-- SECONDS [TRACES_PER_SECOND]]`.
//!
//! Compare: the OpenTelemetry Collector 0.161 (OTLP in, span metrics out) does 224,000 in 35 MiB.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use clap::Parser;
use ledger::{Attribute, Half, Point, Side, names};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, span::SpanKind};
use sidecar::{Batch, Done, Sidecar, SidecarConfig, Sink};

/// Spans per export: the default of OpenTelemetry's batch processors.
const EXPORT: u64 = 512;
const SPANS_PER_TRACE: u64 = 4;

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    config: SidecarConfig,
}

/// Counts rows and drops them: what comes after closing the books is not measured here.
#[derive(Default)]
struct Counting(AtomicU64);

impl Sink for Counting {
    fn take(&self, batch: Batch) -> Done<'_> {
        if let Batch::Requests(rows) = batch {
            self.0.fetch_add(rows.len() as u64, Relaxed);
        }
        Box::pin(std::future::ready(()))
    }

    fn flush(&self) -> Done<'_> {
        Box::pin(std::future::ready(()))
    }
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let number =
        |at: usize, default: u64| arguments.get(at).map_or(Ok(default), |text| text.parse::<u64>());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if arguments.first().is_some_and(|first| first == "generate") {
        let traces = runtime.block_on(generate(&arguments[1], number(2, 10)?, number(3, 0)?))?;
        println!("{traces}");
        return Ok(());
    }
    runtime.block_on(measure(number(0, 10)?, number(1, 0)?))
}

async fn measure(seconds: u64, rate: u64) -> anyhow::Result<()> {
    let config = Arguments::parse_from(
        "sidecar --otlp 127.0.0.1:0 --control 127.0.0.1:0 --max-traces 1000000".split(' '),
    );
    let sink = Arc::new(Counting::default());
    let sidecar = Sidecar::bind(config.config, vec![Arc::clone(&sink) as Arc<dyn Sink>]).await?;
    let (otlp, control) = (sidecar.otlp(), sidecar.control());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(sidecar.serve(async { _ = stopped.await }));
    let mut generator = Command::new(std::env::current_exe()?)
        .args(["generate", &format!("http://{otlp}"), &seconds.to_string(), &rate.to_string()])
        .stdout(Stdio::piped())
        .spawn()?;
    let (cpu, began) = (cpu_seconds()?, Instant::now());
    let mut largest = 0;
    while generator.try_wait()?.is_none() {
        tokio::time::sleep(Duration::from_millis(100)).await;
        largest = largest.max(rss_bytes()?);
    }
    let stats: sidecar::stats::Stats =
        reqwest::Client::new().post(format!("http://{control}/flush")).send().await?.json().await?;
    let (cpu, wall) = (cpu_seconds()? - cpu, began.elapsed().as_secs_f64());
    let _ = stop.send(());
    serving.await??;
    let sent = std::io::read_to_string(generator.stdout.take().expect("stdout is piped"))?;
    let sent: u64 = sent.trim().parse()?;
    let rows = sink.0.load(Relaxed);
    anyhow::ensure!(
        rows == sent && stats.spans_joined == sent * SPANS_PER_TRACE,
        "{sent} traces were sent, {rows} requests came out: {stats:#?}"
    );
    let spans = (sent * SPANS_PER_TRACE) as f64;
    let per_second = spans / wall;
    let mib = largest as f64 / f64::from(1 << 20);
    println!("spans                  {spans:>12.0}  in {wall:.2} s, {per_second:.0}/s");
    println!("CPU seconds            {cpu:>12.2}  of the sidecar alone, join window 5 s");
    println!("spans per CPU second   {:>12.0}", spans / cpu);
    println!("largest resident size  {mib:>12.1}  MiB");
    Ok(())
}

/// User and system time of this process, in seconds.
fn cpu_seconds() -> anyhow::Result<f64> {
    let stat = procfs::process::Process::myself()?.stat()?;
    Ok((stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64)
}

fn rss_bytes() -> anyhow::Result<u64> {
    Ok(procfs::process::Process::myself()?.statm()?.resident * procfs::page_size())
}

/// Sends traces for so many seconds, as fast as the sidecar answers if `rate` is 0.
async fn generate(endpoint: &str, seconds: u64, rate: u64) -> anyhow::Result<u64> {
    let mut client = TraceServiceClient::connect(endpoint.to_owned()).await?;
    let per_export = EXPORT / SPANS_PER_TRACE;
    let template = request(per_export);
    let (began, length) = (Instant::now(), Duration::from_secs(seconds));
    let mut traces = 0;
    while began.elapsed() < length {
        let mut request = template.clone();
        number(&mut request, traces);
        client.export(request).await?;
        traces += per_export;
        if rate > 0 {
            let due = began + Duration::from_secs_f64(traces as f64 / rate as f64);
            tokio::time::sleep_until(due.into()).await;
        }
    }
    Ok(traces)
}

/// Gives the traces of an export ids of their own.
fn number(request: &mut ExportTraceServiceRequest, first: u64) {
    for resource in &mut request.resource_spans {
        for span in resource.scope_spans.iter_mut().flat_map(|scope| &mut scope.spans) {
            let within = u64::from_be_bytes(span.trace_id[8..].try_into().expect("16 bytes"));
            // Spread over all bits, as random ids are.
            let id = (u128::from(first + within))
                .wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
            span.trace_id = (id | 1).to_be_bytes().to_vec();
        }
    }
}

fn text(key: &str, value: String) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(value)) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

/// Span id, parent and kind of a span of a trace.
type Link = (u64, u64, SpanKind);

/// One export of each process: driver, gateway, echo, in one request.
fn request(traces: u64) -> ExportTraceServiceRequest {
    let services: [(&str, &[Link]); 3] = [
        ("driver", &[(1, 0, SpanKind::Client)]),
        ("gateway", &[(2, 1, SpanKind::Server), (3, 2, SpanKind::Client)]),
        ("echo", &[(4, 3, SpanKind::Server)]),
    ];
    let resource_spans = services.map(|(service, of)| {
        let spans = (0..traces).flat_map(|trace| of.iter().map(move |&span| make(trace, span)));
        let attributes = vec![
            text(names::SERVICE_NAME, service.to_owned()),
            text(names::CLOCK, "5f0c2b1e-7a94-4c57-8d0f-2f6f0a3f9d11 time:[4026531834]".to_owned()),
        ];
        ResourceSpans {
            resource: Some(Resource { attributes, ..Resource::default() }),
            scope_spans: vec![ScopeSpans { spans: spans.collect(), ..ScopeSpans::default() }],
            ..ResourceSpans::default()
        }
    });
    ExportTraceServiceRequest { resource_spans: resource_spans.into() }
}

fn make(trace: u64, (id, parent, kind): Link) -> Span {
    let side = if kind == SpanKind::Client { Side::Client } else { Side::Server };
    let base = 812_345_678_901_234 + trace * 1_000_000;
    let mut half = Half::new(side, (0, 0));
    for (at, &point) in Point::ALL.iter().enumerate() {
        let elsewhere = match side {
            Side::Client => matches!(point, Point::HandlerStart | Point::HandlerEnd),
            Side::Server => matches!(point, Point::Planned | Point::CallStart | Point::CallEnd),
        };
        if !elsewhere {
            half.marks.set(point, base + id * 40_000 + at as u64 * 12_345);
        }
    }
    half.sending.socket_write = 9_876;
    half.sending.framing = 4_321;
    half.outbound.body = 1_024;
    half.outbound.wire = 1_177;
    half.inbound.wire = 243;
    (half.connection, half.http, half.attempts) = (17, 20, 1);
    let mut attributes: Vec<_> = half
        .attributes()
        .into_iter()
        .filter_map(|Attribute { key, value }| match value {
            ledger::Value::Text(value) => Some(text(key, value)),
            ledger::Value::Int(_) | ledger::Value::Float(_) => None,
        })
        .collect();
    if parent == 0 {
        attributes.push(text(names::CELL, "grpc-10B".to_owned()));
        attributes.push(text(names::WEIGHT, "1".to_owned()));
        attributes.push(text(names::STOPWATCH, "812345".to_owned()));
    }
    let parent_span_id = if parent == 0 { Vec::new() } else { parent.to_be_bytes().to_vec() };
    Span {
        trace_id: u128::from(trace).to_be_bytes().to_vec(),
        span_id: id.to_be_bytes().to_vec(),
        parent_span_id,
        name: "echo".to_owned(),
        kind: kind as i32,
        start_time_unix_nano: 1_790_000_000_000_000_000 + base,
        end_time_unix_nano: 1_790_000_000_000_000_000 + base + 800_000,
        attributes,
        ..Span::default()
    }
}
