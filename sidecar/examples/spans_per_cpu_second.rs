//! How many spans a sidecar receives, joins and closes in one second of CPU time.
//!
//! The sidecar runs in this process, without a run file; a child process of this program sends
//! ping traces of four spans over OTLP/gRPC on loopback, as the probes send them: so the
//! sidecar's CPU time is told from the generator's. Every span must be joined, or the figure is not
//! printed. Run it with
//! `cargo run --release -p sidecar --example spans_per_cpu_second [-- SECONDS [TRACES_PER_SECOND]]`.
//!
//! Compare: the OpenTelemetry Collector 0.161 (OTLP in, span metrics out) does 224,000 in 35 MiB.

mod generator;

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use clap::Parser;
use generator::{SPANS_PER_TRACE, cpu_seconds, generate, open};
use sidecar::{Batch, Done, Sidecar, SidecarConfig, Sink};

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
        let traces = generate(&arguments[1], number(2, 10)?, number(3, 0)?, &arguments[4]);
        let traces = runtime.block_on(traces)?;
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
    let (seconds, rate, nonce) = (seconds.to_string(), rate.to_string(), open(control).await?);
    let mut generator = Command::new(std::env::current_exe()?)
        .args(["generate", &format!("http://{otlp}"), &seconds, &rate, &nonce])
        .stdout(Stdio::piped())
        .spawn()?;
    let (cpu, began) = (cpu_seconds(), Instant::now());
    let mut largest = 0;
    while generator.try_wait()?.is_none() {
        tokio::time::sleep(Duration::from_millis(100)).await;
        largest = largest.max(rss_bytes()?);
    }
    let stats: sidecar::stats::Stats =
        reqwest::Client::new().post(format!("http://{control}/flush")).send().await?.json().await?;
    let (cpu, wall) = (cpu_seconds() - cpu, began.elapsed().as_secs_f64());
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

fn rss_bytes() -> anyhow::Result<u64> {
    Ok(procfs::process::Process::myself()?.statm()?.resident * procfs::page_size())
}
