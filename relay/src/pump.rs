//! One direction of a connection: bytes that are read on one face are written on the other, unchanged, and the end of the
//! stream is passed on as well.
//!
//! A receiver that does not take holds up its sender: while there is no room, nothing is read.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use ledger::clock;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::io::poll_read_buf;

use crate::alarm::Alarm;
use crate::line::{CHUNK, Line};

/// Bytes that are under way.
#[derive(Debug)]
struct Held {
    due: u64,
    bytes: Bytes,
}

/// Why a direction ended before its time.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The sender is gone.
    Source(io::Error),
    /// The receiver is gone.
    Sink(io::Error),
}

/// How far what was held is delivered.
enum Given {
    /// All of it, and the end.
    Done,
    /// All of it.
    Empty,
    /// Not yet.
    Waits,
}

/// One direction.
#[derive(Debug)]
pub(crate) struct Pump {
    line: Arc<Line>,
    alarm: Option<Alarm>,
    buffer: BytesMut,
    held: VecDeque<Held>,
    under_way: usize,
    /// When the end of the stream is due, once it was read.
    ended: Option<u64>,
    passed: Arc<AtomicU64>,
}

impl Pump {
    /// A direction over `line`; `passed` counts its bytes.
    pub(crate) fn new(line: Arc<Line>, passed: Arc<AtomicU64>) -> io::Result<Pump> {
        let alarm = if line.is_direct() { None } else { Some(Alarm::new()?) };
        let (buffer, held) = (BytesMut::new(), VecDeque::new());
        Ok(Pump { line, alarm, buffer, held, under_way: 0, ended: None, passed })
    }

    /// Moves what can be moved; ready when the end was passed on.
    pub(crate) fn poll<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut R,
        to: &mut W,
    ) -> Poll<Result<(), Broken>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            self.take(cx, from).map_err(Broken::Source)?;
            let full = self.ended.is_none() && !self.has_room();
            match self.give(cx, to).map_err(Broken::Sink)? {
                Given::Done => return Poll::Ready(Ok(())),
                // There is room again that nobody has been told of.
                Given::Empty | Given::Waits if full && self.has_room() => {}
                Given::Empty | Given::Waits => return Poll::Pending,
            }
        }
    }

    fn has_room(&self) -> bool {
        self.under_way < self.line.room()
    }

    /// Reads until there is nothing to read, or no room.
    fn take<R: AsyncRead + Unpin>(&mut self, cx: &mut Context<'_>, from: &mut R) -> io::Result<()> {
        while self.ended.is_none() && self.has_room() {
            // With everything delivered the same memory is used again; else small pieces share what there is.
            let least = if self.under_way == 0 { CHUNK } else { CHUNK / 16 };
            if self.buffer.capacity() < least {
                self.buffer.reserve(CHUNK);
            }
            let Poll::Ready(read) = poll_read_buf(Pin::new(&mut *from), cx, &mut self.buffer)
            else {
                return Ok(());
            };
            let read = read?;
            let due = if self.alarm.is_none() { 0 } else { self.line.due(clock::now(), read) };
            if read == 0 {
                self.ended = Some(due);
                return Ok(());
            }
            self.under_way += read;
            self.passed.fetch_add(read as u64, Relaxed);
            self.held.push_back(Held { due, bytes: self.buffer.split().freeze() });
        }
        Ok(())
    }

    /// Writes what is due.
    fn give<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut W,
    ) -> io::Result<Given> {
        match self.poll_give(cx, to) {
            Poll::Pending => Ok(Given::Waits),
            Poll::Ready(given) => given,
        }
    }

    fn poll_give<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut W,
    ) -> Poll<io::Result<Given>> {
        while let Some(front) = self.held.front_mut() {
            if let Some(alarm) = &mut self.alarm {
                ready!(alarm.poll_until(front.due, cx))?;
            }
            let written = ready!(Pin::new(&mut *to).poll_write(cx, &front.bytes))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            front.bytes.advance(written);
            self.under_way -= written;
            if front.bytes.is_empty() {
                self.held.pop_front();
            }
        }
        let Some(due) = self.ended else { return Poll::Ready(Ok(Given::Empty)) };
        if let Some(alarm) = &mut self.alarm {
            ready!(alarm.poll_until(due, cx))?;
        }
        ready!(Pin::new(to).poll_shutdown(cx))?;
        Poll::Ready(Ok(Given::Done))
    }
}

/// Both directions between two streams.
pub(crate) async fn both<N, F>(
    (near, far): (&mut N, &mut F),
    (mut out, mut back): (Pump, Pump),
) -> Result<(), Broken>
where
    N: AsyncRead + AsyncWrite + Unpin,
    F: AsyncRead + AsyncWrite + Unpin,
{
    let (mut out_done, mut back_done) = (false, false);
    let mut broken = None;
    std::future::poll_fn(|cx| {
        for outward in [true, false] {
            let (pump, done) =
                if outward { (&mut out, &mut out_done) } else { (&mut back, &mut back_done) };
            if *done {
                continue;
            }
            let polled = if outward { pump.poll(cx, near, far) } else { pump.poll(cx, far, near) };
            match polled {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => *done = true,
                // What it said before it went may still be on its way to the other.
                Poll::Ready(Err(error @ Broken::Sink(_))) => {
                    *done = true;
                    broken = Some(error);
                }
                Poll::Ready(Err(error @ Broken::Source(_))) => return Poll::Ready(Err(error)),
            }
        }
        if !(out_done && back_done) {
            return Poll::Pending;
        }
        Poll::Ready(broken.take().map_or(Ok(()), Err))
    })
    .await
}
