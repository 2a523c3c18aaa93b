//! The tap: a wrapper round the TCP stream on either end of a hop, or between the two.
//!
//! It changes no byte and copies no payload. It times each I/O call, follows message boundaries
//! (HTTP/1.1) or frame headers and windows (HTTP/2), and tells a [`Listener`] what happens of which exchange, when.
//! What becomes of that is the listener's business.

mod conn;
mod h1;
mod h1_messages;
mod h2;
mod h2_frames;
mod h2_streams;
mod hpack;
mod listener;
mod message;
mod shared;
#[cfg(test)]
mod tests;

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use ledger::Side;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::wrapped::{self, Wrapped, Wrapper};

pub(crate) use h1_messages::{LONGEST_HEAD, MOST_FIELDS};
pub use listener::{Event, Exchange, Listener, Opening, Protocol};

/// What looks at a stream and tells a listener.
#[derive(Debug)]
pub struct Tap<L: Listener>(Box<conn::Conn<L>>);

/// A stream under observation, or just the stream.
pub type Tapped<IO, L> = Wrapped<IO, Option<Tap<L>>>;

impl<L: Listener> Tap<L> {
    /// Of the side that makes requests (client) or answers them (server). What is spoken is learnt from the first
    /// bytes, unless it was settled before (`http2`).
    #[must_use]
    pub fn new(side: Side, listener: L, http2: Option<bool>) -> Self {
        Tap(Box::new(conn::Conn::new(side, listener, http2)))
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin, L: Listener> Wrapper<IO> for Tap<L> {
    fn poll_read(
        &mut self,
        io: &mut IO,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let conn = &mut self.0;
        let before = buf.filled().len();
        conn.enter();
        let result = Pin::new(io).poll_read(cx, buf);
        conn.read(&buf.filled()[before..]);
        if result.is_ready() && buf.filled().len() == before && buf.remaining() > 0 {
            conn.closed();
        }
        result
    }

    fn poll_write(
        &mut self,
        io: &mut IO,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let conn = &mut self.0;
        let enter = conn.enter();
        let result = wrapped::write(io, cx, bufs);
        match &result {
            Poll::Ready(Ok(taken)) => conn.wrote(enter, first_bytes(bufs, *taken)),
            Poll::Pending => conn.refused(),
            Poll::Ready(Err(_)) => {}
        }
        result
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
