//! Bodies of requests that must come at a pace.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use crate::limits::{Reason, SLOWEST, Tally};

/// A body that did not come in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the body did not come within the limit of {limit:?} (at {SLOWEST} bytes a second or more it may take longer)"
)]
pub struct TooSlow {
    /// The limit.
    pub limit: Duration,
}

/// How a body is to come.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    pub(crate) limit: Duration,
    /// Pauses count, and not the whole.
    pub(crate) pauses: bool,
    pub(crate) tally: Arc<Tally>,
}

/// A body that is watched. A timer is set only when the body has to be waited for: mostly it has come with its head.
pub(crate) struct Paced<B> {
    body: B,
    pace: Pace,
    waiting: Option<Pin<Box<Sleep>>>,
    began: Option<Instant>,
    bytes: u64,
}

impl<B> Paced<B> {
    pub(crate) fn new(body: B, pace: Pace) -> Self {
        Paced { body, pace, waiting: None, began: None, bytes: 0 }
    }

    /// Until when the rest may be waited for.
    fn deadline(&mut self) -> Instant {
        let now = Instant::now();
        let began = *self.began.get_or_insert(now);
        if self.pace.pauses {
            return now + self.pace.limit;
        }
        began + self.pace.limit + Duration::from_secs(self.bytes / SLOWEST)
    }
}

impl<B> Body for Paced<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            // In drips it would wait anew each time; without pauses the limit stays that of the whole.
            this.waiting = None;
            if let Some(Ok(frame)) = &frame {
                this.bytes += frame.data_ref().map_or(0, |data| data.remaining() as u64);
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        if this.waiting.is_none() {
            let deadline = this.deadline();
            this.waiting = Some(Box::pin(tokio::time::sleep_until(deadline)));
        }
        let late = this.waiting.as_mut().is_some_and(|wait| wait.as_mut().poll(cx).is_ready());
        if !late {
            return Poll::Pending;
        }
        this.pace.tally.count(Reason::Body);
        Poll::Ready(Some(Err(Box::new(TooSlow { limit: this.pace.limit }))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::find;
    use http_body_util::{BodyExt as _, StreamBody};

    const LIMIT: Duration = Duration::from_millis(400);

    /// Reads a body whose pieces of so many bytes come after so many milliseconds each; answers how it ended.
    async fn read(pieces: &'static [(u64, usize)], pauses: bool) -> Option<TooSlow> {
        let pieces = futures_util::stream::unfold(pieces.iter(), |mut pieces| async {
            let &(after, bytes) = pieces.next()?;
            tokio::time::sleep(Duration::from_millis(after)).await;
            let piece = Frame::data(Bytes::from(vec![0; bytes]));
            Some((Ok::<_, std::io::Error>(piece), pieces))
        });
        let pace = Pace { limit: LIMIT, pauses, tally: Arc::default() };
        let body = Paced::new(Box::pin(StreamBody::new(pieces)), pace);
        let error = body.collect().await.err()?;
        find::<TooSlow>(error.as_ref()).copied()
    }

    #[tokio::test]
    async fn a_half_body_and_one_that_comes_in_drips_are_given_up_at_the_limit() {
        let slow = Some(TooSlow { limit: LIMIT });
        assert_eq!(read(&[(0, 10), (60_000, 10)], false).await, slow);
        assert_eq!(read(&[(150, 1), (150, 1), (150, 1), (150, 1), (60_000, 1)], false).await, slow);
        assert_eq!(read(&[(0, 10), (60_000, 10)], true).await, slow);
    }

    #[tokio::test]
    async fn a_body_that_comes_at_a_pace_may_take_longer_and_one_by_grpc_may_be_slow() {
        assert_eq!(read(&[(250, 500), (250, 500), (250, 500)], false).await, None);
        assert_eq!(read(&[(200, 1), (200, 1), (200, 1)], true).await, None);
    }
}
