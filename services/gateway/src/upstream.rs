//! The inner hop: a service by either protocol, within a time limit.

use std::time::Duration;

use http::{StatusCode, Uri};
use probe::process::ServiceArgs;
use probe::{CallError, Client, Probe, Version};
use tonic::Status;

use crate::reply::Refusal;

/// A service that the gateway calls.
#[derive(Debug)]
pub(crate) struct Upstream {
    peer: &'static str,
    pub(crate) rest: Client,
    pub(crate) grpc: Client,
    timeout: Duration,
}

impl Upstream {
    /// The service called `peer` in spans, at `target`.
    pub(crate) fn new(
        probe: &Probe,
        peer: &'static str,
        target: &Uri,
        service: &ServiceArgs,
        (pooled, timeout): (bool, Duration),
    ) -> Self {
        let client = |version| {
            Client::new(probe, peer, target.clone(), service.client_options(version, pooled))
        };
        Upstream { peer, rest: client(Version::Http1), grpc: client(Version::Http2), timeout }
    }

    /// Waits for `call` no longer than the limit.
    pub(crate) async fn in_time<T>(&self, call: impl Future<Output = T>) -> Result<T, Refusal> {
        tokio::time::timeout(self.timeout, call).await.map_err(|_| {
            let error =
                format!("{} did not answer within the limit of {:?}", self.peer, self.timeout);
            Refusal::new(StatusCode::GATEWAY_TIMEOUT, error)
        })
    }

    /// What a failed REST call is answered with.
    pub(crate) fn rest_failed(&self, error: &CallError) -> Refusal {
        let status = match error {
            CallError::Request { .. } => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_GATEWAY,
        };
        Refusal::new(status, error.to_string())
    }

    /// What a failed gRPC call is answered with.
    pub(crate) fn grpc_failed(&self, status: &Status) -> Refusal {
        let error = format!("calling {}: {:?}: {}", self.peer, status.code(), status.message());
        Refusal::new(StatusCode::BAD_GATEWAY, error)
    }
}
