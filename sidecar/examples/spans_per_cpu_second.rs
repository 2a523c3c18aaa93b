//! How many spans a sidecar receives, joins and closes in one second of CPU time, alone or beside the OpenTelemetry
//! Collector.
//!
//! The sidecar runs in this process, without a run file; a child process of this program sends
//! ping traces of four spans over OTLP/gRPC on loopback, so the sidecar's CPU time is told from the generator's. Every
//! span must be joined, or the figure is not printed. Run it with
//! `cargo run --release -p sidecar --example spans_per_cpu_second [-- SECONDS [TRACES_PER_SECOND [FORM]]]`.
//! FORM is how spans are written: `packed` (as the probes do; unless told), `text` (as they did) or `foreign` (as SDKs do).
//!
//! With `-- beside [PAIRS [SECONDS [FORM]]]` the same is sent to a Collector that makes metrics of the spans
//! (`peers/collector`, built by Go), in turn with a sidecar: A B B A. Told are both figures, and their ratio with its
//! 95 % interval (Student's t over the logarithms of the pairs' ratios, after what the order of the two does). What the
//! Collector does with its metrics is not counted: they go nowhere.

mod generator;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Parser;
use generator::{Form, PAIRS, SPANS_PER_TRACE, cpu_seconds, generate, open, ratio};
use procfs::process::Process;
use sidecar::{Batch, Done, Sidecar, SidecarConfig, Sink};

/// The Collector's module, and the address in its configuration.
const COLLECTOR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../peers/collector");
const ADDRESS: &str = "127.0.0.1:4327";

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

/// What one side took.
#[derive(Clone, Copy, Default)]
struct Taken {
    spans: f64,
    cpu: f64,
    wall: f64,
    /// Largest resident size, in bytes.
    resident: u64,
}

fn main() -> anyhow::Result<()> {
    // As the program has it.
    settings::Allocator::FRUGAL.use_it();
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let number =
        |at: usize, default: u64| arguments.get(at).map_or(Ok(default), |text| text.parse::<u64>());
    let form = |at: usize| arguments.get(at).map_or(Ok(Form::Packed), |name| Form::named(name));
    let runtime = sidecar::runtime()?;
    match arguments.first().map(String::as_str) {
        Some("generate") => {
            let (seconds, rate, form) =
                (number(2, 10)?, number(3, 0)?, Form::named(&arguments[5])?);
            let traces = generate(&arguments[1], seconds, rate, &arguments[4], form);
            println!("{}", runtime.block_on(traces)?);
            Ok(())
        }
        Some("beside") => runtime.block_on(beside(number(1, 6)?, number(2, 5)?, form(3)?)),
        _ => {
            let taken = runtime.block_on(by_sidecar(number(0, 10)?, number(1, 0)?, form(2)?))?;
            let Taken { spans, cpu, wall, resident } = taken;
            let mib = resident as f64 / f64::from(1 << 20);
            println!("spans                  {spans:>12.0}  in {wall:.2} s, {:.0}/s", spans / wall);
            println!("CPU seconds            {cpu:>12.2}  of the sidecar alone, join window 5 s");
            println!("spans per CPU second   {:>12.0}", spans / cpu);
            println!("largest resident size  {mib:>12.1}  MiB");
            Ok(())
        }
    }
}

/// Both sides in turn.
async fn beside(pairs: u64, seconds: u64, form: Form) -> anyhow::Result<()> {
    anyhow::ensure!(PAIRS.contains(&pairs), "PAIRS must be {} to {}", PAIRS.start(), PAIRS.end());
    let collector = build_collector()?;
    // The first round of a process finds caches and memory cold: it does not count.
    by_sidecar(1, 0, form).await?;
    by_collector(&collector, 1, form).await?;
    let (mut ours, mut theirs, mut ratios) = (Taken::default(), Taken::default(), Vec::new());
    for pair in 0..pairs {
        let first = pair % 2 == 0;
        let before = if first { Some(by_sidecar(seconds, 0, form).await?) } else { None };
        let other = by_collector(&collector, seconds, form).await?;
        let own = match before {
            Some(own) => own,
            None => by_sidecar(seconds, 0, form).await?,
        };
        let [a, b] = [own, other].map(|side| side.spans / side.cpu);
        println!(
            "pair {:>2}  spans per CPU second  sidecar {a:>9.0}  Collector {b:>9.0}",
            pair + 1
        );
        ratios.push(a / b);
        for (sum, one) in [(&mut ours, own), (&mut theirs, other)] {
            sum.spans += one.spans;
            sum.cpu += one.cpu;
            sum.resident = sum.resident.max(one.resident);
        }
    }
    println!("spans are {}", form.name());
    for (name, side) in [("sidecar", ours), ("Collector", theirs)] {
        let mib = side.resident as f64 / f64::from(1 << 20);
        println!(
            "{name:<10} {:>9.0} spans per CPU second, {mib:.1} MiB resident",
            side.spans / side.cpu
        );
    }
    let [mean, low, high] = ratio(&ratios)?;
    println!("sidecar over Collector: {mean:.2} [{low:.2}, {high:.2}]");
    Ok(())
}

/// Builds the Collector; answers where it is.
fn build_collector() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe()?.with_file_name("peers-collector");
    let mut build = Command::new("go");
    build.args(["build", "-o"]).arg(&program).arg(".").current_dir(COLLECTOR);
    let built = build.status().context("the Collector is built by Go, which is not on PATH")?;
    anyhow::ensure!(built.success(), "go build in {COLLECTOR} failed");
    Ok(program)
}

/// Starts the child that sends.
fn sender(
    url: &str,
    seconds: u64,
    rate: u64,
    nonce: &str,
    form: Form,
) -> anyhow::Result<std::process::Child> {
    let (seconds, rate) = (seconds.to_string(), rate.to_string());
    let mut sender = Command::new(std::env::current_exe()?);
    let arguments = ["generate", url, &seconds, &rate, nonce, form.name()];
    sender.args(arguments).stdout(Stdio::piped());
    Ok(sender.spawn()?)
}

/// Waits for the child that sends, and looks how large `process` gets meanwhile; answers how many traces it sent, and
/// that size.
async fn sent(mut sender: std::process::Child, process: &Process) -> anyhow::Result<(u64, u64)> {
    let mut largest = 0;
    let ended = loop {
        largest = largest.max(process.statm()?.resident * procfs::page_size());
        if let Some(ended) = sender.try_wait()? {
            break ended;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    anyhow::ensure!(ended.success(), "the sender failed");
    let told = std::io::read_to_string(sender.stdout.take().context("stdout is piped")?)?;
    Ok((told.trim().parse()?, largest))
}

async fn by_sidecar(seconds: u64, rate: u64, form: Form) -> anyhow::Result<Taken> {
    let config = Arguments::parse_from(
        "sidecar --otlp 127.0.0.1:0 --control 127.0.0.1:0 --max-traces 1000000".split(' '),
    );
    let sink = Arc::new(Counting::default());
    let sidecar = Sidecar::bind(config.config, vec![Arc::clone(&sink) as Arc<dyn Sink>]).await?;
    let (otlp, control) = (sidecar.otlp(), sidecar.control());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(sidecar.serve(async { _ = stopped.await }));
    let nonce = open(control).await?;
    let (cpu, began) = (cpu_seconds(), Instant::now());
    let sender = sender(&format!("http://{otlp}"), seconds, rate, &nonce, form)?;
    let (sent, resident) = sent(sender, &Process::myself()?).await?;
    // What SDKs send is of no run.
    let run = Some(&nonce).filter(|_| form != Form::Foreign);
    let flushed = serde_json::json!({ "nonce": run }).to_string();
    let flush =
        reqwest::Client::new().post(format!("http://{control}/flush")).body(flushed).send().await?;
    let stats: sidecar::stats::Stats = flush.json().await?;
    let (cpu, wall) = (cpu_seconds() - cpu, began.elapsed().as_secs_f64());
    let _ = stop.send(());
    serving.await?;
    let rows = sink.0.load(Relaxed);
    anyhow::ensure!(
        rows == sent && stats.spans_joined == sent * SPANS_PER_TRACE,
        "{sent} traces were sent, {rows} requests came out: {stats:#?}"
    );
    Ok(Taken { spans: (sent * SPANS_PER_TRACE) as f64, cpu, wall, resident })
}

async fn by_collector(program: &Path, seconds: u64, form: Form) -> anyhow::Result<Taken> {
    let folder = tempfile::tempdir()?;
    let port = test_parts::Port::of_loopback()?;
    let address = port.address.to_string();
    let config = std::fs::read_to_string(format!("{COLLECTOR}/collector.yaml"))?;
    anyhow::ensure!(config.contains(ADDRESS), "collector.yaml does not listen on {ADDRESS}");
    let path = folder.path().join("collector.yaml");
    std::fs::write(&path, config.replace(ADDRESS, &address))?;
    let mut collector =
        Command::new(program).arg(format!("--config=file:{}", path.display())).spawn()?;
    let taken = async {
        while tokio::net::TcpStream::connect(&address).await.is_err() {
            anyhow::ensure!(collector.try_wait()?.is_none(), "the Collector did not start");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let process = Process::new(collector.id().try_into()?)?;
        // Threads that have ended are in it, which they are not in the sum over those that are left.
        let cpu = || -> anyhow::Result<f64> {
            let stat = process.stat()?;
            Ok((stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64)
        };
        let (before, began) = (cpu()?, Instant::now());
        let sender = sender(&format!("http://{address}"), seconds, 0, "", form)?;
        let (sent, resident) = sent(sender, &process).await?;
        // What it has taken it still makes metrics of.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let (cpu, wall) = (cpu()? - before, began.elapsed().as_secs_f64());
        Ok(Taken { spans: (sent * SPANS_PER_TRACE) as f64, cpu, wall, resident })
    };
    let taken = taken.await;
    collector.kill()?;
    collector.wait()?;
    taken
}
