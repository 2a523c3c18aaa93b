//! Connections as they come, until a service is asked to stop.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

/// How long to wait after a failed accept (out of descriptors, say) before the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Binds `address` and says so on standard output: `listening 127.0.0.1:8080`.
///
/// # Errors
/// Names the address that could not be bound.
pub(crate) async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let naming =
        |error: io::Error| io::Error::new(error.kind(), format!("listening on {address}: {error}"));
    let listener = TcpListener::bind(address).await.map_err(naming)?;
    let mut out = io::stdout().lock();
    writeln!(out, "listening {}", listener.local_addr()?)?;
    out.flush()?;
    Ok(listener)
}

/// Hands every connection to `serve` until `shutdown` completes, then those that wait in the kernel's
/// queue: closing the listener would reset them. A failing accept is logged and tried again.
pub(crate) async fn accept(
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send,
    mut serve: impl FnMut(TcpStream),
) {
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => serve(stream),
            Err(error) => {
                tracing::warn!("accepting a connection: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    match waiting(listener) {
        Ok(waiting) => waiting.into_iter().for_each(serve),
        Err(error) => tracing::warn!("accepting the last connections: {error}"),
    }
}

/// The connections that nobody has accepted yet; the listener is closed. It is asked itself, since what
/// the runtime knows of it may be older than they are.
fn waiting(listener: TcpListener) -> io::Result<Vec<TcpStream>> {
    let listener = listener.into_std()?;
    let mut waiting = Vec::new();
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(true)?;
                waiting.push(TcpStream::from_std(stream)?);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(waiting),
            // This one is gone already; there may be more.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => return Err(error),
        }
    }
}
