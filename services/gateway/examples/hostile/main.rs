//! A soak: healthy load on a gateway while others do it all the harm that a peer can do.
//!
//!     hostile [SECONDS [memory]]
//!
//! A gateway and its echo service run in a process of their own, with limits short enough to be passed many times. Two
//! hundred peers at a time send half heads, half bodies and garbage, take no replies, reset what they asked for, flood
//! it with connections, pings and streams, and come and go; one asks for a ping a hundred times a second, by REST and by
//! gRPC in turn. Fails if one of these is not answered, if a limit was never passed, or if descriptors are not back within
//! 10 s of the end. With `memory` it also fails if memory is then more than a tenth above what it was after a first wave,
//! in which all did the same at once. That is asked of long soaks alone: the C library keeps what it needed at most
//! (pages between what is left), and how much that was is a matter of luck until many waves have passed.

mod harm;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use echo::EchoService;
use gateway::GatewayConfig;
use probe::{Probe, Service as _, ServiceArgs, ServiceConfig};
use settings::Span;
use tokio::time::Instant;

use harm::Order;

/// The argument that makes this program the gateway.
const SERVE: &str = "serve";
/// Healthy requests a second.
const RATE: u64 = 100;
/// Peers that do harm at a time.
const HARMFUL: usize = 200;
/// How long the first wave of them lasts at least; a fifth of the soak where that is longer.
const WAVE: Duration = Duration::from_secs(20);
/// How long descriptors and memory may take to come back.
const BACK: Duration = Duration::from_secs(10);
/// Descriptors of connections on which something is asked: those are healthy.
const SPARE: usize = 6;
/// The limits that peers pass; `/connections` counts under these names.
const PASSED: [&str; 3] = ["slow_head", "slow_body", "slow_reader"];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let memory = std::env::args().nth(2).as_deref() == Some("memory");
    let argument = std::env::args().nth(1);
    if argument.as_deref() == Some(SERVE) {
        return serve().await;
    }
    let seconds: u64 = argument.map_or(Ok(60), |seconds| seconds.parse())?;
    let gateway = Gateway::start()?;
    let quiet = healthy(gateway.address, Duration::from_secs(5)).await?;
    ensure!(quiet.failed() == 0, "before anybody did harm: {:?}", quiet.failures);
    let at_first = gateway.taken()?;
    let (wave, _) =
        under_harm(gateway.address, WAVE.max(Duration::from_secs(seconds / 5)), Order::Together)
            .await?;
    tokio::time::sleep(BACK).await;
    let before = gateway.taken()?;
    let (soak, deeds) =
        under_harm(gateway.address, Duration::from_secs(seconds), Order::Mixed).await?;
    let ended = Instant::now();
    let mut after = gateway.taken()?;
    while !after.is_back_to(&before) && ended.elapsed() < BACK {
        tokio::time::sleep(Duration::from_millis(200)).await;
        after = gateway.taken()?;
    }
    println!(
        "{seconds} s: {} healthy calls, {} failed; {deeds} harmful deeds; {:.1} s later\n\
         descriptors: {} at first, {} after a first wave, {} after all\n\
         resident KiB: {} at first, {} after a first wave, {} after all",
        wave.sent + soak.sent,
        wave.failed() + soak.failed(),
        ended.elapsed().as_secs_f64(),
        at_first.descriptors,
        before.descriptors,
        after.descriptors,
        at_first.resident_kib,
        before.resident_kib,
        after.resident_kib
    );
    let closed = gateway.closed().await?;
    println!("closed: {closed}");
    for (failure, times) in wave.failures.iter().chain(&soak.failures) {
        println!("{times} times: {failure}");
    }
    ensure!(wave.failed() + soak.failed() == 0, "healthy calls failed");
    for limit in PASSED {
        ensure!(closed[limit].as_u64() > Some(0), "nobody passed the limit {limit}");
    }
    ensure!(before.descriptors <= at_first.descriptors + SPARE, "descriptors did not come back");
    ensure!(after.descriptors <= before.descriptors + SPARE, "descriptors did not come back");
    ensure!(!memory || after.is_back_to(&before), "memory did not come back");
    Ok(())
}

/// Asks for so long while others do harm; answers what became of it, and how often they did.
async fn under_harm(
    gateway: SocketAddr,
    long: Duration,
    order: Order,
) -> anyhow::Result<(Healthy, u64)> {
    let stop = Arc::new(AtomicBool::new(false));
    let harm: Vec<_> = (0..HARMFUL)
        .map(|number| tokio::spawn(harm::on(gateway, number, order, Arc::clone(&stop))))
        .collect();
    let asked = healthy(gateway, long).await?;
    stop.store(true, Relaxed);
    let mut deeds = 0;
    for one in harm {
        deeds += one.await?;
    }
    Ok((asked, deeds))
}

/// The gateway and its echo, with short limits, until standard input ends.
async fn serve() -> anyhow::Result<()> {
    probe::log_to_stderr();
    let shared = ServiceArgs {
        head_timeout: Some(Span::seconds(4)),
        body_timeout: Some(Span::seconds(4)),
        idle_timeout: Some(Span::seconds(6)),
        write_timeout: Some(Span::seconds(4)),
        ..ServiceArgs::default()
    };
    let config = ServiceConfig { shared: shared.clone(), ..EchoService.into() };
    let echo = probe::capture::start(config, Probe::off()).await;
    let peers = vec![format!("echo=http://{echo}").parse().map_err(anyhow::Error::msg)?];
    let own = GatewayConfig { peers, ..GatewayConfig::defaults()? };
    let config = ServiceConfig { shared, ..own.into() };
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

impl Taken {
    /// Whether it is no more than before: as many descriptors, and no more than a tenth more of memory.
    fn is_back_to(&self, before: &Taken) -> bool {
        self.descriptors <= before.descriptors + SPARE
            && self.resident_kib <= before.resident_kib + before.resident_kib / 10
    }
}

impl Gateway {
    fn start() -> anyhow::Result<Gateway> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(SERVE)
            // Buffers that are freed go back to the kernel at once: what is left is what the services hold, and not what
            // the C library keeps between what is left.
            .env("MALLOC_MMAP_THRESHOLD_", "4096")
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

    /// How often each limit was passed.
    async fn closed(&self) -> anyhow::Result<serde_json::Value> {
        let reply = reqwest::get(format!("http://{}/connections", self.address)).await?;
        let mut told: serde_json::Value = serde_json::from_slice(&reply.bytes().await?)?;
        Ok(told["closed"].take())
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a call is answered as it should be; if not, what was said instead.
async fn answered(asked: reqwest::RequestBuilder) -> anyhow::Result<()> {
    let reply = asked.send().await.map_err(|error| anyhow::anyhow!(probe::causes(&error)))?;
    let status = reply.status();
    let body = reply.bytes().await?;
    ensure!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&body));
    Ok(())
}

/// What became of healthy calls.
struct Healthy {
    sent: u64,
    /// How often each kind of failure happened.
    failures: BTreeMap<String, u64>,
}

impl Healthy {
    fn failed(&self) -> u64 {
        self.failures.values().sum()
    }
}

/// Asks at the rate for so long.
async fn healthy(gateway: SocketAddr, long: Duration) -> anyhow::Result<Healthy> {
    let client = reqwest::Client::builder().pool_idle_timeout(Duration::from_secs(1)).build()?;
    let said = Arc::new(Mutex::new(BTreeMap::new()));
    let sent = long.as_secs() * RATE;
    let mut ticks = tokio::time::interval(Duration::from_nanos(1_000_000_000 / RATE));
    let mut calls = Vec::new();
    for number in 0..sent {
        ticks.tick().await;
        let protocol = if number % 2 == 0 { "rest" } else { "grpc" };
        let url = format!("http://{gateway}/{protocol}/ping");
        let asked = client.post(url).body(r#"{"size": 1000}"#).timeout(Duration::from_secs(30));
        let said = Arc::clone(&said);
        calls.push(tokio::spawn(async move {
            if let Err(error) = answered(asked).await {
                *said
                    .lock()
                    .expect("whole")
                    .entry(format!("{protocol}: {error:#}"))
                    .or_insert(0) += 1;
            }
        }));
    }
    for call in calls {
        call.await?;
    }
    let failures = std::mem::take(&mut *said.lock().expect("whole"));
    Ok(Healthy { sent, failures })
}
