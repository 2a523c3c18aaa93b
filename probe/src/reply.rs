//! The body of a server's reply on its way out: when it is taken, when it is over, and the status that a gRPC call
//! ends with.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use ledger::Point;
use tonic::{Code, Status};

use crate::export::Sink;
use crate::record::Record;
use crate::standing::Flight;

/// A body under watch.
#[derive(Debug)]
pub struct ReplyBody<B> {
    body: B,
    /// Its trailers say how the call of this record ended.
    call: Option<Arc<Record>>,
    flight: Option<Flight>,
    ending: Option<Ending>,
}

/// Who submits the record of a call that no tap looks at: its span ends with the body.
#[derive(Debug)]
pub(crate) struct Ending {
    record: Arc<Record>,
    sink: Sink,
    whole: bool,
}

impl Ending {
    pub(crate) fn new(record: Arc<Record>, sink: Sink) -> Self {
        Ending { record, sink, whole: false }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if self.whole {
            self.record.mark(Point::EosWrite);
        } else {
            self.record.mark(Point::Abandoned);
            self.record.failed("the request was given up before the reply was sent");
            self.record.failed_as("cancelled");
        }
        self.sink.submit(&self.record);
    }
}

/// The status is a failure of the server and not of its caller (OpenTelemetry's semantic conventions for gRPC).
const FAILURES: [Code; 6] = [
    Code::Unknown,
    Code::DeadlineExceeded,
    Code::Unimplemented,
    Code::Internal,
    Code::Unavailable,
    Code::DataLoss,
];

/// Notes the status among `headers`, be they trailers or a head without a body.
pub(crate) fn note_status(record: &Record, headers: &HeaderMap) {
    let Some(status) = Status::from_header_map(headers) else { return };
    record.grpc_status(status.code());
    if FAILURES.contains(&status.code()) {
        record.failed(format!("{:?}: {}", status.code(), status.message()));
    }
}

impl<B> ReplyBody<B> {
    pub(crate) fn new(
        body: B,
        call: Option<Arc<Record>>,
        flight: Option<Flight>,
        ending: Option<Ending>,
    ) -> Self {
        ReplyBody { body, call, flight, ending }
    }
}

impl<B: Body + Unpin> Body for ReplyBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.get_mut();
        if let Some(flight) = &mut this.flight {
            flight.taken();
        }
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let (Some(record), Some(trailers)) = (&this.call, frame.trailers_ref()) {
                    note_status(record, trailers);
                }
            }
            Some(Err(_)) => {}
            None => this.flight = None,
        }
        if let Some(ending) = &mut this.ending {
            ending.whole |= frame.is_none() || this.body.is_end_stream();
        }
        Poll::Ready(frame)
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
    use bytes::Bytes;
    use http::HeaderValue;
    use http_body_util::{BodyExt as _, StreamBody};
    use ledger::Side;

    #[tokio::test]
    async fn a_status_in_trailers_is_a_failure_of_the_call_if_it_is_the_servers() {
        for (status, fails) in [("0", false), ("5", false), ("13", true), ("2", true)] {
            let record = Arc::new(Record::new(Side::Server));
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static(status));
            let frames = [Frame::data(Bytes::from_static(b"x")), Frame::trailers(trailers)];
            let frames = frames.map(Ok::<_, std::convert::Infallible>);
            let body = StreamBody::new(futures_util::stream::iter(frames));
            ReplyBody::new(body, Some(Arc::clone(&record)), None, None).collect().await.unwrap();
            assert_eq!(record.failure().is_some(), fails, "grpc-status: {status}");
            let code = record
                .said()
                .into_iter()
                .find(|(name, _)| *name == ledger::names::RPC_GRPC_STATUS_CODE);
            assert_eq!(
                code.map(|(_, code)| code),
                Some(ledger::Value::Int(status.parse().unwrap()))
            );
        }
    }
}
