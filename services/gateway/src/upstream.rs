//! The inner hop: the echo service by either protocol.

use std::time::Duration;

use http::{StatusCode, Uri};
use lab_proto::v1::echo_client::EchoClient;
use lab_proto::{EchoReply, EchoRequest};
use probe::process::ServiceArgs;
use probe::{Call, CallError, Client, LONGEST_BODY, Probe, Version};

use crate::reply::Refusal;

/// Name of the called service in spans.
const PEER: &str = "echo";

/// The echo service.
#[derive(Debug)]
pub(crate) struct Upstream {
    rest: Client,
    grpc: Client,
    timeout: Duration,
}

impl Upstream {
    pub(crate) fn new(
        probe: &Probe,
        target: &Uri,
        service: &ServiceArgs,
        pooled: bool,
        timeout: Duration,
    ) -> Self {
        let client = |version| {
            Client::new(probe, PEER, target.clone(), service.client_options(version, pooled))
        };
        Upstream { rest: client(Version::Http1), grpc: client(Version::Http2), timeout }
    }

    /// Sends `payload` by REST and answers what came back.
    pub(crate) async fn rest(&self, payload: String) -> Result<String, Refusal> {
        let request = EchoRequest { payload };
        let call = self.rest.post_json::<_, EchoReply>("/echo", &request, Call::default());
        let reply = self.in_time(call).await?;
        reply.map(|reply| reply.payload).map_err(|error| match error {
            CallError::Request { .. } => {
                Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
            }
            other => Refusal::new(StatusCode::BAD_GATEWAY, other.to_string()),
        })
    }

    /// Sends `payload` by gRPC and answers what came back.
    pub(crate) async fn grpc(&self, payload: String) -> Result<String, Refusal> {
        let call = self.grpc.unary("lab.v1.Echo/Echo", Call::default(), |channel| async move {
            let mut client = EchoClient::new(channel)
                .max_decoding_message_size(LONGEST_BODY)
                .max_encoding_message_size(LONGEST_BODY);
            client.echo(EchoRequest { payload }).await
        });
        let reply = self.in_time(call).await?;
        reply.map(|reply| reply.into_inner().payload).map_err(|status| {
            let (code, message) = (status.code(), status.message());
            Refusal::new(StatusCode::BAD_GATEWAY, format!("calling {PEER}: {code:?}: {message}"))
        })
    }

    async fn in_time<T>(&self, call: impl Future<Output = T>) -> Result<T, Refusal> {
        tokio::time::timeout(self.timeout, call).await.map_err(|_| {
            let error = format!("{PEER} did not answer within the limit of {:?}", self.timeout);
            Refusal::new(StatusCode::GATEWAY_TIMEOUT, error)
        })
    }
}
