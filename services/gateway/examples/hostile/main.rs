//! A soak: healthy load on a gateway while others do it all the harm that a peer can do.
//!
//!     hostile [SECONDS]
//!
//! A gateway and its echo service run in a process of their own, with limits short enough to be passed many times. Two
//! hundred peers at a time send half heads, half bodies and garbage, take no replies, reset what they asked for, and
//! come and go; one asks for a ping a hundred times a second, by REST and by gRPC in turn. Fails if one of these is not
//! answered, if descriptors are not back within 10 s of the end, or if memory is then more than a tenth above what the
//! same load took without the others.

mod harm;

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use echo::EchoConfig;
use gateway::GatewayConfig;
use probe::{Probe, Service as _, ServiceArgs};
use tokio::time::Instant;

/// The argument that makes this program the gateway.
const SERVE: &str = "serve";
/// Healthy requests a second.
const RATE: u64 = 100;
/// Peers that do harm at a time.
const HARMFUL: usize = 200;
/// How long descriptors may take to come back.
const BACK: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let argument = std::env::args().nth(1);
    if argument.as_deref() == Some(SERVE) {
        return serve().await;
    }
    let seconds: u64 = argument.map_or(Ok(60), |seconds| seconds.parse())?;
    let gateway = Gateway::start()?;
    // What the process takes for good, it takes in the first seconds of any load.
    let calm = (seconds / 4).clamp(5, 60);
    let quiet = healthy(gateway.address, Duration::from_secs(calm)).await?;
    ensure!(quiet.failed == 0, "{} healthy calls failed before anybody did harm", quiet.failed);
    let before = gateway.taken()?;
    let stop = Arc::new(AtomicBool::new(false));
    let harm: Vec<_> = (0..HARMFUL)
        .map(|number| tokio::spawn(harm::on(gateway.address, number, Arc::clone(&stop))))
        .collect();
    let soak = healthy(gateway.address, Duration::from_secs(seconds)).await?;
    stop.store(true, Relaxed);
    let mut done = 0;
    for one in harm {
        done += one.await?;
    }
    let ended = Instant::now();
    let mut after = gateway.taken()?;
    // One of them is the connection that asks.
    while after.descriptors > before.descriptors + 4 && ended.elapsed() < BACK {
        tokio::time::sleep(Duration::from_millis(200)).await;
        after = gateway.taken()?;
    }
    println!(
        "{seconds} s: {} healthy calls, {} failed, {done} harmful deeds; descriptors {} before and {} after, {:.1} s \
         later; resident {} KiB before and {} KiB after",
        soak.sent,
        soak.failed,
        before.descriptors,
        after.descriptors,
        ended.elapsed().as_secs_f64(),
        before.resident_kib,
        after.resident_kib
    );
    println!("closed: {}", gateway.closed().await?);
    ensure!(
        soak.failed == 0,
        "{} healthy calls failed, the first with: {}",
        soak.failed,
        soak.first
    );
    ensure!(after.descriptors <= before.descriptors + 4, "descriptors did not come back");
    ensure!(after.resident_kib <= before.resident_kib + before.resident_kib / 10, "memory grew");
    Ok(())
}

/// The gateway and its echo, with short limits, until standard input ends.
async fn serve() -> anyhow::Result<()> {
    let service = ServiceArgs {
        head_timeout: Some(Span::seconds(2)),
        body_timeout: Some(Span::seconds(2)),
        idle_timeout: Some(Span::seconds(5)),
        write_timeout: Some(Span::seconds(2)),
        ..ServiceArgs::default()
    };
    let config = EchoConfig { service: service.clone(), ..EchoConfig::defaults()? };
    let echo = probe::capture::start(config, Probe::off()).await;
    let peers = vec![format!("echo=http://{echo}").parse().map_err(anyhow::Error::msg)?];
    let config = GatewayConfig { peers, service, ..GatewayConfig::defaults()? };
    println!("listening {}", probe::capture::start(config, Probe::off()).await);
    let mut nothing = String::new();
    tokio::task::spawn_blocking(move || std::io::stdin().read_line(&mut nothing)).await??;
    Ok(())
}

struct Gateway {
    child: Child,
    address: SocketAddr,
}

/// What a process has.
struct Taken {
    descriptors: usize,
    resident_kib: u64,
}

impl Gateway {
    fn start() -> anyhow::Result<Gateway> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(SERVE)
            // What is free goes back to the kernel at once: what is left is what the services hold.
            .env("MALLOC_MMAP_THRESHOLD_", "65536")
            .env("MALLOC_TRIM_THRESHOLD_", "65536")
            .env("MALLOC_ARENA_MAX", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut ready = String::new();
        BufReader::new(child.stdout.take().context("a pipe")?).read_line(&mut ready)?;
        let address = ready.trim().strip_prefix("listening ").context("a ready line")?.parse()?;
        Ok(Gateway { child, address })
    }

    fn taken(&self) -> anyhow::Result<Taken> {
        let process = format!("/proc/{}", self.child.id());
        let status = std::fs::read_to_string(format!("{process}/status"))?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let resident = resident.and_then(|line| line.split_whitespace().next()).context("VmRSS")?;
        let descriptors = std::fs::read_dir(format!("{process}/fd"))?.count();
        Ok(Taken { descriptors, resident_kib: resident.parse()? })
    }

    async fn closed(&self) -> anyhow::Result<String> {
        let reply = reqwest::get(format!("http://{}/connections", self.address)).await?;
        Ok(String::from_utf8_lossy(&reply.bytes().await?).into_owned())
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What became of healthy calls.
struct Healthy {
    sent: u64,
    failed: u64,
    first: String,
}

/// Asks at the rate for so long.
async fn healthy(gateway: SocketAddr, long: Duration) -> anyhow::Result<Healthy> {
    let client = reqwest::Client::builder().pool_idle_timeout(Duration::from_secs(1)).build()?;
    let failed = Arc::new(AtomicU64::new(0));
    let first = Arc::new(std::sync::Mutex::new(String::new()));
    let sent = long.as_secs() * RATE;
    let mut ticks = tokio::time::interval(Duration::from_nanos(1_000_000_000 / RATE));
    let mut calls = Vec::new();
    for number in 0..sent {
        ticks.tick().await;
        let protocol = if number % 2 == 0 { "rest" } else { "grpc" };
        let url = format!("http://{gateway}/{protocol}/ping");
        let asked = client.post(url).body(r#"{"size": 1000}"#).timeout(Duration::from_secs(30));
        let (failed, first) = (Arc::clone(&failed), Arc::clone(&first));
        calls.push(tokio::spawn(async move {
            let answer = async { asked.send().await?.error_for_status()?.bytes().await };
            if let Err(error) = answer.await
                && failed.fetch_add(1, Relaxed) == 0
            {
                *first.lock().expect("nobody panics with it") = probe::causes(&error);
            }
        }));
    }
    for call in calls {
        call.await?;
    }
    let first = first.lock().expect("nobody panics with it").clone();
    Ok(Healthy { sent, failed: failed.load(Relaxed), first })
}
