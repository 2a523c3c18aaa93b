//! The instrumented client half: one HTTP client for REST and gRPC, over tapped connections.
//!
//! A service author makes a [`Client`] per peer and calls it; marks, trace context and spans happen
//! inside. Choosing and retrying peers is not done here.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::uri::Authority;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy;
use hyper_util::rt::TokioTimer;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tonic::body::Body;

use crate::call::Call;
use crate::call_error::CallError;
use crate::carries::Carries;
use crate::channel::{Channel, Wire};
use crate::client_options::{ClientOptions, Version};
use crate::connect::{Connector, TimedExecutor};
use crate::deadline::{self, Deadline};
use crate::exchange::Exchange;
use crate::http2::{Http2, Sizes};
use crate::json::{JsonError, LONGEST_BODY, encode_json, encode_with, read_json_with, read_with};
use crate::ongoing::{Ongoing, Peer, Said};
use crate::probe::Probe;
use crate::received::Received;
use crate::slot::Slot;
use crate::transport::causes;

/// What is read of the body of a reply that is an error.
const LONGEST_ERROR: usize = 4_096;

/// An instrumented client of one service. Cloning is cheap and shares the connections.
#[derive(Debug, Clone)]
pub struct Client {
    probe: Probe,
    peer: Peer,
    channel: Channel,
    connector: Connector,
}

impl Client {
    /// A client of the service called `peer` at `target` (scheme and authority).
    #[must_use]
    pub fn new(probe: &Probe, peer: &str, target: Uri, options: ClientOptions) -> Client {
        let http2 = options.version == Version::Http2;
        let peer = Peer::at(peer, &target);
        let taps = Arc::clone(&peer.outstanding);
        let connector = Connector::new(probe.clone(), taps, http2, options.nodelay);
        let executor = TimedExecutor { enabled: probe.enabled() };
        let address: Arc<str> = target.authority().map_or("", Authority::as_str).into();
        let wire = if http2 {
            let sizes = Sizes {
                stream_window: options.stream_window,
                connection_window: options.connection_window,
                frame: options.frame_size,
            };
            let how = (executor, sizes, options.pooled);
            let http2 = Http2::new(connector.clone(), how, target.clone(), Arc::clone(&address));
            Wire::Http2(Arc::new(http2))
        } else {
            let mut builder = legacy::Client::builder(executor);
            builder.pool_timer(TokioTimer::new()).pool_idle_timeout(options.idle);
            if !options.pooled {
                builder.pool_max_idle_per_host(0);
            }
            Wire::Http1(Box::new(builder.build(connector.clone())))
        };
        let channel = Channel::new(wire, target, address);
        Client { probe: probe.clone(), peer, channel, connector }
    }

    /// Connections opened so far.
    #[must_use]
    pub fn connections_opened(&self) -> u64 {
        self.connector.opened()
    }

    /// Sends any request and reads the whole reply, whatever its status. The request's URI is a path with a query, without
    /// a host. No bytes count as payload, in either direction.
    ///
    /// # Errors
    /// There was no reply, or it broke off.
    pub async fn send(
        &self,
        request: Request<Bytes>,
        call: Call,
    ) -> Result<Response<Bytes>, CallError> {
        let ongoing = self.begin_http(&request, &call, None);
        let request = request.map(|body| Body::new(Full::new(body)));
        let exchange = async {
            let (head, body) = self.sent(request).await?.into_parts();
            let body = body.collect().await.map_err(|error| self.broke_off(error.as_ref()))?;
            Ok(Response::from_parts(head, body.to_bytes()))
        };
        self.run(ongoing, exchange, call.timeout).await
    }

    /// Sends any request, as [`Self::send`] does, and returns the reply with its body unread: for replies that are long or
    /// never end, and for upgrades. The call counts as over when the reply's head is there.
    ///
    /// # Errors
    /// There was no reply.
    pub async fn open(
        &self,
        request: Request<Bytes>,
        call: Call,
    ) -> Result<Response<Received>, CallError> {
        let ongoing = self.begin_http(&request, &call, None);
        let request = request.map(|body| Body::new(Full::new(body)));
        self.run(ongoing, self.sent(request), call.timeout).await
    }

    /// Sends any request with a body of JSON and reads a reply of JSON. No bytes count as payload.
    ///
    /// # Errors
    /// [`CallError`] tells no reply, a reply other than 2xx, and an unreadable reply apart.
    pub async fn json<Q, R>(
        &self,
        request: Request<Q>,
        call: Call,
    ) -> Result<Response<R>, CallError>
    where
        Q: Serialize,
        R: DeserializeOwned,
    {
        self.json_with(request, call, |_| 0, |_| 0).await
    }

    /// As [`Self::json`], where functions say how many bytes of each message are payload.
    ///
    /// # Errors
    /// As [`Self::json`].
    pub async fn json_with<Q, R>(
        &self,
        request: Request<Q>,
        call: Call,
        carried: impl FnOnce(&Q) -> u64,
        carries: impl FnOnce(&R) -> u64,
    ) -> Result<Response<R>, CallError>
    where
        Q: Serialize,
        R: DeserializeOwned,
    {
        self.json_at(request, (call, None), carried, carries).await
    }

    /// The same of a path that is a route.
    async fn json_at<Q: Serialize, R: DeserializeOwned>(
        &self,
        request: Request<Q>,
        (call, route): (Call, Option<&str>),
        carried: impl FnOnce(&Q) -> u64,
        carries: impl FnOnce(&R) -> u64,
    ) -> Result<Response<R>, CallError> {
        let ongoing = self.begin_http(&request, &call, route);
        let (mut head, message) = request.into_parts();
        let json = HeaderValue::from_static("application/json");
        head.headers.entry(header::CONTENT_TYPE).or_insert(json);
        let exchange = async {
            let body = encode_json(&message, carried(&message));
            let body = body.map_err(|error| self.refuse(error.to_string()))?;
            let request = Request::from_parts(head, Body::new(Full::new(body)));
            self.read(self.sent(request).await?, carries).await
        };
        self.run(ongoing, exchange, call.timeout).await
    }

    /// Makes any one call. `name` is what spans call it.
    ///
    /// # Errors
    /// As [`Self::json`], with a reply of another status than asked for instead of one other than 2xx.
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
        let ongoing = self.begin(|| Said::named(name(), head.method()), &call);
        let work = async {
            let body = match body {
                Some(make) => Body::new(Full::new(encode_with(|| Ok::<_, CallError>(make()))?)),
                None => Body::empty(),
            };
            let reply = self.sent(head.clone().map(|()| body)).await?;
            let reply = self.accepted(reply, |found| found == status).await?;
            let read = read_with(reply, LONGEST_BODY, read, R::payload_bytes).await;
            read.map_err(|source| self.undecoded(source))
        };
        self.run(ongoing, work, call.timeout).await
    }

    /// Posts `request` as JSON to `path` and reads a JSON reply.
    ///
    /// # Errors
    /// As [`Self::json`].
    pub async fn post_json<Q, R>(&self, path: &str, request: &Q, call: Call) -> Result<R, CallError>
    where
        Q: Serialize + Carries,
        R: DeserializeOwned + Carries,
    {
        let mut whole = Request::new(request);
        *whole.method_mut() = Method::POST;
        *whole.uri_mut() = self.path(path)?;
        let carried = |request: &&Q| request.payload_bytes();
        let reply = self.json_at(whole, (call, Some(path)), carried, R::payload_bytes);
        reply.await.map(Response::into_body)
    }

    /// Gets `path` with `query` (as it stands in a URI, without the question mark) and reads a JSON
    /// reply. The span is named by the path alone.
    ///
    /// # Errors
    /// As [`Self::json`].
    pub async fn get_json<R>(&self, path: &str, query: &str, call: Call) -> Result<R, CallError>
    where
        R: DeserializeOwned + Carries,
    {
        let mut request = Request::new(());
        *request.uri_mut() = self.path(&format!("{path}?{query}"))?;
        let ongoing = self.begin_http(&request, &call, Some(path));
        let exchange = async {
            let reply = self.sent(request.map(|()| Body::empty())).await?;
            self.read(reply, R::payload_bytes).await
        };
        self.run(ongoing, exchange, call.timeout).await.map(Response::into_body)
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
        let ongoing = self.begin(|| Said::grpc(name), &call);
        if let Some(Slot { record, .. }) = ongoing.slot() {
            record.is_grpc();
        }
        let work = Box::pin(call_it(self.channel.clone()));
        let late = |limit: Duration| {
            let peer = &self.peer.name;
            let error = format!("{peer} did not answer within the limit of {limit:?}");
            tonic::Status::deadline_exceeded(error)
        };
        let ended = |result: &Result<R, tonic::Status>, slot: &Slot| {
            let status = result.as_ref().err();
            slot.record.grpc_status(status.map_or(tonic::Code::Ok, tonic::Status::code));
            status.map(|status| format!("{:?}: {}", status.code(), status.message()))
        };
        ongoing.run(within(call.timeout, work, late), ended).await
    }

    fn begin_http<B>(&self, request: &Request<B>, call: &Call, route: Option<&str>) -> Ongoing {
        let route = call.route.as_deref().or(route);
        self.begin(|| Said::http(request.method(), route), call)
    }

    fn begin(&self, say: impl FnOnce() -> Said, call: &Call) -> Ongoing {
        let ongoing = Ongoing::begin(&self.probe, &self.peer, say, call);
        if let Some(Slot { record, .. }) = ongoing.slot()
            && let Some(identity) = record.identity()
        {
            self.peer.outstanding.insert(identity.context.span_id, Arc::clone(record));
        }
        ongoing
    }

    /// Runs the exchange of a call to its end.
    async fn run<R>(
        &self,
        ongoing: Ongoing,
        exchange: impl Future<Output = Result<R, CallError>>,
        limit: Option<Duration>,
    ) -> Result<R, CallError> {
        let late = |limit| CallError::Late { peer: self.peer.name.to_string(), limit };
        let ended = |result: &Result<R, CallError>, slot: &Slot| {
            let error = result.as_ref().err()?;
            slot.record.failed_as(error.kind());
            Some(error.to_string())
        };
        // Each layer round a future keeps it twice, as it came and as it is waited for: on the heap it moves once.
        let exchange = Box::pin(exchange);
        ongoing.run(within(limit, exchange, late), ended).await
    }

    async fn sent(&self, request: Request<Body>) -> Result<Response<Received>, CallError> {
        let peer = || self.peer.name.to_string();
        let reply = self.channel.send(request).await;
        let reply = reply.map_err(|source| CallError::Transport { peer: peer(), source })?;
        Slot::with(|slot| slot.map(|slot| slot.record.answered(reply.status())));
        Ok(reply)
    }

    /// Reads the JSON of a reply that is no error.
    async fn read<R: DeserializeOwned>(
        &self,
        reply: Response<Received>,
        carries: impl FnOnce(&R) -> u64,
    ) -> Result<Response<R>, CallError> {
        let (head, body) = reply.into_parts();
        let body = Response::from_parts(head.clone(), body);
        let body = self.accepted(body, |status| status.is_success()).await?;
        let message = read_json_with(body, LONGEST_BODY, carries).await;
        Ok(Response::from_parts(head, message.map_err(|source| self.undecoded(source))?))
    }

    /// The body of a reply whose status the caller accepts.
    async fn accepted(
        &self,
        reply: Response<Received>,
        accepts: impl FnOnce(StatusCode) -> bool,
    ) -> Result<Received, CallError> {
        let (status, body) = (reply.status(), reply.into_body());
        if accepts(status) {
            return Ok(body);
        }
        let (peer, body) = (self.peer.name.to_string(), beginning(body, LONGEST_ERROR).await);
        Err(CallError::Status { peer, status, body })
    }

    fn undecoded(&self, source: JsonError) -> CallError {
        CallError::Decode { peer: self.peer.name.to_string(), source }
    }

    fn path(&self, path: &str) -> Result<Uri, CallError> {
        path.parse().map_err(|_| self.refuse(format!("bad path {path:?}")))
    }

    fn refuse(&self, reason: String) -> CallError {
        CallError::Request { peer: self.peer.name.to_string(), reason }
    }

    fn broke_off(&self, error: &(dyn std::error::Error + 'static)) -> CallError {
        self.undecoded(JsonError::Read(causes(error)))
    }
}

/// Runs `work` within its own limit and below the deadline of the request that it is done for.
async fn within<R, E>(
    limit: Option<Duration>,
    work: impl Future<Output = Result<R, E>>,
    late: impl FnOnce(Duration) -> E,
) -> Result<R, E> {
    let own = limit.map(Deadline::after);
    let above = Deadline::current();
    let Some(deadline) = own.into_iter().chain(above).min() else { return work.await };
    let left = deadline.left();
    match tokio::time::timeout(left, deadline::below(Some(deadline), work)).await {
        Ok(result) => result,
        Err(_) => Err(late(limit.filter(|_| own == Some(deadline)).unwrap_or(left))),
    }
}

/// The beginning of a body, up to a limit. The body may be longer, or break off.
async fn beginning(mut body: Received, most: usize) -> Bytes {
    let mut bytes = BytesMut::new();
    while bytes.len() < most
        && let Some(Ok(frame)) = body.frame().await
    {
        if let Some(piece) = frame.data_ref() {
            bytes.extend_from_slice(&piece[..piece.len().min(most - bytes.len())]);
        }
    }
    bytes.freeze()
}
