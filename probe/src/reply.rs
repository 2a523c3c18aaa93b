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
