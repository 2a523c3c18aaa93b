//! The instrumented client half: one HTTP client for REST and gRPC, over tapped connections.
//!
//! A service author makes a [`Client`] per peer and calls it; marks, trace context and spans happen
//! inside. Choosing and retrying peers is not done here.

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tonic::body::Body;

use crate::call::Call;
use crate::codec::{Carries, JsonError, encode_json, encode_with, read_with};
use crate::connect::{Connector, TimedExecutor};
use crate::context::TRACEPARENT;
use crate::ongoing::{Ongoing, Peer};
use crate::probe::Probe;
use crate::slot::Slot;

/// A reply body longer than this is refused: 16 MiB of payload and its envelope.
pub const LONGEST_BODY: usize = 17 * 1024 * 1024;

/// HTTP version a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Version {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2 with prior knowledge, as gRPC does.
    Http2,
}

/// How a client connects. Windows and frame sizes are in bytes; `None` leaves hyper's default.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// HTTP version.
    pub version: Version,
    /// HTTP/2 stream window for replies.
    pub stream_window: Option<u32>,
    /// HTTP/2 connection window for replies.
    pub connection_window: Option<u32>,
    /// Largest HTTP/2 frame accepted.
    pub frame_size: Option<u32>,
    /// Keep connections for later calls; otherwise each call connects anew.
    pub pooled: bool,
    /// TCP_NODELAY.
    pub nodelay: bool,
}

impl Default for ClientOptions {
    fn default() -> Self {
        ClientOptions {
            version: Version::Http1,
            stream_window: None,
            connection_window: None,
            frame_size: None,
            pooled: true,
            nodelay: true,
        }
    }
}

/// A request as its caller words it, and how its answer is read.
#[derive(Debug)]
pub struct Exchange<B, D> {
    /// Method, path with query, and headers. The peer's address and the trace context are added.
    pub head: Request<()>,
    /// Makes the body, and says how many of its bytes are payload; this is the stage of encoding. `None` sends none.
    pub body: Option<B>,
    /// The status of an answer; any other is an error.
    pub status: StatusCode,
    /// Reads the whole body of the answer; this is the stage of decoding.
    pub read: D,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No reply: connecting, sending or receiving failed.
    #[error("calling {peer}: {source}")]
    Transport {
        /// The called service.
        peer: String,
        /// What went wrong.
        source: legacy::Error,
    },
    /// A reply with another status than was wanted: 2xx, unless the caller said otherwise.
    #[error("{peer} answered {status}: {}", String::from_utf8_lossy(body))]
    Status {
        /// The called service.
        peer: String,
        /// Its status.
        status: StatusCode,
        /// The body, cut off at 4 KiB.
        body: Bytes,
    },
    /// The reply's body could not be read.
    #[error("the reply of {peer}: {source}")]
    Decode {
        /// The called service.
        peer: String,
        /// What was wrong with it.
        source: JsonError,
    },
    /// The request could not be made.
    #[error("making the request to {peer}: {reason}")]
    Request {
        /// The called service.
        peer: String,
        /// Why.
        reason: String,
    },
}

/// An instrumented client of one service. Cloning is cheap and shares the connections.
#[derive(Debug, Clone)]
pub struct Client {
    probe: Probe,
    peer: Peer,
    target: Uri,
    http: legacy::Client<Connector, Body>,
    connector: Connector,
}

impl Client {
    /// A client of the service called `peer` at `target` (scheme and authority).
    #[must_use]
    pub fn new(probe: &Probe, peer: &str, target: Uri, options: ClientOptions) -> Client {
        let http2 = options.version == Version::Http2;
        let peer = Peer { name: peer.into(), database: None, outstanding: Arc::default() };
        let taps = Arc::clone(&peer.outstanding);
        let connector = Connector::new(probe.clone(), taps, http2, options.nodelay);
        let mut builder = legacy::Client::builder(TimedExecutor { enabled: probe.enabled() });
        builder
            .http2_only(http2)
            .http2_initial_stream_window_size(options.stream_window)
            .http2_initial_connection_window_size(options.connection_window)
            .http2_max_frame_size(options.frame_size);
        if !options.pooled {
            builder.pool_max_idle_per_host(0);
        }
        let http = builder.build(connector.clone());
        Client { probe: probe.clone(), peer, target, http, connector }
    }

    /// Connections opened so far.
    #[must_use]
    pub fn connections_opened(&self) -> u64 {
        self.connector.opened()
    }

    /// Posts `request` as JSON to `path` and reads a JSON reply.
    ///
    /// # Errors
    /// [`CallError`] tells no reply, a reply other than 2xx, and an unreadable reply apart.
    pub async fn post_json<Q, R>(&self, path: &str, request: &Q, call: Call) -> Result<R, CallError>
    where
        Q: Serialize + Carries,
        R: DeserializeOwned + Carries,
    {
        let name = || format!("POST {path}");
        let ongoing = self.begin(name, call, false);
        ongoing.run(self.exchange_json(path, request), |error| error.to_string()).await
    }

    /// Gets `path` with `query` (as it stands in a URI, without the question mark) and reads a JSON
    /// reply. The span is named by the path alone.
    ///
    /// # Errors
    /// As [`Self::post_json`].
    pub async fn get_json<R>(&self, path: &str, query: &str, call: Call) -> Result<R, CallError>
    where
        R: DeserializeOwned + Carries,
    {
        let ongoing = self.begin(|| format!("GET {path}"), call, false);
        let whole = format!("{path}?{query}");
        let exchange = self.exchange_json_reply(&whole, Request::new(Body::empty()));
        ongoing.run(exchange, |error| error.to_string()).await
    }

    /// Makes any one call. `name` is what spans call it.
    ///
    /// # Errors
    /// As [`Self::post_json`], with a reply of another status than asked for instead of one other than 2xx.
    pub async fn exchange<R, B, D>(
        &self,
        name: impl FnOnce() -> String,
        exchange: Exchange<B, D>,
        call: Call,
    ) -> Result<R, CallError>
    where
        R: Carries,
        B: FnOnce() -> (Bytes, u64),
        D: FnOnce(&[u8]) -> Result<R, JsonError>,
    {
        let Exchange { head, body, status, read } = exchange;
        let work = async {
            let body = match body {
                Some(make) => Body::new(Full::new(encode_with(|| Ok::<_, CallError>(make()))?)),
                None => Body::empty(),
            };
            let (head, ()) = head.into_parts();
            let path = head.uri.path_and_query().cloned();
            let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
            let accepts = move |found| found == status;
            self.send(path, Request::from_parts(head, body), accepts, read).await
        };
        let ongoing = self.begin(name, call, false);
        ongoing.run(work, |error| error.to_string()).await
    }

    /// Makes one gRPC call: `call_it` gets a channel for the generated client.
    ///
    /// # Errors
    /// The status the call ended with.
    pub async fn unary<R, F>(
        &self,
        name: &'static str,
        call: Call,
        call_it: impl FnOnce(Channel) -> F,
    ) -> Result<R, tonic::Status>
    where
        F: Future<Output = Result<R, tonic::Status>>,
    {
        let ongoing = self.begin(|| name.to_owned(), call, true);
        let channel = Channel { http: self.http.clone(), target: self.target.clone() };
        ongoing
            .run(call_it(channel), |status| format!("{:?}: {}", status.code(), status.message()))
            .await
    }

    fn begin(&self, name: impl FnOnce() -> String, call: Call, grpc: bool) -> Ongoing {
        let ongoing = Ongoing::begin(&self.probe, &self.peer, name, call);
        if let Some(Slot { record, .. }) = ongoing.slot() {
            if grpc {
                record.is_grpc();
            }
            if let Some(identity) = record.identity() {
                self.peer.outstanding.insert(identity.context.span_id, Arc::clone(record));
            }
        }
        ongoing
    }

    async fn exchange_json<Q, R>(&self, path: &str, request: &Q) -> Result<R, CallError>
    where
        Q: Serialize + Carries,
        R: DeserializeOwned + Carries,
    {
        let body = encode_json(request).map_err(|error| self.refuse(error.to_string()))?;
        let mut request = Request::new(Body::new(Full::new(body)));
        *request.method_mut() = Method::POST;
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(header::CONTENT_TYPE, json);
        self.exchange_json_reply(path, request).await
    }

    /// Sends `request` to `path` and reads a JSON reply.
    async fn exchange_json_reply<R>(
        &self,
        path: &str,
        request: Request<Body>,
    ) -> Result<R, CallError>
    where
        R: DeserializeOwned + Carries,
    {
        let whole = path.parse().map_err(|_| self.refuse(format!("bad path {path:?}")))?;
        let read = |bytes: &[u8]| Ok(serde_json::from_slice(bytes)?);
        self.send(whole, request, |status| status.is_success(), read).await
    }

    /// Sends `request` to `path`, and reads a reply with a status that the caller accepts.
    async fn send<R: Carries>(
        &self,
        path: PathAndQuery,
        mut request: Request<Body>,
        accepts: impl FnOnce(StatusCode) -> bool,
        read: impl FnOnce(&[u8]) -> Result<R, JsonError>,
    ) -> Result<R, CallError> {
        let mut parts = self.target.clone().into_parts();
        parts.path_and_query = Some(path);
        *request.uri_mut() =
            Uri::from_parts(parts).map_err(|error| self.refuse(error.to_string()))?;
        add_context(&mut request);
        let reply = self
            .http
            .request(request)
            .await
            .map_err(|source| CallError::Transport { peer: self.peer.name.to_string(), source })?;
        let status = reply.status();
        if !accepts(status) {
            return Err(self.refused(status, reply.into_body()).await);
        }
        read_with(reply.into_body(), LONGEST_BODY, read)
            .await
            .map_err(|source| CallError::Decode { peer: self.peer.name.to_string(), source })
    }

    async fn refused(&self, status: StatusCode, body: Incoming) -> CallError {
        let body = http_body_util::Limited::new(body, 4_096);
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        CallError::Status { peer: self.peer.name.to_string(), status, body }
    }

    fn refuse(&self, reason: String) -> CallError {
        CallError::Request { peer: self.peer.name.to_string(), reason }
    }
}

/// Puts the trace context of the current call on a request.
fn add_context<B>(request: &mut Request<B>) {
    let Some(slot) = Slot::current() else { return };
    let Some(identity) = slot.record.identity() else {
        return;
    };
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

/// What a generated tonic client calls through.
#[derive(Debug, Clone)]
pub struct Channel {
    http: legacy::Client<Connector, Body>,
    target: Uri,
}

impl tower::Service<Request<Body>> for Channel {
    type Response = Response<Incoming>;
    type Error = legacy::Error;
    type Future = legacy::ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), legacy::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        parts.scheme = self.target.scheme().cloned();
        parts.authority = self.target.authority().cloned();
        // The generated client gave a path; with scheme and authority it is a whole URI.
        *request.uri_mut() = Uri::from_parts(parts).unwrap_or_else(|_| self.target.clone());
        add_context(&mut request);
        self.http.request(request)
    }
}
