//! The tap: a wrapper round the TCP stream on both ends of a hop.
//!
//! It changes no byte and copies no payload. It times each I/O call, follows message boundaries
//! (HTTP/1.1) or frame headers and windows (HTTP/2), and hands marks and counts to the record of the
//! call that a message belongs to. What a mark means is the ledger's business, not the tap's.

mod conn;
mod directory;
mod h1;
mod h1_messages;
mod h2;
mod h2_frames;
mod h2_streams;
mod hpack;
mod message;
mod shared;
#[cfg(test)]
mod tests;

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::export::Sink;

use directory::Directory;
pub(crate) use directory::{Claims, Outstanding};
pub(crate) use h1_messages::{LONGEST_HEAD, MOST_FIELDS};

/// A byte stream under observation, or just the stream when probes are off.
#[derive(Debug)]
pub(crate) struct Tap<IO> {
    io: IO,
    conn: Option<Box<conn::Conn>>,
}

impl<IO> Tap<IO> {
    /// The stream as it is.
    pub(crate) fn off(io: IO) -> Self {
        Tap { io, conn: None }
    }

    /// A client's stream that speaks HTTP/2 or HTTP/1.1.
    pub(crate) fn client(io: IO, outstanding: Arc<Outstanding>, sink: Sink, http2: bool) -> Self {
        let conn = conn::Conn::new(Directory::Client(outstanding), sink, Some(http2));
        Tap { io, conn: Some(Box::new(conn)) }
    }

    /// A server's stream; the protocol is learnt from the first bytes.
    pub(crate) fn server(io: IO, claims: Arc<Claims>, sink: Sink) -> Self {
        let conn = conn::Conn::new(Directory::Server(claims), sink, None);
        Tap { io, conn: Some(Box::new(conn)) }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Tap<IO> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let Some(conn) = &mut this.conn else {
            return Pin::new(&mut this.io).poll_read(cx, buf);
        };
        let before = buf.filled().len();
        conn.enter();
        let result = Pin::new(&mut this.io).poll_read(cx, buf);
        conn.read(&buf.filled()[before..]);
        if result.is_ready() && buf.filled().len() == before && buf.remaining() > 0 {
            conn.closed();
        }
        result
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Tap<IO> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let Some(conn) = &mut this.conn else {
            return Pin::new(&mut this.io).poll_write(cx, buf);
        };
        let enter = conn.enter();
        let result = Pin::new(&mut this.io).poll_write(cx, buf);
        match &result {
            Poll::Ready(Ok(taken)) => conn.wrote(enter, std::iter::once(&buf[..*taken])),
            Poll::Pending => conn.refused(),
            Poll::Ready(Err(_)) => {}
        }
        result
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let Some(conn) = &mut this.conn else {
            return Pin::new(&mut this.io).poll_write_vectored(cx, bufs);
        };
        let enter = conn.enter();
        let result = Pin::new(&mut this.io).poll_write_vectored(cx, bufs);
        match &result {
            Poll::Ready(Ok(taken)) => conn.wrote(enter, first_bytes(bufs, *taken)),
            Poll::Pending => conn.refused(),
            Poll::Ready(Err(_)) => {}
        }
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

/// The first `taken` bytes of `bufs`, as slices.
fn first_bytes<'a>(bufs: &'a [IoSlice<'_>], mut taken: usize) -> impl Iterator<Item = &'a [u8]> {
    bufs.iter().map_while(move |buf| {
        let part = taken.min(buf.len());
        taken -= part;
        // Empty buffers say nothing; past the last byte taken there is nothing to say.
        (part > 0 || (buf.is_empty() && taken > 0)).then(|| &buf[..part])
    })
}
