//! What writing to InfluxDB costs the sidecar, in CPU time per span.
//!
//! Rounds with and without `--influxdb-url` in turn (with without, without with, …), each with a sidecar of its own in
//! this process. A child process sends ping traces of four spans over OTLP/gRPC as fast as they are taken, and another
//! child answers in place of InfluxDB: so the sidecar's CPU time is told from theirs. Every request must be in a
//! point, or no figure is printed. Run it with
//! `cargo run --release -p sidecar --example influxdb_cost [-- PAIRS [SECONDS]]`.

#[expect(dead_code, reason = "the generator of other benchmarks; not all of it is used here")]
mod generator;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use clap::Parser;
use generator::{Form, PAIRS, SPANS_PER_TRACE, cpu_seconds, generate, open, ratio};
use sidecar::{Sidecar, SidecarConfig};

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    config: SidecarConfig,
}

/// What one round measured.
struct Round {
    spans: f64,
    cpu: f64,
    points: u64,
}

fn main() -> anyhow::Result<()> {
    settings::Allocator::FRUGAL.use_it();
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let number =
        |at: usize, default: u64| arguments.get(at).map_or(Ok(default), |text| text.parse::<u64>());
    let runtime = sidecar::runtime()?;
    match arguments.first().map(String::as_str) {
        Some("generate") => {
            let traces = generate(&arguments[1], number(2, 5)?, 0, &arguments[3], Form::Packed);
            println!("{}", runtime.block_on(traces)?);
            Ok(())
        }
        Some("drain") => drain(),
        _ => runtime.block_on(measure(number(0, 6)?, number(1, 5)?)),
    }
}

async fn measure(pairs: u64, seconds: u64) -> anyhow::Result<()> {
    anyhow::ensure!(PAIRS.contains(&pairs), "PAIRS must be {} to {}", PAIRS.start(), PAIRS.end());
    let (_drain, url) = start_drain()?;
    let mut ratios = Vec::new();
    let (mut with, mut without) = ((0.0, 0.0), (0.0, 0.0));
    // The first round of a process finds caches and memory cold: it does not count.
    round(None, 1).await?;
    for pair in 0..pairs {
        let first = pair % 2 == 0;
        let one = round(first.then_some(url.as_str()), seconds).await?;
        let other = round((!first).then_some(url.as_str()), seconds).await?;
        let (on, off) = if first { (one, other) } else { (other, one) };
        println!(
            "pair {:>2}  spans per CPU second  with {:>9.0}  without {:>9.0}  ({} points)",
            pair + 1,
            on.spans / on.cpu,
            off.spans / off.cpu,
            on.points
        );
        ratios.push((on.cpu / on.spans) / (off.cpu / off.spans));
        with = (with.0 + on.spans, with.1 + on.cpu);
        without = (without.0 + off.spans, without.1 + off.cpu);
    }
    let [mean, low, high] = ratio(&ratios)?;
    println!("spans per CPU second with     {:>9.0}", with.0 / with.1);
    println!("spans per CPU second without  {:>9.0}", without.0 / without.1);
    println!("CPU per span, with over without: {mean:.3} [{low:.3}, {high:.3}]");
    Ok(())
}

async fn round(url: Option<&str>, seconds: u64) -> anyhow::Result<Round> {
    let folder = tempfile::tempdir()?;
    let spool = folder.path().join("spool");
    let flags = "sidecar --otlp 127.0.0.1:0 --control 127.0.0.1:0 --max-traces 1000000";
    let mut config = Arguments::parse_from(flags.split(' ')).config;
    (config.influxdb_url, config.spool) = (url.map(str::parse).transpose()?, Some(spool));
    let sidecar = Sidecar::bind(config, Vec::new()).await?;
    let (otlp, control) = (sidecar.otlp(), sidecar.control());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(sidecar.serve(async { _ = stopped.await }));
    // What is of the sidecar's first part of a second has no window.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let http = reqwest::Client::builder().no_proxy().build()?;
    let nonce = open(control).await?;
    let cpu = cpu_seconds();
    let generator = Command::new(std::env::current_exe()?)
        .args(["generate", &format!("http://{otlp}"), &seconds.to_string(), &nonce])
        .stdout(Stdio::piped())
        .spawn()?;
    let sent = tokio::task::spawn_blocking(move || generator.wait_with_output()).await??;
    let sent: u64 = String::from_utf8(sent.stdout)?.trim().parse()?;
    let flushed = serde_json::json!({ "nonce": nonce }).to_string();
    let flush = http.post(format!("http://{control}/flush")).body(flushed).send().await?;
    let stats: sidecar::stats::Stats = flush.json().await?;
    let cpu = cpu_seconds() - cpu;
    let _ = stop.send(());
    serving.await?;
    let influxdb = stats.influxdb.unwrap_or_default();
    anyhow::ensure!(
        stats.requests_closed == sent
            && influxdb.requests_late + influxdb.requests_misdated == 0
            && influxdb.points_written == influxdb.points_taken
            && url.is_none() == (influxdb.points_taken == 0),
        "{sent} traces were sent: {influxdb:?}"
    );
    Ok(Round { spans: (sent * SPANS_PER_TRACE) as f64, cpu, points: influxdb.points_written })
}

/// The child that stands in for InfluxDB; ends with this, whatever went wrong.
struct Drain(Child);

impl Drop for Drain {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts it; answers where it listens.
fn start_drain() -> anyhow::Result<(Drain, String)> {
    let drain =
        Command::new(std::env::current_exe()?).arg("drain").stdout(Stdio::piped()).spawn()?;
    let mut drain = Drain(drain);
    let mut line = String::new();
    BufReader::new(drain.0.stdout.take().expect("stdout is piped")).read_line(&mut line)?;
    Ok((drain, format!("http://{}", line.trim())))
}

/// Answers every HTTP request on one connection after the other with 204, as InfluxDB does.
fn drain() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    for stream in listener.incoming() {
        let stream = stream?;
        std::thread::spawn(move || answer_all(stream));
    }
    Ok(())
}

fn answer_all(stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            if line.trim().is_empty() {
                break;
            }
        }
        std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink())?;
        writer.write_all(b"HTTP/1.1 204 No Content\r\n\r\n")?;
    }
}
