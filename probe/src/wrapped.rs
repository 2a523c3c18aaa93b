//! A byte stream with somebody round it who sees its calls and may answer them: the one place where calls are passed
//! on. What is done with them is each wrapper's own business.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Somebody round a stream. Without a word of its own every call is passed on as it is.
pub trait Wrapper<IO: AsyncRead + AsyncWrite + Unpin> {
    /// The stream is to be read.
    fn poll_read(
        &mut self,
        io: &mut IO,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(io).poll_read(cx, buf)
    }

    /// These bytes are to be written.
    fn poll_write(
        &mut self,
        io: &mut IO,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        write(io, cx, bufs)
    }

    /// What was written is to be sent, or this side is to be closed: until this is ready neither happens.
    fn poll_settle(&mut self, _io: &mut IO, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Writes to a stream. One slice goes by the plain call, which costs the kernel less.
pub(crate) fn write<IO: AsyncWrite + Unpin>(
    io: &mut IO,
    cx: &mut Context<'_>,
    bufs: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    match bufs {
        [only] => Pin::new(io).poll_write(cx, only),
        _ => Pin::new(io).poll_write_vectored(cx, bufs),
    }
}

/// Somebody who may not be there.
impl<IO: AsyncRead + AsyncWrite + Unpin, W: Wrapper<IO>> Wrapper<IO> for Option<W> {
    fn poll_read(
        &mut self,
        io: &mut IO,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Some(wrapper) => wrapper.poll_read(io, cx, buf),
            None => Pin::new(io).poll_read(cx, buf),
        }
    }

    fn poll_write(
        &mut self,
        io: &mut IO,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            Some(wrapper) => wrapper.poll_write(io, cx, bufs),
            None => write(io, cx, bufs),
        }
    }

    fn poll_settle(&mut self, io: &mut IO, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Some(wrapper) => wrapper.poll_settle(io, cx),
            None => Poll::Ready(Ok(())),
        }
    }
}

/// A stream and who is round it.
#[derive(Debug)]
pub struct Wrapped<IO, W> {
    io: IO,
    wrapper: W,
}

impl<IO, W> Wrapped<IO, W> {
    /// Puts somebody round a stream.
    pub fn new(io: IO, wrapper: W) -> Self {
        Wrapped { io, wrapper }
    }

    /// The stream itself.
    pub fn io(&self) -> &IO {
        &self.io
    }
}

impl<IO, W> AsyncRead for Wrapped<IO, W>
where
    IO: AsyncRead + AsyncWrite + Unpin,
    W: Wrapper<IO> + Unpin,
{
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.wrapper.poll_read(&mut this.io, cx, buf)
    }
}

impl<IO, W> AsyncWrite for Wrapped<IO, W>
where
    IO: AsyncRead + AsyncWrite + Unpin,
    W: Wrapper<IO> + Unpin,
{
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.wrapper.poll_write(&mut this.io, cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.wrapper.poll_write(&mut this.io, cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.wrapper.poll_settle(&mut this.io, cx))?;
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.wrapper.poll_settle(&mut this.io, cx))?;
        Pin::new(&mut this.io).poll_shutdown(cx)
    }
}
