//! The body of a reply as a client receives it, by either version of HTTP.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, RecvStream};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::oneshot;

use crate::keepalive::OpenCall;

/// Why a body broke off.
type Error = Box<dyn std::error::Error + Send + Sync>;

/// A call, and what keeps the task that sends the rest of its request, if there is one.
pub(crate) type UnderWay = (OpenCall, Option<oneshot::Sender<()>>);

/// A reply's body, unread.
#[derive(Debug)]
pub struct Received(Wire);

#[derive(Debug)]
enum Wire {
    Http1(Incoming),
    /// The call is under way until its body is over, or nobody wants it any more.
    Http2 {
        stream: RecvStream,
        _under_way: UnderWay,
    },
}

impl From<Incoming> for Received {
    fn from(body: Incoming) -> Self {
        Received(Wire::Http1(body))
    }
}

impl Received {
    pub(crate) fn http2(stream: RecvStream, under_way: UnderWay) -> Self {
        Received(Wire::Http2 { stream, _under_way: under_way })
    }
}

impl Body for Received {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let stream = match &mut self.get_mut().0 {
            Wire::Http1(body) => {
                let frame = ready!(Pin::new(body).poll_frame(cx));
                return Poll::Ready(frame.map(|frame| frame.map_err(Error::from)));
            }
            Wire::Http2 { stream, .. } => stream,
        };
        if let Some(piece) = ready!(stream.poll_data(cx)) {
            let read = piece.and_then(|piece| {
                // Who reads has taken it: the peer may send as much again.
                stream.flow_control().release_capacity(piece.len())?;
                Ok(piece)
            });
            return Poll::Ready(match read {
                Ok(piece) => Some(Ok(Frame::data(piece))),
                // A peer that has answered whole, and wants no more of the request (RFC 9113, section 8.1).
                Err(error) if error.reason() == Some(Reason::NO_ERROR) => None,
                Err(error) => Some(Err(cause(error))),
            });
        }
        Poll::Ready(match ready!(stream.poll_trailers(cx)) {
            Ok(trailers) => trailers.map(|trailers| Ok(Frame::trailers(trailers))),
            Err(error) if error.reason() == Some(Reason::NO_ERROR) => None,
            Err(error) => Some(Err(cause(error))),
        })
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Wire::Http1(body) => body.is_end_stream(),
            Wire::Http2 { stream, .. } => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Wire::Http1(body) => body.size_hint(),
            Wire::Http2 { .. } => SizeHint::default(),
        }
    }
}

/// What h2 tells, or what the connection told it.
pub(crate) fn cause(error: h2::Error) -> Error {
    if error.is_io() {
        if let Some(io) = error.into_io() {
            return io.into();
        }
        return "the connection was lost".into();
    }
    error.into()
}
