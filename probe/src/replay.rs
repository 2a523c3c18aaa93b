//! A request body that can be sent once more: what was sent of it is kept until there is a reply.
//!
//! Pieces are counted references to what the caller encoded, so that keeping them copies nothing.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use parking_lot::Mutex;
use tonic::Status;
use tonic::body::Body;

/// A body longer than this (17 MiB: the longest message of the lab) is not kept, and so not sent again.
const LONGEST: usize = 17 * 1024 * 1024;

/// A body, or the same body once more.
#[derive(Debug)]
pub(crate) struct Replay {
    source: Source,
    at: usize,
}

#[derive(Debug)]
enum Source {
    /// Nobody will ask for it again.
    Once(Body),
    Kept(Arc<Mutex<Kept>>),
}

/// What there is of a body.
#[derive(Debug)]
struct Kept {
    rest: Body,
    pieces: Vec<Bytes>,
    bytes: usize,
    ended: bool,
    /// It has trailers or is too long.
    lost: bool,
}

/// The right to send a body once more.
#[derive(Debug)]
pub(crate) struct Again(Arc<Mutex<Kept>>);

impl Replay {
    /// A body that is sent once.
    pub(crate) fn once(body: Body) -> Replay {
        Replay { source: Source::Once(body), at: 0 }
    }

    /// A body that may have to be sent again.
    pub(crate) fn kept(rest: Body) -> (Replay, Again) {
        let kept = Kept { rest, pieces: Vec::new(), bytes: 0, ended: false, lost: false };
        let kept = Arc::new(Mutex::new(kept));
        (Replay { source: Source::Kept(Arc::clone(&kept)), at: 0 }, Again(kept))
    }
}

impl Again {
    /// The body from its beginning, if all that was sent of it is still here.
    pub(crate) fn body(self) -> Option<Replay> {
        let whole = !self.0.lock().lost;
        whole.then_some(Replay { source: Source::Kept(self.0), at: 0 })
    }
}

impl Kept {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let frame = ready!(Pin::new(&mut self.rest).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => match frame.data_ref() {
                Some(piece) if self.bytes + piece.len() <= LONGEST && !self.lost => {
                    self.bytes += piece.len();
                    self.pieces.push(piece.clone());
                }
                _ => {
                    self.lost = true;
                    self.pieces = Vec::new();
                }
            },
            Some(Err(_)) => self.lost = true,
            None => self.ended = true,
        }
        Poll::Ready(frame)
    }
}

impl http_body::Body for Replay {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        match &mut this.source {
            Source::Once(body) => Pin::new(body).poll_frame(cx),
            Source::Kept(kept) => {
                let mut kept = kept.lock();
                let piece = kept.pieces.get(this.at).cloned();
                let frame = match piece {
                    Some(piece) => Poll::Ready(Some(Ok(Frame::data(piece)))),
                    None => kept.poll(cx),
                };
                this.at += usize::from(frame.is_ready());
                frame
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Once(body) => body.is_end_stream(),
            Source::Kept(kept) => {
                let kept = kept.lock();
                self.at >= kept.pieces.len() && (kept.ended || kept.rest.is_end_stream())
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Once(body) => body.size_hint(),
            // Only of one that nobody began is the length still known.
            Source::Kept(kept) => {
                let kept = kept.lock();
                if kept.bytes == 0 { kept.rest.size_hint() } else { SizeHint::default() }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{BodyExt as _, Full, StreamBody};

    #[tokio::test]
    async fn a_body_that_was_sent_in_part_or_in_whole_is_sent_again_from_its_beginning() {
        for sent in 0..4 {
            let pieces = ["one", "two", "three"]
                .map(|piece| Ok::<_, Status>(Frame::data(Bytes::from(piece))));
            let body = Body::new(StreamBody::new(futures_util::stream::iter(pieces)));
            let (mut first, again) = Replay::kept(body);
            for _ in 0..sent {
                first.frame().await;
            }
            drop(first);
            let whole = again.body().unwrap().collect().await.unwrap().to_bytes();
            assert_eq!(whole, "onetwothree", "after {sent} pieces");
        }
    }

    #[tokio::test]
    async fn a_body_that_is_too_long_to_keep_is_sent_once_and_whole() {
        let long = Bytes::from(vec![7; LONGEST + 1]);
        let (first, again) = Replay::kept(Body::new(Full::new(long.clone())));
        assert_eq!(first.size_hint().exact(), Some(long.len() as u64));
        assert_eq!(first.collect().await.unwrap().to_bytes(), long);
        assert!(again.body().is_none());
    }
}
