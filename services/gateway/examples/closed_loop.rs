//! Load in a closed loop, for comparing gateways: so many connections, on each one request after another.
//!
//! closed_loop URL CONNECTIONS SECONDS SIZE [RATE TRACED]: answers one line of JSON, with the times in microseconds. Each
//! request bears a traceparent that says it is not sampled, as one of the lab's would. With RATE each connection begins
//! its requests at fixed times, all together RATE a second, of which TRACED are sampled.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

const USAGE: &str = "closed_loop URL CONNECTIONS SECONDS SIZE [RATE TRACED]";

/// What all connections are told.
struct Load {
    url: String,
    size: u64,
    end: Instant,
    /// From one request of a connection to its next.
    every: Option<Duration>,
    /// So many of a thousand requests are sampled.
    sampled: u64,
    begun: AtomicU64,
}

impl Load {
    /// The `traceparent` of the next request. Which are sampled follows from their numbers: evenly, at any share.
    fn traceparent(&self) -> String {
        let number = self.begun.fetch_add(1, Relaxed);
        let sampled = (number + 1) * self.sampled / 1_000 - number * self.sampled / 1_000;
        format!("00-{:032x}-00f067aa0ba902b7-{sampled:02x}", number + 1)
    }
}

/// One thread: the cores are for what is measured.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, connections, seconds, size, paced @ ..] = arguments.as_slice() else {
        bail!(USAGE);
    };
    let connections: u32 = connections.parse()?;
    let (every, sampled) = match paced {
        [] => (None, 0),
        [rate, traced] => {
            let (rate, traced): (f64, f64) = (rate.parse()?, traced.parse()?);
            let every = Duration::from_secs_f64(f64::from(connections) / rate);
            (Some(every), (traced / rate * 1_000.0).round() as u64)
        }
        _ => bail!(USAGE),
    };
    let end = Instant::now() + Duration::from_secs_f64(seconds.parse()?);
    let (url, size, begun) = (url.clone(), size.parse()?, AtomicU64::new(0));
    let load = Arc::new(Load { url, size, end, every, sampled, begun });
    let began = Instant::now();
    let loops: Vec<_> = (0..connections)
        .map(|at| tokio::spawn(ask(Arc::clone(&load), f64::from(at) / f64::from(connections))))
        .collect();
    let mut times = Vec::new();
    for one in loops {
        times.extend(one.await??);
    }
    times.sort_unstable();
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).copied().unwrap_or(0);
    println!(
        "{{\"requests\": {}, \"seconds\": {:.3}, \"p50_us\": {}, \"p99_us\": {}}}",
        times.len(),
        began.elapsed().as_secs_f64(),
        at(0.5),
        at(0.99)
    );
    Ok(())
}

/// Asks until the end, `shift` of an interval after the others; answers what each request took.
async fn ask(load: Arc<Load>, shift: f64) -> anyhow::Result<Vec<u128>> {
    let Load { url, size, end, every, .. } = &*load;
    let uri: hyper::Uri = url.parse()?;
    let host = uri.authority().context("a URL with a host")?.to_string();
    let stream = TcpStream::connect(&host).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let body = Bytes::from(format!("{{\"size\": {size}}}"));
    let mut times = Vec::new();
    let mut ticks = every.map(|every| {
        tokio::time::interval_at(tokio::time::Instant::now() + every.mul_f64(shift), every)
    });
    while Instant::now() < *end {
        if let Some(ticks) = &mut ticks {
            ticks.tick().await;
        }
        let request = Request::post(uri.path())
            .header("host", &host)
            .header("content-type", "application/json")
            .header("traceparent", load.traceparent())
            .body(Full::new(body.clone()))?;
        let asked = Instant::now();
        sender.ready().await?;
        let reply = sender.send_request(request).await?;
        let status = reply.status();
        let length = reply.into_body().collect().await?.to_bytes().len() as u64;
        if status != 200 || length < *size {
            bail!("{url} answered {status} with {length} bytes");
        }
        times.push(asked.elapsed().as_micros());
    }
    Ok(times)
}
