//! The gateway: the lab's front door. Makes a payload of the size asked for, sends it through the
//! echo service by REST or gRPC, and answers in JSON either way; or asks the users service how many
//! users have an e-mail.
//!
//! The path names the protocol of the inner hop only, so that both arms of a comparison have the
//! same outer hop.

mod echo;
mod payload;
mod ping;
mod reply;
mod upstream;
mod users;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use http::StatusCode;
use probe::JsonReply;
use probe::process::ServiceArgs;
use serde_json::json;
use settings::PeerUrl;
use tokio::net::TcpListener;
use tonic::service::Routes;

pub use payload::PayloadSource;
pub use ping::LARGEST_SIZE;

use payload::Generator;
use upstream::Upstream;

/// Name of the service in spans.
pub const SERVICE: &str = "gateway";

/// Settings of the gateway.
#[derive(Debug, Clone, clap::Args)]
pub struct GatewayConfig {
    /// Address to listen on; port 0 picks a free one.
    #[arg(long, env = "GATEWAY_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDR")]
    pub listen: SocketAddr,
    /// Where the echo service is.
    #[arg(
        long,
        env = "GATEWAY_ECHO_URL",
        default_value = "http://127.0.0.1:8081",
        value_name = "URL"
    )]
    pub echo_url: PeerUrl,
    /// Where the users service is; without it the users routes answer 503.
    #[arg(long, env = "GATEWAY_USERS_URL", value_name = "URL")]
    pub users_url: Option<PeerUrl>,
    /// How long the service behind it may take before the gateway answers 504, in seconds.
    #[arg(long, default_value = "30", value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub timeout: u64,
    /// How the gateway comes by its payload: a slice of a pool made at start-up, or a random
    /// string made for each request under one lock.
    #[arg(long, value_enum, default_value = "pool")]
    pub payload_source: PayloadSource,
    /// Connect to the service behind it anew for each request.
    #[arg(long)]
    pub connection_per_request: bool,
    /// Test double: send this many bytes by REST whatever size is asked for.
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(0..=LARGEST_SIZE))]
    pub rest_size_bug: Option<u64>,
    /// Settings shared by all services.
    #[command(flatten)]
    pub service: ServiceArgs,
}

/// What every request needs.
#[derive(Debug)]
struct State {
    echo: Upstream,
    users: Option<Upstream>,
    generator: Generator,
    rest_size_bug: Option<u64>,
}

/// Runs the gateway until `shutdown` completes.
///
/// # Errors
/// The address cannot be bound, or a setting is impossible.
pub async fn run(
    config: GatewayConfig,
    shutdown: impl Future<Output = ()> + Send,
) -> anyhow::Result<()> {
    let serve = async |listener, probe: &_| serve(listener, &config, probe, shutdown).await;
    Ok(probe::process::run(SERVICE, &config.service, config.listen, serve).await?)
}

/// Serves on a bound listener.
///
/// # Errors
/// As [`probe::serve`].
pub async fn serve(
    listener: TcpListener,
    config: &GatewayConfig,
    probe: &probe::Probe,
    shutdown: impl Future<Output = ()> + Send,
) -> std::io::Result<()> {
    let behaviour = (!config.connection_per_request, Duration::from_secs(config.timeout));
    let upstream = |peer, target: &PeerUrl| {
        Upstream::new(probe, peer, target.uri(), &config.service, behaviour)
    };
    let state = Arc::new(State {
        echo: upstream(echo::PEER, &config.echo_url),
        users: config.users_url.as_ref().map(|target| upstream(users::PEER, target)),
        generator: Generator::new(config.payload_source),
        rest_size_bug: config.rest_size_bug,
    });
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_service_status("", tonic_health::ServingStatus::Serving).await;
    let routes = Router::new()
        .route("/rest/ping", post(ping::rest))
        .route("/grpc/ping", post(ping::grpc))
        .route("/rest/users/count", get(users::rest))
        .route("/grpc/users/count", get(users::grpc))
        .route("/healthz", get(healthz))
        .with_state(state)
        .merge(Routes::new(health).into_axum_router().reset_fallback())
        .fallback(reply::no_such_route)
        .method_not_allowed_fallback(reply::wrong_method);
    probe::serve(listener, routes, probe, config.service.server_options(), shutdown).await
}

async fn healthz() -> JsonReply<serde_json::Value> {
    let status = json!({"status": "ok", "service": SERVICE, "version": env!("CARGO_PKG_VERSION")});
    JsonReply(StatusCode::OK, status)
}
