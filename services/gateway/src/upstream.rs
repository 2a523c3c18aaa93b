//! The inner hop: a service behind the gateway, called by either protocol within a time limit, and what
//! a call that failed is answered with.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::time::Duration;

use http::StatusCode;
use probe::{
    Call, CallError, Carries, Channel, Client, ErrorReply, Probe, Refusal, ServiceConfig,
    SetupError, TransportError, Version, causes,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tonic::{Code, Status};

use crate::config::{GatewayConfig, Peer};

/// Whether each peer is named once, and by a name that some workload calls.
pub(crate) fn check(peers: &[Peer], called: &[&str]) -> Result<(), SetupError> {
    for (at, Peer { name, .. }) in peers.iter().enumerate() {
        if !called.contains(&name.as_str()) {
            let called = called.join(", ");
            return Err(format!("--peer {name}: no such service is called; {called} are").into());
        }
        if peers[..at].iter().any(|other| other.name == *name) {
            return Err(format!("--peer {name}: named more than once").into());
        }
    }
    Ok(())
}

/// The services behind the gateway, each with connections of its own that all its workloads share.
pub(crate) struct Upstreams<'a> {
    config: &'a ServiceConfig<GatewayConfig>,
    probe: &'a Probe,
    known: BTreeMap<&'static str, Upstream>,
}

impl<'a> Upstreams<'a> {
    pub(crate) fn new(config: &'a ServiceConfig<GatewayConfig>, probe: &'a Probe) -> Self {
        Upstreams { config, probe, known: BTreeMap::new() }
    }

    /// The service called `peer` in spans.
    pub(crate) fn get(&mut self, peer: &'static str) -> Upstream {
        let Upstreams { config, probe, known } = self;
        known.entry(peer).or_insert_with(|| Upstream::new(probe, peer, config)).clone()
    }
}

/// A service that the gateway calls. Cloning is cheap and shares the connections.
#[derive(Debug, Clone)]
pub(crate) struct Upstream {
    peer: &'static str,
    /// None if nobody said where it is.
    clients: Option<Clients>,
    limit: Duration,
}

#[derive(Debug, Clone)]
struct Clients {
    rest: Client,
    grpc: Client,
}

impl Upstream {
    fn new(probe: &Probe, peer: &'static str, config: &ServiceConfig<GatewayConfig>) -> Self {
        let ServiceConfig { own: config, shared, .. } = config;
        let known = config.peers.iter().find(|known| known.name == peer);
        let clients = known.map(|Peer { url, .. }| {
            let client = |version| {
                let pooled = !config.connection_per_request;
                let options = shared.client_options(version, pooled);
                Client::new(probe, peer, url.uri().clone(), options)
            };
            Clients { rest: client(Version::Http1), grpc: client(Version::Http2) }
        });
        Upstream { peer, clients, limit: config.limit() }
    }

    /// Posts `request` as JSON to `path` and reads a JSON reply.
    pub(crate) async fn post_json<Q, R>(&self, path: &str, request: &Q) -> Result<R, Refusal>
    where
        Q: Serialize + Carries,
        R: DeserializeOwned + Carries,
    {
        let call = self.clients()?.rest.post_json(path, request, Call::default());
        self.in_time(call).await?.map_err(rest_failed)
    }

    /// Gets `path` with `query` and reads a JSON reply.
    pub(crate) async fn get_json<R>(&self, path: &str, query: &str) -> Result<R, Refusal>
    where
        R: DeserializeOwned + Carries,
    {
        let call = self.clients()?.rest.get_json(path, query, Call::default());
        self.in_time(call).await?.map_err(rest_failed)
    }

    /// Makes one gRPC call, `name` in spans: `call` gets a channel for the generated client.
    pub(crate) async fn grpc<R, F>(
        &self,
        name: &'static str,
        call: impl FnOnce(Channel) -> F,
    ) -> Result<R, Refusal>
    where
        F: Future<Output = Result<tonic::Response<R>, Status>>,
    {
        let call = self.clients()?.grpc.unary(name, Call::default(), call);
        let reply = self.in_time(call).await?;
        reply.map(tonic::Response::into_inner).map_err(|status| self.grpc_failed(&status))
    }

    fn clients(&self) -> Result<&Clients, Refusal> {
        self.clients.as_ref().ok_or_else(|| {
            let peer = self.peer;
            let error = format!(
                "{peer}: no such service is known; start the gateway with --peer \
                 {peer}=http://HOST:PORT (GATEWAY_PEERS)"
            );
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error)
        })
    }

    /// Waits for `call` no longer than the limit.
    async fn in_time<T>(&self, call: impl Future<Output = T>) -> Result<T, Refusal> {
        tokio::time::timeout(self.limit, call).await.map_err(|_| {
            let error =
                format!("{} did not answer within the limit of {:?}", self.peer, self.limit);
            Refusal::new(StatusCode::GATEWAY_TIMEOUT, error)
        })
    }

    /// What a failed gRPC call is answered with. A status with a source was made here, for a call that
    /// was not answered; without one the service says itself that it cannot serve, as
    /// [`rest_failed`] has it.
    fn grpc_failed(&self, status: &Status) -> Refusal {
        let (peer, said) = (self.peer, status.message());
        if let Some(error) =
            status.source().and_then(|error| error.downcast_ref::<TransportError>())
        {
            return Refusal::new(error.status(), format!("calling {peer} at {error}"));
        }
        let answered = match (status.code(), status.source()) {
            (Code::Unavailable | Code::ResourceExhausted, None) => {
                let error = format!("{peer}: {said}");
                return Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error);
            }
            (Code::DeadlineExceeded, _) => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::BAD_GATEWAY,
        };
        // Where the call broke off in the middle, the causes are all there is to say.
        let why = status.source().map(|error| format!(": {}", causes(error))).unwrap_or_default();
        Refusal::new(answered, format!("calling {peer}: {:?}: {said}{why}", status.code()))
    }
}

/// What a failed REST call is answered with. A service that says itself that it cannot serve (its
/// database is down, say) is believed: that is passed on.
fn rest_failed(error: CallError) -> Refusal {
    match error {
        CallError::Status { status: StatusCode::SERVICE_UNAVAILABLE, body, peer } => {
            let said = serde_json::from_slice(&body).map_or_else(
                |_| String::from_utf8_lossy(&body).into_owned(),
                |ErrorReply { error }| error,
            );
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, format!("{peer}: {said}"))
        }
        _ => Refusal::new(error.status(), error.to_string()),
    }
}
