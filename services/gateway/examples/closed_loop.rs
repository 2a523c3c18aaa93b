//! Load in a closed loop, for comparing gateways: so many connections, on each one request after another.
//!
//! closed_loop URL CONNECTIONS SECONDS SIZE: answers one line of JSON, with the times in microseconds. Each request
//! bears a traceparent that says it is not sampled, as one of the lab's would.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

/// One thread: the cores are for what is measured.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, connections, seconds, size] = arguments.as_slice() else {
        bail!("closed_loop URL CONNECTIONS SECONDS SIZE");
    };
    let (connections, size): (usize, u64) = (connections.parse()?, size.parse()?);
    let end = Instant::now() + Duration::from_secs_f64(seconds.parse()?);
    let began = Instant::now();
    let loops: Vec<_> =
        (0..connections).map(|_| tokio::spawn(ask(url.clone(), size, end))).collect();
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

/// Asks until `end`; answers what each request took.
async fn ask(url: String, size: u64, end: Instant) -> anyhow::Result<Vec<u128>> {
    let uri: hyper::Uri = url.parse()?;
    let host = uri.authority().context("a URL with a host")?.to_string();
    let stream = TcpStream::connect(&host).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let body = Bytes::from(format!("{{\"size\": {size}}}"));
    let mut times = Vec::new();
    while Instant::now() < end {
        let request = Request::post(uri.path())
            .header("host", &host)
            .header("content-type", "application/json")
            .header("traceparent", TRACEPARENT)
            .body(Full::new(body.clone()))?;
        let asked = Instant::now();
        sender.ready().await?;
        let reply = sender.send_request(request).await?;
        let status = reply.status();
        let length = reply.into_body().collect().await?.to_bytes().len() as u64;
        if status != 200 || length < size {
            bail!("{url} answered {status} with {length} bytes");
        }
        times.push(asked.elapsed().as_micros());
    }
    Ok(times)
}
