//! The users service: asks PostgreSQL how many users have an e-mail, by REST and by gRPC, on one
//! address; and fills the database that it asks ([`seed`]).
//!
//! It starts and serves without a database, and answers 503 while there is none.

mod command;
mod config;
mod connections;
pub mod emails;
mod failure;
mod fill;
mod lookout;
mod seed;
mod statements;
mod users;

use std::sync::Arc;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use lab_proto::v1::users_server::UsersServer;
use probe::{JsonReply, Probe};
use serde_json::json;
use tokio::net::TcpListener;
use tonic::service::Routes;

pub use command::PgClientCommand;
pub use config::{DatabaseUrl, DatabaseUrlError, PgClientConfig, SeedConfig};
pub use seed::{SeedError, SeedStep, Seeded, seed};

use users::Users;

/// Name of the service in spans.
pub const SERVICE: &str = "pg-client";

/// Runs the service until `shutdown` completes.
///
/// # Errors
/// The address cannot be bound, or a setting is impossible.
pub async fn run(
    config: PgClientConfig,
    shutdown: impl Future<Output = ()> + Send,
) -> anyhow::Result<()> {
    // Looked at before the port is bound.
    config.database_url.options()?;
    let serve = async |listener, probe: &_| serve(listener, &config, probe, shutdown).await;
    Ok(probe::process::run(SERVICE, &config.service, config.listen, serve).await?)
}

/// Serves on a bound listener.
///
/// # Errors
/// The database's URL is none, or as [`probe::serve`].
pub async fn serve(
    listener: TcpListener,
    config: &PgClientConfig,
    probe: &Probe,
    shutdown: impl Future<Output = ()> + Send,
) -> std::io::Result<()> {
    let options = config.database_url.options().map_err(std::io::Error::other)?;
    let users = Arc::new(Users::new(probe, options, config.pool_size));
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_serving::<UsersServer<users::Grpc>>().await;
    let grpc = UsersServer::new(users::Grpc(Arc::clone(&users)));
    let routes = Router::new()
        .route("/users/count", get(users::rest))
        .route("/statements", get(statements::rest))
        .route("/healthz", get(healthz))
        .with_state(users)
        .merge(Routes::new(grpc).add_service(health).into_axum_router());
    probe::serve(listener, routes, probe, config.service.server_options(), shutdown).await
}

async fn healthz() -> Response {
    let status = json!({"status": "ok", "service": SERVICE, "version": env!("CARGO_PKG_VERSION")});
    JsonReply(StatusCode::OK, status).into_response()
}
