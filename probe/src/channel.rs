//! The channel that all requests of a client go through, also those of generated gRPC clients. It puts trace context and
//! deadline on each request and sends it over a connection of the client's version of HTTP.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderValue, Request, Response, Uri};
use hyper_util::client::legacy;
use tonic::Status;
use tonic::body::Body;

use crate::connect::Connector;
use crate::context::TRACEPARENT;
use crate::deadline::{self, Deadline, GRPC_TIMEOUT};
use crate::http2::Http2;
use crate::received::Received;
use crate::record::Identity;
use crate::replay::Replay;
use crate::slot::Slot;
use crate::transport::TransportError;

/// The connections of a client.
#[derive(Debug, Clone)]
pub(crate) enum Wire {
    /// HTTP/1.1: a connection carries one call at a time.
    Http1(Box<legacy::Client<Connector, Replay>>),
    /// HTTP/2: one connection carries all calls.
    Http2(Arc<Http2>),
}

/// What a generated tonic client calls through.
#[derive(Debug, Clone)]
pub struct Channel {
    wire: Wire,
    target: Uri,
    address: Arc<str>,
}

impl Channel {
    pub(crate) fn new(wire: Wire, target: Uri, address: Arc<str>) -> Self {
        Channel { wire, target, address }
    }

    /// Sends a request, whose URI is a path and a query.
    pub(crate) async fn send(
        &self,
        mut request: Request<Body>,
    ) -> Result<Response<Received>, Arc<TransportError>> {
        self.address_to(&mut request)?;
        add_context(&mut request);
        match &self.wire {
            Wire::Http2(http2) => http2.send(request).await,
            Wire::Http1(http1) => http1
                .request(request.map(Replay::once))
                .await
                .map(|reply| reply.map(Received::from))
                .map_err(|error| Arc::new(TransportError::of(&self.address, error))),
        }
    }

    /// Makes the URI of a request whole.
    fn address_to(&self, request: &mut Request<Body>) -> Result<(), Arc<TransportError>> {
        let refused = |why: &str| Err(Arc::new(TransportError::refused(&self.address, why)));
        // Spoken in plain text, what was meant to be secret would be sent to everybody.
        if self.target.scheme_str() != Some("http") {
            return refused("TLS is not spoken; name the service as http://HOST:PORT");
        }
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        parts.scheme = self.target.scheme().cloned();
        parts.authority = self.target.authority().cloned();
        match Uri::from_parts(parts) {
            Ok(uri) => *request.uri_mut() = uri,
            Err(error) => return refused(&error.to_string()),
        }
        Ok(())
    }
}

/// Puts the trace context of the current call on a request.
fn add_context<B>(request: &mut Request<B>) {
    Slot::with(|slot| {
        if let Some(identity) = slot.and_then(|slot| slot.record.identity()) {
            put_context(identity, request);
        }
    });
}

fn put_context<B>(identity: &Identity, request: &mut Request<B>) {
    if let Ok(mut value) = HeaderValue::from_bytes(&identity.context.header_bytes()) {
        // Never indexed by HPACK: the value is new in each request and would only push useful
        // entries out of the peer's table.
        value.set_sensitive(true);
        request.headers_mut().insert(TRACEPARENT, value);
    }
    if let Some(carried) = &identity.carried {
        carried.put(request.headers_mut());
    }
}

impl tower::Service<Request<Body>> for Channel {
    type Response = Response<Received>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Received>, Status>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        if let Some(deadline) = Deadline::current() {
            let headers = request.headers_mut();
            headers.entry(GRPC_TIMEOUT).or_insert_with(|| deadline::value(deadline.left()));
        }
        let channel = self.clone();
        Box::pin(async move { channel.send(request).await.map_err(|error| unanswered(&error)) })
    }
}

/// The status of a call that got no reply; its source is the [`TransportError`].
fn unanswered(error: &Arc<TransportError>) -> Status {
    let mut status = Status::unavailable(error.to_string());
    status.set_source(Arc::clone(error) as Arc<dyn std::error::Error + Send + Sync>);
    status
}
