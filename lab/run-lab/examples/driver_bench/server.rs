//! A server that does as little as a server can: it answers every request with the same reply.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// Path that tells how many other requests were answered.
const COUNT: &str = "/count";

/// The server, in a process of its own.
pub(crate) struct Server {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts this program again as the server.
    pub(crate) fn start(payload: u64) -> Result<Server> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--serve", "--payload", &payload.to_string()])
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("a pipe")?).read_line(&mut line)?;
        let address = line.trim().parse().with_context(|| format!("{line:?} is no address"))?;
        Ok(Server { child, address })
    }

    /// How many requests it has answered.
    pub(crate) async fn count(&self) -> Result<u64> {
        let text = reqwest::get(format!("http://{}{COUNT}", self.address)).await?.text().await?;
        Ok(text.parse()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended already if this fails.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Answers until it is killed.
pub(crate) async fn serve(payload: u64) -> Result<()> {
    let payload = "a".repeat(usize::try_from(payload)?);
    let size = payload.len();
    let reply = Bytes::from(format!(
        r#"{{"from":"gateway","protocol":"rest","size":{size},"payload":"{payload}"}}"#
    ));
    let answered = Arc::new(AtomicU64::new(0));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (reply, answered) = (reply.clone(), answered.clone());
        let service = service_fn(move |request| answer(request, reply.clone(), answered.clone()));
        tokio::spawn(
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service),
        );
    }
}

async fn answer(
    request: Request<Incoming>,
    reply: Bytes,
    answered: Arc<AtomicU64>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    if request.uri().path() == COUNT {
        return Ok(Response::new(Full::new(answered.load(Ordering::Relaxed).to_string().into())));
    }
    request.into_body().collect().await?;
    answered.fetch_add(1, Ordering::Relaxed);
    Ok(Response::new(Full::new(reply)))
}
