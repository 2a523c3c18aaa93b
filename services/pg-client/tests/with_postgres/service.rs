//! A users service in the test's own process.

use std::net::SocketAddr;

use lab_proto::CountRequest;
use lab_proto::v1::users_client::UsersClient;
use pg_client::{PgClientConfig, SeedConfig, SeedStep};
use probe::{Probe, Service as _};
use serde_json::Value;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

/// A users service that asks the database at `url`.
pub(crate) async fn start(url: &str, pool_size: u32, probe: Probe) -> SocketAddr {
    let database_url = url.parse().unwrap();
    let config = PgClientConfig { database_url, pool_size, ..PgClientConfig::defaults().unwrap() };
    probe::capture::start(config, probe).await
}

/// Fills the database at `url`; answers what was said.
pub(crate) async fn seed(url: &str, users: u64, email_index: bool) -> Vec<SeedStep> {
    let config = SeedConfig { database_url: url.parse().unwrap(), users, email_index };
    let mut said = Vec::new();
    pg_client::seed(&config, &mut |step| said.push(step)).await.unwrap();
    said
}

/// Status and body of a GET.
pub(crate) async fn get(service: SocketAddr, path: &str) -> (u16, Value) {
    let reply = reqwest::get(format!("http://{service}{path}")).await.unwrap();
    let status = reply.status().as_u16();
    (status, serde_json::from_slice(&reply.bytes().await.unwrap()).unwrap())
}

/// A gRPC connection.
pub(crate) async fn channel(service: SocketAddr) -> Channel {
    Endpoint::new(format!("http://{service}")).unwrap().connect().await.unwrap()
}

/// The count by gRPC.
pub(crate) async fn count(channel: &Channel, email: &str) -> Result<u64, Status> {
    let request = CountRequest { email: email.to_owned() };
    Ok(UsersClient::new(channel.clone()).count(request).await?.into_inner().count)
}
