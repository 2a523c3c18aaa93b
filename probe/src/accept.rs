//! Connections as they come, until a service is asked to stop.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use crate::standing::Crowd;

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
/// queue: closing the listener would reset them. There are no more at a time than `crowd` has room for.
pub(crate) async fn accept(
    listener: TcpListener,
    crowd: &Crowd,
    shutdown: impl Future<Output = ()> + Send,
    mut serve: impl FnMut(TcpStream),
) {
    let mut shutdown = std::pin::pin!(shutdown);
    let mut failed = false;
    loop {
        let accepting = async {
            room(crowd).await;
            listener.accept().await
        };
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = accepting => accepted,
        };
        match accepted {
            Ok((stream, _)) => serve(stream),
            Err(error) => {
                // It fails again until somebody leaves: once is enough to say so.
                if !std::mem::replace(&mut failed, true) {
                    tracing::warn!("accepting a connection: {error}; the idlest are closed");
                }
                crowd.make_room();
                let _ = tokio::time::timeout(ACCEPT_PAUSE, crowd.one_left()).await;
            }
        }
    }
    match waiting(listener) {
        Ok(waiting) => waiting.into_iter().for_each(serve),
        Err(error) => tracing::warn!("accepting the last connections: {error}"),
    }
}

/// Waits until there is room for one more connection. Where all have requests, the next one waits in the kernel's
/// queue until one of them is answered.
async fn room(crowd: &Crowd) {
    while crowd.full() {
        crowd.make_room();
        let _ = tokio::time::timeout(ACCEPT_PAUSE, crowd.one_left()).await;
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
