//! The same faults against calls by HTTP/1.1 and by HTTP/2: how many healthy calls does each cost?
//!
//!     faults [RUNS [SECONDS [RATE [FAULT]]]]
//!
//! Fails if, for any fault and in any run, the numbers of failed healthy calls differ by more than 1 % of the calls sent.

#[expect(dead_code, reason = "tests of single faults use more of it")]
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use anyhow::ensure;
use bytes::Bytes;
use echo::EchoService;
use http::Request;
use probe::{Call, Client, ClientOptions, Probe, Version};
use tokio::time::{Instant, MissedTickBehavior};

use wire::{Refuses, Wire};

/// What healthy calls are given.
const LIMIT: Duration = Duration::from_secs(1);

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    StandsStill,
    Vanishes,
    Restarts,
    Resets,
    Ages,
    Refuses,
}

const FAULTS: [Fault; 6] = [
    Fault::StandsStill,
    Fault::Vanishes,
    Fault::Restarts,
    Fault::Resets,
    Fault::Ages,
    Fault::Refuses,
];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1).take(3).map(|argument| argument.parse::<u64>());
    let mut next = |default| arguments.next().unwrap_or(Ok(default));
    let (runs, seconds, rate) = (next(3)?, next(45)?, next(100)?);
    let only = std::env::args().nth(4);
    let sent = seconds * rate;
    for run in 1..=runs {
        let asked = |fault: &Fault| only.as_ref().is_none_or(|only| *only == format!("{fault:?}"));
        for fault in FAULTS.into_iter().filter(asked) {
            // Side by side, so that whatever else the machine does happens to both.
            let [one, two] = [Version::Http1, Version::Http2]
                .map(|version| tokio::spawn(failed(fault, version, seconds, rate)));
            let (one, two) = (one.await??, two.await??);
            println!(
                "run {run}: {fault:?}: of {sent} calls failed {one} by HTTP/1.1, {two} by HTTP/2"
            );
            ensure!(one.abs_diff(two) * 100 <= sent, "{fault:?}: {one} and {two} of {sent} calls");
        }
    }
    Ok(())
}

/// Calls at a rate while the fault happens; answers how many failed.
async fn failed(fault: Fault, version: Version, seconds: u64, rate: u64) -> anyhow::Result<u64> {
    let target = match (fault, version) {
        (Fault::Ages, _) => wire::aging(Duration::from_secs(2)).await?,
        (Fault::Refuses, Version::Http2) => wire::refusing(Refuses::Streams).await?,
        _ => start_echo().await?,
    };
    let wire = Wire::to(target).await?;
    let url = format!("http://{}", wire.address).parse()?;
    let options = ClientOptions { version, ..ClientOptions::default() };
    let client = Client::new(&Probe::off(), "echo", url, options);
    let happening = tokio::spawn(happen(fault, wire, client.clone(), seconds));
    let failed = Arc::new(AtomicU64::new(0));
    let mut calls = Vec::new();
    let mut ticks = tokio::time::interval(Duration::from_nanos(1_000_000_000 / rate));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for _ in 0..seconds * rate {
        ticks.tick().await;
        let (client, failed) = (client.clone(), Arc::clone(&failed));
        calls.push(tokio::spawn(async move {
            if let Err(error) = call(&client, LIMIT).await
                && failed.fetch_add(1, Relaxed) == 0
            {
                println!("  the first by {version:?}: {error}");
            }
        }));
    }
    for call in calls {
        call.await?;
    }
    happening.await??;
    Ok(failed.load(Relaxed))
}

async fn start_echo() -> anyhow::Result<SocketAddr> {
    Ok(probe::capture::start(EchoService, Probe::off()).await)
}

async fn call(client: &Client, limit: Duration) -> anyhow::Result<()> {
    let body = Bytes::from_static(br#"{"payload":"x"}"#);
    let request = Request::post("/echo").header("content-type", "application/json").body(body)?;
    let call = Call { timeout: Some(limit), ..Call::default() };
    let reply = client.send(request, call).await?;
    ensure!(reply.status().is_success(), "{}", reply.status());
    Ok(())
}

async fn happen(fault: Fault, wire: Wire, client: Client, seconds: u64) -> anyhow::Result<()> {
    let begin = Instant::now() + Duration::from_secs(seconds) / 4;
    tokio::time::sleep_until(begin).await;
    match fault {
        Fault::StandsStill => wire.stop_for(Duration::from_millis(2_500)).await,
        Fault::Vanishes => wire.vanish(),
        Fault::Restarts => wire.restart(start_echo().await?),
        Fault::Resets => {
            for _ in 0..100 {
                let calls = (0..30).map(|_| {
                    let client = client.clone();
                    // Given up while it is on its way.
                    tokio::spawn(async move { call(&client, Duration::from_micros(300)).await })
                });
                for call in calls.collect::<Vec<_>>() {
                    let _ = call.await?;
                }
            }
        }
        // These happen all the time.
        Fault::Ages | Fault::Refuses => {}
    }
    Ok(())
}
