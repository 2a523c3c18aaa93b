//! The body of a request on its way out by HTTP/2.
//!
//! What is there is handed over at once, so that it leaves in the same write as the head of the request; h2 keeps what
//! the peer's windows do not admit yet. Only a body that is not there yet, or is very long, needs a task of its own.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http_body::Body as _;
use tokio::sync::oneshot;

use crate::replay::Replay;

/// So many bytes may wait in memory for the peer's windows (17 MiB: the longest message of the lab).
const MOST_WAITING: usize = 17 * 1024 * 1024;

/// A body and the stream that it is sent on.
pub(crate) struct Upload {
    stream: SendStream<Bytes>,
    body: Replay,
    /// A piece that may be the last, and then ends the stream.
    held: Option<Bytes>,
    given: usize,
}

impl Upload {
    pub(crate) fn new(stream: SendStream<Bytes>, body: Replay) -> Self {
        Upload { stream, body, held: None, given: 0 }
    }

    /// Sends what there is; ready when nothing more will be sent.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.poll_pieces(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(()),
            // The peer has reset the stream, or the connection is lost: who waits for the reply is told.
            Poll::Ready(Err(_)) => Poll::Ready(()),
            Poll::Pending => self.stream.poll_reset(cx).map(|_| ()),
        }
    }

    fn poll_pieces(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        loop {
            if self.given > MOST_WAITING {
                self.stream.reserve_capacity(1);
                if let Some(window) = ready!(self.stream.poll_capacity(cx)) {
                    window?;
                }
            }
            let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
                self.give(false)?;
                return Poll::Pending;
            };
            let Some(frame) = frame else { break };
            let Ok(frame) = frame else {
                self.stream.send_reset(Reason::INTERNAL_ERROR);
                return Poll::Ready(Ok(()));
            };
            match frame.into_data() {
                Ok(piece) => {
                    self.give(false)?;
                    self.held = Some(piece);
                }
                Err(frame) => {
                    self.give(false)?;
                    let trailers = frame.into_trailers().unwrap_or_default();
                    return Poll::Ready(self.stream.send_trailers(trailers));
                }
            }
            if self.body.is_end_stream() {
                break;
            }
        }
        self.held.get_or_insert_default();
        Poll::Ready(self.give(true))
    }

    /// Hands over the piece that was held back.
    fn give(&mut self, last: bool) -> Result<(), h2::Error> {
        let Some(piece) = self.held.take() else { return Ok(()) };
        self.given += piece.len();
        self.stream.send_data(piece, last)
    }

    /// Sends the rest, until nobody waits for the reply any more.
    pub(crate) async fn rest(mut self, mut wanted: oneshot::Receiver<()>) {
        std::future::poll_fn(|cx| {
            if self.poll(cx).is_ready() {
                return Poll::Ready(());
            }
            ready!(Pin::new(&mut wanted).poll(cx)).ok();
            self.stream.send_reset(Reason::CANCEL);
            Poll::Ready(())
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
    use http::Request;
    use http_body::Frame;
    use http_body_util::{Full, StreamBody};
    use tokio::sync::mpsc;
    use tonic::Status;
    use tonic::body::Body;

    /// The body of one request as it leaves, and as a server receives it.
    async fn sent(body: Body) -> (Upload, h2::RecvStream) {
        let (near, far) = tokio::io::duplex(64 << 10);
        let (sender, client) = h2::client::handshake(near).await.unwrap();
        tokio::spawn(client);
        let request = Request::post("http://h/").body(()).unwrap();
        let (_reply, stream) = sender.ready().await.unwrap().send_request(request, false).unwrap();
        let mut upload = Upload::new(stream, Replay::once(body));
        std::future::poll_fn(|cx| {
            let _ = upload.poll(cx);
            Poll::Ready(())
        })
        .await;
        let mut server = h2::server::handshake(far).await.unwrap();
        let (request, reply) = server.accept().await.unwrap().unwrap();
        tokio::spawn(async move {
            let _reply = reply;
            while server.accept().await.is_some() {}
        });
        (upload, request.into_body())
    }

    #[tokio::test]
    async fn a_body_that_is_there_goes_at_once_and_its_last_piece_ends_the_stream() {
        let (_, mut received) = sent(Body::new(Full::new(Bytes::from("whole")))).await;
        assert_eq!(received.data().await.unwrap().unwrap(), "whole");
        assert!(received.is_end_stream(), "no empty frame follows");
    }

    #[tokio::test]
    async fn what_comes_later_is_sent_later_until_nobody_wants_the_reply() {
        let (pieces, mut later) = mpsc::unbounded_channel();
        let frame = |piece| Ok::<_, Status>(Frame::data(Bytes::from_static(piece)));
        let frames = stream::poll_fn(move |cx| later.poll_recv(cx).map(|piece| piece.map(frame)));
        pieces.send(&b"first"[..]).unwrap();
        let (upload, mut received) = sent(Body::new(StreamBody::new(frames))).await;
        assert_eq!(received.data().await.unwrap().unwrap(), "first");
        let (wanted, wants) = oneshot::channel();
        tokio::spawn(upload.rest(wants));
        pieces.send(&b"second"[..]).unwrap();
        assert_eq!(received.data().await.unwrap().unwrap(), "second");
        drop(wanted);
        let ended = received.data().await.unwrap().unwrap_err();
        assert_eq!(ended.reason(), Some(Reason::CANCEL));
    }
}
