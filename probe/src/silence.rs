//! When a connection of HTTP/2 is left: its peer does not answer any more.
//!
//! By HTTP/1.1 a call that is given up takes its connection with it, and the next call opens another, so a peer that
//! vanished costs the calls that were under way. By HTTP/2 all calls share one connection, and would share the loss
//! for ever. So a connection from which nothing was read for a while, though something was written to it, gets no new
//! calls; those that it has stay on it. A peer that is only busy with a call answers a PING meanwhile: one is asked for
//! in time ([`crate::keepalive`]).

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use ledger::clock;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::keepalive::Signs;
use crate::wrapped::{self, Wrapper};

/// How long a peer may be silent that is known to be near. Half of it has passed when it is asked by a PING.
const SHORTEST: Duration = Duration::from_millis(100);
/// Doublings of that, one for each connection in turn that never said anything: a peer that stands still gets few.
const MOST_DOUBLINGS: u32 = 5;
/// Doublings for a peer that was left and spoke after all: it is slow, and given longer from then on.
const MOST_MISTAKEN: u32 = 2;
/// A peer that may not be asked any more is left after so many halves.
const UNASKED: u64 = 20;
/// A far peer is given so many times what the first answer on a connection took.
const FIRST_ANSWERS: u64 = 4;
/// And no more than this for it.
const LONGEST_FOR_DISTANCE: u64 = 5_000_000_000;

/// What is known of a peer, over all connections to it.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    /// Connections in turn that were left since the peer was last heard.
    left: AtomicU32,
    /// Connections that were left and then heard.
    mistaken: AtomicU32,
    /// From opening the latest connection to the first byte read from it, in nanoseconds.
    first_answer: AtomicU64,
}

impl Patience {
    /// How long to wait for an answer to so many bytes, in nanoseconds: a slow line takes time to carry them (a
    /// nanosecond and a thousand for each byte is 1 MB/s).
    fn allowance(&self, bytes: u64) -> u64 {
        let doublings = self.left.load(Relaxed) + self.mistaken.load(Relaxed).min(MOST_MISTAKEN);
        let near = (SHORTEST.as_nanos() as u64) << doublings.min(MOST_DOUBLINGS);
        let far = self.first_answer.load(Relaxed).saturating_mul(FIRST_ANSWERS);
        near + far.min(LONGEST_FOR_DISTANCE) + bytes.saturating_mul(1_000)
    }
}

/// Somebody round a stream who knows when its peer is silent.
#[derive(Debug)]
pub(crate) struct Lively {
    patience: Arc<Patience>,
    signs: Arc<Signs>,
    opened: u64,
    answered: bool,
    /// Bytes written since something was last read.
    unanswered: u64,
    /// Since when there was nothing to read though an answer is due; 0 if that is not so. Looked at here, and not by
    /// whoever calls: what this process was too busy to read is no silence.
    since: u64,
    timer: Pin<Box<Sleep>>,
    armed: bool,
}

impl Lively {
    /// `signs` are told when the connection should be left.
    pub(crate) fn new(patience: Arc<Patience>, signs: Arc<Signs>) -> Self {
        let timer = Box::pin(tokio::time::sleep(SHORTEST));
        let opened = clock::now();
        Lively {
            patience,
            signs,
            opened,
            answered: false,
            unanswered: 0,
            since: 0,
            timer,
            armed: false,
        }
    }

    fn read(&mut self) {
        self.signs.reads.fetch_add(1, Relaxed);
        if !std::mem::replace(&mut self.answered, true) {
            self.patience.first_answer.store(clock::now() - self.opened, Relaxed);
        }
        self.since = 0;
        if std::mem::take(&mut self.unanswered) > 0 && self.patience.left.load(Relaxed) > 0 {
            self.patience.left.store(0, Relaxed);
            if self.signs.silent.load(Relaxed) {
                self.patience.mistaken.fetch_add(1, Relaxed);
            }
        }
    }

    /// There is nothing to read.
    fn waits(&mut self, cx: &mut Context<'_>) {
        if self.unanswered == 0 && !self.signs.has_calls() {
            self.since = 0;
            return;
        }
        if self.since == 0 {
            self.since = clock::now();
        }
        // The timer is not set anew for each call: it runs out now and then, and then somebody looks.
        loop {
            let half = self.patience.allowance(self.unanswered) / 2;
            if !std::mem::replace(&mut self.armed, true) {
                self.timer.as_mut().reset(Instant::now() + Duration::from_nanos(half));
            }
            if self.timer.as_mut().poll(cx).is_pending() {
                return;
            }
            self.armed = false;
            let quiet = clock::now() - self.since;
            if quiet < half {
                continue;
            }
            let asked_in_vain = self.signs.ask() || quiet >= half * UNASKED;
            if asked_in_vain && self.unanswered > 0 && !self.signs.silent.swap(true, Relaxed) {
                self.patience.left.fetch_add(1, Relaxed);
            }
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Wrapper<IO> for Lively {
    fn poll_read(
        &mut self,
        io: &mut IO,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let result = Pin::new(io).poll_read(cx, buf);
        if result.is_ready() {
            self.read()
        } else {
            self.waits(cx)
        }
        result
    }

    fn poll_write(
        &mut self,
        io: &mut IO,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = wrapped::write(io, cx, bufs);
        if let Poll::Ready(Ok(bytes)) = &result {
            self.unanswered += *bytes as u64;
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wrapped::Wrapped;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

    type Near = Wrapped<DuplexStream, Lively>;

    fn pair() -> (Near, DuplexStream, Arc<Signs>, Arc<Patience>) {
        let (near, far) = tokio::io::duplex(1_000);
        let (signs, patience) = (Arc::<Signs>::default(), Arc::<Patience>::default());
        let lively = Lively::new(Arc::clone(&patience), Arc::clone(&signs));
        (Wrapped::new(near, lively), far, signs, patience)
    }

    async fn read_within(near: &mut Near, limit: Duration) {
        let _ = tokio::time::timeout(limit, near.read_u8()).await;
    }

    #[tokio::test]
    async fn a_peer_that_answers_nothing_is_silent_and_one_that_was_asked_nothing_is_not() {
        let (mut near, _far, signs, patience) = pair();
        read_within(&mut near, SHORTEST * 2).await;
        assert!(!signs.silent.load(Relaxed), "nothing was written");
        near.write_u8(1).await.unwrap();
        // Nobody asks it here, so it takes as long as for a peer that may not be asked.
        read_within(&mut near, SHORTEST * UNASKED as u32).await;
        assert!(signs.silent.load(Relaxed));
        assert_eq!(patience.left.load(Relaxed), 1);
        assert!(patience.allowance(0) >= SHORTEST.as_nanos() as u64 * 2, "more patience");
    }

    #[tokio::test]
    async fn a_peer_that_was_left_and_speaks_after_all_is_given_longer_from_then_on() {
        let (mut near, mut far, signs, patience) = pair();
        far.write_u8(1).await.unwrap();
        near.read_u8().await.unwrap();
        let before = patience.allowance(0);
        near.write_u8(1).await.unwrap();
        read_within(&mut near, SHORTEST * UNASKED as u32).await;
        assert!(signs.silent.load(Relaxed));
        far.write_u8(1).await.unwrap();
        near.read_u8().await.unwrap();
        assert_eq!(patience.left.load(Relaxed), 0, "it is there");
        assert_eq!(patience.allowance(0), before + SHORTEST.as_nanos() as u64);
    }

    #[tokio::test]
    async fn a_peer_that_answers_late_is_heard_and_the_next_is_given_as_long() {
        let (mut near, mut far, _, patience) = pair();
        near.write_u8(1).await.unwrap();
        read_within(&mut near, SHORTEST * 2).await;
        far.write_u8(1).await.unwrap();
        near.read_u8().await.unwrap();
        assert!(patience.allowance(0) >= SHORTEST.as_nanos() as u64 * 8);
        assert!(patience.allowance(1 << 20) > patience.allowance(0) + 1_000_000_000);
    }
}
